"""Which request a log line or an error is about: the id that its answer has as a header too."""

from __future__ import annotations

import logging
import os
import sys
from contextvars import ContextVar

REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is being answered; empty outside of one."""

TRACE: ContextVar[str] = ContextVar("trace", default="")
"""The trace that the request is a part of, as OpenTelemetry writes it; empty where the site wants none."""


def new_request_id() -> str:
    """Return an id that no other request has."""
    return os.urandom(16).hex()


def error_ids() -> dict[str, str]:
    """Return what an error's body names its request by: `request_id`, and `trace_id` where there is one."""
    named = {"request_id": REQUEST.get(), "trace_id": TRACE.get()}
    return {name: value for name, value in named.items() if value}


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
