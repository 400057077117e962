"""Reaching a host: what ssh is told, and how its refusals read."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.fleet.ssh import HostError, connection, explain, remote_user, run_on, ssh_argv
from aiplat.site.models import Site


def test_only_what_the_site_names_is_set(site: Site, state: Path) -> None:
    """User, port and key are left to ssh's own defaults unless the site names them."""
    settings = connection(site, site.hosts[0])
    assert {"User", "Port", "IdentityFile"}.isdisjoint(settings)
    assert connection(site, site.hosts[1]) | {"User": "ops", "Port": "2222"} == connection(
        site, site.hosts[1]
    )


def test_the_sites_own_key_is_used_where_it_exists(site: Site, state: Path) -> None:
    """A lab's generated key serves hosts that name none."""
    state.mkdir(parents=True)
    (state / "ssh_key").write_text("key")
    assert connection(site, site.hosts[0])["IdentityFile"] == f'"{state / "ssh_key"}"'


def test_host_keys_are_always_checked_against_the_sites_file(site: Site, state: Path) -> None:
    """Nothing accepts a new key silently, and no other known_hosts file takes part."""
    settings = connection(site, site.hosts[0])
    assert settings["StrictHostKeyChecking"] == "yes"
    assert settings["UserKnownHostsFile"] == f'"{state / "known_hosts"}"'
    assert settings["GlobalKnownHostsFile"] == "/dev/null"


def test_the_remote_command_survives_quoting(site: Site, host_here: Path) -> None:
    """Arguments with spaces, quotes and dollars arrive as they were given."""
    awkward = ["printf", "%s|", "a b", "it's", "$HOME", "x\ny"]
    assert run_on(site, site.hosts[0], awkward).stdout == b"a b|it's|$HOME|x\ny|"


def test_standard_input_reaches_the_command(site: Site, host_here: Path) -> None:
    """What is given as input is what the command reads."""
    assert run_on(site, site.hosts[0], ["cat"], stdin=b"secret").stdout == b"secret"


def test_a_command_that_hangs_is_ended(site: Site, host_here: Path) -> None:
    """The time limit ends in a finding that names host and command."""
    with pytest.raises(HostError, match="s1: `sleep` did not end within 0 s"):
        run_on(site, site.hosts[0], ["sleep", "60"], timeout=0.2)


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        ("Host key verification failed.", "the host key of 192.0.2.11 is not known"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "shows another host key"),
        ("root@192.0.2.11: Permission denied (publickey).", "not let"),
        ("ssh: connect to host 192.0.2.11 port 22: Connection refused", "does not answer on 192.0.2.11:22"),
        ("sudo: a password is required", "may not use sudo without a password"),
    ],
)
def test_every_refusal_is_a_sentence_with_a_way_out(
    site: Site, state: Path, stderr: str, sentence: str
) -> None:
    """What ssh printed becomes where, what and what to do."""
    finding = explain(site, site.hosts[0], stderr)
    assert finding.where == "s1"
    assert sentence in finding.problem
    assert finding.fix


def test_no_secret_is_on_the_command_line(site: Site, state: Path) -> None:
    """The command line holds options, address and command; input goes by standard input."""
    argv = ssh_argv(site, site.hosts[0], ["cat"])
    assert argv[0] == "ssh"
    assert argv[-2] == "192.0.2.11"


def test_the_user_is_the_one_ssh_would_take(site: Site, state: Path) -> None:
    """Ssh's own configuration is asked, so that sudo is used only where it is needed."""
    assert remote_user(site, site.hosts[1]) == "ops"
