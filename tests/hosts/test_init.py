"""`aiplat init`: from what was seen of hosts to a commented site file that is good, and a model for it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aiplat.actions import init as subject
from aiplat.actions.init import draft_site, save
from aiplat.actions.named_hosts import site_of
from aiplat.catalog.catalog import load_catalog
from aiplat.cli import init_verbs
from aiplat.cli.init import default_name
from aiplat.cli.main import command_line
from aiplat.errors import AiplatError
from aiplat.hosts.check import HostNeeds, SeenHost
from aiplat.hosts.facts import HostLook
from aiplat.hosts.free_networks import free_networks
from aiplat.plan.model_choice import choose_model
from aiplat.plan.models import Facts, HostFacts
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.supply.choose import Choice
from tests.hosts.worlds import AGENT, WELL, changed
from tests.patience import PATIENCE

HOSTS = ["root@10.0.0.11", "root@10.0.0.12"]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Two hosts as they are seen, of which a test may change what it likes; upstream answers."""
    looks = [dict(WELL), changed(WELL, AGENT)]

    def look(site: Site, *, thorough: bool = False) -> Facts:
        assert thorough
        return Facts(
            hosts=tuple(
                HostFacts(host=host.name, reachable=True, look=HostLook.model_validate(facts))
                for host, facts in zip(site.hosts, looks, strict=False)
            )
        )

    monkeypatch.setattr(subject, "gather_facts", look)
    monkeypatch.setattr(init_verbs, "meet", lambda *_: None)
    monkeypatch.setattr(
        subject, "choose_supply", lambda _: Choice("upstream", "upstream, because it answers")
    )
    return looks


def run(*arguments: str) -> Any:
    """Run the command line."""
    return CliRunner().invoke(command_line(), ["init", *arguments])


def test_the_file_is_good_and_says_why(seen: list[dict[str, Any]], tmp_path: Path) -> None:
    """Names, systems, roles and networks come from the hosts, each with its reason in a comment."""
    draft = draft_site(site_of("desk", HOSTS))
    site = save(draft, tmp_path / "site.yaml")
    assert [(h.name, h.address, h.role, h.arch, h.os) for h in site.hosts] == [
        ("desk-1", "10.0.0.11", "server", "amd64", "debian-12"),
        ("desk-2", "10.0.0.12", "agent", "amd64", "debian-12"),
    ]
    assert (site.supply, site.cluster.pod_cidr) == ("auto", "10.42.0.0/16")
    assert site.hosts[0].ssh.user == "root"
    assert "4 processors (Intel N100), 15.4 GiB of memory" in draft.text
    assert "as it was named first" in draft.text
    assert "upstream, because it answers" in draft.text
    assert all(len(line) <= 110 for line in draft.text.splitlines())


def test_networks_avoid_what_the_hosts_have_a_way_to(seen: list[dict[str, Any]], tmp_path: Path) -> None:
    """A VPN's route on one host moves the pods' network, and the comment names it."""
    seen[1]["routes"] = [*WELL["routes"], {"to": "10.42.0.0/15", "via": "10.0.0.9", "link": "enp1s0"}]
    draft = draft_site(site_of("desk", HOSTS))
    site = save(draft, tmp_path / "site.yaml")
    assert (site.cluster.pod_cidr, site.cluster.service_cidr) == ("10.44.0.0/16", "10.45.0.0/16")
    assert "are taken: 10.42.0.0/15" in " ".join(draft.text.replace("#", "").split())
    assert all(verdict.good for verdict in draft.report.verdicts)


def test_no_free_network_is_said() -> None:
    """Who has ways to all private networks gets a sentence, not a wrong file."""
    routes = [{"to": "10.0.0.0/8"}, {"to": "172.16.0.0/12"}]
    assert free_networks([HostLook.model_validate({"routes": routes})]) is None


def test_an_alias_gets_the_address_that_other_hosts_use(seen: list[dict[str, Any]], tmp_path: Path) -> None:
    """The alias is ssh's, the nodes know the host by an address of its own."""
    draft = draft_site(site_of("desk", ["box", "10.0.0.12"]))
    site = save(draft, tmp_path / "site.yaml")
    assert (site.hosts[0].address, site.hosts[0].node_address) == ("box", "10.0.0.11")
    assert site.hosts[1].node_address is None
    assert "the other hosts as 10.0.0.11" in draft.text


def test_hosts_with_one_name_are_told_apart(seen: list[dict[str, Any]], tmp_path: Path) -> None:
    """Machines that were copied are named after their addresses, and the trouble is said at once."""
    seen[1]["hostname"] = "desk-1"
    draft = draft_site(site_of("desk", HOSTS))
    assert [h.name for h in save(draft, tmp_path / "site.yaml").hosts] == ["10-0-0-11", "10-0-0-12"]
    assert "hostname-unique" in {t.check for t in draft.report.verdicts[0].troubles}


def test_a_host_that_was_not_seen_is_not_written_about(seen: list[dict[str, Any]]) -> None:
    """Every host that does not answer is named, and nothing is written."""
    seen[0] = {"problem": "does not answer on 10.0.0.11:22", "fix": "see that it is on"}
    with pytest.raises(AiplatError) as caught:
        draft_site(site_of("desk", HOSTS))
    assert [str(f) for f in caught.value.findings] == [
        "10-0-0-11: does not answer on 10.0.0.11:22; see that it is on"
    ]


