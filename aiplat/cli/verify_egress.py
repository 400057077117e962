"""`aiplat verify --egress`: how long, the table, and the file to hand over; recording is aiplat.actions'."""

from __future__ import annotations

import re
import signal
import threading
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from aiplat.actions.egress import SiteAttempt, SiteEgress, record_egress
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.content import canonical_json, write_atomic
from aiplat.errors import EXIT_CHECK_FAILED, AiplatError, BadInput, Finding
from aiplat.site.find import find_site
from aiplat.site.load import load_site

_SPAN = re.compile(r"([1-9]\d{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def show_egress(argument: str | None, span: str, report: Path | None, *, as_json: bool) -> None:
    """Record for a span of time or until Ctrl-C, print what was seen, and exit with 3 if something was."""
    site, seconds = load_site(find_site(argument)), span_seconds(span)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    enough = threading.Event()
    # The connections to hosts are children of this process, and Ctrl-C in a terminal is for all of them: they
    # inherit that it is ignored, so that the recording ends in order and nothing that was seen is lost.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def begun() -> None:
        signal.signal(signal.SIGINT, lambda *_: enough.set())
        console.print(f"recording on the hosts of {site.name} for {span}; Ctrl-C ends it early", markup=False)

    try:
        seen = record_egress(site, seconds, enough.wait, begun)
    finally:
        signal.signal(signal.SIGINT, before)
    document = seen.model_dump(mode="json", by_alias=True)
    if report:
        _write(report, canonical_json(document) + b"\n")
        console.print(f"wrote {report}", markup=False)
    if as_json:
        print_json(document)
    else:
        _show(seen)
    if not (seen.quiet and seen.whole):
        raise typer.Exit(EXIT_CHECK_FAILED)


def span_seconds(text: str) -> float:
    """Return the seconds of `90s`, `10m`, `2h` or `1d`.

    Raises:
        BadInput: it is none of these.
    """
    found = _SPAN.fullmatch(text)
    if not found:
        raise BadInput(Finding("--for", f"{text} is not a span of time", "write 90s, 10m, 2h or 1d"))
    return int(found[1]) * _SECONDS[found[2]]


def _write(target: Path, text: bytes) -> None:
    try:
        write_atomic(target, text)
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
        raise AiplatError(Finding(str(target), problem, "name another file with --report")) from None


def _show(seen: SiteEgress) -> None:
    console = Console(highlight=False)
    if seen.attempts:
        table = Table("host", "whose", "tried", "left", "where to", box=None, pad_edge=False)
        for one in seen.attempts:
            table.add_row(Text(one.host), Text(_whose(one)), str(one.tried), str(one.left), Text(_where(one)))
        console.print(table)
    for host in seen.hosts:
        if host.problem:
            console.print(f"{host.host}: not recorded to the end: {host.problem}; {host.fix}", markup=False)
        if host.more or host.lost:
            said = f"{host.lost} packets were too fast, {host.more} attempts had no room"
            console.print(f"{host.host}: not everything was recorded: {said}", markup=False)
    if seen.lab:
        counted = f"{seen.lab.packets} packets dropped meanwhile, {seen.lab.since_up} since it is up"
        console.print(f"the lab's own counter: {counted}", markup=False)
    minutes, rest = divmod(seen.seconds, 60)
    console.print(
        f"site {seen.site}: {seen.total} attempts to leave it in {minutes} min {rest} s, "
        f"{sum(one.left for one in seen.attempts)} of them left a host",
        style="green" if seen.quiet and seen.whole else "bold red",
        markup=False,
    )


def _whose(one: SiteAttempt) -> str:
    """Return the pod, its address and the process, as far as they are known."""
    who = f"pod {one.pod}" if one.pod else one.unit
    process = f"({one.process})" if one.process else ""
    return " ".join(part for part in (who, one.source, process) if part)


def _where(one: SiteAttempt) -> str:
    if one.kind == "name":
        return f"asked {one.destination} for {one.name}"
    port = f" port {one.port}" if one.port else ""
    name = f", for {one.name}" if one.name else ""
    return f"{one.destination}{port} {one.protocol}{name}"
