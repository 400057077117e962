"""`aiplat chat` on a terminal, in a pipe and as JSON; talking itself is in aiplat.actions.chat."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import get_args

from aiplat.actions.chat import Conversation, Mode, open_conversation
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.site.find import find_site
from aiplat.site.load import load_site


@dataclass(frozen=True)
class ChatOptions:
    """What was asked of a conversation; None means: what suits the model."""

    model: str | None
    mode: str | None
    temperature: float | None
    max_tokens: int | None


def talk(argument: str | None, options: ChatOptions, once: str | None, *, as_json: bool) -> None:
    """Ask once, or again and again until the input ends.

    Raises:
        BadInput: the options do not fit together.
    """
    if as_json and once is None:
        raise BadInput(Finding("--json", "needs a prompt to answer", "add --once PROMPT"))
    conversation = _open(argument, options)
    if once is None:
        _talk_on(conversation)
    elif as_json:
        _answer_as_json(conversation, once)
    else:
        _print_answer(conversation, once)


def _open(argument: str | None, options: ChatOptions) -> Conversation:
    modes: tuple[Mode, ...] = get_args(Mode)
    mode = next((m for m in modes if m == options.mode), None)
    if options.mode is not None and mode is None:
        raise BadInput(Finding("--mode", f"{options.mode} is not a mode", f"one of {', '.join(modes)}"))
    conversation = open_conversation(load_site(find_site(argument)), options.model, mode)
    conversation.temperature, conversation.max_tokens = options.temperature, options.max_tokens
    return conversation


def _answer_as_json(conversation: Conversation, prompt: str) -> None:
    answer = "".join(conversation.ask(prompt))
    document = {
        "kind": "Answer",
        "model": conversation.model,
        "mode": conversation.mode,
        "prompt": prompt,
        "answer": answer,
        "usage": conversation.usage,
    }
    print_json(document)


def _print_answer(conversation: Conversation, prompt: str) -> None:
    for piece in conversation.ask(prompt):
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def _talk_on(conversation: Conversation) -> None:
    notes = Console(stderr=True, highlight=False)
    asking = sys.stdin.isatty()
    if asking:
        kind = (
            "it continues what you write"
            if conversation.mode == "completion"
            else "it remembers what was said"
        )
        notes.print(f"{conversation.model}: {kind}; end with Ctrl-D", style="dim", markup=False)
    while True:
        if asking:
            notes.print("> ", end="", style="bold cyan")
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            _print_answer(conversation, line.rstrip("\n"))
