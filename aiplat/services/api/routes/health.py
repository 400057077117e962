"""/health: whether the API can do its work; answered without a key, so it tells nothing else."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from aiplat.services.api.accounts_context import Here
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import problems
from aiplat.services.store.changes import settings_version

router = APIRouter(tags=["health"])


class Health(Document):
    """Whether the API works, and whether runs are made here or only looked at."""

    status: Literal["ok"] = "ok"
    runs: Literal["here", "elsewhere"]


@router.get("/health", operation_id="getHealth", responses=problems(503), openapi_extra={"security": []})
async def get_health(here: Here) -> Health:
    """Return whether the API and its database answer."""
    await settings_version(here.database)
    return Health(runs="here" if here.makes_runs else "elsewhere")
