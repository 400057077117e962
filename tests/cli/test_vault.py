"""`aiplat vault`: a site's secrets on another machine, and never over other ones."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from aiplat.site.load import load_site
from aiplat.vault.password import PASSWORD_FILE
from aiplat.vault.store import ensure_secrets, read_secrets
from tests.typed import Typed

SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: {name}
hosts: [{{name: s1, address: 10.0.0.11, role: server}}]
"""
Aiplat = Callable[..., tuple[int, str]]


@pytest.fixture
def aiplat(monkeypatch: pytest.MonkeyPatch, typed: Typed, tmp_path: Path) -> Aiplat:
    """Run `aiplat vault …` as on the machine named; return its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("ward", "other"):
        (tmp_path / f"{name}.yaml").write_text(SITE.format(name=name))
    for name in ("vault", "export"):
        (tmp_path / name).write_text(f"password of the {name}")
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "vault"))

    def run(machine: str, *words: str) -> tuple[int, str]:
        monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / machine))
        code, out, err = typed("vault", *words)
        return code, out + err

    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "here"))
    ensure_secrets(load_site(tmp_path / "ward.yaml"), lab=False)
    return run


def test_a_vault_goes_to_another_machine_whole(aiplat: Aiplat, tmp_path: Path) -> None:
    """What was exported here and imported there is the same, and the second import changes nothing."""
    assert aiplat("here", "export", "kept", "ward.yaml", "--password-file", "export")[0] == 0
    kept = read_secrets("ward")
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o600
    assert kept
    assert kept.k3s_token not in (tmp_path / "kept").read_text()
    take = ("import", "kept", "ward.yaml", "--password-file", "export", "--json")
    answers = [aiplat("there", *take) for _ in range(2)]
    assert [(code, json.loads(out)["changed"]) for code, out in answers] == [(0, 1), (0, 0)]
    assert read_secrets("ward") == kept
    assert (tmp_path / "there/aiplat/sites/ward/ca.crt").read_text() == kept.ca.crt


def test_other_secrets_are_never_replaced(
    aiplat: Aiplat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that made secrets of its own keeps them, and says which file is in the way."""
    aiplat("here", "export", "kept", "ward.yaml", "--password-file", "export")
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "there"))
    own = ensure_secrets(load_site(tmp_path / "ward.yaml"), lab=False)
    code, said = aiplat("there", "import", "kept", "ward.yaml", "--password-file", "export")
    assert (code, "holds other secrets than this file; move it away" in said) == (2, True)
    assert read_secrets("ward") == own


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("export", "vault", "ward.yaml", "--password-file", "export"), "is there already"),
        (("export", "new", "other.yaml", "--password-file", "export"), "other has no vault on this machine"),
        (("export", "export/x", "ward.yaml", "--password-file", "export"), "cannot be written"),
        (("export", "new", "ward.yaml", "--password-file", "nothing"), "cannot be read"),
        (("export", "new", "ward.yaml"), "cannot be asked for without a terminal"),
        (("import", "nothing", "ward.yaml", "--password-file", "export"), "there is no such file"),
        (("import", "kept", "other.yaml", "--password-file", "export"), "is of the site ward, not of other"),
        (
            ("import", "kept", "ward.yaml", "--password-file", "vault"),
            "the password it was exported with is another",
        ),
        (("import", "export", "ward.yaml", "--password-file", "export"), "cannot be opened"),
    ],
)
def test_what_cannot_be_done_is_said(
    aiplat: Aiplat, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad input ends with 2 and one sentence, and nothing is written."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    aiplat("here", "export", "kept", "ward.yaml", "--password-file", "export")
    code, told = aiplat("here", *words)
    assert code == 2
    assert said in told
    assert not Path("new").exists()


def test_a_rotation_says_what_comes_of_it_and_shows_no_secret(aiplat: Aiplat) -> None:
    """Every name at once; a second one before the first is carried out, and a wrong name, are refused."""
    before = read_secrets("ward")
    code, said = aiplat("here", "rotate", "api-key", "ca", "--site", "ward.yaml")
    after = read_secrets("ward")
    assert code == 0
    assert before
    assert after
    assert "the former one is accepted until the next bootstrap" in said
    assert after.api_key not in said
    assert (after.api_key, after.key_in_use) != (before.api_key, after.api_key)
    code, said = aiplat("here", "rotate", "ca", "api-kay", "--site", "ward.yaml")
    assert code == 2
    assert "ca: its last rotation is not carried out yet; run `aiplat bootstrap`" in said
    assert "api-kay: cannot be rotated; did you mean api-key?" in said


def test_a_rotated_vault_replaces_the_one_before_and_never_the_other_way(aiplat: Aiplat) -> None:
    """A colleague's copy follows an export made since; an export from before is refused."""
    password = ("--password-file", "export")
    assert aiplat("here", "export", "old", "ward.yaml", *password)[0] == 0
    assert aiplat("there", "import", "old", "ward.yaml", *password)[0] == 0
    assert aiplat("here", "rotate", "k3s-token", "--site", "ward.yaml")[0] == 0
    assert aiplat("here", "export", "new", "ward.yaml", *password)[0] == 0
    assert aiplat("there", "import", "new", "ward.yaml", *password)[0] == 0
    code, said = aiplat("here", "import", "old", "ward.yaml", *password)
    assert code == 2
    assert "is newer than this file: its k3s token was rotated since; export it again" in said


def test_what_cannot_work_is_refused_before_a_password_is_asked_for(aiplat: Aiplat) -> None:
    """Nobody is at a terminal, and it is not the password that is missing first."""
    assert aiplat("here", "import", "gone", "ward.yaml") == (
        2,
        "gone: there is no such file; name the file that was exported\n",
    )
    code, said = aiplat("there", "export", "kept", "ward.yaml")
    assert (code, "ward has no vault on this machine" in said) == (2, True)
