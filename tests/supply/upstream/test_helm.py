"""Charts come out of repositories and registries, and are stored as ours are."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from aiplat.content import sha256_bytes
from aiplat.errors import AiplatError
from aiplat.supply.chart import CONFIG, CONTENT, chart_yaml
from aiplat.supply.oci import add_bytes, add_manifest, blob_path, read_json, write_layout
from aiplat.supply.upstream.helm import HelmCharts
from tests.upstreams.images import chart
from tests.upstreams.orders import Desk, names, reached
from tests.upstreams.server import Upstreams

CHARTS = HelmCharts()
INDEXED = {"helm": {"repository": "https://charts.example.org/stable", "chart": "server"}}


@pytest.mark.parametrize("url", [None, "https://files.example.org/server.tgz", "../elsewhere/server.tgz"])
def test_a_chart_comes_by_whatever_address_the_index_has(url: str | None, net: Upstreams, desk: Desk) -> None:
    """Relative to the index, or anywhere else."""
    content = chart(version="1.0")
    repository = net.helm("charts.example.org", "/stable")
    repository.publish("server", "1.0", content, url)
    repository.files["/elsewhere/server.tgz"] = content
    net.files("files.example.org", {"/server.tgz": content})
    order = desk.order(INDEXED)
    pin = CHARTS.pin(order)
    made, layout = desk.get(CHARTS, order, pin)
    assert pin.digest == made.file == sha256_bytes(content)
    assert names(layout) == reached(layout, made) == {blob.digest for blob in pin.blobs}
    manifest = read_json(layout, made.manifest)
    assert (manifest["config"]["mediaType"], manifest["layers"][0]["mediaType"]) == (CONFIG, CONTENT)
    assert read_json(layout, manifest["config"]["digest"])["name"] == "server"


def test_a_leading_v_is_no_difference(net: Upstreams, desk: Desk) -> None:
    """Projects tag `v1.0` and call the chart `1.0`."""
    net.helm("charts.example.org", "/stable").publish("server", "1.0", chart(version="1.0"))
    assert CHARTS.pin(desk.order(INDEXED, version="v1.0")).source.endswith("server-1.0.tgz")


def test_a_chart_of_a_registry_stays_as_it_is(net: Upstreams, desk: Desk, tmp_path: Path) -> None:
    """With the signature that is beside it, since the site's registry serves all that a manifest names."""
    layout, content = tmp_path / "up", chart(version="1.0+build")
    config = add_bytes(layout, b'{"name":"server","version":"1.0+build"}', CONFIG)
    signature = add_bytes(layout, b"signed", "application/vnd.cncf.helm.chart.provenance.v1.prov")
    parts = [add_bytes(layout, content, CONTENT), signature]
    manifest = add_manifest(layout, config, parts, {})
    write_layout(layout, [manifest])
    net.registry("ghcr.io", access="token").push("charts/server", "1.0_build", layout)
    order = desk.order(
        {"helm": {"repository": "oci://ghcr.io/charts", "chart": "server"}}, version="1.0+build"
    )
    pin = CHARTS.pin(order)
    made, folder = desk.get(CHARTS, order, pin)
    assert (made.manifest, made.file, len(names(folder))) == (manifest["digest"], sha256_bytes(content), 4)
    assert blob_path(folder, sha256_bytes(content)).read_bytes() == content


def test_a_chart_with_a_date_for_a_version_is_text(net: Upstreams, desk: Desk) -> None:
    """YAML would make a date of it, and JSON has none."""
    content = chart(version="1.0", appVersion="2026-01-02")
    net.helm("charts.example.org", "/stable").publish("server", "1.0", content)
    made, layout = desk.get(CHARTS, desk.order(INDEXED))
    config = read_json(layout, made.manifest)["config"]["digest"]
    assert read_json(layout, config)["appVersion"] == "2026-01-02"


def test_an_exchanged_chart_is_refused_with_both_digests(net: Upstreams, desk: Desk) -> None:
    """After it was locked its archive may not be another."""
    repository = net.helm("charts.example.org", "/stable")
    repository.publish("server", "1.0", chart(version="1.0"))
    order = desk.order(INDEXED)
    pin = CHARTS.pin(order)
    other = chart(version="1.0", description="another")
    repository.files["/stable/charts/server-1.0.tgz"] = other
    with pytest.raises(AiplatError, match=f"{sha256_bytes(other)} now, but {pin.digest} is locked"):
        desk.get(CHARTS, order, pin)


def _archive(kind: bytes, text: bytes = b"", link: str = "") -> bytes:
    """Return a packaged chart whose Chart.yaml is this."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("x/Chart.yaml")
        entry.type, entry.size, entry.linkname = kind, len(text), link
        archive.addfile(entry, io.BytesIO(text))
    return packed.getvalue()


NAMED = b"apiVersion: v2\nname: x\nversion: 1.0.0\n"
# Each line names the one before four times: as text it has no end.
ALIASES = b"a0: &a0 [x]\n" + b"".join(
    b"a%d: &a%d [*a%d, *a%d, *a%d, *a%d]\n" % (n, n, n - 1, n - 1, n - 1, n - 1) for n in range(1, 20)
)


@pytest.mark.parametrize(
    "archive",
    [
        _archive(tarfile.SYMTYPE, link="Chart.yaml"),
        _archive(tarfile.SYMTYPE, link="../../../../etc/passwd"),
        _archive(tarfile.LNKTYPE, link="x/Chart.yaml"),
        _archive(tarfile.FIFOTYPE),
        _archive(tarfile.DIRTYPE),
        _archive(tarfile.REGTYPE, b"a: " + b"[" * 200_000),
        _archive(tarfile.REGTYPE, NAMED + ALIASES),
        _archive(tarfile.REGTYPE, NAMED + b"a: &a [*a]\n"),
        _archive(tarfile.REGTYPE, b"#" * (2 << 20) + b"\n" + NAMED),
        _archive(tarfile.REGTYPE, b"name: [x]\nversion: 1\n"),
        _archive(tarfile.REGTYPE, b"name: \xff\nversion: 1\n"),
    ],
    ids=[
        "itself",
        "outside",
        "hard",
        "pipe",
        "folder",
        "deep",
        "aliases",
        "circle",
        "large",
        "list",
        "no text",
    ],
)
def test_an_archive_that_is_made_to_harm_is_not_a_chart(archive: bytes) -> None:
    """Links lead nowhere, and nothing of it is read without an end."""
    with pytest.raises(ValueError, match=r"its Chart\.yaml"):
        chart_yaml(archive)


def test_a_chart_is_read_as_helm_reads_it() -> None:
    """A date is the text it is."""
    said = chart_yaml(_archive(tarfile.REGTYPE, NAMED + b"appVersion: 2026-01-02\n"))
    assert said == {"apiVersion": "v2", "name": "x", "version": "1.0.0", "appVersion": "2026-01-02"}
