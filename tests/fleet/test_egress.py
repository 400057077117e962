"""What a host records of what leaves it: by made packets, and over a connection to this machine."""

from __future__ import annotations

import ctypes
import ipaddress
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from aiplat.cli.main import main
from aiplat.fleet.egress import EgressRecording
from aiplat.fleet.remote import record_egress
from aiplat.fleet.remote.record_egress import FILTER, OUTGOING, Recorder, parsed
from aiplat.site.models import Site

POD, OTHER, RESOLVER, OUTSIDE = "10.42.0.9", "10.42.1.4", "10.43.0.10", "192.0.2.9"
IN, VETH, UPLINK = 0, "veth1", "eth0"
QUESTION = b"\x01\x02\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04evil\x07example\x03org\x00\x00\x01\x00\x01"

# What CoreDNS' plugin `loop` asks at its start.
LOOP_TEST = QUESTION[:12] + b"\x044031\x0281\x00\x00\x0d\x00\x01"


def packet(source: str, destination: str, protocol: int, rest: bytes, number: int = 7) -> bytes:
    """Return an IPv4 packet."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(rest), number, 0, 64, protocol, 0) + ends + rest


def syn(source: str, destination: str, port: int, number: int = 7, sender: int = 40000) -> bytes:
    """Return the first packet of a connection."""
    return packet(
        source, destination, 6, struct.pack("!HHIIBBHHH", sender, port, 99, 0, 0x50, 2, 1, 0, 0), number
    )


def ask(source: str, destination: str, question: bytes = QUESTION, number: int = 7) -> bytes:
    """Return a question of DNS."""
    return packet(
        source, destination, 17, struct.pack("!HHHH", 40001, 53, 8 + len(question), 0) + question, number
    )


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Return the recorder of a host with one pod."""
    monkeypatch.setattr(record_egress, "local_addresses", lambda _: {"10.0.0.11", "127.0.0.1"})
    monkeypatch.setattr(
        record_egress.PodNetworks, "owner", lambda _, address: ("", "ward/bed" if address == POD else "")
    )
    asked = {
        "inside": ["10.42.0.0/16", "10.43.0.0/16", "10.0.0.11"],
        "pods": ["10.42.0.0/16"],
        "names": ["cluster.local"],
    }
    return Recorder(asked)


def rows(recorder: Recorder) -> list[dict[str, Any]]:
    """Return what was counted."""
    return list(recorder.report()["attempts"])


def test_a_pods_connection_is_counted_once_however_many_interfaces_it_passes(recorder: Recorder) -> None:
    """Also where the host writes its own address over the pod's; trying again counts again."""
    for number in (7, 8):
        recorder.take(syn(POD, OUTSIDE, 443, number), VETH, IN)
        recorder.take(syn(POD, OUTSIDE, 443, number), "cni0", IN)
        recorder.take(syn("10.0.0.11", OUTSIDE, 443, number, sender=1024), UPLINK, OUTGOING)
    (row,) = rows(recorder)
    assert (row["pod"], row["source"], row["destination"], row["port"]) == ("ward/bed", POD, OUTSIDE, 443)
    assert (row["tried"], row["left"]) == (2, 2)


def test_what_a_policy_refused_was_tried_and_did_not_leave(recorder: Recorder) -> None:
    """Nothing of it passes the card."""
    recorder.take(syn(POD, OUTSIDE, 443), VETH, IN)
    assert [(row["tried"], row["left"]) for row in rows(recorder)] == [(1, 0)]


def test_a_name_outside_counts_where_a_resolver_inside_is_asked(recorder: Recorder) -> None:
    """The name is said, and once; names of the cluster are none."""
    recorder.take(ask(POD, RESOLVER), VETH, IN)
    recorder.take(ask(POD, OTHER), "cni0", OUTGOING)
    recorder.take(
        ask(POD, RESOLVER, QUESTION.replace(b"\x07example\x03org", b"\x07cluster\x05local")), VETH, IN
    )
    assert [(row["kind"], row["pod"], row["name"]) for row in rows(recorder)] == [
        ("name", "ward/bed", "evil.example.org")
    ]


@pytest.mark.parametrize(
    ("question", "whom", "counts"),
    [
        (LOOP_TEST, "10.0.0.11", False),
        (LOOP_TEST, RESOLVER, True),
        (LOOP_TEST, OUTSIDE, True),
        (LOOP_TEST.replace(b"\x00\x0d\x00\x01", b"\x00\x01\x00\x01"), "10.0.0.11", True),
        (LOOP_TEST.replace(b"\x0281", b"\x02a1"), "10.0.0.11", True),
        (QUESTION, "10.0.0.11", True),
    ],
)
def test_a_name_servers_question_whether_it_asks_itself_is_no_attempt(
    recorder: Recorder, question: bytes, whom: str, counts: bool
) -> None:
    """Two numbers, a HINFO record, asked of the host itself, which they do not leave; nothing else."""
    recorder.take(ask(POD, whom, question), VETH, IN)
    assert bool(rows(recorder)) == counts


