"""Runs a role's Ansible module as Ansible does, in this process and on a folder instead of a host."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from aiplat.shipped import shipped

RunModule = Callable[..., dict[str, Any]]


def load(path: Path, name: str) -> ModuleType:
    """Load a Python file under a module name."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load_module(relative: str) -> ModuleType:
    """Load `<role>/library/<module>.py` with the shared files where Ansible would have put them."""
    # By name: each imports only what comes before it.
    for shared in sorted(shipped("roles").glob("*/module_utils/*.py"), key=lambda path: path.stem):
        load(shared, f"ansible.module_utils.{shared.stem}")
    return load(shipped("roles") / relative, f"aiplat_role_module_{Path(relative).stem}")


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str]) -> RunModule:
    """Return a function that runs a module with parameters and returns what it tells Ansible."""

    def run(relative: str, **parameters: Any) -> dict[str, Any]:
        module = load_module(relative)
        with patch_module_args(parameters), pytest.raises(SystemExit):
            module.main()
        lines = capsys.readouterr().out.strip().splitlines()
        result: dict[str, Any] = json.loads(lines[-1])
        return result

    return run
