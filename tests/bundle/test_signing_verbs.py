"""`aiplat bundle trust`, `sign` and `verify` as a security officer meets them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from aiplat.bundle.bundle import Bundle
from aiplat.signed import STATEMENT
from tests.bundle.signing import make_key, sign
from tests.typed import Typed

SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: ward
hosts: [{name: s1, address: 10.0.0.11, role: server}]
"""
TRUST = "trust: {signers: ./allowed_signers}\n"


@pytest.fixture
def aiplat(monkeypatch: pytest.MonkeyPatch, typed: Typed, tmp_path: Path, bundle: Bundle) -> Typed:
    """Run `aiplat bundle …` beside a site.yaml whose bundle is made; return code, output and errors."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.yaml").write_text(f"{SITE}supply: bundle:{bundle.path}\n")
    return partial(typed, "bundle")


@pytest.fixture
def key(aiplat: Typed, state: Path) -> Path:
    """Begin a list of signers and name it in the site file; return the key."""
    code, out, _ = aiplat("trust", "init")
    assert code == 0
    assert "write `trust: {signers: ./allowed_signers}` into" in out
    with Path("site.yaml").open("a") as stream:
        stream.write(TRUST)
    return state / "sites/ward/trust/bundle-1"


def test_without_trust_it_is_said_that_nobody_vouches(aiplat: Typed) -> None:
    """A whole bundle is not a verified one."""
    code, out, _ = aiplat("verify")
    assert code == 0
    assert ": whole, " in out
    assert "not verified: the site has no `trust:`" in out


def test_a_list_a_signature_and_a_verified_bundle(aiplat: Typed, key: Path) -> None:
    """The three commands that it takes."""
    code, _, err = aiplat("verify")
    assert code == 3
    assert "unsigned: there is no signed statement; sign it: aiplat bundle sign" in err
    code, out, _ = aiplat("sign", "--key", str(key))
    assert code == 0
    assert "signed for ward, sequence 2" in out
    code, out, _ = aiplat("verify")
    assert code == 0
    assert "signed by ward-1 for 'ward', sequence 2" in out
    assert json.loads(aiplat("verify", "--json")[1])["signed"]["by"] == "ward-1"


def test_a_foreign_signer_has_exit_code_3_and_a_name(aiplat: Typed, key: Path, bundle: Bundle) -> None:
    """For programs too; the content is whole all the same."""
    sign(bundle, make_key(key.parent, "somebody"))
    code, out, err = aiplat("verify", "--json")
    said = json.loads(out)
    assert (code, said["whole"], said["signed"]) == (3, True, None)
    assert said["findings"][0]["problem"].startswith("foreign signer: ")
    assert "foreign signer" in err


def test_a_folder_is_verified_against_a_list(aiplat: Typed, key: Path, bundle: Bundle) -> None:
    """Whoever gets a bundle for any site has a list and no site file."""
    aiplat("sign", "--key", str(key), "--for", "ward-9")
    code, out, _ = aiplat("verify", str(bundle.path), "--signers", "allowed_signers")
    assert code == 0
    assert "signed by ward-1 for 'ward-9'" in out


def test_what_is_not_whole_is_not_signed(aiplat: Typed, key: Path, bundle: Bundle) -> None:
    """A signature says that somebody looked."""
    blob = next((bundle.path / "blobs/sha256").iterdir())
    blob.write_bytes(b"other")
    code, _, err = aiplat("sign", "--key", str(key))
    assert code == 3
    assert "was altered" in err
    assert not (bundle.path / STATEMENT).exists()


@pytest.mark.parametrize("time", ["a year", "0d", "365", "-1d"])
def test_a_time_that_is_none_is_refused(aiplat: Typed, key: Path, time: str) -> None:
    """With the form that is wanted."""
    code, _, err = aiplat("sign", "--key", str(key), f"--expires={time}")
    assert code == 2
    assert "is not a time; write 365d or 12h" in err


def test_a_key_is_changed_and_both_are_shown(aiplat: Typed, key: Path) -> None:
    """The old one with its end."""
    code, out, _ = aiplat("trust", "rotate", "--key", str(key), "--both", "12h")
    assert code == 0
    assert "ward-2 may sign from now on" in out
    out = aiplat("trust", "show")[1]
    assert "without an end" in next(line for line in out.splitlines() if "ward-2" in line)
    rows = json.loads(aiplat("trust", "show", "--json")[1])["signers"]
    assert [row["validBefore"] is None for row in rows] == [False, True]


def test_a_list_is_begun_once(aiplat: Typed, key: Path) -> None:
    """A second `init` would forget who may sign."""
    before = Path("allowed_signers").read_bytes()
    code, _, err = aiplat("trust", "init")
    assert code == 2
    assert "has a list of signers already; add a key to it: aiplat bundle trust rotate" in err
    assert Path("allowed_signers").read_bytes() == before


def test_a_key_on_a_token_is_listed_by_its_public_half(aiplat: Typed, tmp_path: Path) -> None:
    """No key is made then."""
    public = make_key(tmp_path, "token").with_suffix(".pub")
    code, out, _ = aiplat("trust", "init", "--public", str(public))
    assert code == 0
    assert str(public) in out
    assert public.read_text().split()[1] in Path("allowed_signers").read_text()


@pytest.mark.parametrize("name", ["../..", "/tmp/x", "ward/../x", "Ward"])
def test_a_site_that_is_not_a_name_is_not_signed_for(aiplat: Typed, key: Path, name: str) -> None:
    """The name is a folder of this machine's state, too."""
    code, _, err = aiplat("sign", "--key", str(key), "--for", name)
    assert (code, "is not the name of a site" in err) == (2, True)
