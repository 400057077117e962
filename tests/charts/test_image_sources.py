"""The gateway's image, in which portal and operator run too, holds what its programs import of aiplat."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.supply.sources import copy_sources
from tests.charts.conftest import RELEASES


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sources that the image's recipe names, and nothing else of aiplat."""
    gateway = next(component for component in RELEASES if component.name == "gateway")
    recipe = next(one.packages for one in gateway.artifacts if one.kind == "image")
    folder = tmp_path_factory.mktemp("image")
    assert recipe
    copy_sources(recipe.sources, folder)
    return folder


@pytest.mark.parametrize("program", ["gateway", "gateway.used", "operator", "people", "portal", "store"])
def test_a_program_of_the_image_finds_what_it_imports(image: Path, program: str) -> None:
    """With the libraries that are installed here; a module that the recipe forgot would end it there."""
    module = "aiplat.services." + (program if "." in program else f"{program}.__main__")
    done = subprocess.run(
        [sys.executable, "-c", f"import aiplat, {module}; print(aiplat.__file__)"],
        env=os.environ | {"PYTHONPATH": str(image), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=image,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(image / "aiplat/__init__.py")
