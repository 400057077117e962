"""The data path: OpenAI's and Ollama's APIs in front of the site's models; control and accounts are not here.

The gateway's image holds the standard library, aiohttp, uvicorn, uvloop, httptools, prometheus_client and
pydantic; nothing else may be imported in this room.
"""
