"""`aiplat lock`: pins what a site installs to what upstream has, writes that down, and says what changed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aiplat.actions.known_lock import written_lock
from aiplat.catalog.artifacts import Lock
from aiplat.catalog.lockfile import diff_locks, lock_path, write_lock
from aiplat.catalog.resolve import components_on, resolve
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.site.models import Site
from aiplat.supply.choose import choose_supply
from aiplat.supply.contract import SupplyProgress
from aiplat.supply.upstream.answering import silence
from aiplat.supply.upstream.lock import pin_all
from aiplat.supply.upstream.supply import UpstreamSupply


@dataclass(frozen=True)
class Locked:
    """The lock as it is written now, and a sentence for each difference from what was there before."""

    lock: Lock
    changes: tuple[str, ...]
    new: bool


def lock_site(site: Site, told: SupplyProgress, update: Collection[str] = ()) -> Locked:
    """Pin everything that a site installs; of the components in `update`, what upstream has now.

    Raises:
        BadInput: the site's artifacts do not come from upstream, or `update` names what it does not install.
        AiplatError: upstream does not have something, does not answer, or has exchanged what was pinned.
    """
    _see_components(site, update)
    choice = choose_supply(site)
    if choice.name != "upstream":
        problem = f"{choice.why}; `packages` locks what it builds by itself"
        fix = "nothing to do; to fetch the projects' own releases, write `supply: upstream` into site.yaml"
        raise BadInput(Finding(f"site {site.name}", problem, fix))
    _see_upstream(site)
    wanted, before = resolve(site, supply="upstream"), written_lock(site)
    earlier = before if before and before.supply == "upstream" else None
    lock = pin_all(wanted, earlier, UpstreamSupply(site), told, update)
    changes = tuple(diff_locks(before, lock)) if before else ()
    if lock != before:
        write_lock(lock_path(site), lock)
    return Locked(lock, changes, new=before is None)


def pinned(site: Site, lock: Lock, told: SupplyProgress) -> Lock:
    """Return a lock of which everything is pinned: what is not yet is pinned now, and written down.

    Raises:
        AiplatError: upstream does not have something, or does not answer.
    """
    if lock.supply != "upstream" or all(a.pinned for a in lock.artifacts):
        return lock
    _see_upstream(site)
    missing = lock.model_copy(update={"artifacts": tuple(a for a in lock.artifacts if not a.pinned)})
    found = {a.inputs: a for a in pin_all(missing, None, UpstreamSupply(site), told).artifacts}
    whole = lock.model_copy(update={"artifacts": tuple(found.get(a.inputs, a) for a in lock.artifacts)})
    write_lock(lock_path(site), whole)
    return whole


def _see_upstream(site: Site) -> None:
    """Stop where nothing of upstream answers: each artifact would say so again, after many tries."""
    if problem := silence(site):
        fix = "see this machine's network; behind a proxy set HTTPS_PROXY, or name mirrors in site.yaml"
        raise AiplatError(Finding("upstream", f"none of its hosts answers ({problem})", fix))


def _see_components(site: Site, update: Collection[str]) -> None:
    on = {component.name for component in components_on(site)}
    findings = [
        Finding("--update", f"the site installs no component {name}", f"it has {', '.join(sorted(on))}")
        for name in update
        if name not in on
    ]
    if findings:
        raise BadInput(findings)
