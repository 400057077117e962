"""Reaching a host: what ssh is told, what ssh makes of it, and how its refusals read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.fleet.route import route
from aiplat.fleet.sentences import explain
from aiplat.fleet.ssh import HostError, remote_user, run_on, ssh_argv, ssh_settings
from aiplat.fleet.ssh_config import config_text, connection
from aiplat.site.models import Site


@pytest.fixture
def home(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder's .ssh, which takes the place of the user's own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    return folder


def _site(**ssh: Any) -> Site:
    host = {"name": "s1", "address": "gpu1", "nodeAddress": "10.0.0.11", "role": "server", "ssh": ssh}
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3"}
    return Site.model_validate({**head, "hosts": [host]})


def test_only_what_the_site_names_is_set(site: Site, state: Path) -> None:
    """User, port, key and jump hosts are left to ssh's own configuration unless the site names them."""
    assert connection(site, site.hosts[0]) == {}
    assert connection(site, site.hosts[1]) == {"User": "ops", "Port": "2222"}


def test_the_sites_own_key_is_used_where_it_exists(site: Site, state: Path) -> None:
    """A lab's generated key serves hosts that name none, and the jump hosts on the way to them."""
    state.mkdir(parents=True)
    (state / "ssh_key").write_text("key")
    assert f'IdentityFile "{state / "ssh_key"}"' in config_text(site, site.hosts[0])
    assert connection(site, site.hosts[0]) == {"IdentitiesOnly": "yes"}


@pytest.mark.parametrize("user", ["", "Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"])
def test_host_keys_are_always_checked_against_the_sites_file(home: Path, state: Path, user: str) -> None:
    """Nothing accepts a new key silently and no other known_hosts file takes part, whatever the user set."""
    (home / "config").write_text(user)
    site = _site()
    settings = ssh_settings(site, site.hosts[0])
    assert settings["stricthostkeychecking"] == "true"
    assert settings["userknownhostsfile"] == str(state / "known_hosts")
    assert settings["globalknownhostsfile"] == "/dev/null"


def test_the_users_configuration_is_honoured(home: Path) -> None:
    """Aliases, users, ports, keys, jump hosts and Match blocks of ~/.ssh/config hold."""
    (home / "config").write_text(
        "Host gpu1\n  HostName 192.0.2.77\n  User ops\n  IdentityFile ~/.ssh/gpu\n"
        "  ProxyJump boss@bastion:2200\n"
        "Match host 192.0.2.77\n  Port 2222\n"
    )
    site = _site()
    settings = ssh_settings(site, site.hosts[0])
    assert [settings[k] for k in ("hostname", "user", "port")] == ["192.0.2.77", "ops", "2222"]
    assert settings["identityfile"].endswith(".ssh/gpu")
    assert settings["proxyjump"] == "boss@bastion:2200"


def test_the_site_overrides_the_users_configuration(home: Path) -> None:
    """What site.yaml says of a host holds against ~/.ssh/config."""
    (home / "config").write_text("Host gpu1\n  User ops\n  Port 2222\n  ProxyJump bastion\n")
    site = _site(user="root", port=22, jump=["one", "two:2200"])
    settings = ssh_settings(site, site.hosts[0])
    assert [settings[k] for k in ("user", "port", "proxyjump")] == ["root", "22", "one,two:2200"]


def test_settings_for_work_at_a_terminal_do_not_disturb(home: Path) -> None:
    """Shared connections, forwardings, remote commands and terminals of ~/.ssh/config are left out."""
    (home / "config").write_text(
        "Host *\n  ControlMaster auto\n  ControlPersist 10m\n  RequestTTY force\n  RemoteCommand tmux\n"
        "  ForwardAgent yes\n  LogLevel QUIET\n"
    )
    site = _site()
    settings = ssh_settings(site, site.hosts[0])
    assert [settings[k] for k in ("controlmaster", "requesttty", "forwardagent", "loglevel")] == [
        "false",
        "false",
        "no",
        "INFO",
    ]
    assert settings.get("remotecommand", "none") == "none"


def test_the_way_to_a_host_names_every_machine_on_it(home: Path) -> None:
    """Jump hosts come first, as known_hosts names them: with those that the configuration adds."""
    (home / "config").write_text(
        "Host outer\n  HostName 192.0.2.1\n  Port 2200\n"
        "Host inner\n  HostName 10.9.0.1\n  ProxyJump outer\n"
        "Host gpu1\n  HostName 10.9.0.7\n"
    )
    site = _site(port=2222, jump=["inner", "ops@10.9.0.2:2022"])
    hops = route(site, site.hosts[0])
    assert [(hop.name, hop.what) for hop in hops] == [
        ("[192.0.2.1]:2200", "jump host outer"),
        ("10.9.0.1", "jump host inner"),
        ("[10.9.0.2]:2022", "jump host ops@10.9.0.2:2022"),
        ("[10.9.0.7]:2222", "host s1"),
    ]


