"""A lab's bundle on two media, as a difference and into a real registry; every leg killed and resumed."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from aiplat.bundle.bundle import Bundle
from tests.e2e.journey import AIPLAT
from tests.patience import PATIENCE
from tests.upstreams.authority import Authority

pytestmark = [pytest.mark.lab, pytest.mark.journey]

SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: {name}
supply: packages
hosts: [{{name: s1, address: 10.97.90.11, role: server}}]
planes: {{access: {{ingress: {{state: "{ingress}"}}}}}}
models: [{{name: "smollm2:135m", engine: ollama}}]
"""


def aiplat(*words: str, expect: int = 0) -> str:
    """Run a verb and return what it printed."""
    done = subprocess.run([AIPLAT, *words], capture_output=True, text=True, check=False, timeout=1500)
    assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def killed(folder: Path, size: int, *words: str) -> None:
    """Run a verb and kill it once `folder` holds so many bytes."""
    with subprocess.Popen([AIPLAT, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + PATIENCE
        while bytes_in(folder) < size and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"


def bytes_in(folder: Path) -> int:
    """Return the bytes of all files below a folder that is written to."""
    found = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                found += Path(path, name).stat().st_size
            except FileNotFoundError:
                continue
    return found


def same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    names = [{str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} for root in (one, other)]
    return names[0] == names[1] and filecmp.cmpfiles(one, other, names[0], shallow=False)[1:] == ([], [])


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Return a bundle, and the next one, in which one component more is on."""
    folder = tmp_path_factory.mktemp("carry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(folder / "state"))
        for name, ingress in (("t-carry-may", "off"), ("t-carry-june", "on")):
            site = folder / f"{name}.yaml"
            site.write_text(SITE.format(name=name, ingress=ingress))
            aiplat("bundle", "build", str(site))
        made = folder / "state" / "aiplat" / "bundles"
        yield made / "t-carry-may", made / "t-carry-june"
    shutil.rmtree(folder)


def test_two_media_carry_a_bundle_through_kills(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    """Split and join are both killed in the middle and resume; the same bundle comes out."""
    bundle, media, out = bundles[0], [tmp_path / "a", tmp_path / "b"], tmp_path / "out"
    split = ["bundle", "split", str(bundle), "--size", "100MB"]
    for medium, parts in zip(media, ("1-2", "3-"), strict=True):
        split_it = [*split, "--to", str(medium), "--parts", parts]
        killed(medium, 50_000_000, *split_it)
        assert "parts written" in aiplat(*split_it)
    join = ["bundle", "join", *map(str, media), "--to", str(out)]
    killed(out, 100_000_000, *join)
    assert "is a bundle of which parts are missing" in aiplat("bundle", "info", str(out), expect=2)
    assert "whole, " in aiplat(*join)
    assert same(bundle, out)
    assert "whole, " in aiplat("bundle", "verify", str(out))


def test_one_changed_component_is_a_small_difference(bundles: tuple[Path, Path], tmp_path: Path) -> None:
    """Its bytes are a part of the bundle's; with its base the new bundle comes out, byte for byte."""
    base, new = bundles
    differing = json.loads(aiplat("bundle", "diff", str(base), str(new), "--json"))
    assert {row["component"] for row in differing["artifacts"] if row["state"] == "new"} == {"ingress"}
    assert differing["carry"] < differing["size"] / 2
    medium, out = tmp_path / "medium", tmp_path / "out"
    aiplat("bundle", "split", str(new), "--base", str(base), "--to", str(medium))
    assert "join it with its base" in aiplat("bundle", "join", str(medium), "--to", str(out), expect=2)
    aiplat("bundle", "join", str(medium), "--base", str(base), "--to", str(out))
    assert same(new, out)


def test_one_layer_store_saves_bytes(bundles: tuple[Path, Path]) -> None:
    """What images share is there once, and that is said."""
    assert json.loads(aiplat("bundle", "info", str(bundles[0]), "--json"))["saved"] > 10_000_000


@pytest.fixture
def registry(bundles: tuple[Path, Path], tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve the bundle's registry on loopback, with TLS and a log-in; return its address and its folder."""
    opened = Bundle.open(bundles[0])
    program = tmp_path / "registry"
    shutil.copyfile(opened.blob_path(str(opened.lock.hostfile("registry", "amd64").file)), program)
    program.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "tls.pem").write_bytes(Authority(tmp_path).server(["localhost"]))
    hashed = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()
    (tmp_path / "htpasswd").write_text(f"nurse:{hashed}\n")
    (tmp_path / "config.yml").write_text(f"""\
version: 0.1
storage: {{filesystem: {{rootdirectory: {tmp_path}/data}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: {tmp_path}/tls.pem, key: {tmp_path}/tls.pem}}}}
auth: {{htpasswd: {{realm: ward, path: {tmp_path}/htpasswd}}}}
""")
    with subprocess.Popen(
        [program, "serve", tmp_path / "config.yml"],
        env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as serving:
        yield f"localhost:{port}", tmp_path / "data"
        serving.kill()


def test_a_real_registry_takes_the_bundle_through_a_kill(
    bundles: tuple[Path, Path], registry: tuple[str, Path], tmp_path: Path
) -> None:
    """Killed in the middle it resumes with what is missing; the digests in the registry are the bundle's."""
    address, data = registry
    who = tmp_path / "who"
    who.touch(mode=0o600)
    who.write_text("nurse:s3cret\n")
    push = ["bundle", "push", str(bundles[0]), "--to", f"{address}/ward", "--ca", str(tmp_path / "ca.pem")]
    push += ["--credentials", str(who)]
    killed(data, 50_000_000, *push)
    summary = json.loads(aiplat(*push, "--json").splitlines()[-1])
    everything = sum(a.size for a in Bundle.open(bundles[0]).lock.artifacts)
    assert summary["sent"] < everything - 40_000_000
    again = json.loads(aiplat(*push, "--json").splitlines()[-1])
    assert (again["sent"], again["changed"]) == (0, 0)
    image = Bundle.open(bundles[0]).lock.of("image")[0]
    name = f"docker://{address}/ward/{image.name}:{image.version.replace('+', '_')}"
    seen = subprocess.run(
        ["skopeo", "inspect", "--creds", "nurse:s3cret", "--format", "{{.Digest}}", name],
        env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.strip() == image.digest
