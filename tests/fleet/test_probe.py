"""The probe: what a host is, what changed on it since a role finished, and hosts that do not answer."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiplat.fleet.probe import MODULES, REMOTE, facts_of, gather_facts
from aiplat.fleet.remote import probe_host
from aiplat.hosts.paths import paths_of
from aiplat.site.models import Site

V3 = "lm cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
ROUTES = "Iface Destination Gateway Flags RefCnt Use Metric Mask\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a tree that looks like a lab host to the probe."""
    texts = {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
        "etc/aiplat/lab-host": "t-probe\n",
        "proc/cpuinfo": f"processor : 0\nflags : {V3}\n",
        "proc/meminfo": "MemTotal:        2048000 kB\n",
        "proc/net/route": ROUTES + "eth0 00000000 0101000A 0003 0 0 0 00000000\n",
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def probe(root: Path, data_dir: str | None = None) -> dict[str, Any]:
    """Run the script as it is run on a host, on another root."""
    script = REMOTE / "probe_host.py"
    paths = paths_of(data_dir).model_dump_json()
    command = [sys.executable, script, "--root", root, "--paths", paths]
    done = subprocess.run(command, capture_output=True, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def with_ledger(root: Path, **step: Any) -> None:
    """Give the root a ledger with one step."""
    ledger = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Ledger", "site": "t", "steps": {"step": step}}
    path = root / "var/lib/aiplat/ledger.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(ledger))


def in_cluster(kind: str, name: str, **wanted: Any) -> dict[str, Any]:
    """Return an object as the API shows it."""
    return {"kind": kind, "metadata": {"namespace": "a", "name": name}, **wanted}


DOOR = in_cluster("Deployment", "gateway", spec={"replicas": 1})
NOTES = in_cluster("ConfigMap", "c", data={"a": "b"})


@pytest.mark.parametrize(
    ("items", "drift"),
    [
        ([DOOR, NOTES], []),
        ([{**DOOR, "spec": {}}, NOTES], ["plane_release: deployment gateway in a was changed"]),
        ([DOOR, {**NOTES, "data": {}}], ["plane_release: configmap c in a was changed"]),
        ([DOOR], ["plane_release: configmap c in a is gone"]),
        (None, []),
    ],
    ids=["as it was", "changed", "other notes", "gone", "no answer"],
)
def test_what_a_release_made_and_is_no_more_is_drift(
    monkeypatch: pytest.MonkeyPatch, items: list[dict[str, Any]] | None, drift: list[str]
) -> None:
    """Objects are compared with what the ledger recorded; a cluster that does not answer is another fault."""
    made = {
        f"{item['kind'].lower()}/a/{item['metadata']['name']}": {
            "release": "gateway",
            "digest": probe_host.wanted_of(item),
        }
        for item in (DOOR, NOTES)
    }
    text = "" if items is None else json.dumps({"items": items})
    monkeypatch.setattr(probe_host, "kubectl", lambda *_arguments: text)
    assert probe_host.object_drift({"plane_release": {"objects": made}}) == drift


def test_a_host_is_described(root: Path) -> None:
    """Release, processor level, memory, marker and default route come from the host's own files."""
    seen = probe(root)
    assert (seen["os_id"], seen["os_version"], seen["os_codename"]) == ("debian", "12", "bookworm")
    assert (seen["x86_64_level"], seen["memory_mib"], seen["lab"]) == (3, 2000, "t-probe")
    assert seen["default_route"] is True


def test_a_plain_host_has_no_marker_and_no_ledger(root: Path) -> None:
    """Without marker and ledger both are null, which is not the same as empty."""
    (root / "etc/aiplat/lab-host").unlink()
    seen = probe(root)
    assert (seen["lab"], seen["ledger"], seen["drift"]) == (None, None, [])


@pytest.mark.parametrize(
    ("flags", "level"),
    [("fpu vme", 0), ("lm", 1), ("lm cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3", 2), (V3, 3)],
)
def test_processor_levels(flags: str, level: int) -> None:
    """A level counts only if all flags of it and of those below are there."""
    assert probe_host.x86_64_level(f"flags\t\t: {flags}\n") == level


def test_a_flag_that_is_missing_below_caps_the_level() -> None:
    """AVX2 without SSE 4.2 is not x86-64-v3."""
    assert probe_host.x86_64_level(f"flags : {V3.replace('sse4_2', '')}\n") == 1


def test_no_default_route_is_seen(root: Path) -> None:
    """A route to a subnet is not a default route."""
    (root / "proc/net/route").write_text(ROUTES + "eth0 0000000A 00000000 0001 0 0 0 00FFFFFF\n")
    assert probe(root)["default_route"] is False


def test_a_host_as_the_ledger_says_has_no_drift(root: Path) -> None:
    """Files by content and mode, folders and links as recorded are not drift."""
    file = root / "etc/a"
    file.write_text("a")
    file.chmod(0o600)
    (root / "etc/link").symlink_to("a")
    files = {"/etc/a": {"sha256": hashlib.sha256(b"a").hexdigest(), "mode": "0600"}}
    with_ledger(root, files=files, dirs=["/etc"], links={"/etc/link": "a"})
    assert probe(root)["drift"] == []


def test_every_kind_of_drift_is_a_sentence(root: Path) -> None:
    """Files, folders, links, units and packages are each named with their step."""
    (root / "etc/altered").write_text("b")
    (root / "etc/moded").write_text("a")
    (root / "etc/moded").chmod(0o644)
    wanted = {"sha256": hashlib.sha256(b"a").hexdigest(), "mode": "0600"}
    with_ledger(
        root,
        files={"/etc/gone": wanted, "/etc/altered": wanted, "/etc/moded": wanted},
        dirs=["/nowhere"],
        links={"/etc/link": "a"},
        units=["no-such-unit-of-aiplat.service"],
        packages=["no-such-package-of-aiplat"],
    )
    assert probe(root)["drift"] == [
        "step: /etc/gone is missing",
        "step: /etc/altered has other content than was written",
        "step: /etc/moded has mode 0644 instead of 0600",
        "step: /nowhere is missing",
        "step: /etc/link does not point to a",
        "step: no-such-unit-of-aiplat.service is missing",
        "step: no-such-unit-of-aiplat.service is not enabled",
        "step: package no-such-package-of-aiplat is not installed",
    ]


def test_what_a_unit_was_started_with_is_seen(root: Path) -> None:
    """Its content from its environment, its files from what it wrote; another file than ours is drift."""
    unit = {
        "k3s.service": {"ActiveState": "active", "MainPID": "7"},
        "gone.service": {"ActiveState": "failed"},
    }
    (root / "proc/7").mkdir(parents=True)
    (root / "proc/7/environ").write_text("A=b\0AIPLAT_CONTENT=sha256:c0ffee\0")
    (root / "run/k3s.service").mkdir(parents=True)
    (root / "run/k3s.service/started").write_text("aa  /etc/one\nnone  /etc/two\n")
    running = probe_host.running_of(root, unit)
    files = {"/etc/one": "aa", "/etc/two": "none"}
    assert running == {"k3s.service": {"content": "sha256:c0ffee", "files": files}}
    recorded = {
        "units": ["k3s.service"],
        "files": {"/etc/one": {"sha256": "aa"}, "/etc/two": {"sha256": "bb"}, "/etc/three": {"sha256": "cc"}},
    }
    assert list(probe_host.started_drift("k3s_server", recorded, running)) == [
        "k3s_server: k3s.service was started with another /etc/two"
    ]


def test_only_whole_blobs_count_as_staged(root: Path) -> None:
    """A blob cut short after it arrived, a part and a stranger's file are not staged."""
    store = root / "var/lib/aiplat/blobs/sha256"
    store.mkdir(parents=True)
    whole, cut, stranger = "a" * 64, "b" * 64, "c" * 64
    for name in (whole, cut, stranger, f"{whole}.part"):
        (store / name).write_text("12345")
    (store.parent / "sizes").write_text(f"{whole} 5\n{cut} 6\n")
    assert probe(root)["blobs"] == [f"sha256:{whole}"]


def test_facts_of_all_hosts_come_from_one_call_each(site: Site, host_here: Path) -> None:
    """Every host of the site is in the facts, in the order of the site."""
    facts = gather_facts(site)
    assert [(h.host, h.reachable) for h in facts.hosts] == [("s1", True), ("a1", True)]


def test_a_host_that_does_not_answer_is_a_fact(site: Site, host_here: Path, tmp_path: Path) -> None:
    """An unreachable host has its sentence and does not hide the others."""
    (tmp_path / "bin/ssh").write_text("#!/bin/sh\necho 'ssh: connect: No route to host' >&2\nexit 255\n")
    facts = gather_facts(site)
    assert [h.reachable for h in facts.hosts] == [False, False]
    assert "does not answer on 192.0.2.11 (ssh: connect" in facts.host("s1").problem


def test_a_ledger_from_a_newer_aiplat_is_refused_in_words() -> None:
    """Nothing is guessed about a ledger this program does not know."""
    newer = {"apiVersion": "aiplat.dev/v9", "kind": "Ledger", "site": "t"}
    facts = facts_of("s1", {"ledger": newer})
    assert not facts.reachable
    assert "newer aiplat" in facts.problem


def test_looks_do_not_overwrite_each_other(root: Path) -> None:
    """What is seen is laid over one another, so no two looks may have one name for different things."""
    looks = {name: importlib.import_module(f"aiplat.fleet.remote.{name}") for name in MODULES}
    paths = paths_of("/data/plat").model_dump()
    asked = {"ports": [], "peers": [], "thorough": True, "paths": paths, "units": []}
    seen = {name: set(module.facts(root, asked)) for name, module in looks.items()}
    names = [key for keys in seen.values() for key in keys]
    assert [key for key in set(names) if names.count(key) > 1] == []


def test_blobs_are_where_the_host_has_its_data_on_record(root: Path) -> None:
    """Whatever the site says by now; a host without a record has them where they are wanted."""
    for name in ("srv/plat", "data/plat"):
        store = root / name / "blobs"
        (store / "sha256").mkdir(parents=True)
        (store / "sha256" / name[:3]).write_text("abc")
        (store / "sizes").write_text(f"{name[:3]} 3\n")
    assert probe(root, "/data/plat")["blobs"] == ["sha256:dat"]
    (root / "var/lib/aiplat").mkdir(parents=True)
    record = {"paths": paths_of("/srv/plat").model_dump(), "made": []}
    (root / "var/lib/aiplat/data.json").write_text(json.dumps(record))
    seen = probe(root, "/data/plat")
    assert (seen["data_dir"], seen["blobs"]) == ("/srv/plat", ["sha256:srv"])
