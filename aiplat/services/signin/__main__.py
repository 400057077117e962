"""`python3 -m aiplat.services.signin`: serve, or one thing about people, answered as one line of JSON."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiplat.services.signin import people
from aiplat.services.signin.kept import PersonRefused
from aiplat.services.signin.provider import provider
from aiplat.services.signin.serve import run

_FOLDER = "/etc/aiplat/signin"


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say and return the exit code."""
    asked = _parser().parse_args(argv)
    folder = Path(os.environ.get("AIPLAT_SIGNIN_FOLDER", _FOLDER))
    if asked.verb == "serve":
        run(folder, asked.port, asked.administration_port)
        return 0
    # Whoever asks reads one line, and Canaille's log is on the same stream.
    logging.disable(logging.CRITICAL)
    try:
        with provider(folder).app_context():
            answer = _done(asked)
    except PersonRefused as refused:
        sys.stdout.write(json.dumps({"error": refused.finding}) + "\n")
        return 2
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _done(asked: argparse.Namespace) -> Any:
    if asked.verb == "list":
        return people.listed()
    if asked.verb == "first":
        return people.first()
    if asked.verb == "add":
        return people.added(asked.name, asked.group, asked.email, asked.full_name)
    if asked.verb == "groups":
        return people.grouped(asked.name, asked.group)
    if asked.verb in {"lock", "unlock"}:
        return people.locked(asked.name, asked.verb == "lock")
    return people.linked(asked.name) if asked.verb == "link" else people.removed(asked.name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aiplat.services.signin", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("serve")
    serve.add_argument("--port", type=int, default=8080)
    serve.add_argument("--administration-port", type=int, default=8081)
    verbs.add_parser("list")
    verbs.add_parser("first")
    for verb in ("add", "link", "groups", "lock", "unlock", "remove"):
        one = verbs.add_parser(verb)
        one.add_argument("name")
        if verb in {"add", "groups"}:
            one.add_argument("--group", action="append", default=[])
        if verb == "add":
            one.add_argument("--email")
            one.add_argument("--full-name")
    return parser


if __name__ == "__main__":
    sys.exit(main())
