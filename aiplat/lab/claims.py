"""What keeps a lab from being made under its name: another one there; who runs is looked up elsewhere."""

from __future__ import annotations

import re

from aiplat.errors import BadInput, Finding
from aiplat.lab import leftovers
from aiplat.lab.record import LabRecord

_LABEL = re.compile(r"(?!.*\.making$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def refuse_other(record: LabRecord, before: LabRecord | None) -> None:
    """See that the lab that is there under this name, if any, is the one that is asked for.

    Raises:
        BadInput: it runs from another state folder, by another driver, or has other hosts.
    """
    other = leftovers.foreign_state(record.name)
    where, fix = f"lab {record.name}", f"remove it first: aiplat lab down {record.name}"
    if other is not None:
        problem = f"runs already from another state folder, {other}"
        raise BadInput(Finding(where, problem, f"AIPLAT_STATE={other.parent} aiplat lab down {record.name}"))
    if before is None:
        return
    if before.driver != record.driver:
        raise BadInput(Finding(where, f"was made by the driver {before.driver}", fix))
    if before.subnet != record.subnet:
        raise BadInput(Finding(where, f"is up in {before.subnet}, the site is in {record.subnet}", fix))
    strange = _gone_or_moved(record, before)
    if strange:
        raise BadInput(Finding(where, f"has other hosts than the site: {', '.join(strange)}", fix))


def _gone_or_moved(record: LabRecord, before: LabRecord) -> list[str]:
    gone = {h.name for h in before.hosts} - {h.name for h in record.hosts}
    moved = {
        h.name
        for h in before.hosts
        for n in record.hosts
        if h.name == n.name and (h.address, h.address6) != (n.address, n.address6)
    }
    return sorted(gone | moved)


def see_label(label: str) -> None:
    """See that a snapshot can be called so.

    Raises:
        BadInput: it is not a name for a folder and for a tag of an image.
    """
    if not _LABEL.fullmatch(label):
        problem = "is not a name for a snapshot"
        raise BadInput(Finding(f"snapshot {label!r}", problem, "use letters, digits and dashes"))
