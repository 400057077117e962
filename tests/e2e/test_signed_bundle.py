"""A host installs only from bundles that its site's signers signed, whoever sends them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.trust import open_trusted
from aiplat.errors import AiplatError
from aiplat.fleet.transfer import push_blobs
from aiplat.signed import SIGNATURE, STATEMENT
from aiplat.site.load import load_site
from aiplat.site.models import Site
from tests.bundle.signing import list_of, make_key
from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]

SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-signed
supply: packages
trust: {signers: ./allowed_signers}
hosts:
  - {name: t-signed-s1, address: 10.97.62.11, role: server}
"""
TRUST = "/etc/aiplat/trust"


class Officer:
    """The one who may sign the bundles of a site, with the site's state on the operator's machine."""

    def __init__(self, journey: Journey) -> None:
        self.journey = journey
        self.folder = journey.site_file.parent
        self.key = make_key(self.folder, "officer")
        self.foreign = make_key(self.folder, "somebody")
        self.bundle = journey.state / "aiplat/bundles/t-signed"
        self.sequence = journey.state / "aiplat/sites/t-signed/trust/sequence"

    def sign(self, key: Path) -> None:
        """Sign the bundle as it is."""
        self.journey.aiplat("bundle", "sign", str(self.journey.site_file), "--key", str(key))

    @property
    def site(self) -> Site:
        """The site as its file is now."""
        return load_site(self.journey.site_file)

    def send(self, bundle: Bundle) -> None:
        """Have the host judge a bundle of which it wants nothing."""
        push_blobs(self.site, {"t-signed-s1": []}, bundle, "signed", lambda *_: None)

    def refusal(self, expect: int) -> str:
        """Bootstrap and return what is said against it."""
        done = self.journey.aiplat("bootstrap", str(self.journey.site_file), "--yes", expect=expect)
        return " ".join((done.stderr + done.stdout).split())


@pytest.fixture(scope="module")
def officer(make_journey: Callable[[str], Journey], tmp_path_factory: pytest.TempPathFactory) -> Officer:
    """A host with nothing of aiplat on it, and a bundle that nobody signed."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "allowed_signers").touch()
    (folder / "t-signed.yaml").write_text(SITE)
    officer = Officer(make_journey(str(folder / "t-signed")))
    list_of(folder, officer.key)
    officer.journey.aiplat("bundle", "build", str(officer.journey.site_file))
    return officer


@pytest.fixture(scope="module")
def taught(officer: Officer) -> Officer:
    """The host knows the officer: it was sent a bundle of the officer, of which it wanted nothing."""
    assert "unsigned: there is no signed statement" in officer.refusal(expect=2)
    officer.journey.on_host(f"test ! -e {TRUST}")
    officer.sign(officer.key)
    officer.send(open_trusted(officer.site))
    return officer


def test_a_host_knows_the_signers_of_the_first_bundle(taught: Officer) -> None:
    """List and sequence are root's alone."""
    listed = taught.journey.on_host(f"stat -c '%a %n' {TRUST} {TRUST}/*").splitlines()
    assert listed == [f"700 {TRUST}", f"600 {TRUST}/allowed_signers", f"600 {TRUST}/sequence"]
    said = json.loads((taught.bundle / STATEMENT).read_text())
    assert int(taught.journey.on_host(f"cat {TRUST}/sequence")) == said["sequence"]


def test_a_host_refuses_a_bundle_altered_on_its_way(taught: Officer) -> None:
    """The operator's machine has judged it already."""
    bundle = open_trusted(taught.site)
    assert bundle.signed is not None
    later = bundle.signed.statement.replace(b'"expires":"20', b'"expires":"29')
    with pytest.raises(AiplatError, match="t-signed-s1: altered: the signature does not fit"):
        taught.send(replace(bundle, signed=bundle.signed._replace(statement=later)))


def test_a_host_refuses_a_foreign_signer(taught: Officer) -> None:
    """Whoever signs the bundle and changes the operator's list does not change the host's."""
    taught.sign(taught.foreign)
    assert "foreign signer: nobody who may sign now has the key SHA256:" in taught.refusal(expect=2)
    list_of(taught.folder, taught.foreign)
    assert "t-signed-s1: foreign signer: the list of signers is another one" in taught.refusal(expect=1)
    taught.journey.on_host("test ! -e /usr/local/bin/k3s")
    list_of(taught.folder, taught.key)


def test_a_host_refuses_a_rolled_back_bundle(taught: Officer) -> None:
    """Also from a machine that has not seen the newer one."""
    taught.sign(taught.key)
    older = {name: (taught.bundle / name).read_bytes() for name in (STATEMENT, SIGNATURE)}
    taught.sign(taught.key)
    taught.send(open_trusted(taught.site))
    for name, text in older.items():
        (taught.bundle / name).write_bytes(text)
    assert "rolled back: its sequence" in taught.refusal(expect=2)
    taught.sequence.unlink()
    assert "t-signed-s1: rolled back: its sequence" in taught.refusal(expect=1)
    taught.journey.on_host("test ! -e /usr/local/bin/k3s")


def test_a_host_refuses_what_nobody_signed(taught: Officer) -> None:
    """A site file without `trust:` does not lead around the host's list."""
    taught.journey.site_file.write_text(SITE.replace("trust: {signers: ./allowed_signers}\n", ""))
    assert "unsigned: this host takes bundles of the signers in" in taught.refusal(expect=1)
    taught.journey.site_file.write_text(SITE)


def test_a_signed_bundle_is_installed(taught: Officer) -> None:
    """A second run changes nothing."""
    taught.sign(taught.key)
    assert taught.journey.bootstrap()["state"] == "done"
    assert taught.journey.bootstrap()["changed"] == 0


def test_a_reset_forgets_the_signers(taught: Officer) -> None:
    """Nothing of the list is left."""
    taught.journey.aiplat("reset", str(taught.journey.site_file), "--yes")
    assert taught.journey.on_host("ls -A /etc/aiplat").split() == ["lab-host"]
