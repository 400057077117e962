"""What an API in the site does not answer: everything about hosts and the site file, by one sentence."""

from __future__ import annotations

from typing import NoReturn

from fastapi import APIRouter

from aiplat.services.api.problems import runs_elsewhere

router = APIRouter()

_NAMES = ("site", "planes", "models", "checks", "plans", "runs", "catalog")
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


async def _refuse() -> NoReturn:
    raise runs_elsewhere()


for _name in _NAMES:
    for _path in (f"/{_name}", f"/{_name}/{{rest:path}}"):
        router.add_api_route(_path, _refuse, methods=_METHODS, include_in_schema=False, response_model=None)
