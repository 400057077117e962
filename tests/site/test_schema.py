"""The JSON Schema says the same as the models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from aiplat.site.schema import DIALECT, site_schema
from aiplat.site.yaml_file import read_document

HERE = Path(__file__).parent
VALID = sorted((HERE / "valid").glob("*.yaml"))
# What only a schema can say; relations between values are the rules'.
REFUSED = (
    "unknown-key", "missing-keys", "missing-host-keys", "wrong-type", "bad-choice", "bad-port", "bad-name",
    "long-name", "no-hosts", "unknown-plane", "unknown-engine", "bad-supply", "not-a-map", "list-for-a-map",
)  # fmt: skip


def test_it_is_a_schema_of_draft_2020_12() -> None:
    """The schema itself is well formed and says its dialect."""
    assert site_schema()["$schema"] == DIALECT
    jsonschema.Draft202012Validator.check_schema(site_schema())


@pytest.mark.parametrize("path", VALID, ids=lambda p: p.stem)
def test_valid_sites_pass(path: Path) -> None:
    """Whatever loads also passes the schema."""
    jsonschema.validate(read_document(path).data, site_schema(), jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", REFUSED)
def test_sites_of_wrong_shape_are_refused(name: str) -> None:
    """Editors underline what the check would refuse for its shape."""
    data = read_document(HERE / "invalid" / f"{name}.yaml").data
    assert not jsonschema.Draft202012Validator(site_schema()).is_valid(data)


def test_every_key_is_described() -> None:
    """Editors show a sentence for every key."""

    def properties(node: Any) -> list[tuple[str, dict[str, Any]]]:
        if isinstance(node, list):
            return [p for item in node for p in properties(item)]
        if not isinstance(node, dict):
            return []
        own = list(node.get("properties", {}).items())
        return own + [p for value in node.values() for p in properties(value)]

    # What is asked of two keys together has no place for a sentence.
    found = properties(
        {key: part for key, part in site_schema().items() if key not in ("if", "then", "else")}
    )
    assert len(found) > 20
    assert [name for name, schema in found if not schema.get("description")] == []
