"""From a site file and upstreams to an answer: lock, bundle, bootstrap, by what a user would write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.lab import egress_report, lab_down, lab_up
from aiplat.site.load import load_site
from aiplat.verify.smoke_test import CHAT
from tests.e2e.journey import Journey
from tests.e2e.upstream_world import publish_packages
from tests.upstreams.server import Upstreams

pytestmark = pytest.mark.lab
# Packages of the operating system and wheels come from where this machine gets them.
DIRECT = ("deb.debian.org", "security.debian.org", "pypi.org", "files.pythonhosted.org")
SITE = """
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-up
supply: upstream
upstream: {{proxy: "{proxy}", ca: "{ca}", noProxy: [{direct}]}}
hosts:
  - {{name: t-up-s1, address: 10.97.47.11, role: server, os: debian-12}}
models:
  - {{name: "gemma3:270m", engine: ollama}}
"""


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstreams]:
    """Upstreams that serve what `packages` built."""
    folder = tmp_path_factory.mktemp("upstreams")
    with Upstreams(folder) as upstreams:
        publish_packages(upstreams, folder / "published")
        yield upstreams
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def ward(net: Upstreams, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A host that was booted and holds nothing; state of its own, and no cache but its own either."""
    state = tmp_path_factory.mktemp("state")
    path = state / "site.yaml"
    path.write_text(SITE.format(proxy=net.proxy, ca=net.ca, direct=", ".join(DIRECT)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(state))
        patch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv"))
        site = load_site(path)
        lab_up(site)
        patch.setenv("XDG_CACHE_HOME", str(state / "cache"))
        yield Journey(site.name, path, state)
        lab_down(site.name)
    shutil.rmtree(state)


@pytest.fixture(scope="module")
def bundled(ward: Journey) -> dict[str, Any]:
    """The summary of the bundle, made of what was locked."""
    ward.aiplat("lock", str(ward.site_file))
    return ward.lines("bundle", "build", str(ward.site_file), "--supply", "upstream", "--json")[-1]


@pytest.fixture(scope="module")
def first(ward: Journey, bundled: dict[str, Any]) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return ward.bootstrap()


def test_locked_again_the_lock_is_the_same(ward: Journey, bundled: dict[str, Any]) -> None:
    """Not a byte differs, also after the bundle was made."""
    path = ward.state / "aiplat" / "sites" / ward.name / "lock.yaml"
    before = path.read_bytes()
    ward.aiplat("lock", str(ward.site_file))
    assert path.read_bytes() == before


def test_the_model_answers(ward: Journey, first: dict[str, Any]) -> None:
    """What came from upstreams runs: every check is green, and the answer came through the gateway."""
    assert first["state"] == "done"
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []
    assert CHAT.contains in first["words"]["answer"]
    body = {"model": "gemma3:270m", "messages": [{"role": "user", "content": CHAT.prompt}], "temperature": 0}
    with ward.platform() as client:
        answer = client.post("chat/completions", json=body | {"max_tokens": 16})
    assert CHAT.contains in answer.json()["choices"][0]["message"]["content"]


def test_nothing_left_the_lab(ward: Journey, first: dict[str, Any]) -> None:
    """Hosts took everything from the bundle."""
    report = egress_report(ward.name)
    assert report.packets == 0, report.attempts


def test_the_second_run_changes_nothing(ward: Journey, net: Upstreams, first: dict[str, Any]) -> None:
    """And asks no upstream for anything."""
    asked = len(net.seen)
    assert ward.bootstrap()["changed"] == 0
    assert len(net.seen) == asked
