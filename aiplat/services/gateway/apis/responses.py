"""POST /v1/responses: what of the Responses API needs no memory, asked of engines as a chat completion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiplat.services.gateway.apis.calls import call, read_request
from aiplat.services.gateway.apis.responses_answer import ResponseDocument, ResponseEvents
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.requests.fields import bound
from aiplat.services.gateway.upstream.backends import Backends
from aiplat.services.gateway.upstream.response import UpstreamRequest

_CHAT = "/v1/chat/completions"
# Fields that mean the same under another name, or the same name.
_PASSED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "user": "user",
    "parallel_tool_calls": "parallel_tool_calls",
}
_ECHOED = {"metadata", "max_tool_calls", "service_tier", "safety_identifier", "prompt_cache_key"}
_READ = {
    *("model", "input", "instructions", "stream", "stream_options", "tools", "tool_choice", "text"),
    *("reasoning", "max_output_tokens", "include", "store", "truncation", "background", "top_logprobs"),
}
# What would need answers to be kept, or work done here that no engine does. The value is the one allowed.
_NOT_OFFERED: dict[str, tuple[Any, str]] = {
    "previous_response_id": (None, "answers are not kept here; send the earlier turns in `input`"),
    "conversation": (None, "conversations are not kept here; send the earlier turns in `input`"),
    "prompt": (None, "prompt templates are not kept here; send `instructions` and `input`"),
    "background": (False, "answers are not kept here, so none can be fetched later; leave it out"),
    "store": (False, "answers are not kept here; leave it out or send false"),
    "truncation": ("disabled", "input is never cut; shorten it, or leave this out"),
    "top_logprobs": (0, "probabilities of tokens are offered by /v1/chat/completions alone"),
}
_INCLUDED = ("reasoning.encrypted_content",)
# What tools of OpenAI's service did in earlier turns: the answers that came of it are messages of their own.
_ELSEWHERE = frozenset(
    {
        *("web_search_call", "file_search_call", "image_generation_call", "code_interpreter_call"),
        *("mcp_list_tools", "mcp_call", "computer_call", "computer_call_output"),
    }
)
_TYPES: dict[str, type] = {"include": list, "tools": list, "text": dict, "reasoning": dict, "metadata": dict}


async def respond(context: RequestContext, backends: Backends) -> None:
    """POST /v1/responses, whole or streamed."""
    asked = await read_request(context, backends)
    document, left_out = without_what_is_left_out(asked.document)
    _refuse_what_is_not_offered(document)
    chat = chat_of(document)
    if (most := bound(context.path, document)) is not None:
        chat["max_completion_tokens"] = most
    if asked.streams:
        chat["stream"] = True
    context.say_left_out(left_out)
    share = backends.answers.share()
    parser = ResponseEvents(document, share) if asked.streams else ResponseDocument(document, share)
    try:
        await call(context, backends, asked, UpstreamRequest(_CHAT, chat), parser)
    finally:
        share.close()


def without_what_is_left_out(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the request without the tools that only OpenAI's own service has, and what was left out.

    A client that offers a tool must do without its being used: the model may answer without it. What a
    client demands is refused later, by its own sentence.
    """
    left_out: list[str] = []
    kept: dict[str, Any] = dict(document)
    for name, stays in (("tools", _is_function), ("include", _INCLUDED.__contains__), ("input", _is_said)):
        if not isinstance(given := document.get(name), list):
            continue
        kept[name] = [item for item in given if stays(item)]
        left_out += [f"{name}[{at}] {_kind(item)}" for at, item in enumerate(given) if not stays(item)]
    if document.get("tools") and not kept["tools"]:
        del kept["tools"]
        if kept.get("tool_choice") in ("auto", "none"):
            del kept["tool_choice"]
    return kept, left_out


def _is_function(tool: Any) -> bool:
    return (
        not isinstance(tool, dict) or tool.get("type") == "function" or not isinstance(tool.get("type"), str)
    )


def _is_said(item: Any) -> bool:
    return not isinstance(item, dict) or item.get("type") not in _ELSEWHERE


def _kind(item: Any) -> str:
    return str(item.get("type") if isinstance(item, dict) else item)[:64]


def _refuse_what_is_not_offered(document: dict[str, Any]) -> None:
    for name, kind in _TYPES.items():
        if not isinstance(document.get(name, kind()), (kind, type(None))):
            raise errors.bad_request(
                f"'{name}' must be {'a list' if kind is list else 'an object'}", param=name
            )
    for name, (allowed, why) in _NOT_OFFERED.items():
        if document.get(name) not in (None, allowed):
            raise _unsupported(name, why)
    for name in document.get("include") or ():
        if name not in _INCLUDED:
            raise _unsupported("include", f"{name!r} is not offered here")
    unknown = document.keys() - _PASSED.keys() - _ECHOED - _READ - _NOT_OFFERED.keys()
    for name in sorted(unknown):
        raise errors.ApiError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)


