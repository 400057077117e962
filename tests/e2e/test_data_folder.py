"""A host with a small root disk: all that is large is in the folder its site names, and goes with a reset."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]

FOLDER = "/data/ai/plat"
# The disk meant is a file system of its own, as it would be on a host with a small root.
DISK = "mkdir -p /data /srv/disk && mount --bind /srv/disk /data && touch /data/of-the-host"
LARGE = ("/var/lib/aiplat/blobs", "/var/lib/aiplat/registry", "/var/lib/rancher/k3s")


@pytest.fixture(scope="module")
def small(make_journey: Callable[[str], Journey]) -> Journey:
    """One host with a second disk and nothing of aiplat on it."""
    journey = make_journey("data-folder")
    journey.on_host(DISK)
    return journey


@pytest.fixture(scope="module")
def first(small: Journey) -> dict[str, Any]:
    """The summary of its first bootstrap."""
    return small.bootstrap()


def _refused(journey: Journey) -> list[str]:
    document = json.loads(journey.aiplat("plan", str(journey.site_file), "--json", expect=2).stdout)
    return [finding["problem"] for finding in document["refusals"]]


def test_what_others_have_there_is_refused_before_anything_changes(small: Journey) -> None:
    """A file in its place, and folders of others under the names that a reset would remove."""
    small.on_host(f"mkdir -p /data/ai && touch {FOLDER}")
    assert f"{FOLDER} is a file" in _refused(small)
    small.on_host(f"rm {FOLDER} && mkdir -p {FOLDER}/k3s")
    assert f"k3s in {FOLDER} are of others" in _refused(small)
    small.on_host("rm -r /data/ai")


def test_the_model_answers_from_there(small: Journey, first: dict[str, Any]) -> None:
    """Content, registry, k3s and the kubelet are in the folder; nothing large is in the usual places."""
    assert first["words"]["answer"]
    there = set(small.on_host(f"ls {FOLDER}").split())
    assert {"blobs", "registry", "k3s", "kubelet"} <= there
    assert small.on_host(f"ls -d {' '.join(LARGE)} 2>/dev/null || true") == ""
    # What has a fixed place on every host: the kubelet's socket for device plugins.
    assert (
        int(small.on_host("du -skx /var/lib/kubelet /var/lib/aiplat | sort -n | tail -1").split()[0]) < 1024
    )
    assert small.on_host(f"ls {FOLDER}/kubelet/pods | wc -l").strip() != "0"
    assert small.document("verify")["kind"] == "Report"


def test_a_second_run_changes_nothing(small: Journey, first: dict[str, Any]) -> None:
    """The blobs are found where they are."""
    assert small.bootstrap()["changed"] == 0


def test_another_folder_is_refused_while_it_runs(
    small: Journey, first: dict[str, Any], tmp_path: Any
) -> None:
    """Nothing moves what is there; the words say what to do."""
    for line in ("dataDir: /data/other", ""):
        text = small.site_file.read_text().replace(f"dataDir: {FOLDER}", line).replace(", }", "}")
        other = tmp_path / "site.yaml"
        other.write_text(text)
        said = " ".join(_refused(Journey(small.name, other, small.state)))
        assert f"its data is below {FOLDER}" in said


def test_a_reset_by_a_site_without_the_folder_leaves_nothing(
    small: Journey, first: dict[str, Any], tmp_path: Any
) -> None:
    """The host itself has on record where its data is; the folders made for it go, the disk's own stays."""
    other = tmp_path / "site.yaml"
    other.write_text(small.site_file.read_text().replace(f", dataDir: {FOLDER}", ""))
    small.aiplat("reset", str(other), "--yes", "--json")
    assert small.on_host("ls -A /data").split() == ["of-the-host"]
    left = small.on_host(
        "ls -d /var/lib/aiplat /var/lib/kubelet /var/lib/rancher /run/k3s 2>/dev/null || true"
    )
    assert left == ""
    assert small.on_host(f"grep {FOLDER} /proc/self/mounts || true") == ""
    assert small.on_host("ps -eo args | grep -E '/data/ai|[k]3s|[c]ontainerd' | grep -v grep || true") == ""


def test_it_can_be_installed_there_again(small: Journey, first: dict[str, Any]) -> None:
    """And reset by its own site; nothing is left then either."""
    assert small.bootstrap()["words"]["answer"]
    small.aiplat("reset", str(small.site_file), "--yes", "--json")
    assert small.on_host("ls -A /data").split() == ["of-the-host"]
