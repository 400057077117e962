"""What a host answers is not believed: whatever it writes, the operator gets a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiplat.actions.doctor_hosts import examine
from aiplat.catalog.artifacts import Blob
from aiplat.content import sha256_bytes
from aiplat.errors import AiplatError
from aiplat.fleet.answers import document_of, last_line
from aiplat.fleet.gpus import gather_gpu_facts
from aiplat.fleet.kubeconfig import API_PORT, fetch_kubeconfig
from aiplat.fleet.lease import hold_lease
from aiplat.fleet.probe import gather_facts
from aiplat.fleet.ssh import HostError, run_on
from aiplat.fleet.sudo import OUTPUT_BEGINS
from aiplat.fleet.transfer import prune_blobs, push_blobs
from aiplat.site.models import Site
from tests.patience import PATIENCE

DEEP = "[" * 200_000
HOST = {"python": "3.11", "kernel": "6.1.0", "arch": "x86_64"}
# What no probe prints, each with why not.
ANSWERS = {
    "nested too deeply": DEEP,
    "a list": "[1]",
    "a number": "5",
    "a text": '"too_old"',
    "nothing": "null",
    "an empty object, so that no check could be asked": "{}",
    "a number that is none": json.dumps({**HOST, "clock": float("nan")}),
    "a number without an end": json.dumps({**HOST, "memory_mib": 10**400}),
    "half a character": json.dumps({**HOST, "kernel": "\ud800"}),
    "a time that is a text": json.dumps({**HOST, "clock": "now"}),
    "a ledger that is a text": json.dumps({**HOST, "ledger": "x"}),
    "a ledger that is a list": json.dumps({**HOST, "ledger": [1]}),
}


def answer(programs: Path, text: str) -> None:
    """Make every host answer with a text, whatever it is asked."""
    (programs / "answer").write_bytes(f"{OUTPUT_BEGINS}\n{text}\n".encode(errors="surrogatepass"))
    # What it is sent is read to its end, as a host does.
    write_ssh(programs, f"cat '{programs / 'answer'}'; cat >/dev/null")


def write_ssh(programs: Path, script: str) -> None:
    """Make every host do what a script says."""
    (programs / "ssh").write_text(f"#!/bin/sh\n{script}\n")


@pytest.fixture
def programs(host_here: Path, tmp_path: Path) -> Path:
    """Return the folder whose ssh answers for every host."""
    return tmp_path / "bin"


@pytest.mark.parametrize("text", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_that_no_probe_gives_is_a_host_that_nobody_looked_at(
    site: Site, programs: Path, text: str
) -> None:
    """The facts say so in a sentence, and the report of hosts does not call them good."""
    answer(programs, text)
    assert all("not understood" in host.problem for host in gather_facts(site, thorough=True).hosts)
    report = examine(site)
    assert not report.good
    assert [verdict.looked_at for verdict in report.verdicts] == [False, False]


def test_a_host_answers_for_itself_alone(site: Site, programs: Path) -> None:
    """Its name, whether it was reached and what that means are this side's to say."""
    answer(programs, json.dumps({**HOST, "host": "a1", "reachable": False, "problem": "x", "owner": "y"}))
    hosts = gather_facts(site).hosts
    assert [(host.host, host.reachable, host.problem) for host in hosts] == [
        ("s1", True, ""),
        ("a1", True, ""),
    ]
    assert [host.look.owner for host in hosts if host.look] == [None, None]


@pytest.mark.parametrize("text", [*ANSWERS.values(), '{"has_gpu": true}', '{"has_gpu": true, "facts": 5}'])
def test_what_no_probe_of_gpus_prints_is_told_as_such(site: Site, programs: Path, text: str) -> None:
    """The other hosts are still judged."""
    answer(programs, text)
    seen = gather_gpu_facts(site)
    assert [facts.problem for facts in seen] == [
        f"{n}: the probe's answer is not understood" for n in ("s1", "a1")
    ]


@pytest.mark.parametrize("where", ["", ">&2"], ids=["output", "errors"])
def test_an_answer_without_an_end_is_ended(site: Site, programs: Path, where: str) -> None:
    """Its output is cut off and told; of what it says about errors the last is kept."""
    ends = "head -c 20000000 /dev/zero"
    write_ssh(
        programs, f"{ends} {where}\nexit 255" if where else f"echo '{OUTPUT_BEGINS}'; exec cat /dev/zero"
    )
    with pytest.raises(HostError) as told:
        run_on(site, site.hosts[0], ["true"], timeout=PATIENCE)
    assert len(str(told.value)) < 1000


