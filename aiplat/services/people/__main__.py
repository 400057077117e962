"""`python3 -m aiplat.services.people`: what `aiplat users` has done in the portal's pod.

`note` writes down what was changed at the site's own sign-in and follows it, so that a change holds by the
time that the command ends; `team` puts somebody into a team. Answers are one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from aiplat.content import parsed_json
from aiplat.errors import EXIT_BAD_INPUT, AiplatError
from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.settings import Client, read_sign_in
from aiplat.services.people.desk import ACTIONS, desk_of
from aiplat.services.people.placing import Placing
from aiplat.services.store.database import Database
from aiplat.services.store.faults import NotThere
from aiplat.services.store.people import list_people

_MOST_OF_A_NAME = 63


async def _done(asked: argparse.Namespace) -> dict[str, Any]:
    password = os.environ.get("AIPLAT_DATABASE_PASSWORD_FILE")
    database = Database.open(
        os.environ["AIPLAT_DATABASE_URL"], password_file=Path(password) if password else None
    )
    try:
        known = read_sign_in(asked.sign_in)
        entry = Entry.of(known, Client.of_folder(asked.sign_in_client)) if known else None
        # What somebody's machine says of them: it may stand in the trail, and no more.
        by = "".join(sign if sign.isprintable() else "?" for sign in asked.by)[:_MOST_OF_A_NAME]
        if asked.verb == "team":
            person = await Placing.of(entry, database).by_name(by, asked.name, asked.team)
            here = {one.id for one in await list_people(database)}
            return {"id": person, "awaited": person not in here}
        await desk_of(entry, database).note(by, asked.action, asked.subject, parsed_json(asked.detail))
        return {}
    finally:
        await database.close()


def main() -> int:
    """Do it; returns 0, or the code of what is wrong, which the answer says."""
    asked = _parser().parse_args()
    try:
        answer = asyncio.run(_done(asked))
    except AiplatError as error:
        said = error.findings[0]
        told = {"where": said.where, "problem": said.problem, "fix": said.fix}
        sys.stdout.write(json.dumps({"error": told}) + "\n")
        return EXIT_BAD_INPUT if isinstance(error, NotThere) else error.exit_code
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aiplat.services.people", description=__doc__)
    parser.add_argument("--sign-in", type=Path, required=True, metavar="FILE")
    parser.add_argument("--sign-in-client", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--by", required=True, metavar="USER@MACHINE", help="who did it, for the trail alone")
    verbs = parser.add_subparsers(dest="verb", required=True)
    note = verbs.add_parser("note")
    note.add_argument("--action", required=True, choices=ACTIONS)
    note.add_argument("--subject", required=True, help="the sign-in's id of who was changed")
    note.add_argument("--detail", required=True, help="JSON for the trail; no secret")
    team = verbs.add_parser("team")
    team.add_argument("--team", required=True, help="empty: none")
    team.add_argument("name")
    return parser


if __name__ == "__main__":
    sys.exit(main())
