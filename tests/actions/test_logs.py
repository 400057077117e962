"""Lines of a component's pods in the order of time, with the level that each program has in its own form."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import typer
from typer.testing import CliRunner

from aiplat.actions import unit_logs
from aiplat.actions.logs import component_logs
from aiplat.cli import logs
from aiplat.cli.log_verbs import LogOptions, since_when
from aiplat.cluster.log_line import level_of
from aiplat.cluster.pod_logs import LogQuestion
from aiplat.errors import AiplatError, BadInput
from aiplat.fleet.ssh import Completed
from aiplat.site.models import Host, Site
from tests.cluster import kube as given
from tests.verify.loopback import Loopback

EARLY = "2026-05-04T10:00:01.000000001Z INFO listening on 8443\n2026-05-04T10:00:03.5Z ERROR broke\n"
LATE = "2026-05-04T10:00:02Z INFO listening too\n2026-05-04T10:00:04Z   a line of its own\n"


def two_gateways(healthy: Loopback) -> Loopback:
    """The site with two pods of the gateway, which wrote by turns."""
    labels = {"app.kubernetes.io/name": "gateway", "app.kubernetes.io/instance": "gateway"}
    healthy.kube.lists["pods"].append(given.pod("gateway-2", "aiplat-access", labels, "i"))
    healthy.kube.logs = {"gateway-1": EARLY, "gateway-2": LATE}
    return healthy


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("INFO listening on 0.0.0.0:8443", "info"),
        ("WARNING model phi3: broke", "warning"),
        ('time=2026-05-04T10:00:00Z level=WARN source=routes.go:1 msg="INFO"', "warning"),
        ('{"time":"x","level":"error","msg":"no"}', "error"),
        ("E0504 10:00:00.123456       1 main.go:1] failed", "error"),
        ("2026-05-04 10:00:00.000 UTC [1] FATAL:  the database system is shutting down", "critical"),
        ("2026-05-04 10:00:00.000 UTC [1] LOG:  checkpoint starting", "info"),
        ("(EngineCore pid=9) INFO 05-04 10:00:00 [core.py:1] ready", "info"),
        ("error: cannot open the file", "error"),
        ("the error is somewhere else", None),
        ("    at line 3 of INFORMATION", None),
    ],
)
def test_a_level_is_found_in_every_form(line: str, level: str | None) -> None:
    """Python, logfmt, JSON, klog, PostgreSQL, vLLM; words of a sentence are none."""
    assert level_of(line) == level


def test_lines_of_all_pods_come_in_the_order_of_time(healthy: Loopback) -> None:
    """Each with its pod; one without a level has that of the one before."""
    lines = list(component_logs(two_gateways(healthy).site, "gateway", LogQuestion(tail=50)))
    assert [(line.source, line.level, line.text) for line in lines] == [
        ("gateway-1", "info", "INFO listening on 8443"),
        ("gateway-2", "info", "INFO listening too"),
        ("gateway-1", "error", "ERROR broke"),
        ("gateway-2", "info", "  a line of its own"),
    ]
    assert "tailLines=50" in healthy.kube.asked[-1]


def test_followed_lines_end_when_the_pods_do(healthy: Loopback) -> None:
    """All streams are read side by side, and only what is serious enough is shown."""
    wanted = LogQuestion(level="warning", follow=True)
    lines = list(component_logs(two_gateways(healthy).site, "gateway", wanted))
    assert [line.text for line in lines] == ["ERROR broke"]
    assert "follow=true" in healthy.kube.asked[-1]


def test_engines_of_an_engine_are_not_the_operators_lines(healthy: Loopback) -> None:
    """Their pods carry the operator's name as well."""
    healthy.kube.logs = {"operator-1": LATE, "engine-gemma3-270m-base-q4-k-m-1": EARLY}
    assert {line.source for line in component_logs(healthy.site, "operator", LogQuestion())} == {"operator-1"}
    engines = {line.source for line in component_logs(healthy.site, "ollama", LogQuestion())}
    assert engines == {"engine-gemma3-270m-base-q4-k-m-1"}


