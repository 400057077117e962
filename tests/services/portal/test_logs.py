"""What components wrote, as operators see it: by level and time, live, never more than a page holds."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from aiplat.services.portal import logs
from tests.cluster import kube as given
from tests.cluster.kube import Kube
from tests.services.portal.conftest import Site
from tests.services.portal.short_streams import Looks
from tests.services.portal.test_runs import named


class Rows(HTMLParser):
    """The cells of a page's last table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[list[str]] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        """Begin a row or a cell."""
        if tag == "tr":
            self.found.append([])
        elif tag == "td":
            self.found[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        """Add to the cell."""
        if self._in_cell:
            self.found[-1][-1] += data


def line(text: str, ago: float = 60.0) -> str:
    """Return a line as the API has it, written so many seconds ago."""
    return f"{(datetime.now(UTC) - timedelta(seconds=ago)).isoformat()} {text}\n"


def texts(page: str) -> list[str]:
    """Return what the lines of a page, or of a part of one, say."""
    return [row[3] for row in Rows(page).found if len(row) == 4]


@pytest.fixture
def watched(site: Site, kube: Kube, tmp_path: Path) -> Site:
    """A portal whose cluster has two pods of the gateway, which wrote by turns."""
    site.watch(kube, tmp_path)
    for name in ("gateway-1", "gateway-2"):
        labels = {"app.kubernetes.io/instance": "gateway"}
        kube.lists["pods"].append(given.pod(name, "aiplat-access", labels, "i"))
    kube.logs = {
        "gateway-1": line("INFO listening", 90) + line("ERROR <i>broke</i>", 70),
        "gateway-2": line("INFO listening too", 80) + line("DEBUG small talk", 60),
    }
    return site


def test_lines_of_all_pods_stand_in_the_order_of_time_with_their_level(watched: Site) -> None:
    """As `aiplat logs` has them; marks in a line are shown, not obeyed."""
    page = watched.browser("operator").get("/logs?component=gateway").text
    rows = [row for row in Rows(page).found if len(row) == 4]
    assert [(row[1], row[2], row[3]) for row in rows] == [
        ("info", "gateway-1", "INFO listening"),
        ("info", "gateway-2", "INFO listening too"),
        ("error", "gateway-1", "ERROR <i>broke</i>"),
    ]
    assert "<i>" not in page


def test_only_what_is_serious_enough_is_shown(watched: Site) -> None:
    """From the chosen level on."""
    browser = watched.browser("operator")
    assert texts(browser.get("/logs?component=gateway&level=error").text) == ["ERROR <i>broke</i>"]
    assert len(texts(browser.get("/logs?component=gateway&level=debug").text)) == 4


def test_the_cluster_is_asked_for_no_more_than_the_bounds(watched: Site, kube: Kube) -> None:
    """Lines, bytes and the time back."""
    watched.browser("operator").get("/logs?component=gateway&since=6+hours")
    (asked,) = {query.partition("?")[2] for query in kube.asked if "/gateway-1/log" in query}
    assert f"tailLines={logs.LOG_READ}" in asked
    assert f"limitBytes={logs.LOG_BYTES}" in asked
    assert re.search(r"sinceSeconds=2160\d\b|sinceSeconds=21599", asked)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("component=nobody", 404),
        ("component=gateway&level=loud", 422),
        ("component=gateway&since=ever", 422),
        (f"component={'x' * 64}", 422),
    ],
)
def test_what_cannot_be_shown_is_said(watched: Site, query: str, status: int) -> None:
    """On a page, with what there is."""
    answer = watched.browser("operator").get(f"/logs?{query}", headers={"accept": "text/html"})
    assert answer.status_code == status
    assert '<a href="/logs"' in answer.text


def test_a_line_that_only_looks_as_if_it_had_a_time_is_of_now(watched: Site, kube: Kube) -> None:
    """A runtime that has no log says so in a line without one."""
    kube.logs["gateway-1"] = "2026-01-01 was the last day of this log\n"
    page = watched.browser("operator").get("/logs?component=gateway")
    assert texts(page.text)[-1] == "was the last day of this log"


