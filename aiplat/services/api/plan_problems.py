"""Errors about plans as problem documents, where plans are made; those of all else are in problems."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from aiplat.actions.plan import PlanMovedError, PlanRefusedError
from aiplat.services.api.problems import PLAN_MOVED, PLAN_REFUSED, ApiProblem, answer


def add_plan_handlers(app: FastAPI) -> None:
    """Answer a plan that moved, or that something forbids, by a problem of its own."""

    @app.exception_handler(PlanMovedError)
    async def _moved(request: Request, error: PlanMovedError) -> JSONResponse:
        return answer(ApiProblem(PLAN_MOVED, error.findings, plan_digest=error.digest), request.url.path)

    @app.exception_handler(PlanRefusedError)
    async def _refused(request: Request, error: PlanRefusedError) -> JSONResponse:
        return answer(ApiProblem(PLAN_REFUSED, error.findings), request.url.path)
