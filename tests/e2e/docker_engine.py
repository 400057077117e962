"""The Docker engine that journeys in containers use: the machine's, or one of the journey's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.patience import until


@contextmanager
def docker_engine(folder: Path) -> Iterator[None]:
    """Give the machine's engine where one runs, else one of the journey's own that is ended with it."""
    if answers():
        yield
        return
    assert shutil.which("dockerd"), "the journey needs a Docker engine: apt-get install docker.io"
    socket = f"unix://{folder}/docker.sock"
    places = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    # It makes no bridge and writes no rules of its own: the machine's other labs go on undisturbed.
    apart = ["--bridge=none", "--iptables=false", "--ip6tables=false"]
    with pytest.MonkeyPatch.context() as patch, (folder / "log").open("wb") as log:
        patch.setenv("DOCKER_HOST", socket)
        argv = ["dockerd", "-H", socket, *places, *apart]
        with subprocess.Popen(argv, stdout=log, stderr=log, env=os.environ) as running:
            until(answers, (folder / "log").read_text)
            yield
            running.terminate()
    shutil.rmtree(folder)


def answers() -> bool:
    """Whether an engine answers."""
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
