"""Errors as RFC 9457 problem documents, one shape for all; when one is raised is the routers' matter."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.services.api.documents import Document
from aiplat.services.oidc.issuer import IssuerAwayError
from aiplat.services.people.directory import DirectoryAwayError
from aiplat.services.request_id import REQUEST
from aiplat.services.store.faults import NotThere, Unreachable

log = logging.getLogger("aiplat.api")

MEDIA_TYPE = "application/problem+json"
_URN = "urn:aiplat:problem:"


class ProblemFinding(Document):
    """One thing that is wrong: where, what, and what to do about it."""

    where: str = Field(examples=["body.planDigest"])
    problem: str = Field(examples=["Field required"])
    fix: str = ""

    @classmethod
    def of(cls, finding: Finding) -> ProblemFinding:
        """Return a finding as a document."""
        return cls(where=finding.where, problem=finding.problem, fix=finding.fix)

    def as_finding(self) -> Finding:
        """Return the finding that this is the document of."""
        return Finding(self.where, self.problem, self.fix)


class Problem(Document):
    """What went wrong (RFC 9457). `type` never changes its meaning; `findings` are all there are, at once."""

    type: str = Field(examples=[f"{_URN}not-found"])
    title: str = Field(examples=["There is no such thing"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["run 20260102T030405Z-0a1b2c: is not known; see GET /api/v1/runs"])
    instance: str = Field(examples=["/api/v1/runs/20260102T030405Z-0a1b2c"])
    findings: tuple[ProblemFinding, ...] = ()
    plan_digest: str | None = Field(default=None, description="With plan-moved: the plan that holds now.")
    request_id: str = Field(default="", description="What the API's log calls this request.")


@dataclass(frozen=True)
class Kind:
    """A type of problem."""

    name: str
    status: int
    title: str


MALFORMED = Kind("malformed", 400, "The request cannot be read")
NO_KEY = Kind("no-key", 401, "An API key or a token of the sign-in is needed")
FORBIDDEN = Kind("forbidden", 403, "Who asks may not do that")
NOT_FOUND = Kind("not-found", 404, "There is no such thing")
NO_SUCH_METHOD = Kind("method-not-allowed", 405, "This path does not know that method")
CONFLICT = Kind("conflict", 409, "That is not possible as things stand")
PLAN_MOVED = Kind("plan-moved", 409, "The world moved since the plan was made")
PLAN_REFUSED = Kind("plan-refused", 409, "Something forbids the plan")
RUN_AT_WORK = Kind("run-at-work", 409, "Another run of the site is at work")
RUN_REFUSED = Kind("run-refused", 409, "The run ended before it began")
RUNS_ELSEWHERE = Kind("runs-elsewhere", 409, "Runs are made where the SSH keys are")
TOO_LARGE = Kind("too-large", 413, "The request is too large")
INVALID = Kind("invalid", 422, "The request is not what the API's description asks for")
FAILED = Kind("failed", 500, "aiplat failed")
UNUSABLE = Kind("site-unusable", 503, "The site cannot be worked with as it is")
UNAVAILABLE = Kind("unavailable", 503, "Something the API needs does not answer")

KINDS = (
    *(MALFORMED, NO_KEY, FORBIDDEN, NOT_FOUND, NO_SUCH_METHOD, CONFLICT, PLAN_MOVED, PLAN_REFUSED),
    *(RUN_AT_WORK, RUN_REFUSED, RUNS_ELSEWHERE, TOO_LARGE, INVALID, FAILED, UNUSABLE, UNAVAILABLE),
)
_BY_STATUS = {
    kind.status: kind for kind in (MALFORMED, NO_KEY, FORBIDDEN, NOT_FOUND, NO_SUCH_METHOD, TOO_LARGE)
}


class ApiProblem(Exception):
    """A request that is answered by a problem; `findings` must not hold secrets."""

    def __init__(
        self,
        kind: Kind,
        findings: Finding | Iterable[Finding],
        headers: Mapping[str, str] | None = None,
        plan_digest: str | None = None,
    ) -> None:
        self.kind = kind
        self.findings = (findings,) if isinstance(findings, Finding) else tuple(findings)
        self.headers = dict(headers or {})
        self.plan_digest = plan_digest
        super().__init__(kind.title)


def answer(refusal: ApiProblem, path: str) -> JSONResponse:
    """Return a refusal as a response; `path` is what was asked for."""
    problem = Problem(
        type=_URN + refusal.kind.name,
        title=refusal.kind.title,
        status=refusal.kind.status,
        detail="; ".join(str(f) for f in refusal.findings) or refusal.kind.title,
        instance=path,
        findings=tuple(map(ProblemFinding.of, refusal.findings)),
        plan_digest=refusal.plan_digest,
        request_id=REQUEST.get(),
    )
    content = problem.model_dump(mode="json", by_alias=True, exclude_none=True)
    return JSONResponse(content, refusal.kind.status, headers=refusal.headers, media_type=MEDIA_TYPE)


def not_found(what: str, where: str) -> ApiProblem:
    """Return the refusal of a thing that does not exist; `where` says where those that do are listed."""
    return ApiProblem(NOT_FOUND, Finding(what, "is not known", f"see GET {where}"))


def runs_elsewhere() -> ApiProblem:
    """Return the refusal of what needs the SSH keys, with the sentence that says where they are."""
    where = "on the operator's machine, by `aiplat bootstrap` or the API of `aiplat serve api`"
    finding = Finding("runs", f"are made where the SSH keys are: {where}", "ask there")
    return ApiProblem(RUNS_ELSEWHERE, finding)


def refusal_of(error: AiplatError) -> ApiProblem:
    """Return an error of an action as a refusal."""
    if isinstance(error, Unreachable):
        log.warning("%s", error)
        # Where the database is, is nothing to tell people whose key could not even be looked up.
        finding = Finding("database", "does not answer", "try again in a moment")
        return ApiProblem(UNAVAILABLE, finding, {"Retry-After": "5"})
    if isinstance(error, IssuerAwayError | DirectoryAwayError):
        log.warning("%s", error)
        return ApiProblem(UNAVAILABLE, error.findings, {"Retry-After": "5"})
    if isinstance(error, NotThere):
        return ApiProblem(NOT_FOUND, error.findings)
    # Input of an action is what lies on this machine, never what the client sent.
    return ApiProblem(UNUSABLE if isinstance(error, BadInput) else FAILED, error.findings)


@contextmanager
def as_things_stand() -> Iterator[None]:
    """Answer what the block refuses by 409: right in itself, the request does not fit what is there."""
    try:
        yield
    except BadInput as error:
        raise ApiProblem(CONFLICT, error.findings) from error


def add_handlers(app: FastAPI) -> None:
    """Answer everything that can go wrong in the application by a problem."""

    @app.exception_handler(ApiProblem)
    async def _refused(request: Request, error: ApiProblem) -> JSONResponse:
        return answer(error, request.url.path)

    @app.exception_handler(AiplatError)
    async def _failed(request: Request, error: AiplatError) -> JSONResponse:
        return answer(refusal_of(error), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(ApiProblem(INVALID, _findings(error)), request.url.path)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        return answer(_http_refusal(request, error), request.url.path)

    @app.exception_handler(Exception)
    async def _broke(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s broke", request.method, request.url.path, exc_info=error)
        finding = Finding("aiplat", "met an error of its own", "see the API's log")
        return answer(ApiProblem(FAILED, finding), request.url.path)


def _findings(error: RequestValidationError) -> list[Finding]:
    # What was sent is not repeated: it may be a secret in the wrong place.
    return [Finding(".".join(map(str, detail["loc"])), str(detail["msg"])) for detail in error.errors()]


def _http_refusal(request: Request, error: HTTPException) -> ApiProblem:
    kind = _BY_STATUS.get(error.status_code) or Kind(
        "http", error.status_code, HTTPStatus(error.status_code).phrase
    )
    if kind is NOT_FOUND:
        finding = Finding(request.url.path, "is not known", "see GET /api/v1/openapi.json")
    elif kind is NO_SUCH_METHOD:
        return _no_such_method(request)
    else:
        finding = Finding(f"{request.method} {request.url.path}", str(error.detail))
    return ApiProblem(kind, finding, headers=error.headers)


def _no_such_method(request: Request) -> ApiProblem:
    # The framework names the methods of one of the path's routes; what is asked for is all of them.
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    fits = [methods for path, methods in paths.items() if _pattern(path).fullmatch(request.url.path)]
    known = ", ".join(sorted({method.upper() for methods in fits for method in methods}))
    finding = Finding(request.url.path, f"does not know {request.method}", f"it knows {known}")
    return ApiProblem(NO_SUCH_METHOD, finding, {"Allow": known})


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path)))


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may answer with these statuses."""
    titles = {kind.status: [k.title for k in KINDS if k.status == kind.status] for kind in KINDS}
    return {s: {"model": Problem, "description": "; or: ".join(titles[s])} for s in sorted(set(statuses))}
