"""Follows the sign-in: who was removed, locked or put into other groups there, also by its own pages."""

from __future__ import annotations

import asyncio
import logging

from aiplat.errors import AiplatError
from aiplat.services.bounds import PEOPLE_SECONDS
from aiplat.services.people.desk import Desk

log = logging.getLogger("aiplat.people")


async def keep_up(desk: Desk) -> None:
    """Catch up with the sign-in for ever; that it is away is said once."""
    away = False
    while True:
        try:
            await desk.catch_up()
            away = False
        except AiplatError as error:
            if not away:
                log.warning("what the sign-in says of people is not known: %s", error)
            away = True
        await asyncio.sleep(PEOPLE_SECONDS)
