"""What verbs start from: labs, locks and bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.actions import site_hosts
from aiplat.actions.known_lock import known_lock
from aiplat.actions.site_hosts import host_facts, is_lab
from aiplat.bundle.document import DOCUMENT, BundleDocument, lock_digest
from aiplat.catalog.artifacts import Blob, Lock
from aiplat.catalog.lockfile import write_lock
from aiplat.catalog.resolve import resolve
from aiplat.content import canonical_json, sha256_bytes, write_atomic
from aiplat.errors import BadInput
from aiplat.lab.driver import LabStatus
from aiplat.shipped import shipped
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.state import bundle_dir, lab_dir, site_dir


@pytest.fixture
def site() -> Site:
    """The built-in lab's site."""
    return load_site(shipped("inventory/lab/site.yaml"))


def renamed(site: Site, name: str) -> Site:
    """The same hosts under another site's name."""
    return site.model_copy(update={"name": name})


def test_built_in_lab_is_a_lab_before_it_is_up(site: Site) -> None:
    """With no site named the hosts are made on this machine."""
    assert is_lab(site)


def test_own_site_is_no_lab_unless_it_was_made_one(site: Site) -> None:
    """Only `aiplat lab up` makes a lab of a site of one's own."""
    own = renamed(site, "ward-3")
    assert not is_lab(own)
    lab_dir("ward-3").mkdir(parents=True)
    assert is_lab(own)


def test_own_hosts_under_the_name_lab_are_not_made_here(site: Site) -> None:
    """A site that is called lab but has other hosts is somebody's own."""
    (host,) = site.hosts
    assert not is_lab(site.model_copy(update={"hosts": (host.model_copy(update={"address": "192.0.2.7"}),)}))


def test_lab_that_is_not_up_is_planned_as_fresh_hosts(site: Site) -> None:
    """A plan can be looked at before anything exists."""
    facts, assumed = host_facts(site)
    assert assumed
    assert [(h.host, h.lab, h.ledger) for h in facts.hosts] == [("lab-s1", "lab", None)]


def test_remains_of_another_lab_are_not_taken_for_hosts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge of that name on this machine, with no record of hosts here, changes no plan."""
    remains = LabStatus("lab", "nspawn", "partial", "al-lab", "", "", ())
    monkeypatch.setattr(site_hosts, "lab_status", lambda _: remains)
    assert host_facts(site)[1]


def test_unreachable_host_is_a_fact(site: Site) -> None:
    """A site of one's own whose host does not answer is looked at all the same."""
    (host,) = site.hosts
    closed = host.model_copy(update={"address": "127.0.0.1", "ssh": host.ssh.model_copy(update={"port": 1})})
    facts, assumed = host_facts(renamed(site, "ward-3").model_copy(update={"hosts": (closed,)}))
    assert not assumed
    assert not facts.hosts[0].reachable
    assert facts.hosts[0].problem


def test_lock_takes_digests_from_the_bundle_where_inputs_are_equal(site: Site) -> None:
    """What was made once is known; what is made of other sources now is not."""
    lock = resolve(site)
    first, second, *_ = lock.artifacts
    made = [supplied.model_copy(update={"inputs": i}) for supplied, i in _supplied(lock, second.name)]
    _write_bundle(bundle_dir(site.name), lock.model_copy(update={"artifacts": tuple(made)}))
    known = known_lock(site)
    assert known.artifacts[0].digest == sha256_bytes(first.name.encode())
    assert [a.name for a in known.artifacts if a.digest is None] == [second.name]


def test_digests_are_known_from_the_lock_where_the_bundle_was_removed(site: Site) -> None:
    """Removing a bundle to save space makes nothing on the hosts look changed."""
    made = tuple(supplied for supplied, _ in _supplied(resolve(site), ""))
    write_lock(site_dir(site.name) / "lock.yaml", resolve(site).model_copy(update={"artifacts": made}))
    assert known_lock(site).complete


def test_bundle_that_was_cut_off_while_it_was_made_is_none(site: Site) -> None:
    """Content without a document is gone on with, not complained about."""
    (bundle_dir(site.name) / "blobs").mkdir(parents=True)
    assert not known_lock(site).complete


def test_given_bundle_that_lacks_something_is_refused(site: Site, tmp_path: Path) -> None:
    """A bundle brought along must hold everything the site needs; all that is missing is named."""
    lock = resolve(site)
    made = [supplied for supplied, _ in _supplied(lock, "")][2:]
    _write_bundle(tmp_path / "b", lock.model_copy(update={"artifacts": tuple(made)}))
    with pytest.raises(BadInput) as caught:
        known_lock(site.model_copy(update={"supply": f"bundle:{tmp_path / 'b'}"}))
    assert len(caught.value.findings) == 2
    assert str(caught.value.findings[0]).endswith("use a bundle made for this site")


def test_given_bundle_is_the_lock(site: Site, tmp_path: Path) -> None:
    """With a bundle brought along nothing is resolved to something newer."""
    made = tuple(supplied for supplied, _ in _supplied(resolve(site), ""))
    _write_bundle(tmp_path / "b", resolve(site).model_copy(update={"artifacts": made}))
    assert known_lock(site.model_copy(update={"supply": f"bundle:{tmp_path / 'b'}"})).complete


def test_damaged_bundle_is_named(site: Site) -> None:
    """A bundle.json that is cut off is a finding with its path, not a traceback."""
    path = bundle_dir(site.name) / DOCUMENT
    write_atomic(path, b'{"apiVersion"')
    with pytest.raises(BadInput, match=r"bundle\.json: is damaged"):
        known_lock(site)


def _supplied(lock: Lock, changed: str) -> list[tuple[object, str]]:
    """Each artifact as supplied, with the inputs it was made of."""
    result = []
    for artifact in lock.artifacts:
        digest = sha256_bytes(artifact.name.encode())
        supplied = artifact.model_copy(update={"digest": digest, "blobs": (Blob(digest=digest, size=1),)})
        result.append((supplied, sha256_bytes(b"older") if artifact.name == changed else artifact.inputs))
    return result


def _write_bundle(folder: Path, lock: Lock) -> None:
    document = BundleDocument(lock_digest=lock_digest(lock), lock=lock, files={})
    write_atomic(folder / DOCUMENT, canonical_json(document.model_dump(mode="json", by_alias=True)))
