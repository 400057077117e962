"""Packs our own Helm charts as OCI charts; what is in a chart is the component's business."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from aiplat.catalog.inputs import source_path
from aiplat.content import canonical_json
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.site.yaml_file import parse_document
from aiplat.supply.contract import Job, Made
from aiplat.supply.oci import TITLE, VERSION, add_bytes, add_manifest, write_layout

CONFIG = "application/vnd.cncf.helm.config.v1+json"
_CHART_YAML_BYTES = 1 << 20
CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


def build_chart(job: Job) -> Made:
    """Package the component's chart.

    Raises:
        AiplatError: it is not a chart.
    """
    job.phase("package", 0, 0)
    source = job.component.folder / str(job.recipe.chart)
    return store_chart(job.folder, source, job.artifact.version, "packages")


def store_chart(folder: Path, source: Path, version: str, supply: str) -> Made:
    """Package a chart, with our library inside, into the layout `folder`.

    The archive is the same wherever it is made: no tool, no time and no order of a file system is in it.

    Raises:
        AiplatError: it is not a chart.
    """
    meta = _metadata(source, version)
    return store_archive(folder, pack_chart(source, meta, version), meta, supply)


def store_archive(folder: Path, archive: bytes, meta: dict[str, Any], supply: str) -> Made:
    """Make a packaged chart an OCI chart in the layout `folder`; `meta` is what its Chart.yaml says."""
    layer = add_bytes(folder, archive, CONTENT)
    config = add_bytes(folder, canonical_json(meta), CONFIG)
    annotations = {TITLE: str(meta["name"]), VERSION: str(meta["version"]), "dev.aiplat.supply": supply}
    manifest = add_manifest(folder, config, [layer], annotations)
    write_layout(folder, [manifest])
    return Made(manifest["digest"], file=layer["digest"])


def pack_chart(source: Path, meta: dict[str, Any], version: str) -> bytes:
    """Return the chart as the archive that helm reads: below its name, with the library in `charts/lib`."""
    name = str(meta["name"])
    library = source_path("charts/_lib")
    members = {f"{name}/{at}": data for at, data in _files(source).items()}
    members |= {f"{name}/charts/lib/{at}": data for at, data in _files(library).items()}
    members[f"{name}/Chart.yaml"] = _yaml(meta)
    members[f"{name}/charts/lib/Chart.yaml"] = _yaml(_metadata(library, version))
    content = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(members):
            entry = tarfile.TarInfo(member)
            entry.size, entry.mode = len(members[member]), 0o644
            target.addfile(entry, io.BytesIO(members[member]))
    return content.getvalue()


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def _metadata(source: Path, version: str) -> dict[str, Any]:
    """Return Chart.yaml with the version that the chart gets, as helm would write it."""
    where = source / "Chart.yaml"
    try:
        document = YAML(typ="safe", pure=True).load(where)
    except FileNotFoundError:
        document = None
    if not isinstance(document, dict) or not {"apiVersion", "name"} <= document.keys():
        raise AiplatError(Finding(str(where), "is not a chart's description", "install aiplat again"))
    return dict(sorted({**document, "version": version, "appVersion": version}.items()))


def _yaml(document: dict[str, Any]) -> bytes:
    # Every JSON document is a YAML document, and JSON has one way to be written.
    return canonical_json(document) + b"\n"


def chart_yaml(archive: bytes) -> dict[str, Any]:
    """Return what the Chart.yaml in a packaged chart says.

    Raises:
        ValueError: the archive holds no chart.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            text = _chart_text(opened)
        found = parse_document(text, Path("Chart.yaml"))
    except (BadInput, UnicodeDecodeError) as error:
        raise ValueError("its Chart.yaml is not YAML") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError("it is not an archive") from error
    if found.findings:
        raise ValueError("its Chart.yaml is not YAML")
    document = found.data
    if not isinstance(document, dict) or not _is_named(document):
        raise ValueError("its Chart.yaml names no chart")
    return document


def _chart_text(opened: tarfile.TarFile) -> str:
    """Return the text of the uppermost Chart.yaml; a link or a pipe in its place is none."""
    found = [member for member in opened if member.name.endswith("/Chart.yaml")]
    chosen = min(found, key=lambda member: len(member.name)) if found else None
    if chosen is None or not chosen.isfile() or chosen.size > _CHART_YAML_BYTES:
        return ""
    stream = opened.extractfile(chosen)
    return stream.read().decode() if stream else ""


def _is_named(document: dict[str, Any]) -> bool:
    return all(isinstance(document.get(key), str | int | float) for key in ("name", "version"))
