"""Which request a log line is about: the id that its answer has as a header too."""

from __future__ import annotations

import logging
import os
import sys
from contextvars import ContextVar

REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is being answered; empty outside of one."""


def new_request_id() -> str:
    """Return an id that no other request has."""
    return os.urandom(16).hex()


class _Names(logging.Filter):
    """Lets every record through, with what the format needs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the request's id, where there is a request."""
        request = REQUEST.get()
        record.request = f" request={request}" if request else ""
        return True


def log_to_stderr() -> None:
    """Have everything that is logged on standard error, with its level and the id of the request."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Names())
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s%(request)s", handlers=[handler])
