"""/models: the models of a site and how they stand; those it could have are in /catalog/models."""

from __future__ import annotations

from fastapi import APIRouter

from aiplat.actions.model import ModelList, list_models
from aiplat.actions.status import ModelState, status
from aiplat.services.api.callers import needs
from aiplat.services.api.dependencies import ApiContext, Here
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import as_things_stand, problems

router = APIRouter(prefix="/models", tags=["models"], responses=problems(401, 403, 503))


class Models(Document):
    """The models that the site file names."""

    models: tuple[ModelState, ...]


@router.get("", operation_id="listModels", **needs("member"))
async def list_of_site(here: Here) -> Models:
    """Return the models of the site file and how each stands in the cluster."""
    seen = await here.look(lambda: status(here.site()))
    return Models(models=seen.models)


@router.get("/declared", operation_id="listDeclaredModels", responses=problems(409), **needs("member"))
async def list_declared(here: Here) -> ModelList:
    """Return every Model object of the cluster and how it stands, as `aiplat model list --json`.

    409 where the site has no cluster or no Model operator yet.
    """
    return await here.look(lambda: _declared(here))


def _declared(here: ApiContext) -> ModelList:
    site = here.site()
    with as_things_stand():
        return list_models(site)
