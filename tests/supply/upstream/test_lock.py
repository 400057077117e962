"""`aiplat lock` and `aiplat bundle build` against upstreams that serve every default component."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.check import verify
from aiplat.catalog.artifacts import Lock
from aiplat.catalog.lockfile import read_lock
from aiplat.site.load import load_site
from aiplat.state import bundle_dir, site_dir
from aiplat.supply.choose import choose_supply
from tests.patience import PATIENCE
from tests.typed import Typed
from tests.upstreams import faults
from tests.upstreams.everything import Published, publish
from tests.upstreams.server import Upstreams

SITE = """
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: ward-u
supply: {supply}
upstream: {{proxy: "{proxy}", ca: "{ca}"}}
hosts:
  - {{name: s1, address: 10.0.0.11, role: server}}
  - {{name: a1, address: 10.0.0.12, role: agent, arch: arm64}}
planes:
  access: {{gateway: {{state: "off"}}}}
  model: {{ollama: {{state: "off"}}, operator: {{state: "off"}}}}
"""


@pytest.fixture
def published(net: Upstreams, tmp_path: Path) -> Published:
    """Let every upstream answer."""
    return publish(net, tmp_path / "published")


@pytest.fixture
def aiplat(net: Upstreams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed) -> Typed:
    """Run `aiplat …` beside a site.yaml; return exit code, standard output and standard error."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site.yaml").write_text(SITE.format(supply="upstream", proxy=net.proxy, ca=net.ca))

    return typed


def the_lock() -> Lock:
    """Return the lock that is written."""
    return read_lock(site_dir("ward-u") / "lock.yaml")


def test_a_lock_pins_everything_and_is_the_same_again(published: Published, aiplat: Typed) -> None:
    """Digest, size and source of each artifact; asked again, not one byte of the file differs."""
    code, _, said = aiplat("lock")
    assert (code, "lock.yaml: written" in said) == (0, True)
    first = (site_dir("ward-u") / "lock.yaml").read_bytes()
    assert all(a.pinned and a.source for a in the_lock().artifacts)
    assert all(a.download for a in the_lock().artifacts if a.kind != "chart")
    assert "lock.yaml: as it was" in aiplat("lock")[2]
    assert (site_dir("ward-u") / "lock.yaml").read_bytes() == first


def test_layers_are_not_fetched_to_lock(published: Published, aiplat: Typed) -> None:
    """Images are known with all their blobs from manifests alone, for the site's architectures."""
    aiplat("lock")
    pause = the_lock().artifact("image", "docker.io/rancher/mirrored-pause")
    assert (pause.digest == pause.pinned, pause.platforms) == (True, ("linux/amd64", "linux/arm64"))
    assert len(pause.blobs) == 1 + 2 * (1 + 1 + 2)
    fetched = {path.rpartition("/")[2] for path in published.net.asked(published.hub.hosts[-1])}
    small = {blob.digest for a in the_lock().of("image") for blob in a.blobs if blob.size < 400}
    assert fetched
    assert fetched <= small


def test_k3s_own_list_says_which_tags_its_images_have(published: Published, aiplat: Typed) -> None:
    """Not what this version builds for its stand-in."""
    aiplat("lock")
    assert the_lock().artifact("image", "docker.io/rancher/mirrored-pause").version == "3.6"


def test_the_bundle_holds_what_was_locked(published: Published, aiplat: Typed) -> None:
    """It is whole, its lock is the site's, and the second time there is nothing to do."""
    aiplat("lock")
    locked = the_lock()
    code, _, said = aiplat("bundle", "build")
    assert (code, "MB are to be fetched; " in said, "bundle of ward-u is ready" in said) == (0, True, True)
    bundle = Bundle.open(bundle_dir("ward-u"))
    assert verify(bundle.path) == []
    assert [a.pinned for a in bundle.lock.artifacts] == [a.pinned for a in locked.artifacts]
    assert bundle.lock.complete
    assert the_lock() == bundle.lock
    assert {a.platform for a in bundle.lock.of("hostfile") if a.name == "k3s"} == {
        "linux/amd64",
        "linux/arm64",
    }
    before = len(published.net.seen)
    assert "was ready already" in aiplat("bundle", "build")[2]
    assert len(published.net.seen) == before
    assert "lock.yaml: as it was" in aiplat("lock")[2]


