"""What a component begun by `component new` needs is there, leaves with it, and comes back."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from aiplat.lab import lab_down
from tests.e2e.checkout import Checkout, copy_checkout
from tests.patience import eventually

pytestmark = [pytest.mark.lab, pytest.mark.journey]
# Not among the other sites: only the copy of the checkout has the component.
SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
supply: packages
name: t-needs
hosts:
  - {name: t-needs-s1, address: 10.97.83.11, role: server}
planes:
  data:
    thing: {state: on}
models:
  - {name: "gemma3:270m", engine: ollama}
"""
NEEDS = """
needs:
  secrets: [{name: cookie, kind: token}]
  databases: [{name: thing}]
  gatewayKeys: [{name: chat, team: things, models: ["gemma3:270m"]}]
"""
BODY = {"model": "gemma3:270m", "prompt": "The sea is", "max_tokens": 2}


class Needing(Checkout):
    """A copy whose component needs Secrets and a database."""

    def sql(self, statement: str) -> str:
        """Run a statement as the database's superuser and return what it printed."""
        ask = f'psql -h /tmp -U postgres postgres -Atc "{statement}"'
        inside = f"PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; {ask}"
        return self.on_host(f"k3s kubectl -n aiplat-data exec postgresql-0 -- sh -c '{inside}'").strip()

    def secret(self, name: str) -> dict[str, str]:
        """Return the entries of a Secret of the component."""
        told = self.on_host(f"k3s kubectl -n aiplat-data get secret {name} -o json")
        return {k: base64.b64decode(v).decode() for k, v in json.loads(told)["data"].items()}


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Needing]:
    """A copy of the checkout with one more component, and a lab host."""
    root, state = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("state")
    site_file = copy_checkout(root, SITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(state))
        ward = Needing("t-needs", site_file, state, root)
        ward.aiplat("component", "new", "data", "thing")
        with (root / "charts/data/thing/component.yaml").open("a") as file:
            file.write(NEEDS)
        ward.aiplat("lab", "up", str(ward.site_file))
        yield ward
        lab_down("t-needs")
    shutil.rmtree(state)


@pytest.fixture(scope="module")
def first(ward: Needing) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return ward.bootstrap()


def asked_with(ward: Needing, key: str) -> int:
    """Return how a completion with this key is answered."""
    with ward.platform() as client:
        client.headers["Authorization"] = f"Bearer {key}"
        return client.post("completions", json=BODY).status_code


def test_everything_it_needs_is_there(ward: Needing, first: dict[str, Any]) -> None:
    """A Secret with a token, a database whose role may log in, and a key that the gateway takes."""
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []
    assert len(ward.secret("thing-cookie")["token"]) == 64
    assert ward.secret("thing-database")["database"] == "thing"
    assert ward.sql("SELECT rolcanlogin, rolsuper FROM pg_roles WHERE rolname = '\\''thing'\\''") == "t|f"
    assert asked_until(ward, ward.secret("thing-gateway-key")["key"], 200)


def test_the_gateway_owns_its_database(ward: Needing, first: dict[str, Any]) -> None:
    """Its tables are its role's, which is nobody's superuser, and others may not connect."""
    assert ward.sql("SELECT rolsuper FROM pg_roles WHERE rolname = '\\''aiplat'\\''") == "f"
    assert (
        ward.sql("SELECT has_database_privilege('\\''public'\\'', '\\''aiplat'\\'', '\\''CONNECT'\\'')")
        == "f"
    )


def test_a_second_run_changes_nothing(ward: Needing, first: dict[str, Any]) -> None:
    """What was generated stays what it was."""
    before = ward.secret("thing-gateway-key")
    assert ward.bootstrap()["changed"] == 0
    assert ward.secret("thing-gateway-key") == before


def test_without_the_component_only_its_data_is_left(ward: Needing, first: dict[str, Any]) -> None:
    """Secrets and key are gone, the role is locked, the database stays; the component comes back to it."""
    key = ward.secret("thing-gateway-key")["key"]
    site = ward.site_file.read_text()
    ward.site_file.write_text(site.replace("state: on", "state: off"))
    ward.bootstrap()
    left = ward.on_host("k3s kubectl -n aiplat-data get secrets,deployments -o name")
    assert "thing" not in left
    assert asked_until(ward, key, 401)
    assert ward.sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = '\\''thing'\\''") == "f"
    assert ward.sql("SELECT datname FROM pg_database WHERE datname = '\\''thing'\\''") == "thing"
    ward.site_file.write_text(site)
    ward.bootstrap()
    assert asked_until(ward, key, 200)


def asked_until(ward: Needing, key: str, wanted: int) -> bool:
    """Whether the gateway comes to answer so: the kubelet brings it the file within two minutes."""
    return eventually(lambda: asked_with(ward, key) == wanted)
