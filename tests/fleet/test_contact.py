"""Meeting hosts for the first time: whose keys are asked about, who gives the password, what is kept.

`ssh -G` is the real one; what a server would do is played by a few lines. Real servers are met in the lab.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from aiplat.errors import BadInput
from aiplat.fleet.contact import HostKey, make_contact
from aiplat.fleet.sudo import PASSWORD_FILE, forget_password, sudo_password
from aiplat.site.models import Site
from tests.fleet.test_sudo import PASSWORD, SUDO

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIDmyUZtMtGjrOvHMXZeHnvvm1ekBBIBE0QYpoW8IVyhe"
FINGERPRINT = "SHA256:vPacoQB00na39r1SQkG3vdqcB66dOh27wALMvVhdTgY"
# Shows a key, as a server does before anybody logs in; then runs the command here.
SSH = """#!/usr/bin/python3 -S
import os, re, subprocess, sys
arguments = sys.argv[1:]
if arguments[0] == "-G":
    os.execv("/usr/bin/ssh", ["ssh", *arguments])
new = next((a for a in arguments if a.startswith("UserKnownHostsFile=")), None)
if new is None:
    os.execvp("sh", ["sh", "-c", arguments[-1]])
seen = subprocess.run(["/usr/bin/ssh", "-G", *arguments[:-1]], capture_output=True, text=True).stdout
settings = dict(line.split(" ", 1) for line in seen.splitlines() if " " in line)
name, port = settings["hostname"], settings["port"]
if name in {dead!r}:
    sys.exit(255)
with open(new.split('"')[1], "a") as file:
    file.write((name if port == "22" else f"[{{name}}]:{{port}}") + " ssh-ed25519 {key}\\n")
