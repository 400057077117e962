"""What the live pages of the portal hold at the most, filled."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiplat.services.bounds import (
    EVENTS_LISTED,
    EVENTS_SHOWN,
    LOG_LOOKS,
    LOG_PODS,
    LOG_SHOWN,
    LOG_TEXT,
    STREAM_LOOK_SECONDS,
    STREAMS,
    STREAMS_A_VISITOR,
)
from aiplat.services.portal import logs
from aiplat.services.portal.streams import OpenStreams
from tests.cluster import kube as given
from tests.cluster.kube import Kube
from tests.patience import PATIENCE
from tests.services.portal.conftest import Site
from tests.services.portal.test_logs import line, texts
from tests.services.portal.test_runs import AT_WORK, EVENT, named


@pytest.fixture
def watched(site: Site, kube: Kube, tmp_path: Path) -> Site:
    """A portal with a cluster."""
    site.watch(kube, tmp_path)
    return site


def test_one_visitor_and_all_together_have_so_many_streams() -> None:
    """Who leaves makes room."""
    streams = OpenStreams()
    with contextlib.ExitStack() as held:
        for _ in range(STREAMS_A_VISITOR):
            assert held.enter_context(streams.place("one"))
        assert not held.enter_context(streams.place("one"))
        others = (f"other {n // STREAMS_A_VISITOR}" for n in range(STREAMS - STREAMS_A_VISITOR))
        for name in others:
            assert held.enter_context(streams.place(name))
        assert not held.enter_context(streams.place("somebody else"))
        assert streams.count == STREAMS
    assert streams.count == 0
    with streams.place("one") as free:
        assert free


def test_a_page_beyond_the_limit_is_told_and_does_not_ask_again(watched: Site) -> None:
    """The browser closes what ends like this."""
    browser = watched.browser("operator")
    with contextlib.ExitStack() as held:
        for number in range(STREAMS):
            held.enter_context(watched.portal.streams.place(f"visitor {number}"))
        said = browser.get("/runs/stream").text
    assert "Too many pages are live at once" in "".join(named(said, "end"))


def test_however_many_watch_the_cluster_is_asked_once_in_a_while(watched: Site, kube: Kube) -> None:
    """Everybody gets the same look."""
    watched.shelf.put(AT_WORK)
    runs = watched.portal.runs
    assert runs
    assert STREAM_LOOK_SECONDS >= 1
    kube.asked.clear()
    found = watched.together(*(runs.newest() for _ in range(50)))
    assert {kept.report.id for kept in found} == {AT_WORK.id}
    assert len(kube.asked) == 2


def test_so_many_looks_at_logs_are_made_at_once(watched: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for more waits in a row."""
    looks = watched.portal.logs
    assert looks
    at_once, most, free, counting = 0, 0, threading.Event(), threading.Lock()

    def slow(*_: Any) -> list[Any]:
        nonlocal at_once, most
        with counting:
            at_once += 1
            most = max(most, at_once)
        if most == LOG_LOOKS:
            free.set()
        assert free.wait(PATIENCE)
        with counting:
            at_once -= 1
        return []

    monkeypatch.setattr(looks, "_lines", slow)

    async def many() -> None:
        tails = [looks.follow("gateway", "info", datetime.now(UTC)) for _ in range(3 * LOG_LOOKS)]
        await asyncio.gather(*(tail.read() for tail in tails))

    watched.together(many())
    assert most == LOG_LOOKS


def test_only_the_newest_pods_and_lines_and_the_beginning_of_a_line_are_shown(
    watched: Site, kube: Kube
) -> None:
    """A component of many pods, which write long lines."""
    for number in range(LOG_PODS + 2):
        pod = given.pod(f"g-{number:02}", "aiplat-access", {"app.kubernetes.io/instance": "gateway"}, "i")
        pod["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{number:02}Z"
        kube.lists["pods"].append(pod)
    kube.written = "".join(line(f"INFO {'x' * LOG_TEXT}", 60) for _ in range(30))
    page = watched.browser("operator").get("/logs?component=gateway").text
    assert {len(text) for text in texts(page)} == {LOG_TEXT}
    assert len(texts(page)) == LOG_SHOWN
    read = {path.split("/")[6] for path in kube.asked if "/log" in path}
    assert read == {f"g-{number:02}" for number in range(2, LOG_PODS + 2)}


@pytest.mark.parametrize("most", [2000, 20_000, 400_000])
def test_the_newest_lines_are_shown_also_where_the_bytes_end_before_them(
    most: int, watched: Site, kube: Kube, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API counts bytes from the oldest line on; what lies between is left out, and that is said."""
    monkeypatch.setattr(logs, "LOG_BYTES", most)
    kube.logs["gateway-1"] = "".join(line(f"INFO {n} {'x' * 300}", 2000 - n) for n in range(1000))
    labels = {"app.kubernetes.io/instance": "gateway"}
    kube.lists["pods"].append(given.pod("gateway-1", "aiplat-access", labels, "i"))
    shown = texts(watched.browser("operator").get("/logs?component=gateway&level=info").text)
    assert [text.split()[1] for text in shown if "INFO" in text][-2:] == ["998", "999"]
    assert sum(text.startswith("WARNING more was written") for text in shown) == (most < 400_000)


def test_only_so_many_events_are_asked_for_and_shown(watched: Site, kube: Kube) -> None:
    """The newest of what the API gives."""
    kube.lists["events"] = [
        {**EVENT, "reason": f"Reason{number:03}", "lastTimestamp": f"2026-01-03T03:{number:02}:00Z"}
        for number in range(EVENTS_SHOWN + 5)
    ]
    text = watched.browser("operator").get("/runs").text
    assert text.count("Back-off restarting") == EVENTS_SHOWN
    assert "Reason004" not in text
    assert f"limit={EVENTS_LISTED}" in kube.asked[-1]
