"""The module ledger: what a step left, as the models of aiplat.plan read it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from aiplat.plan.models import Ledger
from tests.roles.conftest import RunModule

MODULE = "aiplat_modules/library/ledger.py"


def step(root: Path, name: str = "site_registry", **more: Any) -> dict[str, Any]:
    """Return the parameters of a step with one file and one link."""
    (root / "file").write_text("x")
    (root / "file").chmod(0o600)
    if not (root / "link").is_symlink():
        (root / "link").symlink_to("file")
    base = {"root": str(root), "site": "ward-3", "step": name, "files": ["/file"], "links": ["/link"]}
    return {**base, "inputs": {"binary": "sha256:1"}, "units": ["a.service"], "packages": ["p"], **more}


def read(root: Path) -> Ledger:
    """Read the ledger as aiplat does."""
    return Ledger.model_validate_json((root / "var/lib/aiplat/ledger.json").read_text())


def test_a_step_is_recorded_as_the_models_read_it(tmp_path: Path, run_module: RunModule) -> None:
    """Files are there by digest and mode, links by target; the file is root's alone."""
    assert run_module(MODULE, **step(tmp_path))["changed"]
    seen = read(tmp_path).steps["site_registry"]
    assert seen.files["/file"].sha256 == hashlib.sha256(b"x").hexdigest()
    assert (seen.files["/file"].mode, seen.links) == ("0600", {"/link": "file"})
    assert (seen.inputs, seen.units, seen.packages) == ({"binary": "sha256:1"}, ("a.service",), ("p",))
    assert (tmp_path / "var/lib/aiplat/ledger.json").stat().st_mode & 0o777 == 0o600


def test_the_same_step_again_changes_nothing(tmp_path: Path, run_module: RunModule) -> None:
    """Honest changed, also for the ledger."""
    run_module(MODULE, **step(tmp_path))
    assert not run_module(MODULE, **step(tmp_path))["changed"]


def test_other_steps_stay(tmp_path: Path, run_module: RunModule) -> None:
    """A step merges into what others wrote."""
    run_module(MODULE, **step(tmp_path))
    run_module(MODULE, **step(tmp_path, name="k3s_server"))
    assert set(read(tmp_path).steps) == {"site_registry", "k3s_server"}


def test_a_host_of_another_site_is_refused(tmp_path: Path, run_module: RunModule) -> None:
    """A host belongs to one site."""
    run_module(MODULE, **step(tmp_path))
    result = run_module(MODULE, **step(tmp_path, site="ward-4"))
    assert "belongs to site ward-3, not ward-4" in result["msg"]


def test_a_damaged_or_newer_ledger_is_refused(tmp_path: Path, run_module: RunModule) -> None:
    """What cannot be read is not overwritten."""
    path = tmp_path / "var/lib/aiplat/ledger.json"
    path.parent.mkdir(parents=True)
    for text, sentence in (("{", "is damaged"), ('{"apiVersion": "aiplat.dev/v9"}', "from a newer aiplat")):
        path.write_text(text)
        assert sentence in run_module(MODULE, **step(tmp_path))["msg"]
        assert path.read_text() == text


def test_a_file_that_is_missing_is_no_finished_step(tmp_path: Path, run_module: RunModule) -> None:
    """The ledger never says of a file what was not seen."""
    assert run_module(MODULE, **step(tmp_path, files=["/gone"]))["failed"]
    assert not (tmp_path / "var/lib/aiplat/ledger.json").exists()
