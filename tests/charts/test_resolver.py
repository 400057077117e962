"""The resolver's configuration, answered by the CoreDNS that every site has."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from aiplat.catalog.resolve import resolve
from aiplat.supply.oci import blob_path, read_json
from aiplat.supply.packages import PackagesSupply
from tests.charts.conftest import VALUES, Helm, documents
from tests.name_server import AAAA, NOERROR, REFUSED, TXT, A, ask
from tests.patience import eventually
from tests.plan.test_golden import SITE


@pytest.fixture(scope="session")
def coredns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as it is in the image of the site's lock."""
    supply = PackagesSupply(resolve(SITE))
    image = supply.lock.artifact("image", "docker.io/rancher/mirrored-coredns-coredns")
    made = supply.supply(image, lambda *_: None)
    folder = tmp_path_factory.mktemp("coredns")
    for layer in read_json(made.folder, str(made.artifact.digest))["layers"]:
        with tarfile.open(blob_path(made.folder, layer["digest"])) as tar:
            for member in (m for m in tar if m.isfile() and Path(m.name).name == "coredns"):
                member.name = "coredns"
                tar.extract(member, folder, filter="data")
    (folder / "coredns").chmod(0o700)
    return folder / "coredns"


def listens(port: int) -> bool:
    """Whether somebody takes connections at a port of loopback; CoreDNS opens it beside UDP."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def answering(helm: Helm, charts: dict[str, Path], coredns: Path, tmp_path: Path) -> Callable[..., object]:
    """Run CoreDNS with what the chart makes of values, on loopback, and give the port."""

    @contextmanager
    def run(**values: object) -> Iterator[int]:
        own = tmp_path / "values.json"
        own.write_text(json.dumps(values))
        given = ("-f", VALUES / "values-resolver.yaml", "-f", own)
        done = helm("template", "resolver", charts["resolver"], "-n", "aiplat-access", *given)
        assert done.returncode == 0, done.stderr
        text = next(d for d in documents(done.stdout) if d["kind"] == "ConfigMap")["data"]["Corefile"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        text = re.sub(r":1053 \{", f":{port} {{\n    bind 127.0.0.1", text)
        text = re.sub(r"\n    (prometheus|health|ready) :\d+", "", text)
        (tmp_path / "Corefile").write_text(text)
        with subprocess.Popen([coredns, "-conf", tmp_path / "Corefile"], stdout=subprocess.PIPE) as program:
            try:
                eventually(lambda: listens(port))
                yield port
            finally:
                program.terminate()

    return run


Run = Callable[..., AbstractContextManager[int]]


def test_every_name_under_the_domain_leads_to_the_servers(answering: Run) -> None:
    """Also names that nobody has said yet, each family by its own type."""
    with answering(addresses=["10.0.0.11", "fd00::11"]) as port:
        for name in ("ward-3.internal", "portal.ward-3.internal", "any.thing.ward-3.internal"):
            assert ask("127.0.0.1", port, name, A) == (NOERROR, ["10.0.0.11"])
            assert ask("127.0.0.1", port, name, AAAA) == (NOERROR, ["fd00::11"])


def test_several_servers_are_all_named(answering: Run) -> None:
    """A client tries the next one where a server is away."""
    with answering(addresses=["10.0.0.11", "10.0.0.12"]) as port:
        assert sorted(ask("127.0.0.1", port, "api.ward-3.internal", A)[1]) == ["10.0.0.11", "10.0.0.12"]


def test_what_a_name_does_not_have_is_answered_at_once(answering: Run) -> None:
    """A name without an address of that family exists all the same: nobody waits, nobody asks elsewhere."""
    with answering(addresses=["10.0.0.11"]) as port:
        assert ask("127.0.0.1", port, "portal.ward-3.internal", AAAA) == (NOERROR, [])
        assert ask("127.0.0.1", port, "portal.ward-3.internal", TXT) == (NOERROR, [])


def test_names_of_others_are_refused(answering: Run) -> None:
    """It is not a name server for the Internet, whoever asks."""
    with answering() as port:
        assert ask("127.0.0.1", port, "example.com", A) == (REFUSED, [])
        assert ask("127.0.0.1", port, "notward-3.internal", A) == (REFUSED, [])


def test_it_reaches_only_the_name_servers_that_are_named(
    helm: Helm, charts: dict[str, Path], tmp_path: Path
) -> None:
    """Without any it has no way out."""
    own = tmp_path / "values.json"
    ways = []
    for forward in ([], ["10.9.9.9", "fd00::9"]):
        own.write_text(json.dumps({"forward": forward}))
        given = ("-f", VALUES / "values-resolver.yaml", "-f", own)
        done = helm("template", "resolver", charts["resolver"], "-n", "aiplat-access", *given)
        policy = next(d for d in documents(done.stdout) if d["kind"] == "NetworkPolicy")
        ways.append([to["ipBlock"]["cidr"] for way in policy["spec"]["egress"] for to in way["to"]])
    assert ways == [[], ["10.9.9.9/32", "fd00::9/128"]]
