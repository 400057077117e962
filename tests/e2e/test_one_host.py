"""One journey through one host, in order: nothing, bootstrapped, used, disturbed, reset, gone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.lab import egress_report, lab_down, lab_status
from aiplat.verify.smoke_test import CHAT
from tests.e2e.journey import Journey
from tests.e2e.planes import Planes
from tests.patience import until

pytestmark = pytest.mark.lab
ASKED = [{"role": "user", "content": CHAT.prompt}]
BODY = {"model": "smollm2:135m", "messages": ASKED, "max_tokens": 16, "temperature": 0, "seed": 1}


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """A host that was booted and holds nothing yet."""
    return make_journey("one-host")


@pytest.fixture(scope="module")
def first(ward: Journey) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return ward.bootstrap()


def test_first_bootstrap_ends_with_the_models_own_words(first: dict[str, Any]) -> None:
    """From a bare host to an answer that came through the gateway, with every check green."""
    assert first["kind"] == "Summary"
    assert first["state"] == "done"
    assert first["changed"] > 0
    assert CHAT.contains in first["words"]["answer"]
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []
    assert {p["name"] for p in first["planes"]} >= {"resource", "platform", "model", "access"}


def test_nothing_left_the_lab(ward: Journey, first: dict[str, Any]) -> None:
    """The egress counter of the lab's bridge is 0 over the whole bootstrap."""
    report = egress_report(ward.name)
    assert report.packets == 0, report.attempts


def test_chat_over_plain_https(ward: Journey, first: dict[str, Any]) -> None:
    """A request with the key is answered; without it 401; an unknown model is a 404 in OpenAI's shape."""
    with ward.platform() as client:
        answer = client.post("chat/completions", json=BODY)
        unknown = client.post("chat/completions", json=BODY | {"model": "nothing:1b"})
        nobody = client.post("chat/completions", json=BODY, headers={"Authorization": ""})
    assert CHAT.contains in answer.json()["choices"][0]["message"]["content"]
    assert nobody.status_code == 401
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    "program",
    [
        "from openai import OpenAI\n"
        f"m = {ASKED}\n"
        "ask = OpenAI().chat.completions.create\n"
        "for p in ask(model='smollm2:135m', messages=m, stream=True, max_tokens=16, temperature=0):\n"
        "    print(repr(p.choices[0].delta.content if p.choices else None))\n",
        "from ollama import Client\n"
        f"m = {ASKED}\n"
        "o = {'num_predict': 16, 'temperature': 0}\n"
        "for p in Client().chat('smollm2:135m', m, stream=True, options=o):\n"
        "    print(repr(p.message.content))\n",
    ],
    ids=["openai", "ollama"],
)
def test_python_clients_stream_a_chat(ward: Journey, first: dict[str, Any], program: str) -> None:
    """The plain `openai` and `ollama` clients work with what `aiplat env` exports, piece by piece."""
    assert len(ward.with_clients(program).splitlines()) > 3


def test_reading_verbs_agree(ward: Journey, first: dict[str, Any]) -> None:
    """Status, verify and plan find nothing wrong and nothing to do."""
    assert ward.document("verify")["kind"] == "Report"
    ward.document("status")
    plan = ward.document("plan")
    assert plan.get("steps", plan.get("plan", {}).get("steps")) == []


def test_second_bootstrap_changes_nothing(ward: Journey, first: dict[str, Any]) -> None:
    """Done again, nothing changes and no unit is restarted."""
    before = ward.units()
    summary = ward.bootstrap()
    assert summary["changed"] == 0
    assert summary["restarts"] == []
    assert ward.units() == before


def test_private_files_are_private(ward: Journey, first: dict[str, Any]) -> None:
    """What holds a secret on the host is readable by root alone."""
    host = ward.testinfra()
    files = (
        "/etc/rancher/k3s/config.yaml",
        "/etc/rancher/k3s/k3s.yaml",
        "/etc/rancher/k3s/registries.yaml",
        "/etc/aiplat/registry.key",
        "/var/lib/aiplat/ledger.json",
        "/var/lib/rancher/k3s/server/token",
    )
    assert {name: (host.file(name).mode, host.file(name).user) for name in files} == dict.fromkeys(
        files, (0o600, "root")
    )


@pytest.mark.parametrize(("unit", "port"), [("aiplat-registry", 5443), ("k3s", 6443)])
def test_units_run_now_and_after_a_reboot(ward: Journey, first: dict[str, Any], unit: str, port: int) -> None:
    """Each unit is enabled, runs and listens."""
    host = ward.testinfra()
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled
    assert host.socket(f"tcp://{port}").is_listening


