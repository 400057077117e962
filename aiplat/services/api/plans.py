"""Keeps the plans made through the API in the site's state, by digest; what is in one is aiplat.plan's."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from aiplat.actions.plan import PlanView, plan_site
from aiplat.content import write_atomic
from aiplat.plan.models import Plan
from aiplat.runs.journal import now
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import ProblemFinding
from aiplat.site.models import Site
from aiplat.state import private_dir, site_dir

DIGEST = r"^sha256:[0-9a-f]{64}$"
_KEPT = 20


class KeptPlan(Document):
    """A plan, true of the moment it was made. `assumed`: hosts are still to be made.

    `refusals` forbid carrying it out, `warnings` do not. `unseen` are hosts that could not be looked at.
    """

    digest: str = Field(pattern=DIGEST, examples=[f"sha256:{'0' * 64}"])
    made_at: str
    nothing_to_do: bool
    assumed: bool
    refusals: tuple[ProblemFinding, ...]
    warnings: tuple[ProblemFinding, ...] = ()
    unseen: tuple[str, ...] = ()
    plan: Plan


def make_and_keep(site: Site) -> KeptPlan:
    """Make a site's plan again, keep it, and forget the oldest beyond twenty."""
    view = plan_site(site)
    kept = _kept(view)
    folder = _folder(site.name)
    write_atomic(folder / _file_name(kept.digest), kept.model_dump_json(by_alias=True).encode(), 0o600)
    for old in _newest_first(folder)[_KEPT:]:
        old.unlink(missing_ok=True)
    return kept


def _kept(view: PlanView) -> KeptPlan:
    return KeptPlan(
        digest=view.plan.digest,
        made_at=now(),
        nothing_to_do=view.plan.nothing_to_do and not view.unseen,
        assumed=view.assumed,
        refusals=tuple(map(ProblemFinding.of, view.findings)),
        warnings=tuple(map(ProblemFinding.of, view.warnings)),
        unseen=view.unseen,
        plan=view.plan,
    )


def kept_plans(site: str) -> list[KeptPlan]:
    """Return the plans of a site that are still kept, newest first."""
    return [kept for path in _newest_first(_folder(site)) if (kept := _read(path))]


def find_plan(site: str, digest: str) -> KeptPlan | None:
    """Return a plan that is still kept, or None; `digest` has the form of one."""
    return _read(_folder(site) / _file_name(digest))


def _folder(site: str) -> Path:
    return private_dir(site_dir(site) / "plans")


def _file_name(digest: str) -> str:
    return f"{digest.removeprefix('sha256:')}.json"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _read(path: Path) -> KeptPlan | None:
    try:
        return KeptPlan.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
