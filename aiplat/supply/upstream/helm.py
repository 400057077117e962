"""Helm charts, out of repositories with an index.yaml or OCI registries; packing our own is chart's."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urljoin

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aiplat.catalog.artifacts import Blob, Digest
from aiplat.catalog.upstream_recipes import HelmChart
from aiplat.content import sha256_bytes
from aiplat.errors import AiplatError, Finding
from aiplat.site.yaml_file import nests_too_deeply
from aiplat.supply.chart import CONFIG, CONTENT, chart_yaml, store_archive
from aiplat.supply.contract import Made
from aiplat.supply.oci import MANIFEST, add_bytes, blobs_of, write_layout
from aiplat.supply.upstream.downloads import exchanged
from aiplat.supply.upstream.fetcher import FetchOrder, Pin
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.references import image_reference
from aiplat.supply.upstream.registry import Manifest, Registry, blob_of

_OCI = "oci://"
_INDEX_LIMIT = 64 << 20
_CHART_LIMIT = 32 << 20


class HelmCharts:
    """Charts of others, stored as ours are; they are small, so that asking for one fetches it."""

    def pin(self, order: FetchOrder) -> Pin:
        """Ask what a chart's version stands for now.

        Raises:
            AiplatError: the repository does not have it, or what it has is not a chart.
        """
        recipe = _recipe(order)
        version = order.filled(recipe.version)
        order.phase("ask for the chart", 0, 0)
        with TemporaryDirectory(dir=order.work) as folder:
            if recipe.repository.startswith(_OCI):
                return _pin_oci(order, f"{recipe.repository}/{recipe.chart}", version, Path(folder))
            return _pin_indexed(order, recipe, version, Path(folder))

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Fetch the chart that was pinned.

        Raises:
            AiplatError: it cannot be had, or is another by now.
        """
        if pin.source.startswith(_OCI):
            made = _store_oci(order.http, pin.source, pin.digest, folder)
        else:
            archive = _archive(order.http, pin.source, pin.digest)
            made = _stored(pin.source, archive, folder)
        order.phase("fetch bytes", pin.size, pin.size)
        return made


def _recipe(order: FetchOrder) -> HelmChart:
    assert order.recipe.helm is not None  # noqa: S101 - the supply asks by the recipe's kind
    return order.recipe.helm


def _pin_indexed(order: FetchOrder, recipe: HelmChart, version: str, folder: Path) -> Pin:
    base = recipe.repository.rstrip("/") + "/"
    entry = _entry(_index(order.http, base), recipe.chart, version, base)
    url, said = _url(entry, base), str(entry.get("digest") or "")
    digest = f"sha256:{said.removeprefix('sha256:')}" if said else None
    archive = order.http.get(url, limit=_CHART_LIMIT).body
    if digest not in {None, sha256_bytes(archive)}:
        problem = f"has the digest {sha256_bytes(archive)}, but its index says {digest}"
        raise AiplatError(Finding(url, problem, "it was exchanged or damaged: do not use it"))
    _check_named(url, archive, recipe.chart, str(entry["version"]))
    made = _stored(url, archive, folder)
    return Pin(
        digest=sha256_bytes(archive),
        source=url,
        size=len(archive),
        blobs=blobs_of(folder, made.manifest),
        file=made.file,
    )


def _index(http: HttpClient, base: str) -> dict[str, Any]:
    """Return what a repository has: chart → versions."""
    where = urljoin(base, "index.yaml")
    body = http.get(where, limit=_INDEX_LIMIT).body
    try:
        text = body.decode()
        document = None if nests_too_deeply(text) else YAML(typ="safe").load(text)
    except (YAMLError, UnicodeDecodeError, RecursionError):
        document = None
    entries = document.get("entries") if isinstance(document, dict) else None
    if not isinstance(entries, dict):
        problem = "is not an index of a Helm repository"
        raise AiplatError(
            Finding(where, problem, "see the address, and whether a log-in page answers instead")
        )
    return entries


