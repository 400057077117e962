"""Remembers that a lab's hosts are being put back: one that was cut off is finished before anything else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiplat.content import write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.lab.record import lab_folder


@contextmanager
def remembered(lab: str, label: str) -> Iterator[None]:
    """Remember that hosts are being put back to `label`, until all are; the lab is held by the caller."""
    mark = _mark(lab)
    write_atomic(mark, label.encode(), 0o600)
    yield
    mark.unlink()


def cut_off(lab: str) -> str:
    """Return the label to which only some of a lab's hosts were put back; nothing where all are whole."""
    mark = _mark(lab)
    return mark.read_text() if mark.exists() else ""


def refuse_half(lab: str) -> None:
    """See that all hosts are of one time.

    Raises:
        BadInput: some were put back to a snapshot and others were not.
    """
    if label := cut_off(lab):
        problem = f"is half put back to the snapshot {label}"
        raise BadInput(Finding(f"lab {lab}", problem, f"finish it: aiplat lab restore {lab} --label {label}"))


def _mark(lab: str) -> Path:
    return lab_folder(lab) / "restoring"