def test_no_secret_is_in_any_journal(ward: Journey, first: dict[str, Any]) -> None:
    """Neither the key nor the token stands in an event, a plan, a lock or a log of the operator's state."""
    secrets = [
        ward.environment()["OPENAI_API_KEY"],
        ward.on_host("cat /var/lib/rancher/k3s/server/token").strip(),
    ]
    folder = ward.state / "aiplat" / "sites" / ward.name
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in {"vault-password"}]
    assert any(path.name == "events.jsonl" for path in files)
    held = [
        str(p)
        for p in files
        for secret in secrets
        if secret.rsplit(":", 1)[-1] in p.read_text(errors="replace")
    ]
    assert held == []


def test_every_image_comes_by_digest_from_the_site(ward: Journey, first: dict[str, Any]) -> None:
    """Containers that aiplat released name their image by digest."""
    pods = json.loads(ward.on_host("k3s kubectl get pods -A -o json"))["items"]
    images = [
        container["image"]
        for pod in pods
        if pod["metadata"]["namespace"].startswith("aiplat-")
        for container in pod["spec"]["containers"]
    ]
    assert images
    assert all("@sha256:" in image for image in images), images


@pytest.fixture
def planes(ward: Journey, first: dict[str, Any]) -> Planes:
    """The planes from the inside."""
    return Planes(Path(ward.environment()["KUBECONFIG"]))


