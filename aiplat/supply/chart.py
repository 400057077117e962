"""Packs our own Helm charts as OCI charts; what is in a chart is the component's business."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from aiplat.catalog.inputs import source_path
from aiplat.content import canonical_json
from aiplat.supply.contract import Job, Made
from aiplat.supply.oci import TITLE, VERSION, add_bytes, add_file, add_manifest, blob_path, write_layout
from aiplat.supply.process import run

_CONFIG = "application/vnd.cncf.helm.config.v1+json"
_CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


def build_chart(job: Job) -> Made:
    """Package the chart with helm, with its library inside, so that the same files give the same digest.

    Raises:
        AiplatError: helm refuses the chart.
    """
    job.phase("package", 0, 0)
    packaged = _package(job)
    chart = job.work / "chart.tgz"
    chart.write_bytes(_without_times(packaged.read_bytes()))
    meta = _chart_yaml(chart)
    layer = add_file(job.folder, chart, _CONTENT)
    config = add_bytes(job.folder, canonical_json(meta), _CONFIG)
    annotations = {TITLE: str(meta["name"]), VERSION: str(meta["version"]), "dev.aiplat.supply": "packages"}
    manifest = add_manifest(job.folder, config, [layer], annotations)
    write_layout(job.folder, [manifest])
    return Made(manifest["digest"], file=layer["digest"])


def _package(job: Job) -> Path:
    """Run helm on a copy that has the library chart inside."""
    helm = job.other("hostfile", "helm")
    program = job.work / "helm"
    shutil.copyfile(blob_path(helm.folder, str(helm.artifact.file)), program)
    program.chmod(0o700)
    copy = job.work / "chart"
    shutil.copytree(job.component.folder / str(job.recipe.chart), copy)
    # Where helm would put it; letting helm do so writes the time of day into a Chart.lock.
    shutil.copytree(source_path("charts/_lib"), copy / "charts" / "lib")
    version = job.artifact.version
    homes = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
    environment = {name: str(job.work / "helm-home") for name in homes}
    what = f"chart {job.artifact.name}"
    arguments = ["package", "--version", version, "--app-version", version]
    run([program, *arguments, "--destination", job.work / "packed", copy], what=what, env=environment)
    return next((job.work / "packed").glob("*.tgz"))


def _without_times(packaged: bytes) -> bytes:
    """Return the same archive with entries in order and all times at the epoch."""
    content = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(packaged), mode="r:gz") as source,
        gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda m: m.name):
            data = source.extractfile(member)
            entry = tarfile.TarInfo(member.name)
            entry.size, entry.mode, entry.type = member.size, 0o644, member.type
            target.addfile(entry, data)
    return content.getvalue()


def _chart_yaml(chart: Path) -> dict[str, Any]:
    with tarfile.open(chart) as archive:
        name = min((n for n in archive.getnames() if n.endswith("/Chart.yaml")), key=len)
        stream = archive.extractfile(name)
        document: dict[str, Any] = YAML(typ="safe", pure=True).load(stream)
    return document
