"""/plans: what a run would do and why; plans are made by aiplat.actions and kept by their digest."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response, status

from aiplat.services.api.callers import PREFIX, Asking, needs
from aiplat.services.api.dependencies import Here, WithKeys
from aiplat.services.api.documents import Document
from aiplat.services.api.plans import DIGEST, KeptPlan, find_plan, kept_plans, make_and_keep
from aiplat.services.api.problems import not_found, problems

router = APIRouter(prefix="/plans", tags=["plans"], responses=problems(401, 403, 503))


class Plans(Document):
    """The plans made here lately, newest first."""

    plans: tuple[KeptPlan, ...]


@router.get("", operation_id="listPlans", **needs("operator"))
def list_plans(here: Here) -> Plans:
    """Return the last plans that were made here; each is true of the moment it was made."""
    return Plans(plans=tuple(kept_plans(here.site().name)))


@router.post(
    "",
    operation_id="makePlan",
    status_code=status.HTTP_201_CREATED,
    responses=problems(409),
    **needs("operator"),
)
async def make_plan(here: Here, _keys: WithKeys, caller: Asking, response: Response) -> KeptPlan:
    """Look at the hosts over SSH and return what there is to do and why; nothing is changed.

    `refusals` is what forbids carrying it out. Apply it with `POST /runs` and its `digest`.
    """
    kept = await here.look(lambda: make_and_keep(here.site()))
    await here.note(caller, "plan.make", kept.digest, {"steps": len(kept.plan.steps)})
    response.headers["Location"] = f"{PREFIX}/plans/{kept.digest}"
    return kept


@router.get("/{digest}", operation_id="getPlan", responses=problems(404, 422), **needs("operator"))
def get_plan(digest: Annotated[str, Path(pattern=DIGEST)], here: Here) -> KeptPlan:
    """Return a plan that was made here."""
    kept = find_plan(here.site().name, digest)
    if kept is None:
        raise not_found(f"plan {digest}", f"{PREFIX}/plans")
    return kept