def test_the_command_writes_and_says_where_to_go_on(seen: list[dict[str, Any]], tmp_path: Path) -> None:
    """Exit code 0, a good file, the next command."""
    path = tmp_path / "desk" / "site.yaml"
    done = run(*HOSTS, "--output", str(path))
    assert done.exit_code == 0, done.output
    assert load_site(path).name == "desk"
    assert f"aiplat bootstrap {path}" in done.output.replace("\n", "")


def test_a_program_gets_one_document(seen: list[dict[str, Any]], tmp_path: Path) -> None:
    """What was written, the model and the checks; a blocker is exit code 3."""
    seen[0]["ports"] = {"6443/tcp": "haproxy"}
    path = tmp_path / "site.yaml"
    done = run(*HOSTS, "--name", "desk", "--output", str(path), "--json")
    document = json.loads(done.stdout)
    assert done.exit_code == 3
    assert (document["kind"], document["file"]) == ("SiteDraft", str(path))
    assert document["text"] == path.read_text()
    assert document["model"]["name"]
    assert document["doctor"]["hosts"][0]["troubles"][0]["check"] == "ports-free"


def test_a_file_is_not_lost(seen: list[dict[str, Any]], tmp_path: Path) -> None:
    """What is there stays, unless somebody says yes."""
    path = tmp_path / "site.yaml"
    path.write_text("mine\n")
    refused = run(*HOSTS, "--name", "desk", "--output", str(path))
    assert refused.exit_code == 1
    assert str(refused.exception).endswith("name another file with --output, or add --yes")
    assert path.read_text() == "mine\n"
    assert run(*HOSTS, "--name", "desk", "--output", str(path), "--yes").exit_code == 0
    assert load_site(path).name == "desk"


def test_without_hosts_and_terminal_the_flags_are_named() -> None:
    """Nobody is asked where nobody is there."""
    code = "from aiplat.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "init"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "aiplat init USER@HOST" in done.stderr


def test_a_terminal_is_asked(tmp_path: Path) -> None:
    """Name, server and agents are typed; the flags for it are shown; then hosts are looked at."""
    (tmp_path / "ssh").write_text("#!/bin/sh\necho 'connect: Connection refused' >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o700)
    leader, follower = pty.openpty()
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "AIPLAT_STATE": str(tmp_path / "state"),
    }
    with subprocess.Popen(
        [sys.executable, "-c", "from aiplat.cli.main import main; main()", "init"],
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
        text=True,
    ) as asked:
        os.write(leader, b"desk\nroot@192.0.2.11\nroot@192.0.2.12\n\n")
        _, told = asked.communicate(timeout=PATIENCE)
    os.close(leader)
    os.close(follower)
    words = " ".join(told.split())
    assert "aiplat init --name desk root@192.0.2.11 root@192.0.2.12" in words
    assert "Connection refused" in words
    assert asked.returncode == 1
    assert not (tmp_path / "site.yaml").exists()


def test_the_folder_names_the_site(tmp_path: Path) -> None:
    """Whatever the folder is called, the name is one that a site may have."""
    assert default_name(tmp_path / "Ward 3" / "site.yaml") == "ward-3"
    assert default_name(Path("/site.yaml")) == "my-site"


def one(memory: int, cpu: str = "Intel(R) N100", *gpus: str) -> list[SeenHost]:
    """Return one server with this memory and processor."""
    look = HostLook(memory_mib=memory, cpu_model=cpu, arch="x86_64", gpus=gpus)
    return [SeenHost("s1", look, HostNeeds("desk", "server", "10.0.0.11"))]


@pytest.mark.parametrize(
    ("memory", "cpu", "expected"),
    [
        (15800, "Intel(R) N100", "granite3.3:2b"),
        (15800, "AMD Ryzen 7 5800X 8-Core Processor", "gemma3:4b"),
        (3800, "Intel(R) N100", "gemma3:270m"),
    ],
)
def test_the_model_suits_memory_and_processor(memory: int, cpu: str, expected: str) -> None:
    """The largest that fits and answers about as fast as people read."""
    choice = choose_model(one(memory, cpu), load_catalog(), "upstream")
    assert choice is not None
    assert choice.model == expected
    assert "GiB left for models" in choice.why[0]
    assert "tokens a second" in choice.why[1]


def test_package_registries_have_one_model_and_that_is_said() -> None:
    """The small base model is the only one there, and it does not converse."""
    choice = choose_model(one(15800), load_catalog(), "packages")
    assert choice is not None
    assert choice.model == "gemma3:270m"
    assert "does not converse" in choice.why[-1]


def test_a_gpu_that_is_not_used_is_named() -> None:
    """The choice is for processors, and says so."""
    choice = choose_model(one(15800, "Intel(R) N100", "NVIDIA L4"), load_catalog(), "upstream")
    assert choice is not None
    assert "NVIDIA L4" in choice.why[-1]


def test_where_nothing_fits_nothing_is_chosen() -> None:
    """A host that is too small for any model gets none."""
    assert choose_model(one(1900), load_catalog(), "upstream") is None
