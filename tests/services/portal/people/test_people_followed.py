"""People changed at the sign-in by others than the portal: it follows, and the trail says by whom."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.services.people.desk import desk_of
from aiplat.services.people.follow import keep_up
from aiplat.services.store.people import get_person
from aiplat.shipped import shipped_root
from tests.patience import PATIENCE
from tests.services.portal.test_by_name import came
from tests.services.portal.wards import SECRET, Served, Ward, entry_of


def test_what_is_changed_at_the_sign_in_itself_is_followed(served: Served) -> None:
    """By its own pages or by command: keys and sessions end when the portal looks next; others stay."""
    person, browser, secret = served.keyed("ian")
    _, other, kept = served.keyed("joy")
    run = browser._loop.run
    run(served.ward.desk.directory.remove("ian"))
    run(served.ward.desk.catch_up())
    assert served.becomes(secret, 401)
    assert browser.get("/mine").url.path == "/sign-in"
    assert (other.get("/mine").url.path, served.call(kept)) == ("/mine", 200)
    assert "person.role" in served.ward.audit(person["id"])


def test_what_a_command_changed_is_followed_in_the_name_of_who_gave_it(
    served: Served, tmp_path: Path
) -> None:
    """As `aiplat users remove` has it done in the portal's pod; no sign of a name disturbs the trail."""
    person, browser, secret = served.keyed("kim")
    browser._loop.run(served.ward.desk.directory.remove("kim"))
    entry, folder = served.ward.site.portal.entry, tmp_path / "client"
    assert entry
    folder.mkdir()
    (tmp_path / "sign-in.json").write_text(entry.sign_in.model_dump_json(by_alias=True))
    (folder / "client_id").write_text("portal")
    (folder / "client_secret").write_text(SECRET)
    words = [
        f"--sign-in={tmp_path / 'sign-in.json'}",
        f"--sign-in-client={folder}",
        "--by=mo\n@desk-7",
        "note",
    ]
    words += ["--action=person.removed", f"--subject={person['subject']}", '--detail={"name": "kim"}']
    subprocess.run(
        [sys.executable, "-m", "aiplat.services.people", *words],
        env=os.environ | {"AIPLAT_DATABASE_URL": f"sqlite:///{tmp_path / 'accounts.db'}"},
        cwd=shipped_root(),
        check=True,
    )
    assert served.becomes(secret, 401)
    trail = served.ward.ask("GET", "/audit?actor=mo%3F@desk-7").json()["entries"]
    assert {entry["action"] for entry in trail} == {"person.removed", "person.role", "key.revoked"}
    assert {entry["subject"] for entry in trail if entry["origin"] == "command"} == {person["id"]}


def test_the_portal_follows_the_sign_in_by_itself(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again; a sign-in that is away for a while is asked again."""
    monkeypatch.setattr("aiplat.services.people.follow.PEOPLE_SECONDS", 0.01)
    person = ward.invited("ned", "member")
    browser = came(ward.site, ward.issuer, ward.who(person))
    away = desk_of(entry_of(ward.issuer.url, "http://127.0.0.1:1"), ward.site.database)

    async def followed() -> None:
        away_task, task = asyncio.create_task(keep_up(away)), asyncio.create_task(keep_up(ward.desk))
        await ward.desk.directory.remove("ned")
        async with asyncio.timeout(PATIENCE):
            while (await get_person(ward.site.database, person["person"]["id"])).role is not None:
                await asyncio.sleep(0.01)
        assert [away_task.done(), task.done()] == [False, False]
        away_task.cancel()
        task.cancel()
        await asyncio.gather(away_task, task, return_exceptions=True)

    browser._loop.run(followed())
    assert browser.get("/mine").url.path == "/sign-in"
