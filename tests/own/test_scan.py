"""A model is looked into before it becomes a part of a bundle, by content and wherever it comes from."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from aiplat.bundle.build import build_bundle
from aiplat.bundle.bundle import Bundle
from aiplat.catalog.artifacts import Artifact
from aiplat.catalog.resolve import resolve
from aiplat.content import digest_of
from aiplat.errors import AiplatError
from aiplat.site.models import Site
from aiplat.state import bundle_dir
from aiplat.supply.choose import supply_for
from aiplat.supply.contract import Supplied
from aiplat.supply.oci import blobs_of
from aiplat.supply.scan import scanned
from aiplat.supply.upstream.weights import ModelImage
from tests.own.worlds import gguf_bytes, laid, snapshot, ward
from tests.supply.worlds import silent
from tests.upstreams.images import safetensors

FORMATS = ("gguf", "safetensors")


class Malicious:
    """What runs a command when it is unpickled: here it would name a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Have the loader call os.system."""
        return os.system, ("echo nothing > was-loaded",)


EVIL = pickle.dumps(Malicious())
CLEAN = pickle.dumps({"weights": [1.0, 2.0]})


def zipped(body: bytes) -> bytes:
    """Return an archive as PyTorch writes it, with a pickle in it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("archive/data.pkl", body)
    return target.getvalue()


def image(folder: Path, **files: bytes) -> Supplied:
    """Return an image of a model with these files, as any supply makes it."""
    work = folder / "work"
    work.mkdir(parents=True)
    made = ModelImage(folder, work)
    for name, body in files.items():
        made.add(name, body)
    manifest = made.finish({}, ["linux/amd64"]).manifest
    artifact = Artifact(
        kind="model",
        name="example/little",
        version="1b",
        component="vllm",
        inputs=digest_of("little"),
        digest=manifest,
        blobs=blobs_of(folder, manifest),
    )
    return Supplied(artifact, folder)


def refused(tmp_path: Path, formats: tuple[str, ...] = FORMATS, **files: bytes) -> str:
    """Return what a scan of an image with these files says against it."""
    with pytest.raises(AiplatError) as caught:
        scanned(image(tmp_path / "layout", **files), formats)
    return str(caught.value)


@pytest.mark.parametrize("allowed", [FORMATS, (*FORMATS, "pickle")])
@pytest.mark.parametrize(
    "name", ["model.bin", "sub/x.pt", "a.ckpt", "weights", "tokenizer.model", "a.npy.txt"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_pickle_that_runs_a_program_is_refused_by_name(
    tmp_path: Path, name: str, packed: bool, allowed: tuple[str, ...]
) -> None:
    """Whatever it is called, packed or not, allowed or not: file, call and scanner are said."""
    said = refused(tmp_path, allowed, **{name: zipped(EVIL) if packed else EVIL})
    assert f"{name} is a pickle that runs posix.system when it is loaded (picklescan)" in said
    assert not Path("was-loaded").exists()


def test_a_clean_pickle_is_refused_unless_the_site_allows_it(tmp_path: Path) -> None:
    """A scanner that finds nothing proves nothing; whoever allows pickles gets those it calls clean."""
    assert "model.bin is a pickle, which may run as a program" in refused(
        tmp_path / "a", **{"model.bin": CLEAN}
    )
    supplied = image(tmp_path / "b", **{"model.bin": zipped(CLEAN)})
    assert scanned(supplied, (*FORMATS, "pickle")).pickles == 1


def test_a_pickle_that_the_scanner_cannot_judge_is_refused(tmp_path: Path) -> None:
    """Calls that nobody knows, and files it cannot read to their end, are not clean."""
    allowed = (*FORMATS, "pickle")
    unknown = b"cowner_of_this.module\nloader\n(tR."
    assert "owner_of_this.module.loader" in refused(tmp_path / "a", allowed, **{"model.bin": unknown})
    assert "cannot" in refused(tmp_path / "b", allowed, **{"model.bin": zipped(CLEAN)[:-30]})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"model.safetensors": CLEAN + bytes(64)}, "model.safetensors has no safetensors header"),
        ({"model.safetensors": zipped(EVIL)}, "model.safetensors has no safetensors header"),
        ({"modeling.py": b"print()"}, "modeling.py is a program"),
        ({"helper": b"\x7fELF" + bytes(64)}, "helper is a program"),
        ({"config.json": b'{"auto_map": {"AutoModel": "m.L"}}'}, "asks for code of its own to be run"),
    ],
)
def test_what_else_could_run_is_refused(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    """A pickle under a good name, programs, and code that a configuration asks for."""
    assert words in refused(tmp_path, **files)


def test_a_format_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    """The site's list holds for every model of its bundle."""
    said = refused(tmp_path, ("safetensors",), **{"blobs/sha256-1": gguf_bytes(weights=0)})
    assert "is gguf, which modelFormats does not allow; add gguf" in said


def test_a_good_model_is_scanned_once(tmp_path: Path) -> None:
    """The result names scanner, version and files, and no day; what is kept of it is not made again."""
    supplied = image(tmp_path, **{"model.safetensors": safetensors(80), "config.json": b"{}"})
    told: list[str] = []
    scan = scanned(supplied, FORMATS, lambda _a, phase, *_: told.append(phase))
    assert {file.name: file.format for file in scan.files} == {
        "model.safetensors": "safetensors",
        "config.json": "other",
    }
    assert (scan.scanner, scan.pickles, scan.date) == ("picklescan", 0, "")
    assert scanned(supplied, FORMATS, lambda _a, phase, *_: told.append(phase)) == scan
    assert told == ["scan the model"]
    (tmp_path / "scan.json").write_text("[]")
    assert scanned(supplied, FORMATS) == scan


def built(site: Site) -> Bundle:
    """Return the bundle of the site's models alone."""
    lock = resolve(site)
    models = lock.model_copy(update={"artifacts": lock.of("model")})
    return build_bundle(site, models, supply_for(site, models), silent)


def test_a_malicious_pickle_keeps_a_bundle_from_being_made(tmp_path: Path) -> None:
    """It is named although the site allows pickles, and nothing of it is in the bundle."""
    snapshot(tmp_path / "m", **{"extra.bin": EVIL})
    laid(tmp_path / "g", **{"notes.gguf": gguf_bytes()})
    allowed = {"modelFormats": ["gguf", "safetensors", "pickle"]}
    other = {"name": "other:1b", "from": "./g"}
    with pytest.raises(AiplatError, match=r"extra\.bin is a pickle that runs posix\.system"):
        built(ward(tmp_path, {"from": "./m", "engine": "vllm"}, other, **allowed))
    assert not (bundle_dir("t-own") / "bundle.json").exists()
    assert not list(bundle_dir("t-own").rglob("blobs/sha256/*"))
    (tmp_path / "m" / "extra.bin").write_bytes(CLEAN)
    assert built(ward(tmp_path, {"from": "./m", "engine": "vllm"}, other, **allowed)).lock.complete
