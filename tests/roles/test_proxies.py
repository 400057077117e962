"""A proxy that is set for a whole host stays out of what aiplat runs there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.fleet.inventory import inventory_document
from aiplat.plan.models import Plan
from aiplat.shipped import shipped
from aiplat.site.models import Site

UNITS = sorted(shipped("roles").glob("*/templates/*.service.j2"))
NAMES = ("http_proxy", "https_proxy", "all_proxy")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_drop_what_systemd_hands_to_every_service(unit: Path) -> None:
    """DefaultEnvironment= of systemd's own configuration may name a proxy; no unit of ours keeps it."""
    dropped = {
        name
        for line in unit.read_text().splitlines()
        if line.startswith("UnsetEnvironment=")
        for name in line.partition("=")[2].split()
    }
    assert {*NAMES, *(name.upper() for name in NAMES)} <= dropped


def test_tasks_see_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a task runs with overrides the host's profile: programs find no proxy in it."""
    host = {"name": "s1", "address": "192.0.2.11", "role": "server"}
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3"}
    site = Site.model_validate({**head, "hosts": [host]})
    plan = Plan(site="ward-3", verb="bootstrap", steps=(), based_on={})
    given = inventory_document(site, plan, "run-1", {})["all"]["vars"]["aiplat_environment"]
    profile = dict.fromkeys([*NAMES, *(name.upper() for name in NAMES)], "http://proxy.example:3128")
    script = "import urllib.request; print(urllib.request.getproxies())"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**profile, **given}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{}"
