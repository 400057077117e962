"""Writes what is planned as YAML, always in the same way: values and ConfigMaps are compared as text."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML


def to_yaml(document: Any) -> str:
    """Return a document as YAML in block style."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.width = 4096
    stream = StringIO()
    writer.dump(document, stream)
    return stream.getvalue()
