"""Which driver makes a lab, what a machine without an engine is told, and what a host's container may do."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.errors import EXIT_BAD_INPUT, BadInput
from aiplat.lab import DRIVERS, bridge, claims, engine, lab_snapshot, lab_up, needs, restores
from aiplat.lab.chosen import driver_of
from aiplat.lab.docker_hosts import (
    container_name,
    create_argv,
    keep,
    kept,
    remove_unfinished,
    seed,
    snapshot_image,
)
from aiplat.lab.engine import missing
from aiplat.lab.keys import new_key_pair
from aiplat.lab.names import LabNetwork, lab_network
from aiplat.lab.record import RecordedHost, record_of, write_record
from aiplat.lab.tree import Identity
from tests.lab_driver.sites import site

LAB, HOST = "t-dock", RecordedHost(name="s1", address="10.92.60.11", role="server")
HOSTS = (HOST, RecordedHost(name="a1", address="10.92.60.12", role="agent"))


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state folder with no lab in it, and no driver named by the environment."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("AIPLAT_LAB_DRIVER", raising=False)


def command_line(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
    """Have nothing but this program `docker` in the search path; None: not even that."""
    folder.mkdir()
    if script is not None:
        (folder / "docker").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_nspawn_is_the_default_and_the_environment_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that bootstrap, which makes the lab itself, takes it too; what is asked for comes first."""
    assert driver_of(LAB).name == "nspawn"
    monkeypatch.setenv("AIPLAT_LAB_DRIVER", "docker")
    assert driver_of(LAB).name == "docker"
    assert driver_of(LAB, "nspawn").name == "nspawn"


def test_a_lab_keeps_the_driver_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says later."""
    write_record(record_of(site(LAB, "10.92.60.11"), "docker", "trixie"))
    monkeypatch.setenv("AIPLAT_LAB_DRIVER", "nspawn")
    assert driver_of(LAB).name == "docker"


def test_a_driver_that_there_is_not_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by whoever named it."""
    with pytest.raises(
        BadInput, match='driver: doker is not a driver for labs; did you mean "docker"'
    ) as refused:
        driver_of(LAB, "doker")
    assert refused.value.exit_code == EXIT_BAD_INPUT
    monkeypatch.setenv("AIPLAT_LAB_DRIVER", "vm")
    with pytest.raises(BadInput, match=f"AIPLAT_LAB_DRIVER: vm .* there are: {', '.join(sorted(DRIVERS))}"):
        driver_of(LAB)


def test_a_machine_without_the_command_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that there is another driver."""
    command_line(tmp_path / "bin", monkeypatch, None)
    (said,) = missing()
    assert str(said) == (
        "docker: the command docker is not found; apt-get install docker.io, or use the driver nspawn"
    )


def test_an_engine_that_does_not_answer_is_named_by_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a command line that fails as docker's does; no engine takes part."""
    command_line(tmp_path / "bin", monkeypatch, 'echo "Cannot connect to the Docker daemon" >&2; exit 1')
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/nobody.sock")
    (said,) = missing()
    assert str(said) == (
        "docker: no engine answers at unix:///run/nobody.sock; start one, or use the driver nspawn"
    )


def test_a_lab_of_hosts_with_ipv6_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made."""
    two = {"name": "s1", "address": "10.92.60.11", "nodeAddress": "10.92.60.11,fd00:60::11", "role": "server"}
    dual = site(LAB, "10.92.60.11").model_copy(
        update={"hosts": (type(site(LAB, "10.92.60.11").hosts[0]).model_validate(two),)}
    )
    with pytest.raises(BadInput, match="driver docker gives hosts IPv4 addresses alone"):
        lab_up(dual, driver="docker")


def test_a_container_has_what_a_host_uses_and_not_everything() -> None:
    """Capabilities by name: a privileged one has the machine's devices, and not every engine can give it."""
    argv = create_argv(LAB, HOST, "root", "made")
    assert "--privileged" not in argv
    assert {"--cap-add=SYS_ADMIN", "--cap-add=NET_ADMIN", "--cgroupns=private"} <= set(argv)
    assert not {"--cap-add=SYS_MODULE", "--cap-add=SYS_BOOT", "--cap-add=SYS_RAWIO", "--cap-add=ALL"} & set(
        argv
    )
    assert argv[argv.index("--ip") + 1] == "10.92.60.11"
    assert not [word for word in argv if word.startswith(("--publish", "-p"))]


