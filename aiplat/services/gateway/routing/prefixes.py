"""Remembers which replica has seen the beginning of a prompt; choosing among replicas is in replicas."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

# An engine keeps what it computed of a prompt and resumes where a new prompt differs. Blocks are small
# enough that a system prompt fills some, and so many that the start of a conversation is told apart.
BLOCK_CHARACTERS = 512
_MOST_BLOCKS = 32
_MOST_REMEMBERED = 8192


def prefix_blocks(document: dict[str, Any]) -> tuple[int, ...]:
    """Return hashes of the prompt's beginning, each of everything up to the end of its block.

    Only whole blocks count, so a prompt below 512 characters has none: there is little to gain.
    """
    hashes: list[int] = []
    seen = 0
    for block in _blocks(_texts(document)):
        seen = hash((seen, block))
        hashes.append(seen)
    return tuple(hashes)


def _blocks(texts: Iterator[str]) -> Iterator[str]:
    limit = BLOCK_CHARACTERS * _MOST_BLOCKS
    held, taken = "", 0
    for text in texts:
        held += text[: limit - taken]
        taken += min(len(text), limit - taken)
        while len(held) >= BLOCK_CHARACTERS:
            yield held[:BLOCK_CHARACTERS]
            held = held[BLOCK_CHARACTERS:]
        if taken >= limit:
            return


def _texts(document: dict[str, Any]) -> Iterator[str]:
    for field in ("system", "instructions", "prompt", "input"):
        if isinstance(text := document.get(field), str):
            yield text
    messages = document.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            yield f"\n{message.get('role')}:"
            yield from _content(message.get("content"))


def _content(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (str(part.get("text", "")) for part in content if isinstance(part, dict))


class PrefixMemory:
    """For each block hash the replica that computed it last; the least recently used are forgotten."""

    def __init__(self, most: int = _MOST_REMEMBERED) -> None:
        self._most = most
        self._replica_of: OrderedDict[int, str] = OrderedDict()

    def find(self, blocks: tuple[int, ...]) -> str | None:
        """Return the URL of the replica that has seen the longest part of the prompt, or None."""
        for block in reversed(blocks):
            if (url := self._replica_of.get(block)) is not None:
                return url
        return None

    def note(self, blocks: tuple[int, ...], url: str) -> None:
        """Remember that the replica at `url` now has these blocks."""
        for block in blocks:
            self._replica_of[block] = url
            self._replica_of.move_to_end(block)
        while len(self._replica_of) > self._most:
            self._replica_of.popitem(last=False)