def test_a_resolver_of_the_host_that_passes_on_the_loop_test_is_counted(recorder: Recorder) -> None:
    """That leaves the host."""
    recorder.take(ask(POD, "10.0.0.11", LOOP_TEST), VETH, IN)
    recorder.take(ask("10.0.0.11", OUTSIDE, LOOP_TEST, 8), UPLINK, OUTGOING)
    assert [(row["kind"], row["name"], row["left"]) for row in rows(recorder)] == [
        ("connection", "4031.81", 1)
    ]


def test_a_resolver_that_asks_outside_has_the_name_in_its_row(recorder: Recorder) -> None:
    """That is a connection: a packet left."""
    recorder.take(ask("10.0.0.11", OUTSIDE), UPLINK, OUTGOING)
    (row,) = rows(recorder)
    assert (row["kind"], row["name"], row["left"], row["pod"]) == ("connection", "evil.example.org", 1, "")


def test_what_stays_inside_and_answers_do_not_count(recorder: Recorder) -> None:
    """Pods among themselves, services, this host, multicast, and who asked first from outside."""
    for whom in (OTHER, RESOLVER, "10.0.0.11", "127.0.0.1", "224.0.0.251", "255.255.255.255", "169.254.1.1"):
        recorder.take(syn(POD, whom, 443), VETH, IN)
    recorder.take(packet(OUTSIDE, "10.0.0.11", 17, struct.pack("!HHHH", 5000, 161, 8, 0)), UPLINK, IN)
    recorder.take(packet("10.0.0.11", OUTSIDE, 17, struct.pack("!HHHH", 161, 5000, 8, 0)), UPLINK, OUTGOING)
    recorder.take(packet("10.0.0.11", OUTSIDE, 1, b"\x00" * 8), UPLINK, OUTGOING)
    recorder.take(syn(POD, OUTSIDE, 443), "flannel.1", IN)
    assert rows(recorder) == []


@pytest.mark.parametrize(
    ("group", "folder"),
    [
        (
            "0::/kubepods/besteffort/pod0a1b2c3d-0000-1111-2222-333344445555/c1",
            "0a1b2c3d-0000-1111-2222-333344445555",
        ),
        (
            "0::/kubepods-pod0a1b2c3d_0000_1111_2222_333344445555.slice/c",
            "0a1b2c3d-0000-1111-2222-333344445555",
        ),
        ("4:pids:/kubepods/pod0a1b2c3d000011112222333344445555/c1", "0a1b2c3d000011112222333344445555"),
        ("0::/system.slice/k3s.service", ""),
    ],
)
def test_a_pod_is_known_by_its_control_group(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, group: str, folder: str
) -> None:
    """With either driver of the kubelet, and for static pods; the folder of its logs has the name."""
    monkeypatch.setattr(record_egress, "cgroup", lambda _: group)
    monkeypatch.setattr(record_egress, "POD_LOGS", tmp_path)
    if folder:
        assert record_egress.pod_of("1") == f"pod {folder}"
        (tmp_path / f"ward_bed-7_{folder}").mkdir()
    assert record_egress.pod_of("1") == ("ward/bed-7" if folder else "")


