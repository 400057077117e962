"""Pushing a bundle into a registry: only what is missing, as who may, and nothing that was altered."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from aiplat.bundle.bundle import Bundle
from aiplat.content import sha256_bytes
from tests.typed import Typed
from tests.upstreams.faults import status
from tests.upstreams.push_registry import PushRegistry
from tests.upstreams.server import Upstreams

HOST = "registry.example.org"


@pytest.fixture
def upstreams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstreams]:
    """Return servers on loopback that the registry's name leads to; no log-in of this machine counts."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    with Upstreams(tmp_path / "upstreams") as served:
        for name, value in served.environment.items():
            if name != "SSL_CERT_FILE":
                monkeypatch.setenv(name, value)
        yield served


@pytest.fixture
def registry(upstreams: Upstreams) -> PushRegistry:
    """Return a registry that anybody may push to."""
    made = PushRegistry(HOST)
    upstreams.add(HOST, made)
    return made


@pytest.fixture
def push(
    bundle: Bundle,
    upstreams: Upstreams,
    monkeypatch: pytest.MonkeyPatch,
    typed: Typed,
) -> Typed:
    """Run `aiplat bundle push` of the bundle; return exit code, standard output and standard error."""
    monkeypatch.setenv("NO_COLOR", "1")
    aiplat = partial(typed, "bundle")

    def run(*arguments: str, to: str = f"{HOST}/ward") -> tuple[int, str, str]:
        return aiplat("push", str(bundle.path), "--to", to, "--ca", str(upstreams.ca), *arguments)

    return run


def test_images_charts_and_models_get_their_whole_names(
    bundle: Bundle, registry: PushRegistry, push: Typed
) -> None:
    """Each manifest under its version, byte for byte; host files stay where they are."""
    code, said, _ = push()
    assert code == 0
    wanted = {a for a in bundle.lock.artifacts if a.kind != "hostfile"}
    for artifact in wanted:
        body = registry.manifests[f"ward/{artifact.name}", artifact.version]
        assert sha256_bytes(body) == artifact.digest
        assert f"{HOST}/ward/{artifact.name}:{artifact.version}" in said
    assert {name for name, _ in registry.manifests} == {f"ward/{a.name}" for a in wanted}


def test_what_is_there_is_not_sent_again(registry: PushRegistry, push: Typed) -> None:
    """The second time nothing changes; a blob that another repository has is not sent for this one."""
    summary = json.loads(push("--json")[1].splitlines()[-1])
    sent = registry.uploads
    assert (summary["kind"], len(summary["written"])) == ("Summary", 3)
    again = json.loads(push("--json")[1].splitlines()[-1])
    assert (again["changed"], again["sent"], len(again["kept"]), registry.uploads) == (0, 0, 3, sent)
    one = next(iter(registry.manifests))
    for name, reference in list(registry.manifests):
        if name == one[0]:
            del registry.manifests[name, reference]
    assert json.loads(push("--json")[1].splitlines()[-1])["changed"] == 1
    assert registry.uploads == sent


def test_only_the_kinds_that_are_asked_for_go(registry: PushRegistry, push: Typed) -> None:
    """And a kind that no registry holds is refused."""
    push("--kind", "image")
    assert {name for name, _ in registry.manifests} == {"ward/docker.io/example/server"}
    code, _, err = push("--kind", "hostfile")
    assert (code, "hostfile is not a kind that registries hold" in err) == (2, True)


def test_credentials_come_from_a_private_file_or_from_docker(
    registry: PushRegistry, push: Typed, tmp_path: Path
) -> None:
    """Without any, with wrong ones and with a file that others may read it says what to do."""
    registry.login = ("nurse", "s3cret:word")
    code, _, err = push()
    assert (code, registry.uploads) == (1, 0)
    assert "docker login" in err
    file = tmp_path / "who"
    file.write_text("nurse:wrong\n")
    file.chmod(0o640)
    code, _, err = push("--credentials", str(file))
    assert (code, f"{file}: others may read it; chmod 600 {file}" in err) == (2, True)
    file.chmod(0o600)
    code, _, err = push("--credentials", str(file))
    assert (code, "(401)" in err, "wrong" in err) == (1, True, False)
    file.write_text("nurse:s3cret:word\n")
    assert push("--credentials", str(file), "--kind", "chart")[0] == 0
    (tmp_path / "docker").mkdir()
    auth = base64.b64encode(b"nurse:s3cret:word").decode()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {HOST: {"auth": auth}}}))
    code, _, err = push()
    assert code == 0
    assert "s3cret" not in err


def test_altered_content_is_not_pushed(bundle: Bundle, registry: PushRegistry, push: Typed) -> None:
    """The file is named, and nothing of that artifact is in the registry."""
    image = bundle.lock.of("image")[0]
    victim = bundle.blob_path(image.blobs[-1].digest)
    data = bytearray(victim.read_bytes())
    data[0] ^= 1
    victim.write_bytes(data)
    code, _, err = push("--kind", "image")
    assert (code, registry.uploads) == (3, 0)
    assert f"{victim.name}: was altered, or is missing" in err


def test_a_version_that_leads_elsewhere_is_not_pushed(
    bundle: Bundle, registry: PushRegistry, push: Typed
) -> None:
    """It would become another repository's address, whose tags are overwritten."""
    document = json.loads((bundle.path / "bundle.json").read_text())
    for artifact in document["lock"]["artifacts"]:
        artifact["version"] = "../../../../prod/app/manifests/latest"
    (bundle.path / "bundle.json").write_text(json.dumps(document))
    code, _, err = push("--kind", "image")
    assert (code, registry.manifests) == (2, {})
    assert "is not a tag" in err


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("http://registry.example.org", "a registry without TLS is not pushed to"),
        ("registry example", "registry example is not a registry; write registry.example:5000/ward"),
        (f"{HOST}/Ward", "Ward/docker.io/example/server is not a repository's name"),
        (f"{HOST}/../x", "is not a repository's name"),
    ],
)
def test_what_is_not_a_place_to_push_to_is_refused(
    registry: PushRegistry, push: Typed, to: str, said: str
) -> None:
    """Before anything is sent."""
    code, _, err = push(to=to)
    assert (code, said in err, registry.uploads) == (2, True, 0)


def test_a_push_that_broke_off_resumes(upstreams: Upstreams, registry: PushRegistry, push: Typed) -> None:
    """A fault that passes is not seen; after one that stays, what arrived is not sent again."""
    upstreams.fault(HOST, "uploads/1$", status(503), times=2)
    upstreams.fault(HOST, "tiny/blobs/uploads/$", status(500))
    code, _, err = push()
    assert code == 1
    assert f"{HOST}/ward/registry.example.org/library/tiny: does not take this (500)" in err
    assert "run the same command again: what is there is not sent again" in err
    upstreams.faults.clear()
    summary = json.loads(push("--json")[1].splitlines()[-1])
    assert (len(summary["written"]), len(summary["kept"])) == (1, 2)
