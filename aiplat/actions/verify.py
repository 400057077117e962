"""`aiplat verify`: looks at a site and returns the report; what is looked at belongs to aiplat.verify."""

from __future__ import annotations

from functools import partial

from aiplat.fleet.disks import full_disks
from aiplat.fleet.tunnel import way_to
from aiplat.site.models import Site
from aiplat.verify.report import Report
from aiplat.verify.run import OnResult, run_checks


def verify(site: Site, on_result: OnResult = lambda _result, _total: None) -> Report:
    """Return what every check of the site saw; nothing is changed."""
    return run_checks(site, on_result, way=way_to(site), disks=partial(full_disks, site))
