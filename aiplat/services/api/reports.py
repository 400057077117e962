"""The last report of the checks, kept in the site's state; how the checks look is in aiplat.verify."""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import ValidationError

from aiplat.actions.verify import verify
from aiplat.content import write_atomic
from aiplat.errors import Finding
from aiplat.services.api.problems import CONFLICT, ApiProblem
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.verify.report import Report


class Reports:
    """Runs the checks one look at a time, and remembers what the last one saw."""

    def __init__(self) -> None:
        self._looking = threading.Lock()

    def look(self, site: Site) -> Report:
        """Run all checks of a site now and return what they saw.

        Raises:
            ApiProblem: the checks are being run already.
        """
        if not self._looking.acquire(blocking=False):
            raise ApiProblem(CONFLICT, Finding("checks", "are being run already", "ask again in a moment"))
        try:
            report = verify(site)
        finally:
            self._looking.release()
        write_atomic(_path(site), report.model_dump_json(by_alias=True).encode(), 0o600)
        return report

    def last(self, site: Site) -> Report | None:
        """Return the last report, None where there is none."""
        try:
            return Report.model_validate_json(_path(site).read_bytes())
        except (OSError, ValidationError):
            return None


def _path(site: Site) -> Path:
    return site_dir(site.name) / "report.json"