def _unsupported(param: str, why: str) -> errors.ApiError:
    return errors.ApiError(
        400, f"'{param}' is not supported: {why}", code="unsupported_parameter", param=param
    )


def chat_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the chat completion that asks the same as a request of the Responses API, without its model.

    Raises:
        ApiError: 400 for input, tools or formats that a chat completion cannot express.
    """
    chat: dict[str, Any] = {"messages": _messages(document)}
    chat |= {to: v for name, to in _PASSED.items() if (v := document.get(name)) is not None}
    if tools := document.get("tools"):
        chat["tools"] = [_tool(tool, at) for at, tool in enumerate(tools)]
    if (choice := document.get("tool_choice")) is not None:
        chat["tool_choice"] = _tool_choice(choice)
    if (effort := (document.get("reasoning") or {}).get("effort")) is not None:
        chat["reasoning_effort"] = effort
    text = document.get("text") or {}
    if (form := text.get("format")) is not None and (made := _response_format(form)) is not None:
        chat["response_format"] = made
    if (verbosity := text.get("verbosity")) is not None:
        chat["verbosity"] = verbosity
    return chat


def _tool(tool: Any, at: int) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        kind = tool.get("type") if isinstance(tool, dict) else tool
        raise _unsupported(f"tools[{at}]", f"only tools of type 'function' are offered, not {kind!r}")
    function = {
        k: tool[k] for k in ("name", "description", "parameters", "strict") if tool.get(k) is not None
    }
    return {"type": "function", "function": function}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, str) and choice in {"auto", "none", "required"}:
        return choice
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    raise _unsupported("tool_choice", "it is auto, none, required, or a function by its name")


def _response_format(form: Any) -> dict[str, Any] | None:
    kind = form.get("type") if isinstance(form, dict) else form
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": kind}
    if kind == "json_schema":
        return {"type": kind, "json_schema": {k: v for k, v in form.items() if k != "type"}}
    raise _unsupported("text.format", f"{kind!r} is none of text, json_object, json_schema")


def _messages(document: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if instructions := document.get("instructions"):
        messages.append({"role": "system", "content": instructions})
    given = document.get("input")
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    if not isinstance(given, list):
        raise errors.bad_request("you must provide input: a text, or a list of items", param="input")
    for at, item in enumerate(given):
        _add_item(messages, item, f"input[{at}]")
    return messages


def _add_item(messages: list[dict[str, Any]], item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise errors.bad_request(f"{where} must be an object", param=where)
    kind = item.get("type", "message")
    if kind == "message":
        role = item.get("role")
        if role not in ("user", "assistant", "system", "developer"):
            raise errors.bad_request(f"{where} has no role that is known: {role!r}", param=where)
        known = "system" if role == "developer" else role
        messages.append({"role": known, "content": _content(item.get("content"), where)})
    elif kind == "function_call":
        _add_call(messages, item)
    elif kind == "function_call_output":
        content = _content(item.get("output"), where)
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
    elif kind != "reasoning":
        # Thoughts are the engine's own and are made again; anything else would be lost silently.
        raise _unsupported(where, f"items of type {kind!r} are not offered")


def _add_call(messages: list[dict[str, Any]], item: dict[str, Any]) -> None:
    function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
    made = {"id": item.get("call_id"), "type": "function", "function": function}
    if messages and messages[-1]["role"] == "assistant":
        messages[-1].setdefault("tool_calls", []).append(made)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [made]})


def _content(content: Any, where: str) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise errors.bad_request(f"{where} has no content", param=where)
    parts = list(_parts(content, where))
    # Not every chat template takes a list where a text would do.
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _parts(content: list[Any], where: str) -> Iterator[dict[str, Any]]:
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in {"input_text", "output_text", "text"}:
            yield {"type": "text", "text": str(part.get("text", ""))}
        elif kind == "refusal":
            yield {"type": "text", "text": str(part.get("refusal", ""))}
        elif kind == "input_image" and part.get("image_url"):
            image = {"url": part["image_url"], "detail": part.get("detail") or "auto"}
            yield {"type": "image_url", "image_url": image}
        else:
            raise _unsupported(where, f"content of type {kind!r} is not offered")