def _entry(entries: dict[str, Any], chart: str, version: str, base: str) -> dict[str, Any]:
    listed = entries.get(chart)
    there = listed if isinstance(listed, list) else []
    # A list of aliases may be endlessly long once it is written as text.
    named = [e for e in there if isinstance(e, dict) and isinstance(e.get("version"), str | int | float)]
    versions = {str(e["version"]): e for e in named}
    found = versions.get(version) or versions.get(version.removeprefix("v")) or versions.get(f"v{version}")
    if found:
        return dict(found)
    if versions:
        problem = f"has no version {version} of the chart {chart}; the newest there is {next(iter(versions))}"
        raise AiplatError(Finding(base, problem, "see versions.yaml"))
    near = get_close_matches(chart, map(str, entries), n=1)
    fix = f"did you mean {near[0]}?" if near else "see the chart's name"
    raise AiplatError(Finding(base, f"has no chart {chart}", fix))


def _url(entry: dict[str, Any], base: str) -> str:
    """Return where a chart's archive is; the index may name it from where it is itself."""
    urls = entry.get("urls")
    if not isinstance(urls, list) or not urls:
        problem = f"names no address for {entry.get('name')} {entry.get('version')}"
        raise AiplatError(Finding(base, problem, "ask the repository's owner"))
    return urljoin(base, str(urls[0]))


def _archive(http: HttpClient, url: str, digest: Digest) -> bytes:
    body = http.get(url, limit=_CHART_LIMIT).body
    if sha256_bytes(body) != digest:
        raise exchanged(url, digest, sha256_bytes(body))
    return body


def _stored(where: str, archive: bytes, folder: Path) -> Made:
    try:
        return store_archive(folder, archive, chart_yaml(archive), "upstream")
    except ValueError as error:
        raise AiplatError(
            Finding(where, f"is not a packaged chart: {error}", "ask the repository's owner")
        ) from None


def _check_named(where: str, archive: bytes, chart: str, version: str) -> None:
    try:
        said = chart_yaml(archive)
    except ValueError:
        return
    if (str(said["name"]), str(said["version"])) != (chart, version):
        problem = f"holds {said['name']} {said['version']} instead of {chart} {version}"
        raise AiplatError(Finding(where, problem, "ask the repository's owner: do not use it"))


def _pin_oci(order: FetchOrder, name: str, version: str, folder: Path) -> Pin:
    # A tag may not have the `+` that a version may have.
    source = f"{name}:{version.replace('+', '_')}"
    made = _store_oci(order.http, source, None, folder)
    blobs = blobs_of(folder, made.manifest)
    size = sum(blob.size for blob in blobs)
    return Pin(digest=made.manifest, source=source, size=size, blobs=blobs, file=made.file)


def _store_oci(http: HttpClient, source: str, digest: Digest | None, folder: Path) -> Made:
    """Fetch a chart of a registry as it is there."""
    reference = image_reference(source.removeprefix(_OCI))
    reference = reference.at(digest) if digest else reference
    registry = Registry(http, reference.host)
    manifest = registry.manifest(reference, (MANIFEST,))
    config, archive = _parts(source, manifest)
    for blob in (config, archive, *_signatures(source, manifest)):
        add_bytes(folder, registry.small(reference, blob, _CHART_LIMIT), "")
    add_bytes(folder, manifest.body, MANIFEST)
    write_layout(folder, [manifest.descriptor])
    return Made(manifest.digest, file=archive.digest)


def _parts(source: str, manifest: Manifest) -> tuple[Blob, Blob]:
    config = manifest.document.get("config") or {}
    archives = [layer for layer in manifest.document.get("layers") or () if layer.get("mediaType") == CONTENT]
    if config.get("mediaType") != CONFIG or len(archives) != 1:
        said = config.get("mediaType") or json.dumps(manifest.media_type)
        raise AiplatError(Finding(source, f"is not a Helm chart: its config is {said}", "see the name"))
    return blob_of(source, config), blob_of(source, archives[0])


def _signatures(source: str, manifest: Manifest) -> list[Blob]:
    """Return the other layers: the registry has to serve all that its manifest names."""
    layers = manifest.document["layers"]
    return [blob_of(source, layer) for layer in layers if layer.get("mediaType") != CONTENT]
