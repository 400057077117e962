"""A real runner for tests to kill: starts processes inside a run, says so, and waits. Run as a program."""

from __future__ import annotations

import subprocess
import sys

from aiplat.fleet.ssh_config import runtime_dir
from aiplat.runs.events import Event, StepStarted
from aiplat.runs.run import running

# A child that ignores being asked to end, started by a shell in a session of its own, as ssh's masters are.
STUBBORN = """import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""


def main() -> None:
    """Start a run, a stubborn grandchild and a secret file; then wait for the end."""
    with running("ward-3", "bootstrap", _ignore) as run:
        run.emit(StepStarted(step="k3s_server", title="", hosts=("s1",)))
        run.current_step = "k3s_server"
        folder = runtime_dir() / f"run-{run.id}"
        folder.mkdir(mode=0o700)
        (folder / "secrets.yml").write_text("token")
        child = subprocess.Popen(
            ["sh", "-c", 'setsid "$0" -c "$1" & wait', sys.executable, STUBBORN],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        child.stdout.readline()
        print(run.id, folder, flush=True)  # noqa: T201 - this is how the test learns
        child.wait()


def _ignore(_event: Event) -> None:
    """Nobody looks on."""


if __name__ == "__main__":
    main()
