"""A run of which the site is told while it is made, where it has pages to show it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from aiplat.actions.model import objects_of
from aiplat.catalog.resolve import components_on
from aiplat.cluster.run_reports import ReportShelf
from aiplat.runs.events import Event
from aiplat.runs.reporter import Reporter
from aiplat.runs.run import Listener, Run, running
from aiplat.site.models import Site

PAGES = "portal"


@contextlib.contextmanager
def reported_run(site: Site, verb: str, listener: Listener, run_id: str | None = None) -> Iterator[Run]:
    """Make a run as `running` does, with a report of it in the site's cluster.

    Raises:
        StoppedError, AiplatError: as `running` does; nothing about the report is an error.
    """
    pages = next((c for c in components_on(site) if c.name == PAGES), None)
    if pages is None or pages.namespace is None:
        with running(site.name, verb, listener, run_id, place=site.place) as run:
            yield run
        return
    namespace = pages.namespace
    with Reporter(site.name, lambda: ReportShelf(objects_of(site), namespace)) as reporter:

        def told(event: Event) -> None:
            listener(event)
            reporter.see(event)

        with running(site.name, verb, told, run_id, place=site.place) as run:
            yield run
