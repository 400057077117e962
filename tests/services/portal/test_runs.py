"""What the portal shows of runs and of events of the cluster: live, by reload, and to whom."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aiplat.cluster.run_reports import (
    FailureSeen,
    KeptReport,
    ProgressSeen,
    RunReport,
    StepSeen,
    TaskSeen,
)
from aiplat.services.portal import streams
from aiplat.services.portal.render import clock
from aiplat.services.portal.runs import SILENT_SECONDS, is_silent
from tests.cluster import kube as given
from tests.cluster.kube import Kube
from tests.services.portal.conftest import Site
from tests.services.portal.short_streams import Looks

FIRST, SECOND = "20260102T030405Z-0a1b2c", "20260103T030405Z-0a1b2c"
AT_WORK = RunReport(
    id=SECOND,
    verb="bootstrap",
    machine="desk",
    state="running",
    started="2026-01-03T03:04:05.000Z",
    heard="2026-01-03T03:04:09.000Z",
    planned=True,
    steps=(
        StepSeen(id="stage", title="Stage content", state="done", hosts=("s1",), changed=3, seconds=2.0),
        StepSeen(
            id="k3s_server",
            title="Run Kubernetes",
            state="running",
            hosts=("s1",),
            reasons={"s1": "its version differs"},
            restarts=("k3s on s1",),
            progress=(ProgressSeen(host="s1", done=10_000_000, total=40_000_000, unit="bytes"),),
        ),
    ),
    tasks=(TaskSeen(time="2026-01-03T03:04:08Z", step="stage", host="s1", task="Write it", changed=None),),
)
DONE = AT_WORK.model_copy(update={"state": "done", "changed": 4, "seconds": 61.0})
EARLIER = DONE.model_copy(
    update={
        "id": FIRST,
        "state": "failed",
        "failures": (FailureSeen(step="stage", where="s1", cause="<b>disk</b> full", help="free it"),),
    }
)
EVENT = {
    "metadata": given.meta("gateway-1.1", "aiplat-access"),
    "involvedObject": {"kind": "Pod", "namespace": "aiplat-access", "name": "gateway-1"},
    "reason": "BackOff",
    "message": "Back-off restarting failed container",
    "type": "Warning",
    "count": 7,
    "lastTimestamp": "2026-01-03T03:00:00Z",
}


@pytest.fixture
def watched(site: Site, kube: Kube, tmp_path: Path) -> Site:
    """A portal whose cluster knows of a run at work and of an earlier one."""
    site.watch(kube, tmp_path)
    site.shelf.put(EARLIER)
    site.shelf.put(AT_WORK)
    return site


def named(text: str, kind: str) -> list[str]:
    """Return the data of the events of a kind in a stream."""
    found = re.findall(r"(?:^|\n)((?:[a-z]+: .*\n)+)", text)
    return [block for block in found if f"event: {kind}\n" in block]


def test_the_newest_run_stands_with_plan_reasons_progress_and_changes(watched: Site) -> None:
    """All that its events tell."""
    text = watched.browser("operator").get("/runs").text
    for said in (
        "1 of 2 steps done",
        "its version differs",
        "restarts k3s on s1",
        "10.0 MB of 40.0 MB",
        "its result is hidden",
        "desk",
        f"/runs?run={FIRST}",
    ):
        assert said in text, said


def test_an_earlier_run_says_what_went_wrong_and_what_helps(watched: Site) -> None:
    """Marks in a cause are shown, not obeyed; nothing of it comes live."""
    answer = watched.browser("operator").get(f"/runs?run={FIRST}")
    assert "&lt;b&gt;disk&lt;/b&gt; full" in answer.text
    assert "free it" in answer.text
    assert "cut short" in answer.text
    assert "data-stream" not in answer.text


@pytest.mark.parametrize("told", ["soon", "", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_that_is_none_is_shown_as_it_is_told(told: str) -> None:
    """Another version may write it otherwise."""
    assert clock(told) == told


def test_a_run_that_nobody_knows_is_not_there(watched: Site) -> None:
    """The page says so, and which there are."""
    answer = watched.browser("operator").get("/runs?run=20260101T000000Z-000000")
    assert answer.status_code == 404
    assert "choose one of the list" in answer.text


def test_events_of_the_cluster_stand_beside_runs(watched: Site, kube: Kube) -> None:
    """Those of the platform's namespaces, the newest first; one without a time or count breaks nothing."""
    old = {**EVENT, "lastTimestamp": None, "reason": "Pulled", "type": "Normal", "count": None}
    kube.lists["events"] = [old, EVENT]
    text = watched.browser("operator").get("/runs").text
    assert text.index("BackOff") < text.index("Pulled")
    assert "Pod aiplat-access/gateway-1" in text
    assert "limit=500" in kube.asked[-1]


def test_a_cluster_that_does_not_answer_is_said(watched: Site, kube: Kube) -> None:
    """The page is shown all the same, and promises nothing live."""
    kube.refuse = 503
    answer = watched.browser("operator").get("/runs")
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert "data-stream" not in answer.text


