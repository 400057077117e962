"""`run_checks(site) -> Report`: all checks of a site, side by side; how each looks is in core and kinds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from aiplat.catalog.resolve import components_on
from aiplat.cluster.client import ClusterUnreachable
from aiplat.cluster.way import STRAIGHT, Way
from aiplat.errors import AiplatError, BadInput
from aiplat.site.models import Site
from aiplat.verify.check import Check, Failed, Skipped
from aiplat.verify.context import CheckContext, Disks
from aiplat.verify.core import CORE, OF_HOSTS, api_answers
from aiplat.verify.declared import read_checks
from aiplat.verify.kinds import check_of
from aiplat.verify.report import Report, Result

OnResult = Callable[[Result, int], None]
_SIDE_BY_SIDE = 8
_AGAIN_SECONDS = 2.0
_NO_CLUSTER = "the Kubernetes API does not answer"


def checks_of(site: Site) -> tuple[Check, ...]:
    """Return every check of a site: the core's, then those of each component that is on.

    In an existing cluster without those of hosts, which are its owner's.

    Raises:
        AiplatError: a checks.yaml is not what it should be (a defect of this installation).
    """
    core = (check for check in CORE if not site.is_guest or check.look not in OF_HOSTS)
    return (*core, *_declared(site))


def _declared(site: Site) -> Iterator[Check]:
    for component in components_on(site):
        path = component.folder / "checks.yaml"
        if path.exists():
            yield from (check_of(component, declared) for declared in read_checks(path).checks)


def run_checks(
    site: Site,
    on_result: OnResult = lambda _result, _total: None,
    *,
    patience: float = 0,
    way: Way = STRAIGHT,
    disks: Disks = lambda: None,
) -> Report:
    """Look at a site and return what was seen, in the order of the checks.

    `on_result` is called with each result as it comes, from several threads, and the number of all checks; of
    a check that is asked again, once more with what it says then.

    Args:
        site: the site.
        on_result: told of each result.
        patience: seconds for which checks that fail are asked again, for what is still starting.
        way: how connections to the site go.
        disks: asked for what is full on the hosts.
    """
    checks, deadline = checks_of(site), time.monotonic() + patience

    def ask(asked: Sequence[Check]) -> dict[Check, Result]:
        context = CheckContext(site, way, disks)

        def one(check: Check) -> Result:
            result = run_check(check, context)
            on_result(result, len(checks))
            return result

        with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
            return dict(zip(asked, pool.map(one, asked), strict=True))

    results = ask(checks)
    while _fails(results) and time.monotonic() < deadline:
        time.sleep(_AGAIN_SECONDS)
        # What could not be looked at may be there now as well.
        results |= ask([check for check, result in results.items() if result.result != "OK"])
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Report(site=site.name, checked_at=now, results=tuple(results[check] for check in checks))


def _fails(results: Mapping[Check, Result]) -> bool:
    return any(result.result == "FAIL" for result in results.values())


def run_check(check: Check, context: CheckContext) -> Result:
    """Return what one check saw; a check that breaks is a FAIL, never a crash and never an OK."""
    begun = time.monotonic()
    result = Result(
        sentence=check.sentence, plane=check.plane, component=check.component, result="OK", every=check.every
    )
    try:
        seen = {"detail": check.look(context)}
    except Failed as failed:
        seen = {"result": "FAIL", "detail": str(failed), "fix": failed.fix}
    except Skipped as skipped:
        seen = {"result": "SKIP", "detail": str(skipped)}
    except AiplatError as error:
        seen = _unreachable(check, error)
    except Exception as error:
        seen = {"result": "FAIL", "detail": f"the check itself broke: {type(error).__name__}: {error}"}
    return result.model_copy(update={**seen, "seconds": round(time.monotonic() - begun, 3)})


def _unreachable(check: Check, error: AiplatError) -> dict[str, str]:
    # One cause, one FAIL: what merely could not be looked at is skipped.
    if isinstance(error, ClusterUnreachable | BadInput) and check.look is not api_answers:
        return {"result": "SKIP", "detail": _NO_CLUSTER}
    first = error.findings[0]
    return {"result": "FAIL", "detail": f"{first.where}: {first.problem}", "fix": first.fix}
