"""What is written down about a lab, who may change it, and what is a lab's on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.errors import AiplatError, BadInput
from aiplat.lab.keys import kept_key_pair, known_hosts, publish, published, withdraw
from aiplat.lab.leftovers import mounts_below
from aiplat.lab.machine import nspawn_argv
from aiplat.lab.record import lab_folder, only_one, read_record, record_of, write_record
from tests.lab_driver.sites import site

SITE = site("t-lab", "10.92.40.11", "10.92.40.12")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))


def test_a_record_is_read_as_it_was_written() -> None:
    """Writing the same again writes nothing."""
    record = record_of(SITE, "nspawn", "bookworm")
    assert [write_record(record), write_record(record)] == [True, False]
    assert read_record("t-lab") == record
    assert str(record.network.gateway) == "10.92.40.1"


def test_a_record_of_a_newer_aiplat_is_refused_by_its_version() -> None:
    """The way out is named: the program that made it, or removing the lab."""
    path = lab_folder("t-lab") / "lab.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"apiVersion": "aiplat.dev/v9", "kind": "Lab"}')
    with pytest.raises(BadInput, match=r"is aiplat.dev/v9, this aiplat knows .*aiplat lab down t-lab"):
        read_record("t-lab")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"apiVersion": "aiplat.dev/v1alpha1", "kind":'])
def test_a_damaged_record_is_refused(content: str) -> None:
    """A record cut short is not taken for a lab without hosts."""
    path = lab_folder("t-lab") / "lab.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(BadInput, match=r"lab\.json: is "):
        read_record("t-lab")


def test_one_at_a_time_and_the_dead_do_not_count() -> None:
    """A holder that is killed lets go at once; one that lives is waited for by nobody."""
    holder = (
        "import sys, time\nfrom aiplat.lab.record import only_one\n"
        "with only_one('t-lab'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen((sys.executable, "-c", holder), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(AiplatError, match="another aiplat command is changing this lab"),
            only_one("t-lab"),
        ):
            pytest.fail("two at once")
        process.kill()
        process.wait()
        with only_one("t-lab"):
            pass


def test_published_keys_go_and_what_is_the_sites_own_stays(tmp_path: Path) -> None:
    """Taking the keys back leaves the site's other files, and an empty folder goes."""
    pair = kept_key_pair(tmp_path / "lab" / "ssh_key")
    assert kept_key_pair(tmp_path / "lab" / "ssh_key") == pair
    folder = tmp_path / "site"
    publish(folder, pair, known_hosts({"10.92.40.11": pair.public}))
    (folder / ".ssh_key.cut-short").touch()
    (folder / "vault.yml").touch()
    assert len(withdraw(folder)) == 3
    assert [p.name for p in folder.iterdir()] == ["vault.yml"]
    (folder / "vault.yml").unlink()
    withdraw(folder)
    assert not folder.exists()
    assert published(folder) == ()


def test_mounts_of_a_lab_are_found_with_spaces_in_their_names() -> None:
    """The kernel writes a space as an octal escape; the innermost comes last."""
    table = (
        "40 1 8:1 / /s\\040x/labs/t-lab/hosts/s1 rw - ext4 /dev/vda rw\n"
        "41 1 8:1 / /s\\040x/labs/t-lab/hosts/s1/proc rw - proc proc rw\n"
        "42 1 8:1 / /s\\040x/labs/t-lab2/hosts/s1 rw - ext4 /dev/vda rw\n"
    )
    below = mounts_below(Path("/s x/labs/t-lab"), table)
    assert below == ("/s x/labs/t-lab/hosts/s1", "/s x/labs/t-lab/hosts/s1/proc")


def test_hosts_are_booted_without_asking_the_machines_systemd() -> None:
    """Process 1 of the machine need not be systemd."""
    argv = nspawn_argv("t-lab", "s1", Path("/x/s1"))
    assert {"--register=no", "--keep-unit", "--directory=/x/s1", "--network-bridge=al-t-lab"} <= set(argv)