def test_more_attempts_than_there_is_room_for_are_counted(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood takes no memory, and is said."""
    monkeypatch.setattr(record_egress, "MOST_ATTEMPTS", 3)
    for port in range(1, 11):
        recorder.take(syn(POD, OUTSIDE, port, port), VETH, IN)
    assert (len(rows(recorder)), recorder.report()["more"]) == (3, 7)


@pytest.mark.parametrize("length", range(0, 48, 3))
def test_a_packet_that_is_cut_does_nothing(recorder: Recorder, length: int) -> None:
    """Whoever sends it may have made it so."""
    recorder.take(ask(POD, OUTSIDE)[:length], VETH, IN)
    assert all(row["destination"] == OUTSIDE for row in rows(recorder))


@pytest.mark.parametrize(
    ("data", "comes"),
    [
        (syn(POD, OUTSIDE, 443), True),
        (packet(POD, OUTSIDE, 6, struct.pack("!HHIIBBHHH", 1, 443, 9, 9, 0x50, 0x10, 1, 0, 0)), False),
        (packet(POD, OUTSIDE, 6, struct.pack("!HHIIBBHHH", 1, 443, 9, 9, 0x50, 0x12, 1, 0, 0)), False),
        (ask(POD, RESOLVER), True),
        (packet(POD, OTHER, 17, struct.pack("!HHHH", 1, 8472, 8, 0)), False),
        (packet(POD, OTHER, 17, struct.pack("!HHHH", 1, 51820, 8, 0)), False),
        (packet(POD, OUTSIDE, 1, b"\x08" + bytes(7)), True),
        (packet(POD, OUTSIDE, 132, bytes(12)), True),
    ],
)
def test_the_kernel_passes_on_what_begins_something(data: bytes, comes: bool) -> None:
    """The filter itself, in the kernel, on a socket of another family: data and tunnels cost nothing."""
    program = ((0x00, 0, 0, 0x0800), *FILTER[1:])  # such a socket has no link whose protocol could be read
    kept = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        argument = struct.pack("HP", len(program), ctypes.addressof(kept))
        receiver.setsockopt(socket.SOL_SOCKET, record_egress.SO_ATTACH_FILTER, argument)
        receiver.setblocking(False)
        sender.send(data)
        try:
            assert (receiver.recv(2048), comes) == (data, True)
        except BlockingIOError:
            assert not comes


def test_ipv6_is_read_as_well() -> None:
    """Source, destination and port."""
    ends = ipaddress.ip_address("fd42::9").packed + ipaddress.ip_address("2001:db8::1").packed
    tcp = struct.pack("!HHIIBBHHH", 40000, 443, 9, 0, 0x50, 2, 1, 0, 0)
    seen = parsed(struct.pack("!IHBB", 0x60000000, len(tcp), 6, 64) + ends + tcp)
    assert seen is not None
    assert (str(seen.source), str(seen.destination), seen.port) == ("fd42::9", "2001:db8::1", 443)


ROW = {
    "kind": "name",
    "source": POD,
    "pod": "ward/bed",
    "process": "wget",
    "unit": "",
    "destination": RESOLVER,
    "protocol": "udp",
    "port": 53,
    "name": "evil.example.org",
    "tried": 2,
    "left": 0,
    "first": 1.5,
    "last": 2.5,
}


@pytest.mark.parametrize(("attempts", "lost", "code"), [([], 0, 0), ([ROW], 0, 3), ([], 5, 3)])
def test_the_report_is_a_table_a_file_and_an_exit_code(
    *,
    site: Site,
    host_here: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    attempts: list[dict[str, Any]],
    lost: int,
    code: int,
) -> None:
    """3 where something was tried, and where packets were lost: then nobody knows."""
    record = {"attempts": attempts, "more": 0, "lost": lost}
    remote = tmp_path / "remote"
    remote.mkdir()
    (remote / "record_egress.py").write_text(
        "import sys\nsys.stdin.buffer.readline()\nprint('{\"ready\": true}', flush=True)\n"
        f"sys.stdin.buffer.readline()\nprint({json.dumps(record)!r}, flush=True)\n"
    )
    monkeypatch.setattr("aiplat.fleet.stream.REMOTE", remote)
    monkeypatch.setenv("COLUMNS", "200")
    site_file, report = tmp_path / "site.yaml", tmp_path / "egress.json"
    site_file.write_text(json.dumps(site.model_dump(mode="json", by_alias=True, exclude_unset=True)))
    words = ["aiplat", "verify", str(site_file), "--egress", "--for", "1s", "--report", str(report)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    table = capsys.readouterr().out
    document = json.loads(report.read_text())
    assert int(ended.value.code or 0) == code
    assert document["total"] == 2 * len(site.hosts) * len(attempts)
    assert [host["lost"] for host in document["hosts"]] == [lost] * len(site.hosts)
    assert ("pod ward/bed 10.42.0.9 (wget)" in table) == bool(attempts)
    assert ("asked 10.43.0.10 for evil.example.org" in table) == bool(attempts)
    assert ("packets were too fast" in table) == bool(lost)


def test_a_host_that_cannot_record_says_why(
    site: Site, host_here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A host on which packets cannot be read is a problem with its reason."""
    remote = tmp_path / "remote"
    remote.mkdir()
    problem = "its packets cannot be read (Operation not permitted)"
    said = json.dumps({"error": problem, "fix": "it takes root"})
    (remote / "record_egress.py").write_text(
        f"import json, sys\nasked = json.loads(sys.stdin.buffer.readline())\nprint({said!r}, flush=True)\n"
    )
    monkeypatch.setattr("aiplat.fleet.stream.REMOTE", remote)
    with EgressRecording(site) as recording:
        assert recording.hosts == ()
        assert recording.stop() == {}
    assert {finding.problem for finding in recording.problems.values()} == {problem}
