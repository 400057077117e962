"""Which runs a site is told of: every verb's, where it has pages to show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.actions.reported_run import reported_run
from aiplat.cluster.raw import RawObjects
from aiplat.cluster.run_reports import ReportShelf
from aiplat.runs.events import Event
from aiplat.site.models import Site
from aiplat.state import site_dir
from tests.house.tree import files, text
from tests.verify.loopback import Loopback

PORTAL = {"user-serving": {"portal": {"state": "on"}}}


def with_portal(site: Site) -> Site:
    """Return the site with pages."""
    return Site.model_validate(site.model_dump(by_alias=True, mode="json") | {"planes": PORTAL})


def make(site: Site) -> list[Event]:
    """Make a run, and return what whoever looks on saw of it."""
    seen: list[Event] = []
    with reported_run(site, "bootstrap", seen.append) as run, run.step("stage", "Stage content", ("s1",)):
        pass
    return seen


def test_a_site_with_pages_is_told_in_their_namespace(healthy: Loopback) -> None:
    """By the site's own kubeconfig; who looks on here sees every event as before."""
    healthy.kube.lists["configmaps"].clear()
    seen = make(with_portal(healthy.site))
    objects = RawObjects.of_kubeconfig(site_dir(healthy.site.name) / "kubeconfig", "tester")
    (kept,) = ReportShelf(objects, "aiplat-user-serving").listed()
    assert (kept.report.id, kept.report.state) == (seen[0].run, "done")
    kinds = ["run_started", "step_started", "step_finished", "run_finished"]
    assert [event.event for event in seen] == kinds


def test_a_site_without_pages_is_told_nothing(healthy: Loopback) -> None:
    """Nobody would read it."""
    healthy.kube.lists["configmaps"].clear()
    assert len(make(healthy.site)) == 4
    assert healthy.kube.lists["configmaps"] == []


def test_a_site_without_a_cluster_has_its_run(healthy: Loopback) -> None:
    """The first bootstrap begins like that."""
    (site_dir(healthy.site.name) / "kubeconfig").unlink()
    assert make(with_portal(healthy.site))[-1].event == "run_finished"


@pytest.mark.parametrize("name", files("aiplat/actions/*.py"))
def test_no_verb_makes_a_run_that_its_site_is_not_told_of(name: str) -> None:
    """One that did would be missing on the page."""
    if Path(name).name != "reported_run.py":
        assert "running(site" not in text(name)