def test_no_other_namespace_is_read_than_those_of_components(watched: Site, kube: Kube) -> None:
    """Whoever writes the address by hand chooses a component's name and nothing else."""
    answer = watched.browser("operator").get("/logs?component=../kube-system")
    assert answer.status_code == 404
    assert kube.asked == []


def test_a_cluster_that_does_not_answer_is_said(watched: Site, kube: Kube) -> None:
    """With what it said."""
    kube.refuse = 503
    assert watched.browser("operator").get("/logs?component=gateway").status_code == 502


def follow(site: Site, kube: Kube, looks: Looks, *more: str, level: str = "info") -> str:
    """Open the page and its stream, let a pod write more meanwhile, and return what the stream said."""
    browser = site.browser("operator")
    page = browser.get(f"/logs?component=gateway&level={level}").text
    shown = re.search(r'data-stream="([^"]+)"', page)
    assert shown

    async def written() -> None:
        with looks.held():
            while not site.portal.streams.count:
                await asyncio.sleep(0)
            for text in more:
                kube.logs["gateway-2"] += text

    answer, _ = site.together(browser.client.get(shown[1].replace("&amp;", "&")), written())
    return str(answer.text)


def test_a_page_that_is_open_gets_what_is_written_next(watched: Site, kube: Kube, quick: Looks) -> None:
    """Each line once, however often it is read; what the page shows already is not among them."""
    said = follow(watched, kube, quick, line("INFO more", 1), line("INFO and more", 0))
    assert texts(said) == ["INFO more", "INFO and more"]
    assert watched.portal.streams.count == 0


def test_a_live_page_keeps_to_its_level(watched: Site, kube: Kube, quick: Looks) -> None:
    """What is less serious is read and not sent."""
    said = follow(watched, kube, quick, line("INFO more", 1), line("ERROR again", 0), level="error")
    assert texts(said) == ["ERROR again"]


def test_a_pod_that_comes_later_is_read_too(watched: Site, kube: Kube, quick: Looks) -> None:
    """A rollout while somebody looks on loses nothing."""
    kube.logs["gateway-3"] = line("INFO new here", 0)
    browser = watched.browser("operator")

    async def comes() -> None:
        with quick.held():
            while not watched.portal.streams.count:
                await asyncio.sleep(0)
            labels = {"app.kubernetes.io/instance": "gateway"}
            kube.lists["pods"].append(given.pod("gateway-3", "aiplat-access", labels, "i"))

    after = (datetime.now(UTC) - timedelta(seconds=30)).isoformat().replace("+", "%2B")
    path = f"/logs/stream?component=gateway&after={after}"
    answer, _ = watched.together(browser.client.get(path), comes())
    assert texts(answer.text) == ["INFO new here"]


def test_more_lines_than_a_page_can_take_are_left_out_and_said(
    watched: Site, kube: Kube, quick: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest are sent."""
    monkeypatch.setattr(logs, "LOG_SHOWN", 3)
    said = follow(watched, kube, quick, "".join(line(f"INFO line {n}", 1 - n / 100) for n in range(9)))
    assert texts(said) == ["more was written than is shown here", "INFO line 6", "INFO line 7", "INFO line 8"]


@pytest.mark.usefixtures("quick")
def test_a_stream_that_is_asked_for_wrongly_is_refused(watched: Site) -> None:
    """Before it begins."""
    browser = watched.browser("operator")
    assert browser.get("/logs/stream?component=nobody&after=2026-01-03T03:04:05Z").status_code == 404
    for after in ("soon", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00%2B14:00"):
        assert browser.get(f"/logs/stream?component=gateway&after={after}").status_code == 422
    assert browser.get("/logs/stream?component=gateway").status_code == 422


@pytest.mark.usefixtures("quick")
def test_a_browser_that_was_away_for_long_is_not_sent_all_of_it(watched: Site, kube: Kube) -> None:
    """Ten minutes back at the most."""
    kube.logs["gateway-1"] = line("INFO long ago", 3000) + line("INFO lately", 300)
    after = "2026-01-03T03:04:05Z"
    said = watched.browser("operator").get(f"/logs/stream?component=gateway&after={after}").text
    assert len(named(said, "more")) == 1
    assert texts(said) == ["INFO lately", "INFO listening too"]
