"""Runs a shipped script on a host with a two-way stream; what is said over it belongs to the caller."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from aiplat.errors import Finding
from aiplat.fleet.answers import HEARD_BYTES, SAID_BYTES, document_of, last_line
from aiplat.fleet.sentences import explain, sudo_refused
from aiplat.fleet.ssh import SSH_FAILED, HostError, no_ssh, ssh_argv
from aiplat.fleet.sudo import preamble
from aiplat.frozen import Frozen
from aiplat.site.models import Host, Site

Reply = TypeVar("Reply", bound=Frozen)
# A host whose disk hangs keeps its connection and says nothing. The slowest honest answer is the digest of a
# blob of 100 GB from a disk of 60 MB/s.
ANSWER_SECONDS = 1800.0
REMOTE = Path(__file__).parent / "remote"
# The script comes first on the same stream, so that its text is on no command line.
_LOADER = (
    "import sys; stream = sys.stdin.buffer; "
    "exec(compile(stream.read(int(stream.readline())), sys.argv[1], 'exec'))"
)


class Stream:
    """A script that runs as root on a host and speaks JSON lines.

    Several threads may use one. However it ends, whoever uses it afterwards is told why it ended.
    """

    def __init__(
        self,
        site: Site,
        host: Host,
        script: Sequence[str],
        run_id: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Start `script` (its file below remote/ and its arguments); `settings` are further ssh settings.

        With a `run_id` it carries AIPLAT_RUN_ID and so ends with the run.
        """
        environment = [f"AIPLAT_RUN_ID={run_id}"] if run_id else []
        argv = ["env", *environment, "python3", "-c", _LOADER, *script]
        self.site, self.host = site, host
        self.process = _start(host, ssh_argv(site, host, argv, settings))
        self._to, self._from = cast("IO[bytes]", self.process.stdin), cast("IO[bytes]", self.process.stdout)
        self._errors = bytearray()
        self._ending = threading.Lock()
        self._ended: int | None = None
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()
        text = (REMOTE / script[0]).read_bytes()
        self.send(b"%s%d\n%s" % (preamble(), len(text), text))

    def send(self, data: bytes | memoryview) -> None:
        """Send bytes.

        Raises:
            HostError: the other side is gone; the finding says why.
        """
        left = memoryview(data)
        try:
            while left:
                left = left[self._to.write(left) or 0 :]
        except (OSError, ValueError) as error:
            # ValueError: another thread found out first and closed the stream.
            raise self.failure() from error

    def say(self, document: Mapping[str, Any]) -> None:
        """Send one JSON line."""
        self.send(json.dumps(document).encode() + b"\n")

    def hear(self, kind: type[Reply], seconds: float = ANSWER_SECONDS) -> Reply:
        """Wait for one JSON line of a kind; what a shell's start files print before it is passed over.

        Raises:
            HostError: the other side ended instead, reports an error itself, says something else, or nothing
                within `seconds`.
        """
        left, until = HEARD_BYTES, time.monotonic() + seconds
        while True:
            line = self._line(left, until)
            left -= len(line)
            try:
                reply = document_of(line)
                break
            except ValueError:
                continue
        if "error" in reply:
            said, fix = (last_line(str(reply.get(name, "")), "") for name in ("error", "fix"))
            raise HostError(Finding(self.host.name, said, fix))
        try:
            return kind.model_validate(reply)
        except ValueError as error:
            raise self._not_understood() from error

    def failure(self) -> HostError:
        """Return why the stream ended."""
        code = self.close()
        stderr = self._errors.decode(errors="replace")
        if code == SSH_FAILED or sudo_refused(code, stderr):
            return HostError(explain(self.site, self.host, stderr))
        last = last_line(stderr, f"exit code {code}")
        return HostError(Finding(self.host.name, f"the connection ended early ({last})", "run it again"))

    def close(self, timeout: float = 10) -> int:
        """Close the stream, wait for the other side to end and return its exit code; again does no harm."""
        with self._ending:
            if self._ended is None:
                self._ended = self._close(timeout)
            return self._ended

    def _close(self, timeout: float) -> int:
        with contextlib.suppress(OSError):
            self._to.close()
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reader.join(timeout)
        self._from.close()
        return code

    def _not_understood(self) -> HostError:
        fix = "see what its shell prints at a login without a terminal (`ssh HOST true`)"
        return HostError(Finding(self.host.name, "its answer is not understood", fix))

    def _mute(self) -> HostError:
        self.process.kill()
        self.close()
        fix = "see whether its disk hangs (`dmesg`), then run it again"
        return HostError(Finding(self.host.name, "is connected and does not answer", fix))

    def _comes(self, until: float) -> bool:
        """Wait for something to read; whether it, or the end, came in time."""
        waiting = select.poll()
        waiting.register(self._from, select.POLLIN)
        return bool(waiting.poll(max(0.0, until - time.monotonic()) * 1000))

    def _line(self, most: int, until: float) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            if len(line) >= most:
                raise self._not_understood()
            try:
                if not self._comes(until):
                    raise self._mute()
                piece = self._from.read(1)
            except (OSError, ValueError) as error:
                raise self.failure() from error
            if not piece:
                raise self.failure()
            line += piece
        return bytes(line)

    def _read_errors(self) -> None:
        with cast("IO[bytes]", self.process.stderr) as errors:
            while piece := errors.read(4096):
                self._errors += piece
                del self._errors[:-SAID_BYTES]


def _start(host: Host, argv: Sequence[str]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
    except FileNotFoundError as error:
        raise no_ssh(host) from error