def test_a_pod_that_has_no_log_yet_says_why_among_the_lines(healthy: Loopback) -> None:
    """The others are shown all the same."""
    healthy.kube.refuse = 0
    site = two_gateways(healthy).site
    lines = component_logs(site, "gateway", LogQuestion())
    healthy.kube.refuse = 400
    assert [(line.level, line.text) for line in lines] == [("warning", "no log: no")] * 2


def test_a_name_that_is_none_gets_the_nearest_one(healthy: Loopback) -> None:
    """And a component without pods is told apart from one that is not there."""
    with pytest.raises(BadInput, match='did you mean "gateway"'):
        component_logs(healthy.site, "gatway", LogQuestion())
    healthy.kube.lists["pods"] = []
    with pytest.raises(BadInput, match="has no pod at the moment"):
        component_logs(healthy.site, "gateway", LogQuestion())


def test_units_of_hosts_are_read_from_their_journals(
    healthy: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    """k3s writes levels its own way; who says none has the journal's."""
    asked: list[list[str]] = []
    entries: list[dict[str, object]] = [
        {"MESSAGE": 'level=error msg="no"', "PRIORITY": "6", "_SYSTEMD_UNIT": "k3s.service"},
        {"MESSAGE": [104, 105, 255], "PRIORITY": "4"},
    ]

    def journal(_site: Site, _host: Host, argv: list[str]) -> Completed:
        asked.append(argv)
        times = ({"__REALTIME_TIMESTAMP": str(1777888800000000 + n)} for n in range(2))
        written = [json.dumps(e | t) for e, t in zip(entries, times, strict=True)]
        return Completed(0, "\n".join([*written, "not JSON"]).encode(), "")

    monkeypatch.setattr(unit_logs, "run_on", journal)
    since = datetime(2026, 5, 4, tzinfo=UTC)
    lines = list(component_logs(healthy.site, "k3s", LogQuestion(since=since, tail=7)))
    assert [(line.source, line.level, line.text) for line in lines] == [
        ("s1/k3s", "error", 'level=error msg="no"'),
        ("s1", "error", "hi�"),
    ]
    assert {"--lines=7", "k3s-agent", f"--since=@{since.timestamp():.0f}"} <= set(asked[0])
    with pytest.raises(BadInput, match="journals are not followed"):
        component_logs(healthy.site, "k3s", LogQuestion(follow=True))
    monkeypatch.setattr(unit_logs, "run_on", lambda *_: Completed(1, b"", "no journal files"))
    with pytest.raises(AiplatError, match="its journal is not read: no journal files"):
        component_logs(healthy.site, "registry", LogQuestion())


def test_times_are_spans_or_times() -> None:
    """A time without a zone is UTC."""
    before = datetime.now(UTC)
    assert before <= since_when("10m") + timedelta(minutes=10) <= datetime.now(UTC)
    assert since_when("2026-05-04T10:00") == datetime(2026, 5, 4, 10, tzinfo=UTC)
    with pytest.raises(BadInput, match="yesterday is neither"):
        since_when("yesterday")
    with pytest.raises(BadInput, match='did you mean "warning"'):
        LogOptions(level="warnign").question()
    assert (LogOptions().question().tail, LogOptions(since="1h").question().tail) == (100, None)


def test_the_verb_prints_lines_for_people_and_for_programs(
    healthy: Loopback, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Control characters of what others wrote stay on the line; neither both nor none may be named."""
    path = tmp_path_factory.mktemp("site") / "site.yaml"
    path.write_text(json.dumps(healthy.site.model_dump(mode="json", by_alias=True, exclude_none=True)))
    healthy.kube.logs = {"gateway-1": "2026-05-04T10:00:01Z WARNING \x1b[2Jgone\n"}
    app = typer.Typer()
    app.callback()(lambda: None)
    logs.register(app)
    run = CliRunner().invoke
    shown = run(app, ["logs", "gateway", "--site", str(path)])
    assert shown.output == "2026-05-04T10:00:01.000Z warning  gateway-1 WARNING \\x1b[2Jgone\n"
    written = run(app, ["logs", "gateway", "--site", str(path), "--json"])
    assert json.loads(written.output)["source"] == "gateway-1"
    assert isinstance(run(app, ["logs", "--site", str(path)]).exception, BadInput)
