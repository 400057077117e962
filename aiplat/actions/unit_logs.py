"""What units of the hosts wrote to their journals, asked over ssh; which lines are shown belongs in logs."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime

from aiplat.cluster.log_line import Level, LogLine, level_of, level_of_priority
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.fleet.answers import document_of
from aiplat.fleet.ssh import run_on
from aiplat.moments import moment_at
from aiplat.site.models import Host, Site

# Component of the hosts → its units; a host has one of them.
UNITS = {"k3s": ("k3s", "k3s-agent"), "registry": ("aiplat-registry",), "nvidia": ("aiplat-gpu",)}
_MOST_LINES = 10_000
_MICROSECOND = 1e-6


def unit_lines(
    site: Site, component: str, since: datetime | None, tail: int | None, follow: bool
) -> Iterator[LogLine]:
    """Yield the journal of a component's units on every host, oldest line first.

    Raises:
        BadInput: units are not followed.
        AiplatError: a host cannot be reached.
    """
    unit = UNITS[component][0]
    if follow:
        fix = f"leave out --follow, or on the host: journalctl -fu {unit}"
        raise BadInput(
            Finding("--follow", f"{component} runs on the hosts, whose journals are not followed", fix)
        )
    read = [list(_of_host(site, host, UNITS[component], since, tail or _MOST_LINES)) for host in site.hosts]
    return heapq.merge(*read, key=lambda line: line.time)


def _of_host(
    site: Site, host: Host, units: tuple[str, ...], since: datetime | None, tail: int
) -> Iterator[LogLine]:
    named = [word for unit in units for word in ("--unit", unit)]
    after = [f"--since=@{since.timestamp():.0f}"] if since else []
    argv = ["journalctl", "--output=json", "--quiet", "--no-pager", f"--lines={tail}", *named, *after]
    done = run_on(site, host, argv)
    if done.code != 0:
        fix = f"look there: systemctl status {units[0]}"
        raise AiplatError(Finding(host.name, f"its journal is not read: {done.stderr.strip()[-200:]}", fix))
    last: Level | None = None
    for entry in done.stdout.splitlines():
        line = _line(host.name, entry, last)
        if line is not None:
            last = line.level or last
            yield line


def _line(host: str, entry: bytes, last: Level | None) -> LogLine | None:
    try:
        said = document_of(entry)
        text, time = said["MESSAGE"], moment_at(int(said["__REALTIME_TIMESTAMP"]) * _MICROSECOND)
    except (ValueError, KeyError, TypeError):
        return None
    # The journal gives what is not UTF-8 as numbers.
    text = text if isinstance(text, str) else bytes(text or ()).decode(errors="replace")
    level = level_of(text) or last or level_of_priority(said.get("PRIORITY"))
    unit = str(said.get("_SYSTEMD_UNIT", "")).removesuffix(".service")
    return LogLine(time=time, source=f"{host}/{unit}" if unit else host, level=level or "", text=text)