def test_a_stream_without_an_end_or_a_line_is_ended(site: Site, programs: Path) -> None:
    """Whoever waits for a line does not wait until the memory is full."""
    write_ssh(programs, f"echo '{OUTPUT_BEGINS}'; exec cat /dev/zero")
    with pytest.raises(HostError, match="its answer is not understood"), hold_lease(site, "run-1", ["s1"]):
        pass


@pytest.mark.parametrize(
    "said", [{"held": "perhaps"}, {"holder": [1]}, {"holder": {"pid": "x"}}, {"other": 1}]
)
def test_a_lock_that_nobody_can_read_is_not_held(site: Site, programs: Path, said: dict[str, Any]) -> None:
    """Neither the lock nor its holder is guessed."""
    answer(programs, json.dumps(said))
    with pytest.raises(HostError, match="its answer is not understood"), hold_lease(site, "run-1", ["s1"]):
        pass


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"missing": {"f" * 64: 0}}, "asks for content that it was not offered"),
        ({"missing": {"NAME": -1}}, "asks for content that it was not offered"),
        ({"missing": {"NAME": 10**6}}, "asks for content that it was not offered"),
        ({"missing": [1]}, "its answer is not understood"),
        ({"freed": 1}, "its answer is not understood"),
        ({"error": "no\x1b[2J room", "fix": 5}, "s1: no"),
    ],
)
def test_a_host_gets_what_it_was_offered_alone(
    site: Site, programs: Path, tmp_path: Path, said: dict[str, Any], told: str
) -> None:
    """It cannot ask for other content, or for a part that does not exist."""
    digest = sha256_bytes(b"content")
    answer(programs, json.dumps(said).replace("NAME", digest.removeprefix("sha256:")))
    (tmp_path / "blob").write_bytes(b"content")

    class Source:
        signed = None

        def blob_path(self, _digest: str) -> Path:
            return tmp_path / "blob"

    wanted = {"s1": [Blob(digest=digest, size=7)]}
    with pytest.raises(AiplatError, match=told):
        push_blobs(site, wanted, Source(), "run-1", lambda *_: None)


def test_what_was_removed_is_a_number(site: Site, programs: Path) -> None:
    """A host that answers something else is told so."""
    answer(programs, '{"freed": "all"}')
    with pytest.raises(HostError, match="its answer is not understood"):
        prune_blobs(site, {"s1": []}, "run-1")


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: default
clusters: [{name: default, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: Q0E=}}]
contexts: [{name: default, context: {cluster: default, user: default}}]
users: [{name: default, user: {client-certificate-data: Q1JU, client-key-data: S0VZ EVIL}}]
"""
EVIL = ", tokenFile: /etc/shadow, exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/evil}"


@pytest.mark.parametrize("more", ["", EVIL], ids=["as k3s writes it", "with a command"])
def test_of_a_hosts_kubeconfig_certificates_and_key_are_taken_alone(
    site: Site, programs: Path, more: str
) -> None:
    """What it says of commands, files and addresses would be done on the operator's machine."""
    answer(programs, KUBECONFIG.replace(" EVIL", more))
    path = fetch_kubeconfig(site)
    document = json.loads(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert document["users"][0]["user"] == {"client-certificate-data": "Q1JU", "client-key-data": "S0VZ"}
    assert document["clusters"][0]["cluster"] == {
        "server": f"https://192.0.2.11:{API_PORT}",
        "certificate-authority-data": "Q0E=",
    }


@pytest.mark.parametrize(
    "text", ["", "5", "a: &a [*a]", DEEP, "clusters: []", "users: 5", "x" * (1 << 20), "\ud800"]
)
def test_what_is_not_a_kubeconfig_is_not_kept(site: Site, programs: Path, state: Path, text: str) -> None:
    """Nothing of it reaches this machine's state."""
    answer(programs, text)
    with pytest.raises(AiplatError, match=r"s1: its /etc/rancher/k3s/k3s.yaml is not one that k3s writes"):
        fetch_kubeconfig(site)
    assert not (state / "kubeconfig").exists()


def test_lines_are_shown_at_a_length_that_can_be_read() -> None:
    """The end of what was said, and a word for where nothing was said."""
    assert last_line("warning\n" + "e" * 10_000 + "\n\n", "nothing") == "e" * 300 + "…"
    assert last_line(" \n", "nothing") == "nothing"


def test_a_document_keeps_its_values() -> None:
    """What is plain arrives as it is."""
    said = {"a": [1, 2.5, None, True, "ä"], "b": {"c": -(2**62)}}
    assert document_of(json.dumps(said).encode()) == said
