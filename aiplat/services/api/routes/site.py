"""/site, /planes: what the site file wants and how it stands; both are found out by aiplat.actions."""

from __future__ import annotations

from fastapi import APIRouter

from aiplat.actions.status import PlaneState, Status, status
from aiplat.services.api.callers import needs
from aiplat.services.api.dependencies import ApiContext, Here
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import not_found, problems
from aiplat.site.models import Site

router = APIRouter(responses=problems(401, 403, 503))


class Planes(Document):
    """The planes of the platform, in the order of the whole picture."""

    planes: tuple[PlaneState, ...]


@router.get("/site", operation_id="getSite", tags=["site"], **needs("operator"))
def get_site(here: Here) -> Site:
    """Return the site file as it is now, with its defaults filled in."""
    return here.site()


@router.get("/site/status", operation_id="getSiteStatus", tags=["site"], **needs("operator"))
async def get_status(here: Here) -> Status:
    """Return how the site stands, what needs attention first: the document of `aiplat status --json`."""
    return await _status(here)


@router.get("/planes", operation_id="listPlanes", tags=["site"], **needs("member"))
async def list_planes(here: Here) -> Planes:
    """Return every plane with its components and how they stand."""
    return Planes(planes=(await _status(here)).planes)


@router.get(
    "/planes/{plane}",
    operation_id="getPlane",
    tags=["site"],
    responses=problems(404, 422),
    **needs("member"),
)
async def get_plane(plane: str, here: Here) -> PlaneState:
    """Return one plane."""
    for known in (await _status(here)).planes:
        if known.name == plane:
            return known
    raise not_found(f"plane {plane}", "/api/v1/planes")


async def _status(here: ApiContext) -> Status:
    return await here.look(lambda: status(here.site()))
