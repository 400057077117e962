"""`aiplat doctor hosts`: sites and named hosts, tables and JSON, exit codes; the host is this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiplat.actions.doctor_hosts import examine
from aiplat.actions.named_hosts import label, site_of
from aiplat.cli.main import command_line
from aiplat.errors import BadInput
from aiplat.fleet.probe import gather_facts
from aiplat.hosts.check import CHECKS
from aiplat.site.models import Site
from tests.fleet.conftest import host_here, site, state

__all__ = ["host_here", "site", "state"]

NO_PYTHON = """#!/bin/sh
for last; do :; done
case "$last" in *os-release*) echo 'ID="rocky"'; exit 0;; esac
exit 127
"""
OLD_PYTHON = '#!/bin/sh\necho \'{"too_old": "3.6.8"}\'\n'


def put_ssh(folder: Path, text: str) -> None:
    """Put another `ssh` in the place of the one that runs commands here."""
    (folder / "ssh").write_text(text)


@pytest.fixture
def programs(host_here: Path, tmp_path: Path) -> Path:
    """Return the folder whose `ssh` is taken."""
    return tmp_path / "bin"


def test_this_machine_is_looked_at_as_every_host(site: Site, programs: Path) -> None:
    """One call a host sees everything that the checks judge by; both hosts turn out to be one machine."""
    report = examine(site)
    assert [verdict.host for verdict in report.verdicts] == ["s1", "a1"]
    for verdict in report.verdicts:
        named = {trouble.check for trouble in verdict.troubles}
        assert "machine-id-unique" in named
        assert len(named) + len(verdict.met) + len(verdict.unseen) == len(CHECKS)
    look = report.facts.host("s1").look
    assert look is not None
    assert look.kernel
    assert look.links
    assert look.places["/var/lib"].size_mib
    assert look.clock_off is not None
    assert abs(look.clock_off) < 1
    assert set(look.peers.values()) - {"open", "closed"}  # nobody has the addresses of documentation


def test_a_host_without_python_is_told_how_to_get_it(site: Site, programs: Path) -> None:
    """The fix is in the words of the host's own system."""
    put_ssh(programs, NO_PYTHON)
    (first, _) = examine(site).verdicts
    assert [(t.check, t.fix) for t in first.troubles] == [("python", "dnf install python3")]
    assert not gather_facts(site).host("s1").reachable


def test_a_python_that_is_too_old_is_named(site: Site, programs: Path) -> None:
    """What cannot run the looks says at least which Python it is."""
    put_ssh(programs, OLD_PYTHON)
    (first, _) = examine(site).verdicts
    assert [t.check for t in first.troubles] == ["python-version"]
    assert "3.6.8" in first.troubles[0].cause


def test_a_host_that_does_not_answer_is_one_trouble(site: Site, programs: Path) -> None:
    """Its sentence is that of ssh's failure."""
    put_ssh(programs, "#!/bin/sh\necho 'connect: Connection refused' >&2\nexit 255\n")
    (first, _) = examine(site).verdicts
    assert [t.check for t in first.troubles] == ["reachable"]
    assert "Connection refused" in first.troubles[0].cause


def test_named_hosts_are_judged_without_a_site_file(programs: Path) -> None:
    """Exit code 3 says that something is wrong; one JSON document says what."""
    done = CliRunner().invoke(command_line(), ["doctor", "hosts", "root@192.0.2.11:2222", "box2", "--json"])
    document = json.loads(done.stdout)
    assert done.exit_code == 3
    assert document["kind"] == "HostsReport"
    assert [host["host"] for host in document["hosts"]] == ["192-0-2-11", "box2"]
    assert {"check", "severity", "cause", "fix"} == set(document["hosts"][0]["troubles"][0])


def test_people_read_the_worst_first(programs: Path) -> None:
    """Blockers stand above notes, and a count ends the report."""
    done = CliRunner().invoke(command_line(), ["doctor", "hosts", "root@192.0.2.11", "box2"])
    assert done.exit_code == 3
    assert done.stdout.index("blocker") < done.stdout.index(" checks are met")
    assert "machine id" in done.stdout


def test_hosts_on_a_command_line_become_a_site() -> None:
    """The first is the server; user, port and key are ssh's; names are made of addresses."""
    found = site_of("desk", ["ops@10.0.0.11:2222", "[fd00::2]", "box.example.org"], Path("/k"))
    assert [(h.name, h.address, h.role, h.ssh.user, h.ssh.port) for h in found.hosts] == [
        ("10-0-0-11", "10.0.0.11", "server", "ops", 2222),
        ("fd00-2", "fd00::2", "agent", None, None),
        ("box", "box.example.org", "agent", None, None),
    ]


def test_all_that_is_wrong_with_named_hosts_is_said_at_once() -> None:
    """A host twice, a port that is none, a name that is none."""
    with pytest.raises(BadInput) as caught:
        site_of("Desk", ["a", "a", "b:99999", "c d"])
    assert [finding.where for finding in caught.value.findings] == ["b:99999", "c d", "a", "--name"]


@pytest.mark.parametrize(
    ("text", "expected"), [("Box_1.lan", "box-1"), ("10.0.0.1", "10-0-0-1"), ("---", "host")]
)
def test_any_text_gives_the_name_of_a_host(text: str, expected: str) -> None:
    """Names are labels of lower-case letters, digits and hyphens."""
    assert label(text) == expected
