"""The JSON Schema of a site file, for editors and programs; relations of fields are aiplat.site.rules'."""

from __future__ import annotations

from typing import Any

from aiplat.site.known import known_names
from aiplat.site.models import Site

# Hosts are there unless a cluster is.
_HOSTS = {
    "if": {"required": ["cluster"], "properties": {"cluster": {"required": ["existing"]}}},
    "then": {"properties": {"hosts": {"maxItems": 0}}},
    "else": {"required": ["hosts"], "properties": {"hosts": {"minItems": 1}}},
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def site_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12); what passes it still has to pass `aiplat site check`."""
    schema = Site.model_json_schema(by_alias=True)
    schema["$defs"]["SiteModel"]["properties"]["engine"]["enum"] = ["", *known_names().engines]
    return {"$schema": DIALECT, "$id": "https://aiplat.dev/schemas/v1alpha1/site.json", **schema, **_HOSTS}
