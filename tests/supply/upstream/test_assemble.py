"""Our own image is an upstream one with a layer of locked wheels and our sources, always the same."""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from aiplat.catalog.versions import from_versions_yaml
from aiplat.errors import AiplatError
from aiplat.supply.contract import Made
from aiplat.supply.oci import blob_path, blobs_of, read_json
from aiplat.supply.upstream.assemble import AssembledImages
from aiplat.supply.upstream.http import HttpClient
from tests.upstreams.exchange import NOT_FOUND, Reply, Request
from tests.upstreams.images import multi_arch
from tests.upstreams.orders import Desk
from tests.upstreams.server import Upstreams

BOTH = ("linux/amd64", "linux/arm64")


@pytest.fixture
def base(net: Upstreams, tmp_path: Path) -> str:
    """Serve the image that ours is made on; return its digest."""
    folder = tmp_path / "python"
    digest = multi_arch(folder, BOTH)
    net.docker_hub().push("library/python", from_versions_yaml("upstream.python"), folder, digest)
    return digest


@pytest.fixture
def locked(net: Upstreams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve a wheel as PyPI does, and return a lock file that names it."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    wheel = tmp_path / "tiny_wheel-1.0-py3-none-any.whl"
    _write_wheel(wheel)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    page = f'<!DOCTYPE html><a href="/packages/{wheel.name}#sha256={digest}">{wheel.name}</a>'.encode()
    net.add("pypi.org", lambda request: _pypi(request, page, wheel))
    lock = tmp_path / "services.txt"
    lock.write_text(f"tiny-wheel==1.0 --hash=sha256:{digest}\n")
    return lock


def _pypi(request: Request, page: bytes, wheel: Path) -> Reply:
    if request.path == "/simple/tiny-wheel/":
        return Reply(200, {"Content-Type": "text/html"}, page)
    if request.path == f"/packages/{wheel.name}":
        return Reply(200, {"Content-Type": "application/octet-stream"}, wheel)
    return NOT_FOUND


def _write_wheel(path: Path) -> None:
    info = "tiny_wheel-1.0.dist-info"
    files = {
        "tiny_wheel.py": b"VALUE = 1\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-wheel\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_hash(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _recipe(lock: Path) -> dict[str, object]:
    said = {
        "base": "docker.io/library/python",
        "tag": {"from": "versions.yaml", "key": "upstream.python"},
        "python": "3.13",
        "requirements": str(lock),
        "sources": ["aiplat/errors.py", "aiplat/cluster"],
        "root": "/opt/ours",
        "env": {"PYTHONPATH": "/opt/ours"},
        "entrypoint": ["python3", "-m"],
        "command": ["ours"],
        "user": "65532:65532",
    }
    return {"assemble": said}


def _made(desk: Desk, lock: Path) -> tuple[Made, Path]:
    order = desk.order(_recipe(lock), name="ghcr.io/example/ours")
    # uv goes the way that the site says, as everything else does.
    site = order.site.model_copy(update={"upstream": desk.http.reach.upstream})
    return desk.get(AssembledImages(), replace(order, site=site))


def test_an_image_for_each_platform_lies_on_upstreams(
    net: Upstreams, http: HttpClient, base: str, locked: Path, tmp_path: Path
) -> None:
    """Its layers come first, then ours with the wheel and the sources, and it starts as the recipe says."""
    desk = Desk(tmp_path, http, ("amd64", "arm64"))
    made, folder = _made(desk, locked)
    index = read_json(folder, made.manifest)
    assert [m["platform"]["architecture"] for m in index["manifests"]] == ["amd64", "arm64"]
    for one in index["manifests"]:
        manifest = read_json(folder, one["digest"])
        config = read_json(folder, manifest["config"]["digest"])
        assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == 3
        assert config["config"]["Entrypoint"] == ["python3", "-m"]
        assert "PYTHONPATH=/opt/ours" in config["config"]["Env"]
        assert config["config"]["User"] == "65532:65532"
        with tarfile.open(blob_path(folder, manifest["layers"][-1]["digest"])) as tar:
            names = tar.getnames()
        assert {"opt/ours/tiny_wheel.py", "opt/ours/aiplat/errors.py"} <= set(names)
        assert not [name for name in names if "__pycache__" in name or ".lock" in name]
    assert all(blob_path(folder, blob.digest).is_file() for blob in blobs_of(folder, made.manifest))
    assert json.loads((folder / "index.json").read_bytes())["manifests"][0]["digest"] == made.manifest


def test_made_again_it_is_the_same(
    net: Upstreams, http: HttpClient, base: str, locked: Path, tmp_path: Path
) -> None:
    """The same upstream image, lock and sources give the same digest."""
    first = _made(Desk(tmp_path / "one", http), locked)[0]
    assert _made(Desk(tmp_path / "two", http), locked)[0] == first


def test_it_is_pinned_by_upstreams_image(
    net: Upstreams, http: HttpClient, base: str, locked: Path, tmp_path: Path
) -> None:
    """The wheels are pinned by the lock file, so that locking fetches none."""
    pin = AssembledImages().pin(Desk(tmp_path, http).order(_recipe(locked)))
    assert (pin.digest, pin.blobs) == (base, ())


def test_a_wheel_of_another_hash_is_refused(
    net: Upstreams, http: HttpClient, base: str, locked: Path, tmp_path: Path
) -> None:
    """The lock file is what counts."""
    locked.write_text(f"tiny-wheel==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(AiplatError, match=r"(?i)hash"):
        _made(Desk(tmp_path, http), locked)
