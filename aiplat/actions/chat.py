"""`aiplat chat`: talks with a model through the gateway, as any OpenAI client would; shows nothing itself."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from aiplat.actions.access import Access, access_to
from aiplat.catalog.lockfile import supply_in_use
from aiplat.catalog.resolve import site_models
from aiplat.cluster.way import request_hooks
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.fleet.tunnel import way_to
from aiplat.site.models import Site

if TYPE_CHECKING:
    from openai import OpenAI

Mode = Literal["chat", "completion"]
_SECONDS = 300.0
_CONTINUED_TOKENS = 128
"""How long a base model continues a text if nobody says otherwise: it does not end by itself."""


@dataclass
class Conversation:
    """One model, and what was said so far.

    In mode `completion` nothing is remembered: such a model continues the text it is given.
    """

    model: str
    mode: Mode
    client: OpenAI
    temperature: float | None = None
    max_tokens: int | None = None
    said: list[Any] = field(default_factory=list)
    usage: dict[str, int] = field(default_factory=dict)

    def ask(self, prompt: str) -> Iterator[str]:
        """Yield the answer piece by piece as the model writes it; `usage` is its token counts afterwards.

        Raises:
            AiplatError: the gateway cannot be reached or refuses, in one sentence.
        """
        from openai import APIConnectionError, APIError  # noqa: PLC0415 - takes a second to load

        answer: list[str] = []
        try:
            for piece in self._pieces(prompt):
                answer.append(piece)
                yield piece
        except APIConnectionError as error:
            where, fix = str(self.client.base_url), "look with `aiplat status`"
            raise AiplatError(
                Finding(where, f"cannot be reached: {error.__cause__ or error}", fix)
            ) from error
        except APIError as error:
            raise AiplatError(Finding(f"model {self.model}", str(error.message))) from error
        if self.mode == "chat":
            self.said += [
                {"role": "user", "content": prompt},
                {"role": "assistant", "content": "".join(answer)},
            ]

    def _pieces(self, prompt: str) -> Iterator[str]:
        for chunk in self._stream(prompt):
            if chunk.usage:
                self.usage = {
                    "prompt": chunk.usage.prompt_tokens,
                    "completion": chunk.usage.completion_tokens,
                }
            for choice in chunk.choices:
                piece = choice.delta.content if self.mode == "chat" else choice.text
                if piece:
                    yield piece

    def _stream(self, prompt: str) -> Any:
        asked: dict[str, Any] = {
            "model": self.model,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        asked |= {"temperature": self.temperature} if self.temperature is not None else {}
        most = self.max_tokens or (_CONTINUED_TOKENS if self.mode == "completion" else None)
        asked |= {"max_tokens": most} if most is not None else {}
        if self.mode == "chat":
            messages = [*self.said, {"role": "user", "content": prompt}]
            return self.client.chat.completions.create(messages=messages, **asked)
        return self.client.completions.create(prompt=prompt, **asked)


def open_conversation(site: Site, model: str | None, mode: Mode | None) -> Conversation:
    """Return a conversation with a model of the site; None means its first, in the mode that suits it.

    Raises:
        BadInput: the site has no model, or was never bootstrapped from here.
        HostError: there is no way to its server.
    """
    chosen = model or _first_model(site)
    client = _client(site, access_to(site))
    return Conversation(chosen, mode or _mode_of(site, chosen), client)


def _first_model(site: Site) -> str:
    if not site.served:
        fix = "add one under `models` in the site file, or name one with --model"
        raise BadInput(Finding(f"site {site.name}", "has no model to talk with", fix))
    return site.served[0].name


def _mode_of(site: Site, name: str) -> Mode:
    # A base model has no turns: asked to chat, it rambles.
    known = next(
        (m for _, m in site_models(site, supply=supply_in_use(site)) if name in {m.name, *m.aliases}), None
    )
    only_continues = known is not None and "completion" in known.features and "chat" not in known.features
    return "completion" if only_continues else "chat"


def _client(site: Site, access: Access) -> OpenAI:
    from openai import DefaultHttpxClient, OpenAI  # noqa: PLC0415 - takes a second to load

    trusted = ssl.create_default_context(cafile=str(access.authorities))
    return OpenAI(
        base_url=f"{access.url}/v1",
        api_key=access.key,
        max_retries=1,
        timeout=_SECONDS,
        http_client=DefaultHttpxClient(
            verify=trusted, trust_env=False, event_hooks=request_hooks(access.url, way_to(site))
        ),
    )
