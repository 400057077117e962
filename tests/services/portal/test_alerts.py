"""Alerts on the page of what needs attention: which, for whom, with which cause and command."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from aiplat.services.bounds import LISTED_BYTES
from aiplat.services.portal.alerts import SHOWN, Alerts, Runbook
from tests.ports import free_port
from tests.services.portal.conftest import Site


def alert(name: str, severity: str = "critical", state: str = "firing", **labels: str) -> dict[str, Any]:
    """Return an alert as Prometheus has it."""
    return {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": "S", "description": f"{name} it is.", "runbook": "docs"},
        "state": state,
        "activeAt": "2026-01-01T00:00:00Z",
        "value": "1e+00",
    }


class Prometheus(HTTPServer):
    """Answers `/api/v1/alerts` with what it was given."""

    status, body = 200, b""

    def has(self, *alerts: dict[str, Any]) -> None:
        """Have these alerts from now on."""
        self.body = json.dumps({"status": "success", "data": {"alerts": list(alerts)}}).encode()


class Handler(BaseHTTPRequestHandler):
    """One question."""

    server: Prometheus

    def do_GET(self) -> None:
        """Answer it."""
        self.send_response(self.server.status if self.path == "/api/v1/alerts" else 404)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def prometheus(site: Site) -> Iterator[Prometheus]:
    """A Prometheus that the site's portal asks."""
    server = Prometheus(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    _ask(site, server.server_port)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _ask(site: Site, port: int) -> None:
    site.ask(Alerts(f"http://127.0.0.1:{port}", Runbook.shipped()))


def test_an_alert_stands_with_its_cause_and_a_command_that_can_be_run(
    site: Site, prometheus: Prometheus
) -> None:
    """The names of what it is about are in the command."""
    prometheus.has(
        alert("PodWaits", namespace="n", pod="p"),
        alert("NodeNotReady", node="a1"),
    )
    text = site.browser("operator").get("/").text
    assert "critical NodeNotReady a1" in text
    assert "NodeNotReady it is. The host is off, its network is down" in text
    assert "kubectl -n n describe pod p" in text


def test_an_alert_that_is_over_is_not_shown_any_more(site: Site, prometheus: Prometheus) -> None:
    """Nobody has to do anything for it."""
    browser = site.browser("operator")
    prometheus.has(alert("NodeNotReady", node="a1"))
    assert "NodeNotReady" in browser.get("/").text
    prometheus.has()
    assert "Nothing. 1 node and 1 model are as they should be." in browser.get("/").text


def test_notes_and_what_may_become_an_alert_are_not_shown(site: Site, prometheus: Prometheus) -> None:
    """The page says what somebody should do something about; the gravest comes first."""
    prometheus.has(
        alert("Noted", "info"),
        alert("Coming", state="pending"),
        alert("Minor", "warning"),
        alert("Major", "critical"),
    )
    text = site.browser("admin").get("/").text
    assert "Noted" not in text
    assert "Coming" not in text
    assert 0 < text.index("Major") < text.index("Minor")


def test_a_member_is_not_told_of_alerts(site: Site, prometheus: Prometheus) -> None:
    """They are about machines, which are the operators'."""
    prometheus.has(alert("NodeNotReady", node="a1"))
    assert "NodeNotReady" not in site.browser("red").get("/").text


def test_what_an_alert_says_is_text_and_no_part_of_a_command_where_it_is_no_name(
    site: Site, prometheus: Prometheus
) -> None:
    """A label with anything but a name in it is not written into what people copy."""
    prometheus.has(alert("PodWaits", namespace="n", pod="p; <b>rm</b>"))
    text = site.browser("operator").get("/").text
    assert "kubectl -n n describe pod POD" in text
    assert "<b>rm" not in text


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b""), (200, b"no JSON"), (200, b'{"data": 1}'), (200, b" " * (LISTED_BYTES + 1))],
)
def test_an_answer_that_cannot_be_used_is_said_and_the_page_is_shown(
    status: int, body: bytes, site: Site, prometheus: Prometheus
) -> None:
    """One that has no end is not read to its end."""
    prometheus.status, prometheus.body = status, body
    text = site.browser("operator").get("/").text
    assert "Prometheus does not say which there are" in text
    assert "aiplat logs prometheus" in text


def test_a_prometheus_that_is_away_is_said(site: Site) -> None:
    """It breaks no page."""
    _ask(site, free_port())
    assert "Prometheus does not say which there are" in site.browser("operator").get("/").text


def test_no_more_is_shown_than_somebody_can_read(site: Site, prometheus: Prometheus) -> None:
    """So many at once have one cause."""
    prometheus.has(*(alert("PodWaits", "warning", pod=f"p{number}") for number in range(SHOWN + 20)))
    assert site.browser("operator").get("/").text.count("warning PodWaits") == SHOWN
