"""Two admins who are removed at the same moment, in Canaille on SQLite; runs on its image's wheels.

Each waits for the other when it is about to write, so that both saw two admins: nothing locks SQLite before.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from typing import Any

from blinker import signal

from aiplat.services.signin import people
from aiplat.services.signin.kept import PersonRefused
from aiplat.services.signin.serve import prepared

_PATIENCE = 60.0


def main(folder: Path) -> list[str]:
    """Remove both and return who is left, which is written as JSON."""
    app = prepared(folder)
    with app.app_context():
        for name in ("ada", "ben"):
            people.added(name, ["admin"])
    both = Barrier(2, timeout=_PATIENCE)

    def met(_: object, **__: object) -> None:
        both.wait()

    signal("before_user_delete").connect(met)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: _removed(app, name), ("ada", "ben")))
    with app.app_context():
        return [one["name"] for one in people.listed()]


def _removed(app: Any, name: str) -> None:
    with app.app_context(), suppress(PersonRefused):
        people.removed(name)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
