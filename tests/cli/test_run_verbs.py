"""plan, bootstrap and reset as a user or a program meets them: output, errors and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

UNREACHABLE = """
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: ward-3
hosts:
  - {name: s1, address: s1.invalid, role: server}
"""


@pytest.fixture
def own_site(tmp_path: Path) -> Path:
    """A site whose host has no address."""
    path = tmp_path / "site.yaml"
    path.write_text(UNREACHABLE)
    return path


def aiplat(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with state of its own and no terminal."""
    environment = {**os.environ, "AIPLAT_STATE": str(tmp_path / "state"), "COLUMNS": "110", "NO_COLOR": "1"}
    environment.pop("AIPLAT_VAULT_PASSWORD_FILE", None)
    code = "import aiplat.cli.main as m; m.main()"
    argv = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        argv,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        cwd=tmp_path,
    )


def test_plan_of_a_lab_that_is_not_up_shows_every_step(tmp_path: Path) -> None:
    """Before anything exists the plan says what there will be and that it assumes fresh hosts."""
    done = aiplat(tmp_path, "plan", "lab")
    assert done.returncode == 0
    for step in ("bundle", "host_prepare", "site_registry", "k3s_server", "plane_release"):
        assert step in done.stdout
    assert "the lab is not up yet" in done.stdout
    assert "\x1b[" not in done.stdout


def test_plan_as_json_is_one_document_with_its_digest(tmp_path: Path) -> None:
    """Programs get the plan whole, and twice the same for the same world."""
    first, second = (json.loads(aiplat(tmp_path, "plan", "lab", "--json").stdout) for _ in range(2))
    assert first["kind"] == "Plan"
    assert first["digest"].startswith("sha256:")
    assert [s["id"] for s in first["steps"]][:2] == ["bundle", "stage"]
    assert first == second


def test_plan_changes_nothing(tmp_path: Path) -> None:
    """Looking makes no vault and no journal."""
    aiplat(tmp_path, "plan", "lab")
    made = [p.name for p in (tmp_path / "state").rglob("*") if p.is_file()]
    assert made == []


def test_plan_of_an_unreachable_host_fails_by_name(tmp_path: Path, own_site: Path) -> None:
    """A host that could not be looked at is exit code 1 and a sentence on stderr."""
    done = aiplat(tmp_path, "plan", str(own_site))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("s1: ")


def test_plan_says_which_hosts_nobody_looked_at(tmp_path: Path, own_site: Path) -> None:
    """Without a host's facts it has no step, which does not mean that nothing is to be done; nor as JSON."""
    assert "not looked at: s1" in " ".join(aiplat(tmp_path, "plan", str(own_site)).stdout.split())
    document = json.loads(aiplat(tmp_path, "plan", str(own_site), "--json").stdout)
    assert (document["nothing_to_do"], document["unseen"]) == (False, ["s1"])


def test_bootstrap_of_an_unreachable_host_makes_no_secrets(tmp_path: Path, own_site: Path) -> None:
    """What is refused leaves nothing behind but its journal."""
    done = aiplat(tmp_path, "bootstrap", str(own_site), "--yes")
    assert done.returncode == 1
    assert not list((tmp_path / "state").rglob("vault*"))
    (record,) = (tmp_path / "state").rglob("run.json")
    assert json.loads(record.read_text())["state"] == "failed"


def test_bootstrap_of_another_plan_than_the_one_agreed_to_is_refused(tmp_path: Path, own_site: Path) -> None:
    """Whoever names a plan gets that one or none, and learns which one there is now."""
    now = json.loads(aiplat(tmp_path, "plan", str(own_site), "--json").stdout)["digest"]
    moved = aiplat(tmp_path, "bootstrap", str(own_site), "--json", "--plan", f"sha256:{'0' * 64}")
    assert moved.returncode == 2
    assert f"there is another one now: {now}" in moved.stderr
    same = aiplat(tmp_path, "bootstrap", str(own_site), "--json", "--plan", now)
    assert same.returncode == 1
    told = same.stderr.splitlines()[-1]
    assert told.startswith("s1: "), "the plan is the one agreed to, but a host cannot be reached"


def test_a_run_gets_the_id_it_is_given(tmp_path: Path, own_site: Path) -> None:
    """Who starts a run for others can say its name before it begins; a path is not an id."""
    run = "20260102T030405Z-0a1b2c"
    aiplat(tmp_path, "bootstrap", str(own_site), "--yes", "--run-id", run)
    assert [p.parent.name for p in (tmp_path / "state").rglob("run.json")] == [run]
    refused = aiplat(tmp_path, "bootstrap", str(own_site), "--yes", "--run-id", "../x")
    assert refused.returncode == 2
    assert refused.stderr.startswith("--run-id: ")


def test_json_without_yes_is_bad_input(tmp_path: Path) -> None:
    """A program cannot be asked."""
    done = aiplat(tmp_path, "bootstrap", "lab", "--json")
    assert done.returncode == 2
    assert done.stderr == "--json: a program cannot be asked whether to go on; add --yes\n"


def test_unknown_supply_is_bad_input(tmp_path: Path) -> None:
    """A misspelt supply names those there are."""
    done = aiplat(tmp_path, "plan", "lab", "--supply", "package")
    assert done.returncode == 2
    assert done.stderr.startswith("--supply: package is not a supply; ")


def test_picture_of_the_plan_is_written(tmp_path: Path) -> None:
    """The README's pictures are rendered from the real output."""
    aiplat(tmp_path, "plan", "lab", "--svg", "plan.svg")
    text = (tmp_path / "plan.svg").read_text()
    assert text.startswith("<svg")
    assert "k3s_server" in text


@pytest.mark.parametrize("verb", ["plan", "bootstrap", "reset"])
def test_help_names_the_exit_codes(tmp_path: Path, verb: str) -> None:
    """Help teaches what the verb does and how it ends."""
    done = aiplat(tmp_path, verb, "--help")
    assert done.returncode == 0
    assert "Exit codes" in done.stdout
