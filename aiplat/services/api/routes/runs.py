"""/runs: starts, lists, stops runs; a run is a process of its own (aiplat.services.api.launch)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response, status
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from sse_starlette import EventSourceResponse

from aiplat.actions.plan import PlanMovedError
from aiplat.runs.journal import new_run_id
from aiplat.services.api.callers import PREFIX, Asking, needs
from aiplat.services.api.dependencies import ApiContext, Here, WithKeys
from aiplat.services.api.documents import Document
from aiplat.services.api.follow import follow, is_told
from aiplat.services.api.launch import RunView, list_views, refuse_beside_another, stop_run, view_run
from aiplat.services.api.plans import DIGEST, make_and_keep
from aiplat.services.api.problems import PLAN_REFUSED, ApiProblem, problems

router = APIRouter(prefix="/runs", tags=["runs"], responses=problems(401, 403, 503))

RunId = Annotated[str, Path(pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{6}$", examples=["20260102T030405Z-0a1b2c"])]


class NewRun(Document):
    """What is asked for: that just this plan is carried out."""

    plan_digest: str = Field(
        pattern=DIGEST, examples=[f"sha256:{'0' * 64}"], description="The `digest` of a plan (`POST /plans`)."
    )


class Runs(Document):
    """Runs, newest first; those before the last one here are had with `before`."""

    runs: tuple[RunView, ...]


@router.get("", operation_id="listRuns", responses=problems(422), **needs("operator"))
def list_runs(
    here: Here,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(pattern=r"^\d{8}T\d{6}Z-[0-9a-f]{6}$")] = None,
) -> Runs:
    """Return the runs of the site that were made on this machine, whoever started them."""
    return Runs(runs=tuple(list_views(here.site().name, limit, before)))


@router.post(
    "",
    operation_id="startRun",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(409, 422),
    **needs("operator"),
)
async def start_run(
    wanted: NewRun, here: Here, keys: WithKeys, caller: Asking, response: Response
) -> RunView:
    """Carry out a plan, if it is still the plan: it is made again first, and 409 says that the world moved.

    The run continues when the API is stopped. Follow it at `/runs/{id}/events`.
    """
    site, run = await here.look(lambda: _agree(here, wanted.plan_digest)), new_run_id()
    # Written before it is done: what stands in no audit trail does not happen.
    await here.note(caller, "run.start", run, {"plan": wanted.plan_digest})
    view = await here.look(lambda: keys.start(site, run, wanted.plan_digest, caller.id))
    response.headers["Location"] = f"{PREFIX}/runs/{view.id}"
    return view


def _agree(here: ApiContext, digest: str) -> str:
    """Make the plan again and return the site's name if the plan is the one with this digest."""
    site = here.site()
    refuse_beside_another(site.name)
    kept = make_and_keep(site)
    if kept.digest != digest:
        raise PlanMovedError(site.name, digest, kept.digest)
    if kept.refusals:
        raise ApiProblem(PLAN_REFUSED, [r.as_finding() for r in kept.refusals])
    return site.name


@router.get("/{run}", operation_id="getRun", responses=problems(404, 422), **needs("operator"))
def get_run(run: RunId, here: Here) -> RunView:
    """Return a run and how it stands."""
    return view_run(here.site().name, run)


@router.post(
    "/{run}/stop",
    operation_id="stopRun",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(404, 409, 422),
    **needs("operator"),
)
async def stop(run: RunId, here: Here, _keys: WithKeys, caller: Asking) -> RunView:
    """Ask a run to stop at its next safe point, as Ctrl-C does; the next run continues from the hosts."""
    site = (await run_in_threadpool(here.site)).name
    await run_in_threadpool(view_run, site, run)
    await here.note(caller, "run.stop", run, {})
    return await run_in_threadpool(stop_run, site, run)


@router.get(
    "/{run}/events",
    operation_id="followRun",
    response_class=EventSourceResponse,
    responses=problems(404, 422) | {204: {"description": "The run is over and everything was sent before."}},
    **needs("operator"),
)
async def follow_run(
    run: RunId,
    here: Here,
    last_event_id: Annotated[
        int, Header(ge=0, description="The id of the last event that arrived; those behind it follow.")
    ] = 0,
) -> Response:
    """Stream the events of a run: those there were, then those to come, until the run is over.

    Each has its place in the journal as `id`, its kind as `event` and the journal's JSON line as `data`. A
    client that lost the connection continues with `Last-Event-ID`; one that has everything gets 204, which
    tells a browser not to come back.
    """
    site = (await run_in_threadpool(here.site)).name
    await run_in_threadpool(view_run, site, run)
    if await run_in_threadpool(is_told, site, run, last_event_id):
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    return EventSourceResponse(follow(site, run, last_event_id), sep="\n")
