"""An operator's machine that reaches nothing but the host: the bundle brings aiplat, which bootstraps."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from aiplat.lab import egress_report, ssh_argv
from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]
OPERATOR, HOST = "t-offline-op", "t-offline-s1"
PROGRAM = "/root/.local/share/aiplat-runtime/bin/aiplat"
SETTING = "AIPLAT_VAULT_PASSWORD_FILE=/root/vault-password NO_COLOR=1"
# Bytes on the host at which a run is killed.
ENOUGH = 100_000_000
SITE = """apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-offline
supply: bundle:/root/bundle
hosts:
  - {name: t-offline-s1, address: 10.97.121.11, role: server, ssh: {user: root, key: /root/.ssh/id_ed25519}}
planes:
  platform:
    runtime: {state: on}
models:
  - {name: "smollm2:135m", engine: ollama}
"""


@pytest.fixture(scope="module")
def desk(make_journey: Callable[[str], Journey]) -> Journey:
    """Two lab hosts on a bridge that leads nowhere; the bundle was carried to the operator's."""
    journey = make_journey("no-internet")
    journey.aiplat("bundle", "build", str(journey.site_file))
    _carry(journey.bundle(), journey)
    journey.on_host("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519", OPERATOR)
    key = journey.on_host("cat /root/.ssh/id_ed25519.pub", OPERATOR).strip()
    journey.on_host(f"echo '{key}' >> /root/.ssh/authorized_keys", HOST)
    journey.on_host(f"cat > /root/site.yaml <<'END'\n{SITE}END", OPERATOR)
    journey.on_host("umask 077; echo of the vault > /root/vault-password", OPERATOR)
    return journey


def _carry(bundle: Path, journey: Journey) -> None:
    """Bring a folder to the operator's machine, as a disk that is carried there would."""
    with subprocess.Popen(["tar", "-C", bundle.parent, "-c", bundle.name], stdout=subprocess.PIPE) as packed:
        argv = [*ssh_argv(journey.name, OPERATOR), f"tar -C /root -x && mv /root/{bundle.name} /root/bundle"]
        subprocess.run(argv, stdin=packed.stdout, check=True, timeout=600)


def aiplat(desk: Journey, words: str, expect: int = 0) -> str:
    """Run a verb of the aiplat that was installed on the operator's machine."""
    command = f"cd /root && {SETTING} {PROGRAM} {words} 2>&1"
    done = subprocess.run(
        [*ssh_argv(desk.name, OPERATOR), command], capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


def test_an_altered_wheel_is_refused_by_its_name(desk: Journey) -> None:
    """One flipped bit in what would be installed, and nothing is."""
    lock = json.loads((desk.bundle() / "bundle.json").read_text())["lock"]
    runtime = next(one for one in lock["artifacts"] if one["kind"] == "runtime")
    blob = f"/root/bundle/blobs/sha256/{runtime['blobs'][-1]['digest'].removeprefix('sha256:')}"
    desk.on_host(f"cp {blob} /root/kept && printf x | dd of={blob} conv=notrunc status=none", OPERATOR)
    said = desk.on_host("python3 -I /root/bundle/install 2>&1", OPERATOR, expect=2)
    assert f"{blob}: was altered" in said
    desk.on_host(f"test ! -e {PROGRAM} && mv /root/kept {blob}", OPERATOR)


def test_it_is_installed_from_the_bundle(desk: Journey) -> None:
    """Python and the bundle are all it takes; a second run finds it installed."""
    for _ in range(2):
        assert PROGRAM in desk.on_host("python3 -I /root/bundle/install 2>&1", OPERATOR)
    assert "aiplat" in desk.on_host(f"{PROGRAM} --version", OPERATOR)


def moving(lines: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield how many bytes were moved to the host, and of how many, as a run's events tell it."""
    for line in lines:
        event = json.loads(line) if '"progress"' in line else {}
        if event.get("step") == "stage":
            yield event["done"], event["total"]


@pytest.fixture(scope="module")
def left(desk: Journey) -> int:
    """Kill a bootstrap while content is moved to the host; return the bytes that were still to come."""
    words = f"exec env {SETTING} {PROGRAM} bootstrap site.yaml --yes --json --accept-new-host-keys"
    argv = [*ssh_argv(desk.name, OPERATOR), f"cd /root && echo $$ && {words}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        process = int(run.stdout.readline())
        done, total = next(one for one in moving(run.stdout) if one[0] > ENOUGH)
        desk.on_host(f"kill -9 {process}", OPERATOR)
        run.kill()
    return total - done


def test_it_bootstraps_another_host_through_a_kill(desk: Journey, left: int) -> None:
    """What had arrived is not sent again; the site comes up from the bundle alone, and its checks hold."""
    said = aiplat(desk, "bootstrap site.yaml --yes --json --accept-new-host-keys").splitlines()
    done, total = next(moving(said))
    # What is on its way when a connection ends is lost.
    assert total - done < left + ENOUGH / 2
    assert json.loads(said[-1])["changed"]
    assert " 0 FAIL, 0 SKIP" in aiplat(desk, "verify site.yaml")


def test_a_second_run_changes_nothing(desk: Journey) -> None:
    """Everything is as it should be."""
    summary = aiplat(desk, "bootstrap site.yaml --yes --json").splitlines()[-1]
    assert json.loads(summary)["changed"] == 0


def test_a_reset_leaves_the_host_as_it_was(desk: Journey) -> None:
    """Also the way back needs no network."""
    assert "nothing" in aiplat(desk, "reset site.yaml --yes").lower()


def test_neither_machine_asked_the_outside_for_anything(desk: Journey) -> None:
    """The counter of the lab's bridge is 0 over the whole way, the operator's machine counted too."""
    assert egress_report(desk.name).packets == 0
