"""A set of packages from its pin to the blobs that a host is brought, through the supply that a site has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiplat.catalog.artifacts import Artifact
from aiplat.catalog.resolve import resolve
from aiplat.content import sha256_file
from aiplat.errors import AiplatError
from aiplat.plan.staging import wanted_blobs
from aiplat.site.models import Site
from aiplat.supply.oci import blob_path
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.lock import pin_all
from aiplat.supply.upstream.ospackages import signatures
from aiplat.supply.upstream.supply import UpstreamSupply
from tests.supply.ospackages.conftest import Ask
from tests.upstreams.apt_repository import AptRepository, Deb
from tests.upstreams.signing import Signer

SITE = Site.model_validate(
    {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": "ward-3",
        "supply": "upstream",
        "hosts": [{"name": "s1", "address": "10.0.0.11", "role": "server", "os": "debian-12"}],
    }
)
DEBS = (
    Deb("libc6", priority="required"),
    Deb("nftables", fields={"Depends": "libc6, libnftables1"}),
    Deb("libnftables1"),
)
Publish = Callable[..., UpstreamSupply]


@pytest.fixture
def published(tmp_path: Path, signer: Signer, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Return a function that publishes packages and returns the supply that finds them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    keys = tmp_path / "keyrings"
    keys.mkdir()
    (keys / "debian-archive-keyring.gpg").write_bytes(signer.binary)
    monkeypatch.setattr(signatures, "KEYRINGS", keys)

    def publish(*debs: Deb, without: str = "") -> UpstreamSupply:
        folder = tmp_path / f"archive-{len(list(tmp_path.glob('archive-*')))}"
        main = AptRepository(folder, signer)
        security = AptRepository(folder / "security", signer, base="/debian-security")
        main.add(*debs)
        for suite in ("bookworm", "bookworm-updates"):
            main.publish(suite)
        security.publish("bookworm-security")
        if without:
            main.files = {name: data for name, data in main.files.items() if without not in name}
        http: HttpClient = ask({"deb.debian.org": main.files, "security.debian.org": security.files})
        return UpstreamSupply(SITE, http=http)

    return publish


def told(*_: Any) -> None:
    """Take note of nothing."""


def wanted() -> Artifact:
    """Return the set that every host gets, as the site resolves to it."""
    return next(a for a in resolve(SITE).artifacts if a.name == "network-packages")


def pinned(supply: UpstreamSupply) -> Artifact:
    """Return the set with what the archive has for it."""
    return supply.pin(wanted(), told)


def test_a_set_is_pinned_the_same_twice_and_fetched_as_pinned(published: Publish) -> None:
    """Nothing is fetched for the pin; then each package is a blob, and blobs are what a host is brought."""
    supply = published(*DEBS)
    artifact = pinned(supply)
    assert artifact == pinned(supply)
    assert [p.name for p in artifact.packages] == ["libnftables1", "nftables"]
    assert (artifact.digest, artifact.download) == (None, sum(p.size for p in artifact.packages))
    supplied = supply.supply(artifact, told)
    for package in supplied.artifact.packages:
        path = blob_path(supplied.folder, package.digest)
        assert (sha256_file(path), path.stat().st_size) == (package.digest, package.size)
    lock = resolve(SITE).model_copy(update={"artifacts": (supplied.artifact,)})
    brought = {blob.digest for blob in wanted_blobs(SITE, lock)["s1"]}
    assert brought == {package.digest for package in supplied.artifact.packages}
    assert brought < {blob.digest for blob in supplied.artifact.blobs}


def test_a_newer_package_is_told_and_taken_when_asked_for(published: Publish) -> None:
    """The lock holds; which component to update is said, and then the newer one is in it."""
    lock = resolve(SITE).model_copy(update={"artifacts": (wanted(),)})
    first = pin_all(lock, None, published(*DEBS), told)
    newer = published(*DEBS, Deb("libnftables1", "1.1-1", fields={"Depends": "libc6"}))
    with pytest.raises(AiplatError, match="aiplat lock --update host-packages"):
        pin_all(lock, first, newer, told)
    second = pin_all(lock, first, newer, told, {"host-packages"})
    assert {p.name: p.version for p in second.artifacts[0].packages}["libnftables1"] == "1.1-1"


def test_a_package_that_the_archive_dropped_is_named(published: Publish) -> None:
    """Archives keep the newest version alone: the sentence says how to take that."""
    artifact = pinned(published(*DEBS))
    with pytest.raises(AiplatError) as caught:
        published(*DEBS, without="/nftables_").supply(artifact, told)
    assert str(caught.value) == (
        "hostfile network-packages for debian-12: nftables 1.0-1 is not there any more: a newer one took its "
        "place; take it: aiplat lock --update host-packages"
    )


def test_a_package_with_other_content_is_refused(published: Publish) -> None:
    """What is fetched is compared with the lock, whatever the archive's index says by now."""
    artifact = pinned(published(*DEBS))
    other = (*DEBS[:2], Deb("libnftables1", fields={"Depends": "libc6", "Section": "net"}))
    with pytest.raises(AiplatError, match=r"libnftables1_1.0-1_amd64.deb: (has \d+ bytes|its content is)"):
        published(*other).supply(artifact, told)
