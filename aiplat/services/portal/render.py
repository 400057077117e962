"""Pages from templates: what every page has, escaped by default; what is on one is the page's."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aiplat.cluster.run_reports import ProgressSeen
from aiplat.moments import moment_of
from aiplat.services.portal.context import Portal, portal_of
from aiplat.services.portal.paths import PAGES
from aiplat.services.portal.visitors import Visitor
from aiplat.services.request_id import REQUEST
from aiplat.services.store.money import amount

# A page of about 500 words, at three words to four tokens.
_TOKENS_A_PAGE = 670
_MINUTE, _MB = 60, 10**6

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def moment(value: datetime | None) -> str:
    """Return a moment as people read it, in UTC to the minute."""
    return f"{value:%Y-%m-%d %H:%M} UTC" if value else "never"


def pages_of(tokens: Decimal | int) -> str:
    """Return how many pages of text so many tokens are, roughly."""
    return f"{int(tokens) // _TOKENS_A_PAGE:,}"


def clock(text: str) -> str:
    """Return a moment that stands in a document as people read it, in UTC to the second."""
    try:
        return second(moment_of(text)) + " UTC"
    except ValueError:
        return text


def second(value: datetime) -> str:
    """Return a moment in UTC to the second."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def seconds(value: float) -> str:
    """Return a span of time: seconds, or minutes and seconds."""
    return f"{value:.0f} s" if value < _MINUTE else f"{value // _MINUTE:.0f} min {value % _MINUTE:.0f} s"


def progress(part: ProgressSeen) -> str:
    """Return how far something is, in its unit."""
    sizes = [
        f"{number / _MB:,.1f} MB" if part.unit == "bytes" else str(number)
        for number in (part.done, part.total)
    ]
    unit = "" if part.unit == "bytes" else f" {part.unit}"
    far = f"{sizes[0]} of {sizes[1]}{unit}" if part.total else ""
    return ": ".join(filter(None, (part.what, far)))


_ENVIRONMENT.filters.update(
    moment=moment,
    pages=pages_of,
    amount=amount,
    clock=clock,
    second=second,
    seconds=seconds,
    progress=progress,
)


def fragment(name: str, **shown: Any) -> str:
    """Return a part of a page, for one that is open."""
    return _ENVIRONMENT.get_template(name).render(**shown)


def page(request: Request, name: str, status: int = 200, **shown: Any) -> HTMLResponse:
    """Return a page from its template; `shown` is what it shows."""
    visitor = getattr(request.state, "visitor", None)
    return page_of(portal_of(request), visitor, request.url.path, name, status, **shown)


def page_of(
    portal: Portal, visitor: Visitor | None, path: str, name: str, status: int = 200, **shown: Any
) -> HTMLResponse:
    """Return a page where there is no application yet that a request could lead to."""
    menu = [p for p in PAGES if visitor and visitor.has(p.role)]
    here = next((p for p in PAGES if p.path == path), None)
    text = _ENVIRONMENT.get_template(name).render(
        site=portal.site,
        visitor=visitor,
        menu=menu,
        here=here,
        token=_token(visitor),
        signs_in_by_name=portal.entry is not None,
        request=REQUEST.get(),
        **shown,
    )
    return HTMLResponse(text, status)


def _token(visitor: Visitor | None) -> str:
    return visitor.session.token if visitor else ""
