"""What keeps a folder from being a model of a site's own is said before anything is made of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aiplat.errors import BadInput
from tests.own.worlds import CONFIG, gguf_bytes, laid, snapshot, ward
from tests.upstreams.images import safetensors

GGUF = gguf_bytes(weights=0)


def said(tmp_path: Path, **model: Any) -> str:
    """Return what is wrong with a site whose model is the folder `m` beside its file."""
    with pytest.raises(BadInput) as caught:
        ward(tmp_path, {"from": "./m", **model})
    return str(caught.value)


@pytest.mark.parametrize("engine", ["llama-cpp", "ollama"])
def test_one_gguf_is_a_model(tmp_path: Path, engine: str) -> None:
    """A folder with one GGUF file, and that file itself, are models of the engines that read it."""
    laid(tmp_path / "m", **{"notes.gguf": GGUF, "README.md": b"# Notes", ".gitattributes": b"*"})
    site = ward(tmp_path, {"from": "./m", "engine": engine})
    assert site.models[0].source == tmp_path / "m"
    assert ward(tmp_path, {"from": "m/notes.gguf", "engine": engine}).models[0].source


def test_a_snapshot_is_a_model(tmp_path: Path) -> None:
    """A folder with config.json and safetensors is a model of the engine that reads them."""
    snapshot(tmp_path / "m", **{"model.png": b"a picture"})
    assert ward(tmp_path, {"from": "./m", "engine": "vllm"}).models[0].source


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.gguf": GGUF, "b.gguf": GGUF}, "has 2 GGUF files; name one of them, as "),
        ({"a-00001-of-00002.gguf": GGUF}, "is one part of a split model; merge them: llama-gguf-split"),
        ({"a.gguf": b"PK\3\4 not at all"}, "a.gguf is not a GGUF file; take it from its source again"),
        ({"a.txt": b"nothing"}, "has no GGUF file; convert the weights"),
        ({"model.safetensors": safetensors()}, "it has model.safetensors, which this engine does not read"),
        ({"pytorch_model.bin": b"\x80\x04N."}, "it has pytorch_model.bin, which this engine does not read"),
    ],
)
def test_what_is_not_one_gguf_is_refused(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    """Each way a folder is not one GGUF file has its sentence."""
    laid(tmp_path / "m", **files)
    assert words in said(tmp_path)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config.json": CONFIG}, "has no safetensors file; convert"),
        ({"model.safetensors": safetensors()}, "has no config.json; take the whole folder"),
        ({"a.gguf": GGUF, "config.json": CONFIG}, "it has a.gguf, which this engine does not read"),
        ({"model.safetensors": safetensors()[:-1]}, "bytes, and its header describes"),
        (
            {"model.safetensors": safetensors()[:12]},
            "model.safetensors has no safetensors header, or one that",
        ),
        (
            {"model.safetensors": b"\xff" * 64},
            "model.safetensors has no safetensors header, or one that is cut",
        ),
        ({"model.safetensors": b""}, "model.safetensors has no safetensors header, or one that is cut off"),
        ({"pytorch_model.bin": b"\x80\x04N."}, "pytorch_model.bin is a pickle, which may run as a program"),
        ({"sub/x.pt": b"PK"}, "x.pt is a pickle, which may run as a program when it is loaded; convert it"),
        ({"x.ckpt": b"PK"}, "x.ckpt is a pickle, which may run as a program when it is loaded; convert it"),
    ],
)
def test_what_is_not_a_snapshot_is_refused(tmp_path: Path, files: dict[str, Any], words: str) -> None:
    """Each way a folder is not a snapshot of safetensors has its sentence."""
    laid(tmp_path / "m", **files)
    assert words in said(tmp_path, engine="vllm")


def test_all_that_is_wrong_comes_at_once(tmp_path: Path) -> None:
    """Two damaged files and a pickle are three findings of one answer."""
    snapshot(tmp_path / "m", **{"a.safetensors": b"", "b.safetensors": b"x", "c.bin": b"y"})
    words = said(tmp_path, engine="vllm")
    assert all(name in words for name in ("a.safetensors", "b.safetensors", "c.bin"))


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    """What lies elsewhere is not a part of the folder that was named; a link within it is."""
    (tmp_path / "weights.gguf").write_bytes(GGUF)
    laid(tmp_path / "m", **{"inner.gguf": GGUF})
    (tmp_path / "m" / "inner.gguf").rename(tmp_path / "m" / "real")
    (tmp_path / "m" / "notes.gguf").symlink_to("real")
    assert ward(tmp_path, {"from": "./m"}).models
    (tmp_path / "m" / "notes.gguf").unlink()
    (tmp_path / "m" / "notes.gguf").symlink_to("../weights.gguf")
    assert "notes.gguf leads out of the folder; put the file itself there" in said(tmp_path)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    """A pipe in the folder is named, and nobody waits for what comes out of it."""
    laid(tmp_path / "m", **{"a.gguf": GGUF})
    os.mkfifo(tmp_path / "m" / "b.gguf")
    assert "b.gguf is not a file" in said(tmp_path)


def test_an_empty_place_is_refused(tmp_path: Path) -> None:
    """Nothing is not the folder that one happens to be in."""
    assert "models[0].from: names nothing; name the folder" in said(tmp_path, **{"from": ""})


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """It could not be written into a lock, and is shown escaped."""
    laid(tmp_path / "m", **{"a.gguf": GGUF})
    (tmp_path / "m" / os.fsdecode(b"b\xff.gguf")).write_bytes(GGUF)
    (tmp_path / "m" / "c\x1b[31m.gguf").write_bytes(GGUF)
    words = said(tmp_path)
    assert "b\\udcff.gguf has a name that is not text; rename it" in words
    assert "c\\x1b[31m.gguf has a name that is not text" in words


def test_a_format_that_the_site_does_not_allow_is_refused(tmp_path: Path) -> None:
    """`modelFormats` is the site's own list."""
    laid(tmp_path / "m", **{"a.gguf": GGUF})
    with pytest.raises(BadInput, match="which modelFormats does not allow; add gguf to modelFormats"):
        ward(tmp_path, {"from": "./m"}, modelFormats=["safetensors"])


def test_a_pickle_is_taken_where_the_site_allows_it(tmp_path: Path) -> None:
    """Whether it may be loaded is then the scanner's to say, when the bundle is made."""
    snapshot(tmp_path / "m", **{"c.bin": b"\x80\x04N."})
    assert ward(tmp_path, {"from": "./m", "engine": "vllm"}, modelFormats=["safetensors", "pickle"]).models