def test_a_bundle_is_built_without_a_lock_too(published: Published, aiplat: Typed) -> None:
    """What is not pinned is pinned first, for good."""
    code, out, _ = aiplat("bundle", "build", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert (code, events[-1]["kind"]) == (0, "Summary")
    assert any(e["event"] == "outlook" and e["missing"] == e["total"] > 0 for e in events[:-1])
    assert the_lock().complete


def test_an_exchanged_tag_is_refused_until_it_is_taken(
    published: Published, aiplat: Typed, tmp_path: Path
) -> None:
    """Both digests are named; --update of its component takes it and says so; others stay."""
    aiplat("lock")
    before = the_lock().artifact("image", "docker.io/rancher/mirrored-pause")
    now = published.exchange_image("rancher/mirrored-pause", tmp_path / "other")
    code, _, said = aiplat("lock")
    assert code == 1
    assert f"is {now} now, and the lock has {before.pinned}; ask its project why" in said
    assert "to take it: aiplat lock --update k3s" in said
    assert the_lock().artifact("image", "docker.io/rancher/mirrored-pause") == before
    code, _, said = aiplat("lock", "--update", "k3s")
    assert code == 0
    assert "image docker.io/rancher/mirrored-pause is exchanged upstream: " in said
    assert the_lock().artifact("image", "docker.io/rancher/mirrored-pause").pinned == now


def test_an_exchanged_release_is_refused_by_the_build(published: Published, aiplat: Typed) -> None:
    """The lock is what counts; the file that is there now is not taken."""
    aiplat("lock")
    pinned = the_lock().hostfile("k3s", "amd64").pinned
    other = b"something else" * 5000
    published.exchange_k3s(other + b"\n" * (len(b"k3s of a test\n" * 5000) - len(other)))
    code, _, said = aiplat("bundle", "build")
    assert code == 1
    assert f", not {pinned}; it is damaged, or was exchanged" in said
    assert not (bundle_dir("ward-u") / "bundle.json").exists()


def test_everything_that_is_missing_is_named_at_once(published: Published, aiplat: Typed) -> None:
    """One run, all findings; no lock is written."""
    published.net.fault("get.helm.sh", "helm", faults.status(404))
    published.net.fault("registry-1.docker.io", "pgvector", faults.status(404))
    code, _, said = aiplat("lock")
    assert code == 1
    assert "get.helm.sh" in said
    assert "pgvector" in said
    assert not (site_dir("ward-u") / "lock.yaml").exists()


def test_only_components_of_the_site_can_be_updated(published: Published, aiplat: Typed) -> None:
    """A name it does not have is named, with those it has."""
    code, _, said = aiplat("lock", "--update", "olama")
    assert (code, "the site installs no component olama; it has " in said) == (2, True)


def test_auto_takes_upstream_where_it_answers(published: Published, aiplat: Typed, tmp_path: Path) -> None:
    """All hosts that recipes begin at are asked."""
    path = tmp_path / "site.yaml"
    path.write_text(path.read_text().replace("supply: upstream", "supply: auto"))
    choice = choose_supply(load_site(path))
    assert (choice.name, choice.why) == ("upstream", "upstream, because all of its hosts answer")
    assert {r.host for r in published.net.seen} == {"registry-1.docker.io", "github.com", "get.helm.sh"}


def test_auto_stays_with_the_locks_supply(published: Published, aiplat: Typed, tmp_path: Path) -> None:
    """Once locked, nobody is asked again; the command line may say otherwise."""
    path = tmp_path / "site.yaml"
    path.write_text(path.read_text().replace("supply: upstream", "supply: auto"))
    aiplat("lock", "--supply", "upstream")
    before = len(published.net.seen)
    assert choose_supply(load_site(path)).why == "upstream, because the site's lock says so"
    assert len(published.net.seen) == before


def test_without_a_way_out_auto_takes_packages_at_once(aiplat: Typed, tmp_path: Path) -> None:
    """With the reason, and within a moment."""
    path = tmp_path / "site.yaml"
    text = path.read_text().replace("supply: upstream", "supply: auto")
    path.write_text(text.replace(text[text.index("upstream: {") : text.index("hosts:")], ""))
    path.write_text(path.read_text() + "upstream: {proxy: 'http://127.0.0.1:1'}\n")
    start = time.monotonic()
    choice = choose_supply(load_site(path))
    assert time.monotonic() - start < PATIENCE / 10
    assert choice.name == "packages"
    assert choice.why.startswith("packages, because upstream does not answer: ")
