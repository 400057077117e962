"""Container images come whole, for the site's platforms only, and are what their digest says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from aiplat.content import sha256_file
from aiplat.errors import AiplatError
from aiplat.supply.oci import blob_path, read_json
from aiplat.supply.upstream.images import RegistryImages, resolve_image
from tests.upstreams.faults import cut, rate_limited, status
from tests.upstreams.images import DOCKER_LIST, image, multi_arch
from tests.upstreams.orders import Desk, http, names, reached
from tests.upstreams.server import Upstreams

IMAGES = RegistryImages()
BUSYBOX: dict[str, Any] = {"image": {"reference": "docker.io/library/busybox"}}


def test_an_index_keeps_its_digest_and_only_the_sites_platforms(
    net: Upstreams, desk: Desk, tmp_path: Path
) -> None:
    """What hosts of another architecture would run stays where it is; attestations too."""
    digest = multi_arch(tmp_path / "up")
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", digest)
    order = desk.order(BUSYBOX)
    pin = IMAGES.pin(order)
    assert (pin.digest, pin.platforms, pin.source) == (
        digest,
        ("linux/amd64",),
        "docker.io/library/busybox:1.0",
    )
    assert not [path for path in net.asked("registry-1.docker.io") if "/layer" in path]
    made, layout = desk.get(IMAGES, order, pin)
    assert made.manifest == digest
    assert names(layout) == reached(layout, made) == {blob.digest for blob in pin.blobs}
    assert len(names(layout)) == 5
    assert all(sha256_file(blob_path(layout, d)) == d for d in names(layout))
    assert pin.size == sum(blob.size for blob in pin.blobs)


def test_mixed_sites_get_both_architectures(net: Upstreams, tmp_path: Path) -> None:
    """Each host finds its own in the same index."""
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    desk = Desk(tmp_path, http(net), ("amd64", "arm64"))
    order = desk.order(BUSYBOX)
    pin = IMAGES.pin(order)
    made, layout = desk.get(IMAGES, order, pin)
    assert pin.platforms == ("linux/amd64", "linux/arm64")
    assert len(reached(layout, made)) == 9


def test_a_mixed_site_needs_all_its_architectures(net: Upstreams, tmp_path: Path) -> None:
    """An image that half of the hosts cannot run is refused; what there is, is named."""
    net.docker_hub().push(
        "library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up", ("linux/amd64",))
    )
    desk = Desk(tmp_path, http(net), ("amd64", "arm64"))
    with pytest.raises(AiplatError, match="has no image for linux/arm64: there is linux/amd64; use another"):
        IMAGES.pin(desk.order(BUSYBOX))


def test_dockers_own_formats_stay_as_they_are(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """Manifest lists and manifests of Docker are what containerd reads too; no byte of them changes."""
    digest = multi_arch(tmp_path / "up", docker=True)
    net.registry("quay.io").push("a/b", "1.0", tmp_path / "up", digest)
    made, layout = desk.get(IMAGES, desk.order({"image": {"reference": "quay.io/a/b"}}))
    assert (made.manifest, read_json(layout, digest)["mediaType"]) == (digest, DOCKER_LIST)


def test_a_single_manifest_is_taken_if_it_fits(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """Its config says which architecture it is for."""
    described = image(tmp_path / "up")
    net.registry("ghcr.io").push("a/b", "1.0", tmp_path / "up")
    made, layout = desk.get(IMAGES, desk.order({"image": {"reference": "ghcr.io/a/b"}}))
    assert (made.manifest, len(names(layout))) == (described["digest"], 4)


def test_every_variant_of_an_architecture_comes(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """The host chooses among them; nobody else knows its processor."""
    digest = multi_arch(tmp_path / "up", ("linux/amd64", "linux/amd64/v3", "linux/arm/v7"))
    net.registry("ghcr.io").push("a/b", "1.0", tmp_path / "up", digest)
    pin = IMAGES.pin(desk.order({"image": {"reference": "ghcr.io/a/b"}}))
    assert pin.platforms == ("linux/amd64",)
    documents = [
        d for d in read_json(tmp_path / "up", digest)["manifests"] if d["platform"]["architecture"] == "amd64"
    ]
    assert {d["digest"] for d in documents} <= {blob.digest for blob in pin.blobs}


def test_the_same_pinned_twice_is_identical(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """Asking changes nothing."""
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    order = desk.order(BUSYBOX)
    assert IMAGES.pin(order) == IMAGES.pin(order)


def test_what_is_pinned_comes_after_the_tag_moved(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """The digest counts, not the tag."""
    hub = net.docker_hub()
    digest = hub.push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    order = desk.order(BUSYBOX)
    pin = IMAGES.pin(order)
    hub.push("library/busybox", "1.0", tmp_path / "new", multi_arch(tmp_path / "new", size=2000))
    made, _ = desk.get(IMAGES, order, pin)
    assert made.manifest == digest


def test_no_manifest_is_asked_for_twice(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """Registries count that: what was asked for to pin an image serves to fetch it."""
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    order = desk.order(BUSYBOX)
    desk.get(IMAGES, order, IMAGES.pin(order))
    answered = [r for r in net.seen if "/manifests/" in r.path and "authorization" in r.headers]
    assert len({r.path for r in answered}) == len(answered) == 2


def test_a_killed_fetch_goes_on_where_it_was(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """No byte that came is asked for twice."""
    hub = net.docker_hub()
    hub.push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up", layers=1, size=400_000))
    order = desk.order(BUSYBOX)
    pin = IMAGES.pin(order)
    layer = max(pin.blobs, key=lambda blob: blob.size).digest
    net.fault("production.cloudfront.docker.com", layer, cut(300_000), times=1)
    net.fault("production.cloudfront.docker.com", layer, status(403))
    with pytest.raises(AiplatError, match="refuses this"):
        desk.get(IMAGES, order, pin)
    net.faults.clear()
    before = len(net.seen)
    desk.get(IMAGES, order, pin)
    asked = [r.headers["range"] for r in net.seen[before:] if "range" in r.headers]
    assert set(asked) == {"bytes=300000-"}


def test_nothing_is_kept_of_a_finished_image(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """What came is in the layout, and there only once."""
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    _, layout = desk.get(IMAGES, desk.order(BUSYBOX))
    assert list(desk.kept.iterdir()) == []
    assert {path.stat().st_nlink for path in (layout / "blobs/sha256").iterdir()} == {1}


def test_docker_hubs_token_goes_to_docker_hub_alone(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """Its blob store is another host and refuses whoever brings a token."""
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    desk.get(IMAGES, desk.order(BUSYBOX))
    stored = [r for r in net.seen if r.host == "production.cloudfront.docker.com"]
    assert stored
    assert not [r for r in stored if "authorization" in r.headers]


def test_a_wait_that_is_asked_for_is_kept(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """After it the image comes."""
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    net.fault("registry-1.docker.io", "/manifests/", rate_limited(0), times=2)
    assert IMAGES.pin(desk.order(BUSYBOX)).size > 0


def test_a_token_that_grew_old_is_fetched_anew(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """Large images take longer than a token lives."""
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    order = desk.order(BUSYBOX)
    pin = IMAGES.pin(order)
    challenge = 'Bearer realm="https://auth.docker.io/token",service="registry-1.docker.io"'
    layer = max(pin.blobs, key=lambda blob: blob.size).digest
    net.fault("registry-1.docker.io", layer, status(401, Www_Authenticate=challenge), times=1)
    desk.get(IMAGES, order, pin)


@pytest.mark.parametrize("more", ["", ',service="x"', ',scope="repository:library/busybox:pull"'])
def test_token_servers_ask_in_ways_of_their_own(
    more: str, net: Upstreams, desk: Desk, tmp_path: Path
) -> None:
    """A realm with a query of its own, a service or none, a scope or none."""
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    challenge = f'Bearer realm="https://auth.docker.io/token?account=x"{more}'
    net.fault("registry-1.docker.io", "/manifests/1.0", status(401, Www_Authenticate=challenge), times=1)
    assert IMAGES.pin(desk.order(BUSYBOX)).size > 0
    first = next(request for request in net.seen if request.path == "/token")
    assert (first.query["account"], first.query["scope"]) == ("x", "repository:library/busybox:pull")


def test_a_mirror_is_asked_instead(net: Upstreams, tmp_path: Path) -> None:
    """Without a proxy, and without Docker Hub."""
    net.docker_hub().push("library/busybox", "1.0", tmp_path / "up", multi_arch(tmp_path / "up"))
    engine = http(net, proxy=None, mirrors={"docker.io": net.mirror("docker.io")})
    desk = Desk(tmp_path, engine)
    made, layout = desk.get(IMAGES, desk.order(BUSYBOX))
    assert made.manifest in names(layout)
    assert {request.host for request in net.seen} == {"mirror/registry-1.docker.io"}


@pytest.mark.parametrize("access", ["basic", "token"])
def test_credentials_of_the_site_open_a_private_registry(
    access: str, net: Upstreams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Basic authentication and tokens alike; the password is in the environment."""
    net.registry("reg.example.org", access=access, login=("ann", "s3cret")).push(
        "a/b", "1.0", *_one(tmp_path)
    )
    monkeypatch.setenv("REG_PASSWORD", "s3cret")
    engine = http(net, credentials={"reg.example.org": {"user": "ann", "env": "REG_PASSWORD"}})
    desk = Desk(tmp_path, engine)
    made, layout = desk.get(IMAGES, desk.order({"image": {"reference": "reg.example.org/a/b"}}))
    assert made.manifest in names(layout)
    # Who asks a registry says who they are when it wants to know, and not before.
    assert "authorization" not in net.seen[0].headers


@pytest.mark.parametrize("keeper", ["auth", "helper"])
def test_what_docker_login_left_is_used(
    keeper: str, net: Upstreams, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its file, or from the program that keeps its secrets."""
    net.registry("reg.example.org", access="token", login=("ann", "s3cret")).push(
        "a/b", "1.0", *_one(tmp_path)
    )
    said = {"auth": base64.b64encode(b"ann:s3cret").decode()}
    config: dict[str, Any] = {"auths": {"reg.example.org": said if keeper == "auth" else {}}}
    if keeper == "helper":
        config["credsStore"] = "made"
        program = tmp_path / "bin/docker-credential-made"
        program.parent.mkdir()
        program.write_text(
            '#!/bin/sh\ngrep -q reg.example.org && echo \'{"Username": "ann", "Secret": "s3cret"}\'\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "nobody").mkdir()
    (tmp_path / "nobody/config.json").write_text(json.dumps(config))
    assert resolve_image(desk.http, "reg.example.org/a/b:1.0", ["linux/amd64"]).size > 0


def _one(folder: Path) -> tuple[Path, str]:
    return folder / "private", multi_arch(folder / "private")