def test_a_way_that_is_a_circle_is_refused(home: Path) -> None:
    """Two jump hosts that lead to each other end in a sentence."""
    (home / "config").write_text("Host one\n  ProxyJump two\nHost two\n  ProxyJump one\n")
    site = _site(jump=["one"])
    with pytest.raises(HostError, match=r"s1: the way to it has more than 8 jump hosts, or is a circle"):
        route(site, site.hosts[0])


def test_an_error_in_the_users_configuration_is_told(home: Path) -> None:
    """A word that ssh does not know is not a traceback."""
    (home / "config").write_text("Host *\n  Hostnam x\n")
    site = _site()
    with pytest.raises(HostError, match=r"ssh does not understand ~/.ssh/config"):
        remote_user(site, site.hosts[0])


def test_a_machine_without_ssh_is_told(
    site: Site, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no ssh program, the sentence says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="this machine has no ssh; install it"):
        run_on(site, site.hosts[0], ["true"])


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


def test_a_warning_of_sudo_is_no_refusal(site: Site, host_here: Path) -> None:
    """A host whose own name is not in its DNS makes sudo complain and work all the same."""
    script = "echo 'sudo: unable to resolve host s1: Name or service not known' >&2"
    assert run_on(site, site.hosts[0], ["sh", "-c", script]).code == 0


REFUSALS = [
    ("Host key verification failed.", "the host key of 192.0.2.12 is not known"),
    (
        "No ED25519 host key is known for [bastion]:2200 and you have requested strict checking.\n"
        "Host key verification failed.",
        "the host key of [bastion]:2200 is not known",
    ),
    ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "shows another host key"),
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key for [bastion]:2200 has changed and you",
        "[bastion]:2200 shows another host key than the one in ",
    ),
    ("ops@192.0.2.12: Permission denied (publickey).", "does not let ops in with this key"),
    ("boss@bastion: Permission denied (publickey).", "the jump host boss@bastion:2200 does not let boss in"),
    ("ops@192.0.2.12: Permission denied (password).", "takes passwords only (password), no keys"),
    ("Received disconnect: Too many authentication failures", "ssh-agent offers too many keys"),
    ("ssh: connect to host 192.0.2.12 port 22: Connection refused", "does not answer on 192.0.2.12:2222"),
    ("ssh: Could not resolve hostname bastion: Name or service not known", "the name bastion is not known"),
    (
        "channel 0: open failed: connect failed: No route to host\nstdio forwarding failed",
        "boss@bastion:2200 is reached, but 192.0.2.12 is not from there (connect failed: No route to host)",
    ),
    (
        "channel 0: open failed: administratively prohibited: open failed",
        "boss@bastion:2200 forbids going on to 192.0.2.12",
    ),
    ("Bad owner or permissions on /root/.ssh/config", "ssh refuses its configuration"),
    ("sudo: a password is required", "ops needs a password for sudo"),
    ("sudo: interactive authentication is required", "ops needs a password for sudo"),
    (
        "sudo: no password was provided\nsudo: 1 incorrect password attempt",
        "the sudo password of ops is wrong",
    ),
    ("sudo: Maximum 3 incorrect authentication attempts reached", "the sudo password of ops is wrong"),
    ("ops is not in the sudoers file.", "ops may not use sudo"),
    ("Sorry, user ops may not run sudo on s1.", "ops may not use sudo"),
    (
        "Sorry, user ops is not allowed to execute '/bin/sh -c x' as root on s1.",
        "ops may use sudo for some commands only",
    ),
    ("sudo: sorry, you must have a tty to run sudo", "sudo wants a terminal there (requiretty)"),
    ("sudo: Account or password is expired, reset your password", "the password of ops has expired there"),
    ("sudo: account validation failure, is your account locked?", "the account of ops is locked there"),
    ("sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set", "sudo is damaged there"),
    ('sudo: The "no new privileges" flag is set', "sudo cannot work there"),
    ("sh: 1: exec: sudo: not found", "there is no sudo, and ops is not root"),
    ("/etc/sudoers:3:1: syntax error", "its sudoers file has an error"),
]


@pytest.mark.parametrize(("stderr", "sentence"), REFUSALS)
def test_every_refusal_is_a_sentence_with_a_way_out(
    site: Site, state: Path, stderr: str, sentence: str
) -> None:
    """What ssh and sudo printed becomes where, what and what to do."""
    ssh = site.hosts[1].ssh.model_copy(update={"jump": ("boss@bastion:2200",)})
    finding = explain(site, site.hosts[1].model_copy(update={"ssh": ssh}), stderr)
    assert finding.where == "a1"
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
