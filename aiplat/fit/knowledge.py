"""Reads the planner's own data files, each once; what they mean belongs in the modules that ask."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

MIB = 1 << 20
GIB = 1 << 30

_DATA = Path(__file__).with_name("data")


@cache
def knowledge(name: str) -> dict[str, Any]:
    """Return the data file `name` (`architectures`, `hardware`, `quantisations`, `engines`)."""
    data: dict[str, Any] = YAML(typ="safe", pure=True).load(
        (_DATA / f"{name}.yaml").read_text(encoding="utf-8")
    )
    return data


def constant(engine: str, name: str) -> float:
    """Return one constant of `engines.yaml`, for example `constant("vllm", "non_torch_mib")`."""
    entry = knowledge("engines")[engine][name]
    return float(entry["value"] if isinstance(entry, dict) else entry)
