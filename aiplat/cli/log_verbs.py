"""How `aiplat logs` reads its options and prints lines; reading them belongs in aiplat.actions."""

from __future__ import annotations

import contextlib
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.text import Text

from aiplat.actions.logs import component_logs, model_logs
from aiplat.cli.terminal import Console
from aiplat.cluster.log_line import LEVELS, Level, LogLine
from aiplat.cluster.pod_logs import LogQuestion
from aiplat.errors import BadInput, Finding
from aiplat.moments import moment_of
from aiplat.site.find import find_site
from aiplat.site.findings import did_you_mean
from aiplat.site.load import load_site

_TAIL = 100
_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_STYLE = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}
_WIDTH = len("critical")


@dataclass(frozen=True)
class LogOptions:
    """What was written on the command line."""

    since: str = ""
    tail: int | None = None
    level: str = "debug"
    follow: bool = False
    previous: bool = False

    def question(self) -> LogQuestion:
        """Return what is asked.

        Raises:
            BadInput: a time or a level is none.
        """
        since = since_when(self.since) if self.since else None
        tail = _TAIL if self.tail is None and since is None else self.tail
        return LogQuestion(since, tail, level_named(self.level), self.follow, self.previous)


def since_when(text: str) -> datetime:
    """Return the time that `10m` or `2026-05-04T10:00` means.

    Raises:
        BadInput: it is neither.
    """
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return moment_of(text)
    except ValueError:
        fix = "write 30s, 10m, 2h, 1d, or a time such as 2026-05-04T10:00"
        raise BadInput(Finding("--since", f"{text} is neither a time nor a span of it", fix)) from None


def level_named(text: str) -> Level:
    """Return a level by its name.

    Raises:
        BadInput: there is none of that name.
    """
    found = next((level for level in LEVELS if level == text.lower()), None)
    if found is None:
        raise BadInput(
            Finding("--level", f"there is no level {text}", did_you_mean(text, LEVELS, "there are"))
        )
    return found


def print_logs(
    argument: str | None, component: str, model: str, options: LogOptions, *, as_json: bool
) -> None:
    """Print lines until there are no more, or until Ctrl-C where they are followed.

    Raises:
        BadInput: not one of component and model is named, or what is named is not there.
    """
    if bool(component) == bool(model):
        raise BadInput(Finding("aiplat logs", "reads one thing", "name a component, or a model with --model"))
    question = options.question()
    site = load_site(find_site(argument))
    lines = model_logs(site, model, question) if model else component_logs(site, component, question)
    console = Console(highlight=False, soft_wrap=True)
    # Following has no other end.
    with contextlib.suppress(*((KeyboardInterrupt,) if options.follow else ())):
        for line in lines:
            if as_json:
                sys.stdout.write(f"{line.model_dump_json()}\n")
            else:
                console.print(_shown(line))
            if options.follow:
                sys.stdout.flush()


def _shown(line: LogLine) -> Text:
    time = line.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return Text.assemble(
        (f"{time}Z ", "dim"),
        (f"{line.level:<{_WIDTH}} ", _STYLE.get(line.level, "")),
        (f"{line.source} ", "cyan"),
        line.text,
    )
