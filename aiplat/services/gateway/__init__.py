"""The data path: OpenAI's and Ollama's APIs in front of the site's models; control of accounts is not here.

A gateway without accounts imports the standard library, aiohttp, uvicorn, uvloop, httptools, jiter, pydantic
and prometheus_client, and nothing else; one with accounts imports aiplat.services.store as well, one that
sends spans OpenTelemetry.
"""
