"""The pinned helm, and every release of a reference site rendered by it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import resolve
from aiplat.shipped import shipped
from aiplat.supply.oci import blob_path
from aiplat.supply.packages import PackagesSupply
from tests.plan.test_golden import SITE

VALUES = Path(__file__).parent.parent / "plan" / "golden"
RELEASES = [c for c in load_catalog().components if c.is_release and c.chart]
NAMES = [c.name for c in RELEASES]

Document = dict[str, Any]
Helm = Callable[..., subprocess.CompletedProcess[str]]


def documents(text: str) -> list[Document]:
    """Return the documents of a YAML stream."""
    return [d for d in YAML(typ="safe", pure=True).load_all(text) if d]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Run the helm that the site's lock pins, as supply makes it, or made it before."""
    supply = PackagesSupply(resolve(SITE))
    made = supply.supply(supply.lock.artifact("hostfile", "helm"), lambda *_: None)
    program = tmp_path_factory.mktemp("helm") / "helm"
    shutil.copyfile(blob_path(made.folder, str(made.artifact.file)), program)
    program.chmod(0o700)
    home = {f"HELM_{name}_HOME": str(program.parent) for name in ("CACHE", "CONFIG", "DATA")}

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env=home)

    return run


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Our charts with the library inside, as packaging leaves them."""
    root = tmp_path_factory.mktemp("charts")
    for component in RELEASES:
        shutil.copytree(component.folder / str(component.chart), root / component.name)
        shutil.copytree(shipped("charts/_lib"), root / component.name / "charts" / "lib")
    return {name: root / name for name in NAMES}


@pytest.fixture(scope="session")
def rendered(helm: Helm, charts: dict[str, Path]) -> dict[str, str]:
    """What helm makes of every release with the reference site's values."""
    texts = {}
    for component in RELEASES:
        name, namespace = component.name, str(component.namespace)
        done = helm("template", name, charts[name], "-n", namespace, "-f", VALUES / f"values-{name}.yaml")
        assert done.returncode == 0, done.stderr
        texts[name] = done.stdout
    return texts