def test_a_host_gets_its_own_files_with_the_modes_of_a_root(tmp_path: Path) -> None:
    """Those of folders count too: the engine gives them to the host's own."""
    network: LabNetwork = lab_network(site(LAB, "10.92.60.11"))
    made = Identity(LAB, "s1", ("10.92.60.11", ""), network, new_key_pair())
    assert seed(tmp_path / "s1", made)
    assert not seed(tmp_path / "s1", made)
    folders = {
        str(p.relative_to(tmp_path / "s1")): p.stat().st_mode & 0o777 for p in (tmp_path / "s1").rglob("*/")
    }
    assert {name for name, mode in folders.items() if mode == 0o700} == {"root", "root/.ssh"}
    assert set(folders.values()) == {0o700, 0o755}
    assert (tmp_path / "s1/usr/local/lib/aiplat-lab/start").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "s1/etc/ssh/ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600


def test_a_label_is_kept_again_after_a_host_was_put_back_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's container is made of the label's image, which goes: nothing may be run from it then."""
    log = tmp_path / "log"
    command_line(tmp_path / "bin", monkeypatch, f'echo "$@" >> {log}')
    keep(LAB, [HOST], "clean")
    image = snapshot_image(LAB, "s1", "clean")
    said = log.read_text().splitlines()
    removed = said.index(f"image rm --force {image}")
    (committed,) = [line for line in said[:removed] if line.startswith("commit ")]
    assert committed.endswith(f" {image}.making")
    (copied,) = [line for line in said[removed:] if line.startswith("run ")]
    assert f" {image}.making -a " in copied
    assert said[-2:] == [f"tag {image}.making {image}", f"image rm --force {image}.making"]


def test_hosts_of_two_snapshots_are_never_kept_under_one_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All images of the last one go before the first copy, and the new ones are named when all is copied."""
    log = tmp_path / "log"
    command_line(tmp_path / "bin", monkeypatch, f'echo "$@" >> {log}')
    keep(LAB, HOSTS, "clean")
    said = log.read_text().splitlines()
    images = [snapshot_image(LAB, host.name, "clean") for host in HOSTS]
    copies = [n for n, line in enumerate(said) if line.startswith("run ")]
    assert len(copies) == len(HOSTS)
    assert max(said.index(f"image rm --force {image}") for image in images) < copies[0]
    assert min(said.index(f"tag {image}.making {image}") for image in images) > copies[-1]


def test_a_snapshot_counts_where_every_host_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was cut off is not offered, whichever names it has left."""
    names = {"clean": HOSTS, "cut": HOSTS[:1], "new.making": HOSTS}
    there = [snapshot_image(LAB, host.name, label) for label, hosts in names.items() for host in hosts]
    command_line(tmp_path / "bin", monkeypatch, f"echo '{' '.join(there)}'")
    assert kept(LAB, HOSTS) == ("clean",)


def test_what_a_killed_command_left_is_found_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that still copies holds volumes; hosts and their snapshots stay."""
    log, copying = tmp_path / "log", f"{container_name(LAB, 's1')}.making"
    listing = f"echo {container_name(LAB, 's1')} {copying}"
    command_line(
        tmp_path / "bin", monkeypatch, f'echo "$@" >> {log}; case $* in ps*) {listing} ;; esac; exit 0'
    )
    remove_unfinished(LAB)
    removed = [line for line in log.read_text().splitlines() if " --force " in line]
    assert removed == [f"rm --force {copying}"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_restore_that_was_cut_off_is_not_forgotten(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever driver made the lab: the command that finishes it is named."""
    made = site(LAB, "10.92.60.11")
    record = record_of(made, driver, "trixie")
    write_record(record)

    def cut() -> None:
        with restores.remembered(LAB, "clean"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut()
    monkeypatch.setattr(needs, "check_machine", lambda *_, **__: None)
    monkeypatch.setattr(claims, "refuse_other", lambda *_: None)
    monkeypatch.setattr(bridge, "check_free", lambda *_: None)
    monkeypatch.setattr(engine, "listed", lambda *_: ())
    asked = (lambda: lab_up(made, driver=driver), lambda: lab_snapshot(LAB, "next"))
    for verb in asked:
        with pytest.raises(BadInput) as refused:
            verb()
        (said,) = refused.value.findings
        assert str(said) == (
            f"lab {LAB}: is half put back to the snapshot clean; "
            f"finish it: aiplat lab restore {LAB} --label clean"
        )
    with restores.remembered(LAB, "clean"):
        pass
    assert restores.cut_off(LAB) == ""