def test_the_plane_with_the_open_door_takes_no_dangerous_pod(planes: Planes) -> None:
    """The gateway's own pod may hold port 443; with one thing worse, the same pod is refused."""
    worse: dict[str, Callable[[dict[str, Any]], object]] = {
        "host ports": lambda p: p["containers"][0]["ports"][0].update(hostPort=80),
        "other than root": lambda p: p["securityContext"].update(runAsUser=0),
        "folders of its host": lambda p: p["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
        "namespaces of its host": lambda p: p.update(hostPID=True),
        "gain privileges": lambda p: p["containers"][0]["securityContext"]["capabilities"].update(
            add=["NET_ADMIN"]
        ),
    }
    spec = planes.pod_spec("aiplat-access", "app.kubernetes.io/name=gateway")
    assert planes.refusal("aiplat-access", spec, lambda _: None) == ""
    for said, change in worse.items():
        assert said in planes.refusal("aiplat-access", spec, change)


def test_postgresql_takes_connections_from_components_that_need_it_only(planes: Planes) -> None:
    """A pod of the gateway's plane that is not the gateway's is let out by its plane, and not let in."""
    like = planes.pod_spec("aiplat-data", "app.kubernetes.io/name=postgresql")
    database = next(s for s in planes.cluster.services() if s.name == "postgresql")
    gateway = planes.cluster.pods("aiplat-access", "app.kubernetes.io/name=gateway")[0]
    assert planes.connects(gateway, database.address, 5432)
    with planes.client_pod("aiplat-access", like) as neighbour:
        assert not planes.connects(neighbour, database.address, 5432)


def test_engines_take_connections_from_the_gateway_only(planes: Planes) -> None:
    """Another pod of the gateway's own plane is refused, though it is let out."""
    like = planes.pod_spec("aiplat-data", "app.kubernetes.io/name=postgresql")
    engine = planes.cluster.services("aiplat.dev/model")[0]
    gateway = planes.cluster.pods("aiplat-access", "app.kubernetes.io/name=gateway")[0]
    assert planes.connects(gateway, engine.address, engine.ports[0])
    with planes.client_pod("aiplat-access", like) as neighbour:
        assert not planes.connects(neighbour, engine.address, engine.ports[0])


def test_postgresql_keeps_vectors_through_a_kill(planes: Planes) -> None:
    """What was written is there after its pod was taken away without warning."""
    planes.sql("CREATE TABLE kept (v vector(3)); INSERT INTO kept VALUES ('[1,2,3]'), ('[9,9,9]')")
    planes.kill("aiplat-data", "postgresql-0")
    assert planes.sql("SELECT v FROM kept ORDER BY v <-> '[1,1,1]' LIMIT 1") == "[1,2,3]"
    planes.sql("DROP TABLE kept")


def test_what_is_asked_is_counted_also_while_the_database_is_away(
    ward: Journey, first: dict[str, Any], planes: Planes
) -> None:
    """Every answer's tokens stand in PostgreSQL, of those asked without it as soon as it is back."""

    def counted() -> tuple[int, int]:
        sums = "SELECT count(*), coalesce(sum(prompt_tokens + completion_tokens), 0) FROM usage"
        requests, tokens = planes.sql(f"{sums} WHERE key = 'site'").split("|")
        return int(requests), int(tokens)

    def ask(times: int) -> int:
        with ward.platform() as client:
            answers = [client.post("chat/completions", json=BODY | {"max_tokens": 4}) for _ in range(times)]
        return sum(int(a.raise_for_status().json()["usage"]["total_tokens"]) for a in answers)

    database = "k3s kubectl -n aiplat-data"
    until(lambda: counted()[0])
    requests, tokens = counted()
    tokens += ask(1)
    until(lambda: counted() == (requests + 1, tokens))
    ward.on_host(f"{database} scale statefulset/postgresql --replicas=0")
    ward.on_host(f"{database} wait --for=delete pod/postgresql-0 --timeout=300s")
    tokens += ask(3)
    ward.on_host(f"{database} scale statefulset/postgresql --replicas=1")
    ward.on_host(f"{database} rollout status statefulset/postgresql --timeout=300s")
    until(lambda: counted() == (requests + 4, tokens))


def test_egress_counter_rises_for_a_host_and_for_a_pod(ward: Journey, first: dict[str, Any]) -> None:
    """An address or a name outside, tried by a host or from a pod's network, is counted."""
    seen = egress_report(ward.name).packets
    ward.on_host("timeout 2 bash -c '</dev/tcp/192.0.2.1/443'", expect=124)
    by_address = egress_report(ward.name).packets
    ward.on_host("getent hosts outside.example.org", expect=2)
    by_name = egress_report(ward.name).packets
    # In a namespace without policies, which would refuse the attempt before it leaves the host.
    image = ward.image("mirrored-library-busybox")
    ward.on_host(
        f"k3s kubectl run prober --image={image} --restart=Never --attach --rm -- "
        "sh -c 'wget -q -T 2 -O - http://192.0.2.2/ || echo refused' >&2"
    )
    by_pod = egress_report(ward.name).packets
    assert seen < by_address < by_name < by_pod


REGISTRIES = "/etc/rancher/k3s/registries.yaml"


@pytest.mark.parametrize(
    ("disturb", "restarts"),
    [
        (f"chmod 0644 {REGISTRIES}", False),
        (f"echo '# by hand' >> {REGISTRIES}", False),
        (f"echo '# by hand' >> {REGISTRIES}; systemctl restart k3s", True),
        ("systemctl stop k3s", False),
    ],
    ids=["mode", "content", "content and a restart", "stopped"],
)
def test_drift_is_put_right_with_the_restarts_that_were_announced(
    ward: Journey, first: dict[str, Any], disturb: str, restarts: bool
) -> None:
    """Bootstrap repairs just what drifted; k3s is restarted if it was started with the wrong file."""
    ward.on_host(disturb)
    pid = "systemctl show -P MainPID k3s"
    before = ward.on_host(pid)
    steps = ward.document("plan")["steps"]
    assert [step["id"] for step in steps] == ["k3s_server"]
    summary = ward.bootstrap()
    assert summary["changed"] > 0
    assert summary["restarts"] == steps[0]["restarts"] == (["k3s.service on t-one-s1"] if restarts else [])
    assert (ward.on_host(pid) != before) == (restarts or before.strip() == "0")
    assert ward.on_host(f"stat -c %a {REGISTRIES}; grep -c 'by hand' {REGISTRIES} || true").split() == [
        "600",
        "0",
    ]
    assert ward.bootstrap()["changed"] == 0


def test_a_secret_reaches_the_cluster_and_nothing_else(
    ward: Journey, first: dict[str, Any], tmp_path: Path
) -> None:
    """Without it a plan stops; with it its release alone is upgraded, and no file of ours shows it."""
    reference = {"global": {"probe": {"password": {"fromSecret": "probe"}}}}
    site = YAML(typ="safe").load(ward.site_file)
    site["planes"]["access"] = {"gateway": {"values": reference}}
    with (tmp_path / "site.yaml").open("w") as file:
        YAML(typ="safe").dump(site, file)
    also = replace(ward, site_file=tmp_path / "site.yaml")
    assert "give it one: aiplat secret set probe" in also.aiplat("plan", str(also.site_file), expect=2).stderr
    value = "SECRET-of-the-journey"
    helm = "KUBECONFIG=/etc/rancher/k3s/k3s.yaml /usr/local/lib/aiplat/helm"
    before = _revisions(ward, helm)
    also.aiplat("secret", "set", "probe", str(also.site_file), given=value)
    lines = also.lines("bootstrap", str(also.site_file), "--yes", "--json")
    assert set(_revisions(ward, helm).items()) - set(before.items()) == {("gateway", before["gateway"] + 1)}
    values = json.loads(ward.on_host(f"{helm} get values gateway -n aiplat-access -o json"))
    assert values["global"]["probe"]["password"] == value
    assert value not in json.dumps(lines) + ward.on_host(
        "cat /var/lib/aiplat/ledger.json; ls /run/aiplat 2>&1 || true"
    )
    ours = [p for p in (ward.state / "aiplat" / "sites" / ward.name).rglob("*") if p.is_file()]
    assert ours
    assert [p for p in ours if value.encode() in p.read_bytes()] == []
    assert also.bootstrap()["changed"] == 0
    assert ward.bootstrap()["changed"] > 0


def _revisions(ward: Journey, helm: str) -> dict[str, int]:
    releases = json.loads(ward.on_host(f"{helm} list --all-namespaces --output json"))
    return {release["name"]: int(release["revision"]) for release in releases}


@contextmanager
def _flipped(path: Path) -> Iterator[None]:
    """Flip one bit in the middle of a file; put the very same bytes back afterwards."""
    original = path.read_bytes()
    middle = len(original) // 2
    altered = original[:middle] + bytes([original[middle] ^ 1]) + original[middle + 1 :]
    # A bundle shares its files with the cache by hard links: the altered one gets a file of its own.
    path.unlink()
    path.write_bytes(altered)
    try:
        yield
    finally:
        path.unlink()
        path.write_bytes(original)


@pytest.mark.parametrize("kind", ["image", "hostfile", "chart", "model"])
def test_a_flipped_bit_is_refused_before_any_host_is_touched(
    ward: Journey, first: dict[str, Any], kind: str
) -> None:
    """Content that would be moved and differs by one bit stops the run; the host stays as it was."""
    lock = json.loads((ward.bundle() / "bundle.json").read_text())["lock"]
    artifact = next(a for a in lock["artifacts"] if a["kind"] == kind)
    blob = max(artifact["blobs"], key=lambda b: int(b["size"]))["digest"].removeprefix("sha256:")
    staged = f"/var/lib/aiplat/blobs/sha256/{blob}"
    ward.on_host(f"rm {staged}")
    untouched = ward.on_host(
        "sha256sum /var/lib/aiplat/ledger.json; ls /var/lib/aiplat/blobs/sha256 | sha256sum"
    )
    with _flipped(ward.bundle() / "blobs" / "sha256" / blob):
        said = ward.aiplat("bootstrap", str(ward.site_file), "--yes", expect=2)
    assert blob in said.stderr
    assert (
        ward.on_host("sha256sum /var/lib/aiplat/ledger.json; ls /var/lib/aiplat/blobs/sha256 | sha256sum")
        == untouched
    )
    ward.bootstrap()
    assert ward.on_host(f"sha256sum < {staged}").split()[0] == blob


def test_reset_leaves_nothing_on_the_host(ward: Journey, first: dict[str, Any]) -> None:
    """After reset none of the places, units, links, mounts and tables that bootstrap made is there."""
    ward.aiplat("reset", str(ward.site_file), "--yes", "--json")
    looked_at = {
        "files": "ls -d /etc/rancher /var/lib/rancher /var/lib/aiplat /etc/aiplat/ca.crt "
        "/etc/aiplat/registry.* "
        "/usr/local/lib/aiplat /usr/local/bin/k3s /usr/local/bin/kubectl /usr/local/bin/ctr "
        "/usr/local/bin/crictl "
        "/var/lib/kubelet /var/lib/cni /etc/cni /run/k3s 2>/dev/null",
        "units": "ls /etc/systemd/system | grep -E 'k3s|aiplat' | grep -v aiplat-lab",
        "mounts": "grep -E 'kubelet|k3s|containerd|cni' /proc/self/mounts",
        "links": "ip -o link | grep -E 'cni0|veth|flannel'",
        "network namespaces": "ip netns list | grep .",
        "processes": "ps -eo args | grep -E 'k3s|containerd|ollama|registry|pause' | grep -v grep",
    }
    left = {kind: ward.on_host(f"{{ {command}; }} || true") for kind, command in looked_at.items()}
    # The host has no `nft` any more, so this machine's looks into the host's network.
    nspawn = lab_status(ward.name).hosts[0].pid
    inside = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()[0]
    tables = ["nsenter", "--net", "--target", inside, "nft", "list", "tables"]
    left["nftables"] = subprocess.run(tables, capture_output=True, text=True, check=True).stdout
    assert {kind: found for kind, found in left.items() if found.strip()} == {}


def test_lab_down_leaves_nothing_on_this_machine(ward: Journey, first: dict[str, Any]) -> None:
    """No process, mount, link, rule, control group or file of the lab stays."""
    lab_down(ward.name)
    looked_at = {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "links": subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout,
        "rules": subprocess.run(
            ["nft", "list", "ruleset"], capture_output=True, text=True, check=True
        ).stdout,
        "control groups": "\n".join(str(p) for p in Path("/sys/fs/cgroup").glob("**/aiplat-lab-*")),
        "files": "\n".join(str(p) for p in (ward.state / "aiplat").glob("labs/*")),
    }
    assert {kind for kind, text in looked_at.items() if ward.name in text} == set()
