"""Settings of the whole machine that labs need raised: raised for the first lab, put back after the last."""

from __future__ import annotations

import contextlib
from pathlib import Path

from aiplat.content import write_atomic

_SETTING = Path("/proc/sys/fs/inotify/max_user_instances")
# All hosts' processes are root's and share this limit; a server host takes about forty.
_ENOUGH = 1024
# In /run: a machine that was restarted has its own value back.
_KEPT = Path("/run/aiplat-lab/max_user_instances")


def raise_limits(setting: Path = _SETTING, kept: Path = _KEPT) -> bool:
    """Raise the number of inotify instances where it is too low for several hosts; return whether it was."""
    before = int(setting.read_text())
    if before >= _ENOUGH:
        return False
    write_atomic(kept, f"{before}\n".encode())
    setting.write_text(str(_ENOUGH))
    return True


def put_back(setting: Path = _SETTING, kept: Path = _KEPT) -> tuple[Path, ...]:
    """Put the machine's own value back unless someone has changed it since; return what was removed."""
    if not kept.exists():
        return ()
    if int(setting.read_text()) == _ENOUGH:
        setting.write_text(kept.read_text().strip())
    kept.unlink()
    with contextlib.suppress(OSError):
        kept.parent.rmdir()
    return (kept,)
