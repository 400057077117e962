"""The playground: a question to one model or two, streamed by the portal's script or answered as a page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from aiplat.errors import BadInput, Finding
from aiplat.services.portal.asking import secret_for
from aiplat.services.portal.context import Portal
from aiplat.services.portal.gateway import GatewayRefusalError
from aiplat.services.portal.pages.forms import Here, Sent, Signed
from aiplat.services.portal.render import page
from aiplat.services.portal.visitors import Visitor
from aiplat.services.request_id import error_ids

router = APIRouter()

_MOST_TOKENS = 4096
_HOTTEST = 2.0


@router.get("/playground")
async def playground(request: Request, here: Here, visitor: Signed, model: str = "") -> Response:
    """Show where a question is asked."""
    return await _page(request, here, visitor, {"model": model})


@router.post("/playground")
async def ask(request: Request, here: Here, visitor: Signed, form: Sent) -> Response:
    """Answer as a page, for browsers without script."""
    question = _question(form)
    chosen = [name for name in (form.get("model", ""), form.get("other", "")) if name]
    answers = await asyncio.gather(*(_answer(here, visitor, name, question) for name in chosen))
    return await _page(request, here, visitor, form, dict(zip(chosen, answers, strict=True)))


@router.post("/playground/stream")
async def stream(here: Here, visitor: Signed, form: Sent) -> Response:
    """Answer as the gateway streams it."""
    question = {**_question(form), "model": form["model"]}
    try:
        pieces = here.gateway.stream(await secret_for(here, visitor), question)
        first = await anext(pieces, b"")
    except GatewayRefusalError as error:
        return Response(str(error), HTTPStatus.BAD_GATEWAY, media_type="text/plain; charset=utf-8")
    return StreamingResponse(_from(first, pieces), media_type="text/event-stream")


async def _from(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    try:
        async for piece in pieces:
            yield piece
    except GatewayRefusalError as error:
        yield f"data: {json.dumps({'error': {'message': str(error), **error_ids()}})}\n\n".encode()


async def _answer(here: Portal, visitor: Visitor, model: str, question: Mapping[str, Any]) -> str:
    try:
        return await here.gateway.answer(await secret_for(here, visitor), {**question, "model": model})
    except GatewayRefusalError as error:
        return str(error)


async def _page(
    request: Request,
    here: Portal,
    visitor: Visitor,
    form: Mapping[str, str],
    answers: Mapping[str, str] | None = None,
) -> Response:
    fault = ""
    try:
        offered = await here.gateway.models(await secret_for(here, visitor))
    except GatewayRefusalError as error:
        offered, fault = [], str(error)
    return page(
        request,
        "playground.html",
        offered=offered,
        form=form,
        answers=answers or {},
        url=here.url,
        fault=fault,
    )


def _question(form: Mapping[str, str]) -> dict[str, Any]:
    """Return what is asked, in OpenAI's words.

    Raises:
        BadInput: something of it cannot be sent; all of that at once.
    """
    findings = []
    if not form.get("model"):
        findings.append(Finding("model", "is not chosen", "choose one"))
    prompt = form.get("prompt", "").strip()
    if not prompt:
        findings.append(Finding("question", "is empty", "write one"))
    heat = _number(form.get("temperature", "0.7"))
    if heat is None or not 0 <= heat <= _HOTTEST:
        findings.append(Finding("temperature", f"is not a number from 0 to {_HOTTEST:g}"))
    most = _number(form.get("most", "256"))
    if most is None or not 1 <= most <= _MOST_TOKENS or most != int(most):
        findings.append(Finding("most tokens", f"is not a whole number from 1 to {_MOST_TOKENS}"))
    if findings or most is None:
        raise BadInput(findings)
    messages = [{"role": "user", "content": prompt}]
    if form.get("system", "").strip():
        messages.insert(0, {"role": "system", "content": form["system"].strip()})
    return {"messages": messages, "temperature": heat, "max_tokens": int(most)}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
