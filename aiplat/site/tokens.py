"""Recognises secrets by their form (PEM keys, token prefixes); where they may stand is aiplat.site.rules'."""

from __future__ import annotations

import re

# Issuers document these prefixes so that scanners can find leaked tokens.
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a private key in PEM form", re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")),
    ("an age private key", re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{20,}")),
    ("a Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{16,}")),
    ("an OpenAI or Anthropic key", re.compile(r"\bsk-[A-Za-z0-9_-]{16,}")),
    ("a GitHub token", re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,})")),
    ("a GitLab token", re.compile(r"\bgl(pat|dt|rt|ptt|soat)-[A-Za-z0-9_-]{16,}")),
    ("a Slack token", re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("an AWS access key", re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a Google key", re.compile(r"\b(AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,})")),
    ("an NVIDIA NGC key", re.compile(r"\bnvapi-[A-Za-z0-9_-]{16,}")),
    ("a Groq key", re.compile(r"\bgsk_[A-Za-z0-9]{16,}")),
    ("a Replicate token", re.compile(r"\br8_[A-Za-z0-9]{16,}")),
    ("a PyPI token", re.compile(r"\bpypi-AgE[A-Za-z0-9_-]{16,}")),
    ("an npm token", re.compile(r"\bnpm_[A-Za-z0-9]{30,}")),
    ("a k3s join token", re.compile(r"\bK10[0-9a-f]{64}::")),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}")),
    ("a password in a URL", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@")),
)


def secret_form(text: str) -> str | None:
    """Return what kind of secret stands in `text` ("a GitHub token"), or None."""
    return next((kind for kind, form in _FORMS if form.search(text)), None)


def looks_secret(text: str) -> bool:
    """Return whether `text` holds anything that must not be shown."""
    return secret_form(text) is not None
