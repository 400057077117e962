"""Looks into a model's image for what could run as a program: by content, file by file; loads nothing."""

from __future__ import annotations

import logging
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import Field

from aiplat.catalog.artifacts import Artifact, Digest
from aiplat.content import canonical_json, digest_of, parsed_json, write_atomic
from aiplat.errors import AiplatError, Finding
from aiplat.frozen import Frozen
from aiplat.site.own_weights import PICKLES, safetensors_problem
from aiplat.supply.contract import Supplied, SupplyProgress
from aiplat.supply.oci import blob_path, read_json
from aiplat.supply.snapshots import config_findings
from aiplat.supply.upstream.snapshot import CODE, SHARDS

SCAN = "scan the model"
"""The phase in which a model is looked into."""
SCANNER = "picklescan"
_KEPT = "scan.json"
_REVISION = 1
"""Raised when more is looked for: then every model is scanned again."""
_MOST_BYTES = 32 << 20
# What archives and programs begin with; a pickle of the protocols 2 to 5 says so itself.
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf", b"\x93NUMPY")
_PROGRAMS = (b"\x7fELF", b"#!", b"MZ\x90\x00")


class ScannedFile(Frozen):
    """A file of a model: its name in the image, its bytes, and what its content is."""

    name: str
    size: int
    format: str


class ModelScan(Frozen):
    """What a scan looked at and with what; one that found something is never kept."""

    scanner: str = SCANNER
    version: str
    date: str = Field(default="", exclude=True)
    """The day, in cards of earlier versions; without it the same model has the same card on every day."""
    formats: tuple[str, ...]
    pickles: int
    files: tuple[ScannedFile, ...]


@dataclass(frozen=True)
class _Seen:
    """One file in a layer, with its first bytes."""

    name: str
    size: int
    head: bytes
    stream: BinaryIO

    @property
    def format(self) -> str:
        lower = self.name.lower()
        pickled = self.head[:1] == b"\x80" and self.head[1:2] in {b"\2", b"\3", b"\4", b"\5"}
        if self.head.startswith(b"GGUF"):
            return "gguf"
        if lower.endswith(".safetensors"):
            return "safetensors"  # whether it is one is told by its header, which may begin as a pickle does
        if pickled or lower.endswith(PICKLES) or self.head.startswith(_ARCHIVES):
            return "pickle"
        if lower.endswith(CODE) or self.head.startswith(_PROGRAMS):
            return "code"
        return "other"


def scanned(supplied: Supplied, formats: Collection[str], told: SupplyProgress | None = None) -> ModelScan:
    """Return what a scan of a model says; it is kept beside the model, which is scanned once.

    Raises:
        AiplatError: something in it could run as a program, or is in a format that the site does not allow.
    """
    artifact, kept = supplied.artifact, supplied.folder / _KEPT
    key = digest_of([_REVISION, artifact.digest, version(SCANNER), sorted(formats)])
    try:
        document = parsed_json(kept.read_bytes())
        if document["key"] == key:
            return ModelScan.model_validate(document["scan"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # it was never scanned
    if told:
        told(artifact, SCAN, 0, 0)
    scan = _scan(artifact, supplied.folder, formats)
    write_atomic(kept, canonical_json({"key": key, "scan": scan.model_dump(mode="json")}), mode=0o600)
    return scan


def _scan(artifact: Artifact, folder: Path, formats: Collection[str]) -> ModelScan:
    files: list[ScannedFile] = []
    findings: list[Finding] = []
    for seen in members(folder, str(artifact.digest)):
        files.append(ScannedFile(name=seen.name, size=seen.size, format=seen.format))
        findings += _judge(artifact.label, seen, formats)
    if findings:
        raise AiplatError(findings)
    return ModelScan(
        version=version(SCANNER),
        formats=tuple(sorted(formats)),
        pickles=sum(file.format == "pickle" for file in files),
        files=tuple(sorted(files, key=lambda file: file.name)),
    )


def members(folder: Path, digest: Digest) -> Iterator[_Seen]:
    """Yield the files of an image; those of one for several platforms once, since they share the layers."""
    document = read_json(folder, digest)
    if "manifests" in document:
        there = (m["digest"] for m in document["manifests"] if blob_path(folder, m["digest"]).is_file())
        document = read_json(folder, next(there))
    for layer in document["layers"]:
        with tarfile.open(blob_path(folder, layer["digest"])) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                if stream:
                    head = stream.read(8)
                    stream.seek(0)
                    yield _Seen(member.name, member.size, head, cast("BinaryIO", stream))


def _judge(where: str, seen: _Seen, formats: Collection[str]) -> Iterator[Finding]:
    if seen.format == "code":
        yield Finding(where, f"{seen.name} is a program", "take it out of the model, or use another model")
    elif seen.format == "pickle":
        yield from _pickle(where, seen, allowed="pickle" in formats)
    elif seen.format != "other" and seen.format not in formats:
        problem = f"{seen.name} is {seen.format}, which modelFormats does not allow"
        yield Finding(where, problem, f"add {seen.format} to modelFormats, or use another model")
    elif seen.format == "safetensors" and (problem := safetensors_problem(seen.stream, seen.size)):
        yield Finding(where, f"{seen.name} {problem}", "take it from its source again")
    elif seen.name.endswith(".json") and not seen.name.endswith(SHARDS) and seen.size <= _MOST_BYTES:
        yield from config_findings(where, seen.name, seen.stream.read())


def _pickle(where: str, seen: _Seen, *, allowed: bool) -> Iterator[Finding]:
    """Yield why a pickle is refused: what it would run, or that the site allows none."""
    runs, unknown = _globals(seen)
    if runs:
        problem = f"{seen.name} is a pickle that runs {', '.join(runs)} when it is loaded ({SCANNER})"
        yield Finding(where, problem, "do not load it anywhere; ask who made it, and use another model")
    elif not allowed:
        problem = f"{seen.name} is a pickle, which may run as a program when it is loaded"
        fix = "convert it to safetensors; a scanner that finds nothing proves nothing"
        yield Finding(where, problem, fix)
    elif unknown:
        problem = (
            f"{seen.name} is a pickle of which {SCANNER} cannot say that it is safe: {', '.join(unknown)}"
        )
        yield Finding(where, problem, "convert it to safetensors")


def _globals(seen: _Seen) -> tuple[list[str], list[str]]:
    """Return what a pickle calls that is dangerous, and what of it nobody knows."""
    from picklescan.scanner import SafetyLevel, scan_bytes  # noqa: PLC0415 - few models have pickles

    logging.getLogger(SCANNER).setLevel(logging.CRITICAL)  # what it finds is said by us
    try:
        found: Any = scan_bytes(seen.stream, seen.name, Path(seen.name).suffix.lower())
    except Exception as error:  # whatever a file of others does to the scanner refuses it
        return [], [f"it cannot be read ({type(error).__name__})"]
    named = {
        level: sorted(f"{g.module}.{g.name}" for g in found.globals if g.safety == level)
        for level in SafetyLevel
    }
    unknown = named[SafetyLevel.Suspicious]
    return named[SafetyLevel.Dangerous], unknown + (
        ["it cannot be read to its end"] if found.scan_err else []
    )
