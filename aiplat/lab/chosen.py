"""Which driver makes a lab: the one it was made by, else the one asked for; how each does it is its own."""

from __future__ import annotations

import os

from aiplat.errors import BadInput, Finding
from aiplat.lab.docker import DockerDriver
from aiplat.lab.driver import Driver
from aiplat.lab.nspawn import NspawnDriver
from aiplat.lab.record import read_record
from aiplat.site.findings import did_you_mean

DRIVER_VARIABLE = "AIPLAT_LAB_DRIVER"
_DRIVERS: dict[str, Driver] = {driver.name: driver for driver in (NspawnDriver(), DockerDriver())}
DRIVERS = tuple(_DRIVERS)
"""Names of the drivers there are, the default first."""


def driver_of(lab: str, asked: str = "") -> Driver:
    """Return the driver of a lab: the one asked for, that made it, or that the environment names.

    Raises:
        BadInput: there is no such driver.
    """
    record = read_record(lab)
    where, name = ("driver", asked) if asked else (DRIVER_VARIABLE, os.environ.get(DRIVER_VARIABLE, ""))
    if record is not None and not asked:
        name = record.driver
    if (name or DRIVERS[0]) not in _DRIVERS:
        fix = did_you_mean(name, DRIVERS, "there are")
        raise BadInput(Finding(where, f"{name} is not a driver for labs", fix))
    return _DRIVERS[name or DRIVERS[0]]


def drivers() -> tuple[Driver, ...]:
    """Return all drivers, those whose hosts stand on a machine's own parts last."""
    return tuple(reversed(_DRIVERS.values()))
