"""Asks Anthropic's Messages API what was asked of OpenAI's chat; its answers are in anthropic_answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from aiplat.services.gateway.http import errors

VERSION = "2023-06-01"
# The API wants a bound; OpenAI's clients mostly give none.
_MOST_TOKENS = 4096
_DATA_URL = re.compile(r"data:([\w/+.-]+);base64,(.*)", re.DOTALL)
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
# OpenAI's field, and what a request may say without meaning more than the API can do.
_NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "audio": (),
    "functions": (),
    "function_call": (),
    "prediction": (),
}

Document = dict[str, Any]


def messages_request(chat: Document, unnamed: int | None = None) -> Document:
    """Return the request of the Messages API for a chat completion; `unnamed` bounds one that names no limit.

    Penalties, `seed` and `logit_bias` have no counterpart and are left out: they are wishes, not promises.

    Raises:
        ApiError: 400 for what the API cannot do.
    """
    for name, allowed in _NOT_OFFERED.items():
        if chat.get(name) not in (None, *allowed):
            raise errors.bad_request(f"'{name}' is not offered by this model's provider", param=name)
    system, turns = _turns(chat.get("messages"))
    most = chat.get("max_completion_tokens") or chat.get("max_tokens") or unnamed or _MOST_TOKENS
    request: Document = {"model": chat["model"], "max_tokens": most, "messages": turns}
    if system:
        request["system"] = system
    return request | dict(_options(chat))


def _options(chat: Document) -> Iterator[tuple[str, Any]]:
    if (temperature := chat.get("temperature")) is not None:
        yield "temperature", min(temperature, 1)
    for name in ("top_p", "stream"):
        if (value := chat.get(name)) is not None:
            yield name, value
    if stop := chat.get("stop"):
        yield "stop_sequences", [stop] if isinstance(stop, str) else stop
    if user := chat.get("user"):
        yield "metadata", {"user_id": user}
    if tools := chat.get("tools"):
        yield "tools", [_tool(tool) for tool in tools]
        yield "tool_choice", _tool_choice(chat)
    if (form := chat.get("response_format")) and form.get("type") != "text":
        yield "output_config", {"format": _format(form)}


def _tool(tool: Document) -> Document:
    if tool.get("type") != "function":
        raise errors.bad_request("only tools of type 'function' are offered", param="tools")
    function = tool["function"]
    about = {"description": function["description"]} if function.get("description") else {}
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return {"name": function["name"], **about, "input_schema": schema}


def _tool_choice(chat: Document) -> Document:
    given = chat.get("tool_choice") or "auto"
    if isinstance(given, dict):
        choice = {"type": "tool", "name": given["function"]["name"]}
    elif given in _CHOICES:
        choice = {"type": _CHOICES[given]}
    else:
        raise errors.bad_request("tool_choice is none that is known", param="tool_choice")
    single = chat.get("parallel_tool_calls") is False and choice["type"] != "none"
    return choice | ({"disable_parallel_tool_use": True} if single else {})


def _format(form: Document) -> Document:
    if form.get("type") != "json_schema":
        sentence = "this model's provider has no JSON mode without a schema; send one as json_schema"
        raise errors.bad_request(sentence, param="response_format")
    return {"type": "json_schema", "schema": form["json_schema"]["schema"]}


def _turns(messages: Any) -> tuple[str, list[Document]]:
    if not isinstance(messages, list):
        raise errors.bad_request("messages must be a list", param="messages")
    system: list[str] = []
    turns: list[Document] = []
    for message in messages:
        role = message.get("role")
        if role in ("system", "developer"):
            system.append("".join(part["text"] for part in _blocks(message.get("content"))))
            continue
        speaker = "assistant" if role == "assistant" else "user"
        blocks = list(_said(message, role))
        # The results of several calls are one turn there.
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": speaker, "content": blocks})
    return "\n\n".join(system), turns


def _said(message: Document, role: Any) -> Iterator[Document]:
    if role == "tool":
        content = list(_blocks(message.get("content")))
        yield {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": content}
        return
    if role not in ("user", "assistant"):
        raise errors.bad_request(f"the role {role!r} is none that is known", param="messages")
    yield from _blocks(message.get("content"))
    for call in message.get("tool_calls") or ():
        function = call["function"]
        given = json.loads(function.get("arguments") or "{}")
        yield {"type": "tool_use", "id": call["id"], "name": function["name"], "input": given}


def _blocks(content: Any) -> Iterator[Document]:
    if content is None or content == "":
        return
    if isinstance(content, str):
        yield {"type": "text", "text": content}
        return
    for part in content:
        if part["type"] == "text":
            yield {"type": "text", "text": part["text"]}
        elif part["type"] == "image_url":
            yield {"type": "image", "source": _image(part["image_url"]["url"])}
        else:
            raise errors.bad_request(f"content of type {part['type']!r} is not offered", param="messages")


def _image(url: str) -> Document:
    if match := _DATA_URL.fullmatch(url):
        return {"type": "base64", "media_type": match[1], "data": match[2]}
    return {"type": "url", "url": url}
