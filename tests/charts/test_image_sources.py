"""The image of our own services has every module of ours that they load."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
# What the image's own build tries last; see charts/access/gateway.
SERVICES = (
    "aiplat.services.gateway.serve",
    "aiplat.services.operator.__main__",
    "aiplat.services.portal.serve",
)


def test_the_images_sources_are_enough_for_its_services(tmp_path: Path) -> None:
    """They are loaded from a copy of just those sources: a module that is not among them is not found."""
    component = YAML(typ="safe").load(ROOT / "charts/access/gateway/component.yaml")
    (image,) = (a for a in component["artifacts"] if a["kind"] == "image")
    sources = image["packages"]["sources"]
    assert sources == image["upstream"]["assemble"]["sources"]
    for name in sources:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    program = f"import {', '.join(SERVICES)}; import aiplat; print(aiplat.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "aiplat/__init__.py")
