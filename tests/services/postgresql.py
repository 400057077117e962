"""A throwaway PostgreSQL server on loopback, from Debian's package, for tests that need a real one."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from tests.patience import PATIENCE
from tests.ports import free_port

_BINARIES = Path("/usr/lib/postgresql")
_SETTINGS = {
    # Nothing here outlives the tests, so nothing needs to reach the disk.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "listen_addresses": "127.0.0.1",
}


class PostgresServer:
    """A cluster in a folder of its own; `stop` and `start` keep its content, `remove` does not."""

    def __init__(self) -> None:
        found = sorted(_BINARIES.glob("*/bin"), key=lambda path: int(path.parent.name))
        assert found, "install Debian's package postgresql: lab/prepare-machine does"
        self._bin = found[-1]
        # The server refuses to run as root; the package brings a user for it.
        self._user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        self.folder = Path(tempfile.mkdtemp(prefix="aiplat-postgresql-"))
        self.port = free_port()
        self._made = 0
        self._process: subprocess.Popen[bytes] | None = None
        shutil.chown(self.folder, self._user)
        initdb = [self._bin / "initdb", "-D", self.folder / "data", "-U", "postgres", "--no-sync"]
        subprocess.run(
            [*initdb, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"],
            user=self._user,
            cwd="/",
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        """Serve, and return once connections are taken."""
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [self._bin / "postgres", "-D", self.folder / "data", "-p", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-k", self.folder, *settings], user=self._user, cwd="/", stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            assert self._process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._dsn("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it at once, as a server that is switched off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)
            self._process = None

    def freeze(self, frozen: bool = True) -> None:
        """Have it take connections and answer nothing, as on a disk that hangs; or go on again."""
        assert self._process is not None
        number = self._process.pid
        children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        for each in (number, *map(int, children)):
            os.kill(each, signal.SIGSTOP if frozen else signal.SIGCONT)

    def remove(self) -> None:
        """End it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"

    def new_database(self) -> str:
        """Make an empty database; returns its URL."""
        self._made += 1
        name = f"t{self._made}"
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload,unused-ignore]
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def dump(self, url: str) -> str:
        """Return everything that a database holds, as SQL."""
        done = subprocess.run(
            [self._bin / "pg_dump", "--inserts", url], capture_output=True, text=True, check=True
        )
        return done.stdout
