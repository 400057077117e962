"""The names of OpenTelemetry's conventions that spans use: the one place that knows them.

They are those of GenAI clients and of HTTP servers. What people write and what models answer has names there
too, and none here: a span never holds it.
"""

from __future__ import annotations

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUESTED_MODEL = "gen_ai.request.model"
ANSWERING_MODEL = "gen_ai.response.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
METHOD = "http.request.method"
ROUTE = "http.route"
STATUS = "http.response.status_code"
ERROR = "error.type"
SERVER = "server.address"
PORT = "server.port"

# What the conventions have no name for.
REQUEST_ID = "aiplat.request.id"
KEY = "aiplat.key.id"
OUTCOME = "aiplat.outcome"
ESTIMATED = "aiplat.usage.estimated"

_OPERATIONS = {
    "/v1/completions": "text_completion",
    "/api/generate": "text_completion",
    "/v1/embeddings": "embeddings",
    "/api/embed": "embeddings",
    "/api/embeddings": "embeddings",
}


def operation_of(path: str) -> str:
    """Return what a path of an upstream's API does, in the conventions' words."""
    return _OPERATIONS.get(path, "chat")
