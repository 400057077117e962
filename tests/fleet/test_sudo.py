"""Becoming root: with a password and without, and that the password is seen nowhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.catalog.artifacts import Blob
from aiplat.content import sha256_bytes
from aiplat.errors import BadInput
from aiplat.fleet.inventory import write_run_folder
from aiplat.fleet.lease import hold_lease
from aiplat.fleet.probe import gather_facts
from aiplat.fleet.ssh import HostError, run_on, ssh_argv
from aiplat.fleet.sudo import PASSWORD_FILE, forget_password, preamble, remember_password, sudo_password
from aiplat.fleet.transfer import push_blobs
from aiplat.plan.models import Plan
from aiplat.site.models import Site

PASSWORD = "pa$$ 'word\\ {{ x }}"
# Sudo as Debian has it in what counts here: it takes one line of its standard input a try, to the byte, and
# only if it needs a password. Words are those it prints.
SUDO = """#!/usr/bin/python3 -S
import os, sys
def line():
    text = b""
    while not text.endswith(b"\\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        text += byte
    return text.rstrip(b"\\n").decode()
arguments = sys.argv[1:]
command = arguments[arguments.index("--") + 1:]
if {free} and "-k" not in arguments:
    os.execvp(command[0], command)
if "-S" not in arguments:
    sys.exit("sudo: a password is required")
if line() != {password!r}:
    sys.exit("Sorry, try again.\\nsudo: no password was provided\\nsudo: 1 incorrect password attempt")
os.execvp(command[0], command)
"""


@pytest.fixture
def asking(host_here: Path, tmp_path: Path) -> Iterator[Path]:
    """Make the hosts ask for a password; whoever runs the tests counts as nobody there."""
    _be_nobody(tmp_path, free=False)
    yield host_here
    forget_password()


def _be_nobody(tmp_path: Path, *, free: bool) -> None:
    for name, text in (("sudo", SUDO.format(password=PASSWORD, free=free)), ("id", "#!/bin/sh\necho 1000\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(stat.S_IRWXU)


def test_without_a_password_the_host_says_that_it_wants_one(site: Site, asking: Path) -> None:
    """The sentence names the user and every way to give a password."""
    with pytest.raises(HostError, match=rf"a1: ops needs a password for sudo; .*{PASSWORD_FILE}"):
        run_on(site, site.hosts[1], ["true"])


@pytest.mark.parametrize("free", [False, True])
def test_the_command_gets_its_own_input_and_nothing_of_the_password(
    site: Site, asking: Path, tmp_path: Path, free: bool
) -> None:
    """Whether sudo takes the password or does not ask for it, the command reads what is meant for it."""
    _be_nobody(tmp_path, free=free)
    remember_password(PASSWORD)
    data = bytes(range(256)) * 4096
    assert run_on(site, site.hosts[1], ["cat"], stdin=data).stdout == data


def test_root_does_not_see_the_password_either(site: Site, asking: Path, tmp_path: Path) -> None:
    """A host on which the login is root's drops the password."""
    (tmp_path / "bin/id").write_text("#!/bin/sh\necho 0\n")
    remember_password(PASSWORD)
    assert run_on(site, site.hosts[0], ["cat"], stdin=b"data").stdout == b"data"


def test_probe_lease_and_transfer_work_with_it(site: Site, asking: Path, tmp_path: Path) -> None:
    """Everything that becomes root does so with the same password."""
    remember_password(PASSWORD)
    content = b"blob" * 100_000
    digest = sha256_bytes(content)
    (tmp_path / digest).write_bytes(content)

    class Source:
        signed = None

        def blob_path(self, name: str) -> Path:
            return tmp_path / name

    assert [host.problem for host in gather_facts(site).hosts] == ["", ""]
    with hold_lease(site, "run-1", ["s1"]):
        moved = push_blobs(
            site, {"s1": [Blob(digest=digest, size=len(content))]}, Source(), "run-1", lambda *_: None
        )
    assert moved == {"s1": len(content)}


def test_a_wrong_password_is_told(site: Site, asking: Path) -> None:
    """The sentence says so, not that the connection ended."""
    remember_password("wrong")
    with pytest.raises(HostError, match="a1: the sudo password of ops is wrong"):
        run_on(site, site.hosts[1], ["true"])
    with (
        pytest.raises(HostError, match="a1: the sudo password of ops is wrong"),
        hold_lease(site, "r", ["a1"]),
    ):
        pass


def test_ansible_gets_it_in_the_private_file_alone(site: Site, asking: Path) -> None:
    """It is data in the 0600 file that goes with the run, also where it looks like a template."""
    remember_password(PASSWORD)
    plan = Plan(site="ward-3", verb="bootstrap", steps=(), based_on={})
    with write_run_folder(site, plan, "run-1", {}, {}) as folder:
        assert "ansible_become_password: !unsafe" in folder.secrets.read_text()
        assert "word" not in folder.inventory.read_text()


def test_it_is_on_no_command_line_and_in_no_environment(
    site: Site, asking: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither ssh's arguments nor what children inherit have a part of it."""
    remember_password(PASSWORD)
    assert not any("word" in part for part in ssh_argv(site, site.hosts[1], ["true"]))
    assert not any("word\\" in value for value in os.environ.values())
    assert PASSWORD.encode() in preamble()


def test_a_program_names_a_file(
    site: Site, asking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read once, so that it may be a pipe."""
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    monkeypatch.setenv(PASSWORD_FILE, str(file))
    assert run_on(site, site.hosts[1], ["echo", "in"]).stdout == b"in\n"
    file.unlink()
    assert run_on(site, site.hosts[1], ["echo", "again"]).stdout == b"again\n"


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        ("secret\n", 0o644, "others can read it; run chmod 600"),
        ("", 0o600, "does not hold one line, the password"),
        ("a\nb\n", 0o600, "does not hold one line, the password"),
    ],
)
def test_a_file_that_is_no_good_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, mode: int, sentence: str
) -> None:
    """What is wrong with the file is said without saying what is in it."""
    file = tmp_path / "password"
    file.write_text(text)
    file.chmod(mode)
    monkeypatch.setenv(PASSWORD_FILE, str(file))
    with pytest.raises(BadInput, match=sentence) as caught:
        sudo_password()
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped path is not a traceback."""
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "none"))
    with pytest.raises(BadInput, match="cannot be read: No such file or directory"):
        sudo_password()
