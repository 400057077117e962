"""Each way the upstream supply can fail says in one sentence where, what and what to do."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from aiplat.content import sha256_bytes
from tests.supply.upstream.failures import BUILD, LOCK, SERVER, STORE, TINY, Failure, exchanged_image
from tests.typed import Typed
from tests.upstreams import faults
from tests.upstreams.server import Upstreams
from tests.upstreams.world import Aiplat, World


@pytest.fixture
def world(net: Upstreams, tmp_path: Path) -> World:
    """Return a site and its upstreams, all well."""
    return World(net, tmp_path)


@pytest.fixture
def aiplat(world: World, monkeypatch: pytest.MonkeyPatch, typed: Typed) -> Aiplat:
    """Return the command line on that site."""
    return Aiplat(world, monkeypatch, typed)


def expect(world: World, failure: Failure, ended: tuple[int, str]) -> None:
    """See that a command failed with just this sentence."""
    code, said = ended
    sentence = failure.said.format(**world.facts)
    pattern = ".+".join(re.escape(piece) for piece in sentence.split("…"))
    assert code in (1, 2), said
    assert any(re.fullmatch(pattern, line) for line in said.splitlines()), f"{sentence}\nnot in:\n{said}"
    assert "Traceback" not in said


@pytest.mark.parametrize("failure", LOCK, ids=lambda failure: failure.what)
def test_what_fails_when_it_is_asked_for(failure: Failure, world: World, aiplat: Aiplat) -> None:
    """`aiplat lock` ends with the sentence, and writes no lock."""
    failure.does(world)
    world.write(failure.part)
    expect(world, failure, aiplat("lock"))
    assert not list(world.folder.rglob("lock.yaml"))


@pytest.mark.parametrize("failure", BUILD, ids=lambda failure: failure.what)
def test_what_fails_when_it_is_fetched(failure: Failure, world: World, aiplat: Aiplat) -> None:
    """`aiplat bundle build` ends with the sentence; once upstream is well, the same command is enough."""
    world.write(failure.part)
    assert aiplat("lock")[0] == 0
    failure.does(world)
    expect(world, failure, aiplat("bundle", "build"))
    assert not list(world.folder.rglob("bundle.json"))
    if world.net.faults:
        world.net.faults.clear()
        assert aiplat("bundle", "build")[0] == 0


def test_all_protocols_make_one_bundle(world: World, aiplat: Aiplat) -> None:
    """One artifact of each: locked, fetched, verified; again, nothing changes and nothing is fetched."""
    world.write("server", "tool", "addon", "ollama", "vllm")
    for words in (["lock"], ["bundle", "build"], ["bundle", "verify"]):
        code, said = aiplat(*words)
        assert code == 0, said
    assert "as it was" in aiplat("lock")[1]
    before = len(world.net.seen)
    assert "was ready already" in aiplat("bundle", "build")[1]
    assert len(world.net.seen) == before


def test_a_wrong_checksum_of_a_release_is_found(world: World, aiplat: Aiplat) -> None:
    """What its project published and what it serves are two things: both digests are named."""
    wrong = "1" * 64
    world.release.files["/tool-amd64.tar.gz.sha256sum"] = f"{wrong}  tool-amd64.tar.gz\n".encode()
    world.write("tool")
    assert aiplat("lock")[0] == 0
    code, said = aiplat("bundle", "build")
    where = "https://get.example.org/tool-amd64.tar.gz"
    assert (code, f"{where}: its content is {world.facts['tool']}, not sha256:{wrong};" in said) == (1, True)


def test_an_index_need_not_say_that_it_is_one(world: World, aiplat: Aiplat) -> None:
    """The specification leaves that to the registry's header; the bundle knows it all the same."""
    digest = world.facts["server"]
    media_type, body = world.hub.manifests["example/server", digest]
    document = {name: said for name, said in json.loads(body).items() if name != "mediaType"}
    world.hub.push_manifest("example/server", "1.0", document, media_type)
    world.write("server")
    for words in (["lock"], ["bundle", "build"], ["bundle", "verify"]):
        code, said = aiplat(*words)
        assert code == 0, said
    index = json.loads(next(world.folder.glob("state/aiplat/bundles/ward/index.json")).read_bytes())
    assert index["manifests"][0]["mediaType"] == media_type


def test_a_full_disk_is_said_before_anything_comes(
    world: World, aiplat: Aiplat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what there is and what is needed."""
    world.write("server")
    assert aiplat("lock")[0] == 0
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    code, said = aiplat("bundle", "build")
    assert (code, "0.0 GB are free, but building needs about" in said) == (1, True)


def test_a_killed_build_goes_on_with_the_byte_it_had(world: World, aiplat: Aiplat) -> None:
    """Not even SIGKILL in the middle of a layer costs more than what was under way."""
    world.write("server")
    assert aiplat("lock")[0] == 0
    world.net.fault(STORE, world.facts["layer"], faults.held(70_000))
    doomed = multiprocessing.get_context("fork").Process(target=aiplat, args=("bundle", "build"))
    doomed.start()
    began = threading.Event()
    while not any(part.stat().st_size >= 70_000 for part in world.folder.rglob("*.part")):
        assert doomed.is_alive()
        began.wait(0.02)
    doomed.kill()
    doomed.join()
    world.net.faults.clear()
    assert aiplat("bundle", "build")[0] == 0
    asked = {request.headers.get("range") for request in world.net.seen} - {None}
    assert asked == {"bytes=70000-"}


def test_an_exchanged_image_is_refused_until_it_is_taken(world: World, aiplat: Aiplat) -> None:
    """Both digests are named; --update takes what is there now and says so."""
    world.write("server")
    assert aiplat("lock")[0] == 0
    exchanged_image(world, size=70_000)
    new = world.hub.tags["example/server", "1.0"]
    code, said = aiplat("lock")
    assert code == 1
    assert f"{SERVER} is {new} now, and the lock has {world.facts['server']}" in said
    assert aiplat("lock", "--update", "server")[0] == 0
    assert aiplat("bundle", "build")[0] == 0


def test_all_that_is_wrong_is_said_at_once(world: World, aiplat: Aiplat) -> None:
    """Nobody finds the second fault after an hour."""
    world.hub.tags.clear()
    world.ollama.manifests.clear()
    world.write("server", "ollama")
    code, said = aiplat("lock")
    assert (code, f"{SERVER}: is not there" in said, f"{TINY}: is not a model" in said) == (1, True, True)


def test_a_digest_in_a_sentence_is_a_real_one(world: World) -> None:
    """What the table names as facts is what the upstreams serve."""
    assert world.facts["tool"] == sha256_bytes(world.release.files["/tool-amd64.tar.gz"])  # type: ignore[arg-type]