sys.exit(255)
"""


class Person:
    """Sits at the terminal and notes what is asked."""

    def __init__(self, *passwords: str, trusting: bool = True) -> None:
        self.passwords, self.trusting = list(passwords), trusting
        self.keys: list[list[str]] = []
        self.asked: list[tuple[str, list[str], bool]] = []

    def trust(self, keys: Sequence[HostKey]) -> bool:
        """Look at the keys."""
        self.keys.append([f"{key.what} {key.name} {key.kind} {key.fingerprint}" for key in keys])
        return self.trusting

    def password(self, user: str, hosts: Sequence[str], wrong: bool) -> str | None:
        """Give the next password."""
        self.asked.append((user, list(hosts), wrong))
        return self.passwords.pop(0) if self.passwords else None


@pytest.fixture
def world(host_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make every host show one key, and ask for sudo's password; return the folder of programs."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/.ssh").mkdir(parents=True)
    programs = tmp_path / "bin"
    texts = {"ssh": SSH.format(key=KEY, dead=()), "id": "#!/bin/sh\necho 1000\n"}
    texts["sudo"] = SUDO.format(password=PASSWORD, free=False)
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    yield programs
    forget_password()


@pytest.fixture
def jumping(site: Site) -> Site:
    """Return the site with a jump host before each host, and users that are not root."""
    ssh = [h.ssh.model_copy(update={"jump": ("boss@bastion:2200",), "user": "ops"}) for h in site.hosts]
    hosts = tuple(h.model_copy(update={"ssh": s}) for h, s in zip(site.hosts, ssh, strict=True))
    return site.model_copy(update={"hosts": hosts})


def test_the_jump_host_is_asked_about_before_what_lies_behind_it(
    jumping: Site, world: Path, state: Path
) -> None:
    """Nobody logs in to a machine whose key is not confirmed; each machine is asked about once."""
    person = Person(PASSWORD)
    make_contact(jumping, jumping.hosts, person)
    assert person.keys == [
        [f"jump host boss@bastion:2200 [bastion]:2200 ED25519 {FINGERPRINT}"],
        [
            f"host s1 192.0.2.11 ED25519 {FINGERPRINT}",
            f"host a1 [192.0.2.12]:2222 ED25519 {FINGERPRINT}",
        ],
    ]
    assert [line.split()[0] for line in (state / "known_hosts").read_text().splitlines()] == [
        "[bastion]:2200",
        "192.0.2.11",
        "[192.0.2.12]:2222",
    ]
    assert stat.S_IMODE((state / "known_hosts").stat().st_mode) == 0o600


def test_who_is_known_is_not_asked_about_again(jumping: Site, world: Path) -> None:
    """The second contact is silent."""
    make_contact(jumping, jumping.hosts, Person(PASSWORD))
    person = Person()
    make_contact(jumping, jumping.hosts, person)
    assert (person.keys, person.asked) == ([], [])


def test_a_key_that_is_not_accepted_is_not_kept(jumping: Site, world: Path, state: Path) -> None:
    """The answer no ends the work before anybody logged in anywhere."""
    with pytest.raises(BadInput, match=r"jump host boss@bastion:2200: its key SHA256:.* was not accepted"):
        make_contact(jumping, jumping.hosts, Person(trusting=False))
    assert not (state / "known_hosts").exists()


def test_the_users_own_known_hosts_counts_as_an_answer(
    jumping: Site, world: Path, state: Path, tmp_path: Path
) -> None:
    """Whom ssh knows already with the same key, nobody is asked about; another key of theirs is."""
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIJ" + KEY[26:]
    (tmp_path / "home/.ssh/known_hosts").write_text(
        f"[bastion]:2200 ssh-ed25519 {KEY}\n192.0.2.11 ssh-ed25519 {other}\n"
    )
    person = Person(PASSWORD)
    make_contact(jumping, jumping.hosts, person)
    assert [[line.split()[1] for line in keys] for keys in person.keys] == [["s1", "a1"]]


def test_who_does_not_answer_is_left_to_the_probe(jumping: Site, world: Path) -> None:
    """A machine that is off keeps nobody from meeting the others."""
    (world / "ssh").write_text(SSH.format(key=KEY, dead=("192.0.2.11",)))
    person = Person(PASSWORD)
    make_contact(jumping, jumping.hosts, person)
    assert [len(keys) for keys in person.keys] == [1, 1]


def test_the_password_is_asked_once_for_all_hosts(jumping: Site, world: Path) -> None:
    """One question names the user and every host that wants it; the answer is kept in memory."""
    person = Person(PASSWORD)
    make_contact(jumping, jumping.hosts, person)
    assert person.asked == [("ops", ["s1", "a1"], False)]
    assert sudo_password() == PASSWORD


def test_a_wrong_password_may_be_given_again(jumping: Site, world: Path) -> None:
    """It is asked three times at most, and each try costs one attempt on one host."""
    person = Person("wrong", PASSWORD)
    make_contact(jumping, jumping.hosts, person)
    assert [wrong for _, _, wrong in person.asked] == [False, True]
    forget_password()
    with pytest.raises(BadInput, match="s1: the sudo password of ops is wrong"):
        make_contact(jumping, jumping.hosts, Person("one", "two", "three", PASSWORD))
    assert sudo_password() is None


def test_a_wrong_password_from_a_file_is_refused_at_once(
    jumping: Site, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is asked where a file was named."""
    file = tmp_path / "password"
    file.write_text("wrong\n")
    file.chmod(0o600)
    monkeypatch.setenv(PASSWORD_FILE, str(file))
    person = Person(PASSWORD)
    with pytest.raises(BadInput, match="s1: the sudo password of ops is wrong"):
        make_contact(jumping, jumping.hosts, person)
    assert person.asked == []


def test_where_nobody_can_be_asked_the_probe_tells(jumping: Site, world: Path) -> None:
    """Without an answer nothing is tried, and no attempt is lost."""
    make_contact(jumping, jumping.hosts, Person())
    assert sudo_password() is None