@pytest.mark.parametrize(
    "path", ["/runs/stream", "/logs/stream?component=gateway&after=2026-01-03T03:04:05Z"]
)
def test_a_member_sees_no_stream_and_nobody_else_without_a_session(watched: Site, path: str) -> None:
    """The role is asked before anything is looked at."""
    assert watched.browser("red").get(path).status_code == 403
    assert watched.browser().get(path).url.path == "/sign-in"


def test_a_page_that_is_open_gets_the_run_again_when_it_changed(watched: Site, quick: Looks) -> None:
    """What it shows already is not sent; the stream ends by itself, and the browser comes back."""
    browser = watched.browser("operator")
    shown = re.search(r'data-stream="([^"]+)"', browser.get("/runs").text)
    assert shown

    async def changed() -> None:
        with quick.held():
            while not watched.portal.streams.count:
                await asyncio.sleep(0)
            await asyncio.to_thread(watched.shelf.put, DONE)

    answer, _ = watched.together(browser.client.get(shown[1]), changed())
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    (whole,) = named(answer.text, "whole")
    assert "4 changed in 1 min 1 s" in whole
    assert "retry: 1000" in answer.text
    assert watched.portal.streams.count == 0


@pytest.mark.usefixtures("quick")
def test_a_browser_that_comes_back_is_sent_what_it_missed(watched: Site) -> None:
    """By the id of the last event that arrived."""
    browser = watched.browser("operator")
    first = browser.get("/runs/stream").text
    version = re.search(r"id: (\S+)", first)
    assert version
    assert named(first, "whole")
    again = browser.get("/runs/stream", headers={"last-event-id": version[1]}).text
    assert named(again, "whole") == []


def test_a_run_that_begins_while_the_page_is_open_takes_its_place(watched: Site, quick: Looks) -> None:
    """Also where the one before told of its end to nobody."""
    browser, third = watched.browser("operator"), "20260104T030405Z-0a1b2c"

    async def begins() -> None:
        with quick.held():
            while not watched.portal.streams.count:
                await asyncio.sleep(0)
            await asyncio.to_thread(watched.shelf.put, AT_WORK.model_copy(update={"id": third}))

    answer, _ = watched.together(browser.client.get("/runs/stream"), begins())
    assert third in named(answer.text, "whole")[-1]


def test_a_cluster_that_is_away_for_a_while_ends_no_stream(watched: Site, kube: Kube, quick: Looks) -> None:
    """The page is told, and gets the run when there is an answer again."""
    browser = watched.browser("operator")
    kube.refuse = 503

    async def back() -> None:
        with quick.held():
            while not watched.portal.streams.count:
                await asyncio.sleep(0)
            kube.refuse = 0

    answer, _ = watched.together(browser.client.get("/runs/stream"), back())
    assert named(answer.text, "whole")


@pytest.mark.usefixtures("quick")
def test_an_open_page_keeps_no_session_alive(watched: Site) -> None:
    """Only what somebody does counts as use: no cookie comes with a stream."""
    browser = watched.browser("operator")
    assert "set-cookie" in browser.get("/runs").headers
    assert "set-cookie" not in browser.get("/runs/stream").headers


def test_a_client_that_leaves_leaves_nothing_behind(watched: Site) -> None:
    """Its place is free at once, long before the stream would have ended."""
    browser = watched.browser("operator")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    said: list[dict[str, Any]] = []

    async def leave() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            said.append(message)
            if b"event: whole" in message.get("body", b""):
                assert watched.portal.streams.count == 1
                gone.set()

        await watched.app(scope("/runs/stream", cookie), receive, send)  # type: ignore[arg-type]

    watched.together(asyncio.wait_for(leave(), streams.STREAM_SECONDS / 2))
    assert said[0]["status"] == 200
    assert watched.portal.streams.count == 0


def scope(path: str, cookie: str) -> dict[str, Any]:
    """Return a request as a server gives it to the application."""
    headers = [(b"host", b"portal.ward-3.test"), (b"cookie", cookie.encode())]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("portal.ward-3.test", 443),
    }


@pytest.mark.parametrize(
    ("change", "silent"),
    [
        (lambda kept, now: KeptReport(kept, "1", now - timedelta(seconds=SILENT_SECONDS + 1)), True),
        (lambda kept, now: KeptReport(kept, "1", now - timedelta(seconds=SILENT_SECONDS - 1)), False),
        (lambda kept, _now: KeptReport(kept, "1", None), False),
        (lambda _kept, now: KeptReport(DONE, "1", now - timedelta(days=1)), False),
    ],
)
def test_a_run_that_tells_nothing_for_a_minute_is_called_silent(
    change: Callable[[RunReport, datetime], KeptReport], silent: bool
) -> None:
    """By the cluster's clock, whatever the one of the machine says; a run that is over need not tell."""
    now = datetime(2026, 1, 3, tzinfo=UTC)
    assert is_silent(change(AT_WORK, now), now) is silent


def test_a_silent_run_says_where_to_look(watched: Site, kube: Kube) -> None:
    """Its machine may have gone off, or the way to the site."""
    for kept in kube.lists["configmaps"]:
        kept["metadata"]["managedFields"] = [{"time": "2026-01-03T03:05:00Z"}]
    assert "Nothing was heard of it since 2026-01-03 03:05 UTC: look at desk" in (
        watched.browser("operator").get("/runs").text
    )
