"""The endpoints: OpenAI and Ollama APIs, each path a handler."""
