"""Plans for hosts of every system: from what the host says of itself to the packages it is to get."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML

from aiplat.catalog.artifacts import Artifact, Blob, Lock, OsPackage
from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import resolve
from aiplat.content import sha256_bytes
from aiplat.fleet.remote import probe_host
from aiplat.plan.make import make_plan
from aiplat.plan.models import Facts, HostFacts
from aiplat.plan.refusals import refusals
from aiplat.plan.role_variables import HostPrepare
from aiplat.plan.variables import role_variables
from aiplat.site.models import Site
from aiplat.site.systems import SYSTEMS, OsName, arch_of
from tests.plan.worlds import HERE, PUBLIC

SYSTEMS_SEEN: list[dict[str, Any]] = YAML(typ="safe").load(HERE / "systems.yaml")
GOLDEN = HERE / "golden" / "systems.json"
X86 = "flags\t\t: fpu lm cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3\n"


def seen(index: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> HostFacts:
    """Return what the probe makes of a host that says these things."""
    told = SYSTEMS_SEEN[index]
    texts = {
        "etc/os-release": told["os_release"],
        "proc/cpuinfo": X86 if told["machine"] == "x86_64" else "Features\t: fp asimd\n",
        "proc/net/route": "Iface Destination Gateway\neth0 00000000 01 0003 0 0 0 00000000\n",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(platform, "machine", lambda: told["machine"])
    # Its network cards and its disk are this machine's.
    facts = {**probe_host.machine(root, "/var/lib/aiplat"), "disk_free_mib": 100_000, "interfaces": {}}
    return HostFacts.model_validate({"host": f"h{index}", "reachable": True, **facts})


def site() -> Site:
    """Return a site with a host of each, the first of them the server."""
    hosts = [
        {
            "name": f"h{index}",
            "address": f"10.0.0.{index + 11}",
            "role": "agent" if index else "server",
            "os": told["system"],
            "arch": arch_of(told["machine"]),
        }
        for index, told in enumerate(SYSTEMS_SEEN)
    ]
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3", "supply": "upstream"}
    return Site.model_validate({**head, "hosts": hosts})


def locked(lock: Lock) -> Lock:
    """Return a lock as if upstream had been asked for host files: of packages, those wanted by name."""
    return lock.model_copy(update={"artifacts": tuple(_locked(a) for a in lock.artifacts)})


def _locked(artifact: Artifact) -> Artifact:
    if artifact.kind != "hostfile":
        return artifact
    digest = sha256_bytes(artifact.label.encode())
    _, recipe = load_catalog().recipe(artifact.kind, artifact.name)
    wishes = recipe.upstream.ospackages.families if recipe.upstream and recipe.upstream.ospackages else {}
    names = wishes[SYSTEMS[artifact.os].like].packages if artifact.os else ()
    packages = tuple(_package(name, artifact) for name in names)
    more = {"digest": digest, "file": None if packages else digest, "packages": packages}
    return artifact.model_copy(update={**more, "blobs": (Blob(digest=digest, size=1),)})


def _package(name: str, artifact: Artifact) -> OsPackage:
    digest = sha256_bytes(f"{name} {artifact.os} {artifact.arch}".encode())
    return OsPackage(
        name=name, version="1", arch=artifact.arch, digest=digest, size=1, source="https://x", signed="x"
    )


def test_every_system_and_both_architectures_are_among_them() -> None:
    """A system that a site may name is one that plans were made for; each says where its words are from."""
    assert {told["system"] for told in SYSTEMS_SEEN} == set(get_args(OsName))
    assert {told["machine"] for told in SYSTEMS_SEEN} == {"x86_64", "aarch64"}
    assert all(told["source"] and told["how"] in ("recorded", "constructed") for told in SYSTEMS_SEEN)


def test_plans_for_every_system_are_as_reviewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing forbids them; each host gets packages of its own system and architecture, and no other's."""
    wanted = site()
    lock = locked(resolve(wanted))
    facts = Facts(hosts=tuple(seen(i, tmp_path / f"h{i}", monkeypatch) for i in range(len(SYSTEMS_SEEN))))
    assert [str(finding) for finding in refusals(wanted, lock, facts)] == []
    plan = make_plan(wanted, lock, facts, PUBLIC)
    variables = role_variables(wanted, lock, load_catalog(), PUBLIC)
    shown = {
        f"{host.name} {host.os} {host.arch}": {
            "steps": [step.id for step in plan.steps if host.name in step.hosts],
            "packages": [
                f"{package.name}{' where ' if package.needs else ''}{package.needs}"
                for role in variables[host.name]
                if isinstance(role, HostPrepare)
                for package in role.packages
            ],
        }
        for host in wanted.hosts
    }
    text = json.dumps(shown, indent=1) + "\n"
    if os.environ.get("AIPLAT_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert GOLDEN.read_text() == text


def test_a_host_of_another_system_is_refused_with_the_word_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host against each other system's name: the sentence has what the host really is."""
    wanted, facts = site(), [seen(i, tmp_path / f"h{i}", monkeypatch) for i in range(len(SYSTEMS_SEEN))]
    turned = [*SYSTEMS_SEEN[1:], SYSTEMS_SEEN[0]]
    hosts = tuple(
        host.model_copy(update={"os": other["system"]})
        for host, other in zip(wanted.hosts, turned, strict=True)
    )
    wanted = wanted.model_copy(update={"hosts": hosts})
    said = [str(f) for f in refusals(wanted, locked(resolve(wanted)), Facts(hosts=tuple(facts)))]
    expected = [
        f"h{i}: its operating system is {told['system']}, and site.yaml says {turned[i]['system']}; "
        f"write `os: {told['system']}` for h{i} in site.yaml"
        for i, told in enumerate(SYSTEMS_SEEN)
        if told["system"] != turned[i]["system"]
    ]
    assert said == expected
