"""/audit: who did what to what, and when; it is written by whoever does it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from aiplat.services.api.accounts import Span
from aiplat.services.api.accounts_context import Here
from aiplat.services.api.callers import needs
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import problems
from aiplat.services.bounds import API_ANSWER_PARTS
from aiplat.services.store.audit import AuditEntry, list_audit

router = APIRouter(prefix="/audit", tags=["audit"], responses=problems(401, 403, 422, 503))

_Word = Annotated[
    str | None, Field(default=None, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]


class AuditFilter(Span):
    """Which lines are meant: each filter given must match."""

    actor: _Word = Field(default=None, description="A key's id, or a part of aiplat.")
    action: _Word = Field(default=None, description="Such as key.created, run.start.")
    subject: _Word = Field(default=None, description="The key, team, run or plan it was done to.")
    before: int | None = Field(default=None, ge=1, le=2**63 - 1, description="The last `id` of a page.")
    limit: int = Field(default=100, ge=1, le=API_ANSWER_PARTS)


class AuditLine(Document):
    """One thing that somebody did."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    origin: str
    detail: dict[str, Any]


class AuditTrail(Document):
    """Lines of the audit trail, newest first."""

    entries: tuple[AuditLine, ...]


@router.get("", operation_id="listAudit", **needs("admin"))
async def list_all(here: Here, wanted: Annotated[AuditFilter, Query()]) -> AuditTrail:
    """Return lines of the audit trail."""
    entries = await list_audit(
        here.database,
        since=wanted.since,
        until=wanted.until,
        actor=wanted.actor,
        action=wanted.action,
        subject=wanted.subject,
        before_id=wanted.before,
        limit=wanted.limit,
    )
    return AuditTrail(entries=tuple(map(_line, entries)))


def _line(entry: AuditEntry) -> AuditLine:
    return AuditLine(
        id=entry.id or 0,
        at=entry.at or datetime.min,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        origin=entry.origin,
        detail=dict(entry.detail),
    )
