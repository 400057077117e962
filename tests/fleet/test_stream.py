"""A connection that breaks: whoever uses it is told why, in one sentence, however often and from wherever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aiplat.catalog.artifacts import Blob
from aiplat.content import sha256_bytes
from aiplat.errors import AiplatError
from aiplat.fleet.lease import hold_lease
from aiplat.fleet.ssh import HostError, run_on
from aiplat.fleet.stream import Stream
from aiplat.fleet.transfer import prune_blobs, push_blobs
from aiplat.frozen import Frozen
from aiplat.site.models import Site

LIMIT = 20
# Ends as ssh does when the network is gone: a word on stderr and 255.
CUT = "#!/bin/sh\n{before}\necho 'client_loop: send disconnect: Broken pipe' >&2\nexit 255\n"


def cut(programs: Path, before: str = "") -> None:
    """Make every connection end, after `before` was done on it."""
    (programs / "ssh").write_text(CUT.format(before=before))


def test_what_comes_after_the_end_is_told_why_it_ended(site: Site, host_here: Path) -> None:
    """Sending, hearing and closing again repeat the reason instead of failing on a closed file."""
    stream = Stream(site, site.hosts[0], ["receive_blobs.py"])
    stream.process.kill()
    stream.process.wait(LIMIT)
    uses: list[Callable[[], object]] = [
        lambda: stream.hear(Frozen),
        lambda: stream.send(b"x"),
        lambda: stream.say({}),
    ]
    for use in uses * 2:
        with pytest.raises(HostError, match=r"s1: the connection ended early"):
            use()
    assert stream.close() == stream.close()


def test_many_threads_may_find_out_at_once(site: Site, host_here: Path, tmp_path: Path) -> None:
    """Heartbeats, a transfer and the end of the run meet the same dead connection; each gets the sentence."""
    stream = Stream(site, site.hosts[0], ["receive_blobs.py"])
    stream.process.kill()
    said: list[BaseException] = []

    def use() -> None:
        try:
            stream.hear(Frozen)
        except AiplatError as error:
            said.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert [type(error) for error in said] == [HostError] * 8


def test_a_lease_whose_connection_broke_ends_quietly(site: Site, host_here: Path) -> None:
    """Somebody else found out before the block ended: what the block raises is not buried."""

    def block() -> None:
        with hold_lease(site, "run-1", ["s1"]) as lease:
            stream = lease._streams[0]
            stream.process.kill()
            assert "the connection ended early" in str(stream.failure())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()


@pytest.mark.parametrize("before", ["", "read line", "read line; read line"])
def test_a_lease_that_is_cut_while_it_is_taken_is_told(
    site: Site, host_here: Path, tmp_path: Path, before: str
) -> None:
    """Wherever the connection breaks, the host is named and nothing is held."""
    cut(tmp_path / "bin", before)
    with (
        pytest.raises(HostError, match=r"s1: does not answer .*Broken pipe"),
        hold_lease(site, "run-1", ["s1"]),
    ):
        pass


def test_a_transfer_that_is_cut_is_told(site: Site, host_here: Path, tmp_path: Path) -> None:
    """Sending blobs and pruning them name the host; the next run resumes."""
    cut(tmp_path / "bin", 'read line; echo \'{"missing": {"%s": 0}}\'')
    content = b"blob" * 1_000_000
    digest = sha256_bytes(content)
    cut(tmp_path / "bin", f"""read line; echo '{{"missing": {{"{digest[7:]}": 0}}}}'""")
    (tmp_path / digest).write_bytes(content)

    class Source:
        signed = None

        def blob_path(self, name: str) -> Path:
            return tmp_path / name

    wanted = {"s1": [Blob(digest=digest, size=len(content))]}
    with pytest.raises(AiplatError, match=r"s1: does not answer .*Broken pipe"):
        push_blobs(site, wanted, Source(), "run-1", lambda *_: None)
    cut(tmp_path / "bin")
    with pytest.raises(HostError, match=r"s1: does not answer .*Broken pipe"):
        prune_blobs(site, {"s1": []}, "run-1")


def test_what_start_files_print_is_passed_over(site: Site, host_here: Path, tmp_path: Path) -> None:
    """A shell that greets everybody disturbs neither the probe nor a stream."""
    ssh = tmp_path / "bin/ssh"
    ssh.write_text(ssh.read_text().replace("exec sh", "echo Welcome; echo 42; exec sh"))
    assert run_on(site, site.hosts[0], ["printf", "Welcome"]).stdout == b"Welcome"
    with hold_lease(site, "run-1", ["s1"]) as lease:
        assert lease._streams[0].process.poll() is None


def test_a_host_that_stays_connected_and_says_nothing_is_given_up(
    site: Site, host_here: Path, tmp_path: Path
) -> None:
    """As one does whose disk hangs; the connection is ended with it."""
    (tmp_path / "bin/ssh").write_text("#!/bin/sh\nexec sleep 100000\n")
    stream = Stream(site, site.hosts[0], ["receive_blobs.py"])
    with pytest.raises(HostError, match="s1: is connected and does not answer"):
        stream.hear(Frozen, seconds=0.1)
    assert stream.process.poll() is not None
