"""Memory for answers that are kept to be put into another form: a limit for each, and for all together."""

from __future__ import annotations

from aiplat.services.bounds import ANSWER_BYTES, ANSWERS_BYTES

# A piece of text costs more than its characters.
_PIECE_BYTES = 64


class TooMuch(ValueError):
    """An answer is longer than may be kept."""


class AnswerMemory:
    """What all such answers hold."""

    def __init__(self, together: int = ANSWERS_BYTES, each: int = ANSWER_BYTES) -> None:
        self.together = together
        self.each = each
        self.held = 0

    def share(self) -> AnswerShare:
        """Return one answer's part."""
        return AnswerShare(self)


class AnswerShare:
    """What one answer holds; everything is given back when it is closed."""

    def __init__(self, room: AnswerMemory) -> None:
        self._room = room
        self.held = 0

    def take(self, size: int) -> None:
        """Count a piece of `size` bytes or characters.

        Raises:
            TooMuch: it is more than one answer, or all together, may hold.
        """
        cost = size + _PIECE_BYTES
        if self.held + cost > self._room.each or self._room.held + cost > self._room.together:
            raise TooMuch("the answer is longer than can be put into another form")
        self.held += cost
        self._room.held += cost

    def close(self) -> None:
        """Give everything back; doing so twice is the same."""
        self._room.held -= self.held
        self.held = 0
