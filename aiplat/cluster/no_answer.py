"""Why the Kubernetes API gave no answer, in words for people; raising it is up to who asked."""

from __future__ import annotations

import re

# What urllib3 says before the cause: its own object, and what it was about.
_BEFORE = re.compile(r"^\w+\(host=[^)]*\): |^Failed to establish a new connection: |^\[Errno -?\d+\] ")


def reason_of(cause: object) -> str:
    """Return the cause that an error of the client or of its connection names, without their own words."""
    text = str(getattr(cause, "reason", None) or cause)
    while (shorter := _BEFORE.sub("", text)) != text:
        text = shorter
    return text
