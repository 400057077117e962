"""What the shipped components' values, namespaces and the roles' variables come out as, word for word.

`AIPLAT_GOLDEN=write pytest tests/plan/test_golden.py` writes the files again; the diff is then reviewed.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from aiplat.catalog.artifacts import Artifact, Blob, Lock
from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import resolve
from aiplat.catalog.values import merged
from aiplat.content import sha256_bytes
from aiplat.errors import AiplatError
from aiplat.fleet.inventory import inventory_document
from aiplat.plan.make import make_plan
from aiplat.plan.refusals import refusals
from aiplat.plan.releases import cluster_secrets, private_values, releases_of
from aiplat.plan.role_variables import PlaneRelease
from aiplat.plan.variables import role_variables
from aiplat.runs.execute import by_ansible
from aiplat.site.models import ComponentSetting, Site
from tests.plan.worlds import HERE, PUBLIC, facts_of

GOLDEN = HERE / "golden"
SITE = Site.model_validate(
    {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": "ward-3",
        "hosts": [
            {"name": "s1", "address": "10.0.0.11", "role": "server"},
            {"name": "a1", "address": "10.0.0.12", "role": "agent"},
        ],
        "models": [{"name": "gemma3:270m"}],
        "planes": {
            "model": {"operator": {"state": "on"}},
            "access": {name: {"state": "on"} for name in ("ingress", "canaille", "oauth2-proxy", "resolver")},
            "platform": {
                name: {"state": "on"}
                for name in ("prometheus", "node-exporter", "kube-state-metrics", "alertmanager")
            },
            "data": {"postgres-exporter": {"state": "on"}},
            "user-serving": {"portal": {"state": "on"}},
        },
    }
)
# Marked words, so that a test can look for them where they must not be.
SECRETS = {
    "api_key": "SECRET-api-key",
    "api_keys_sha256": ["0" * 64],
    "ca": {"crt": "CA"},
    "gateway": {"crt": "GATEWAY", "key": "SECRET-gateway-key"},
    "registry": {"crt": "REGISTRY"},
    "postgres_password": "SECRET-postgres-password",
    "generated": {
        "gateway/database/aiplat": {"password": "SECRET-database"},
        "postgres-exporter/database/postgres_exporter": {"password": "SECRET-reader"},
        "portal/session": {"token": "SECRET-session"},
        "oauth2-proxy/cookie": {"password": "SECRET-cookie"},
        "oauth2-proxy/oidc-client/oauth2-proxy": {"token": "SECRET-client"},
        "canaille/session": {"token": "SECRET-sign-in"},
        "canaille/signing": {"private.pem": "SECRET-signing", "public.pem": "PUBLIC"},
        "canaille/database/canaille": {"password": "SECRET-people"},
        "portal/oidc-client/portal": {"token": "SECRET-client"},
        "portal/gateway-key/first-admin": {"key": "SECRET-first-admin"},
    },
    "trusted": "CA",
}


def steady_lock() -> Lock:
    """Return the site's real lock with versions and digests that never change."""
    lock = resolve(SITE)
    return lock.model_copy(update={"artifacts": tuple(_steady(a) for a in lock.artifacts)})


def _steady(artifact: Artifact) -> Artifact:
    # A k3s that knows every key, whatever the roles will write.
    version = {"k3s": "v1.99.0+k3s1"}.get(artifact.name, "1.2.3")
    version = artifact.version if artifact.kind == "model" else version
    digest = sha256_bytes(f"{artifact.kind} {artifact.name}".encode())
    blobs = (Blob(digest=digest, size=1),)
    return artifact.model_copy(update={"version": version, "digest": digest, "file": digest, "blobs": blobs})


@pytest.mark.parametrize("name", [c.name for c in load_catalog().components if c.chart])
def test_values_are_as_reviewed(name: str) -> None:
    """A release's values change only when somebody has looked at the change."""
    releases = releases_of(SITE, steady_lock(), load_catalog(), PUBLIC.identities)
    wanted = next((r.values for r in releases if r.name == name), "# not part of this site\n")
    compare(f"values-{name}.yaml", wanted)


def test_inventory_is_as_reviewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ansible is given for a server and an agent, without the releases' values."""
    for digest in ("role_digest", "texts_digest"):
        monkeypatch.setattr(f"aiplat.plan.inputs.{digest}", lambda _role: "now")
    monkeypatch.setattr(
        "aiplat.fleet.inventory._reach", lambda _site, host, _run: {"ansible_host": host.address}
    )
    lock, catalog = steady_lock(), load_catalog()
    plan = make_plan(SITE, lock, facts_of(SITE, {}, {}), PUBLIC)
    variables = {
        host: [_without_values(role) for role in roles]
        for host, roles in role_variables(SITE, lock, catalog, PUBLIC).items()
    }
    document = inventory_document(SITE, by_ansible(plan), "run", variables)
    compare("inventory.json", json.dumps(document, indent=1, sort_keys=True) + "\n")


def test_secrets_are_in_no_value_inventory_or_plan() -> None:
    """Charts only name Secrets: what is in them is rendered for the private file alone."""
    lock, catalog = steady_lock(), load_catalog()
    plan = make_plan(SITE, lock, facts_of(SITE, {}, {}), PUBLIC)
    variables = role_variables(SITE, lock, catalog, PUBLIC)
    shown = plan.model_dump_json() + "".join(
        r.model_dump_json() for roles in variables.values() for r in roles
    )
    assert "SECRET" not in shown
    rendered = cluster_secrets(SITE, lock, catalog, PUBLIC.identities, SECRETS)
    assert {s["name"] for s in rendered} >= {"gateway-tls", "gateway-keys"}
    assert "SECRET-gateway-key" in json.dumps(rendered)


def test_api_key_reaches_the_cluster_as_a_hash_only() -> None:
    """Whoever reads the gateway's Secret cannot use the platform with it."""
    rendered = cluster_secrets(SITE, steady_lock(), load_catalog(), PUBLIC.identities, SECRETS)
    assert "SECRET-api-key" not in json.dumps(rendered)


def test_given_secrets_are_in_the_private_values_alone() -> None:
    """The plan and what Ansible shows have the reference; another revision of it is another release."""
    values = {"extra": {"password": {"fromSecret": "hub"}}}
    site = SITE.model_copy(update={"planes": {"access": {"gateway": ComponentSetting(values=values)}}})
    lock, catalog = steady_lock(), load_catalog()
    plans = []
    for revision in ("one", "two"):
        public = replace(PUBLIC, identities=dict(PUBLIC.identities) | {"secret hub": revision})
        plans.append(make_plan(site, lock, facts_of(site, {}, {}), public))
        (private,) = private_values(site, lock, catalog, public.identities, {"hub": "SECRET-hub"})
        content = json.loads(private["content"])
        assert (private["release"], content["secrets"]) == ("gateway", ["SECRET-hub"])
        assert "password: SECRET-hub" in content["values"]
        shown = role_variables(site, lock, catalog, public)["s1"][-1].model_dump_json()
        assert "fromSecret: hub" in shown
        assert "SECRET" not in shown + plans[-1].model_dump_json()
    inputs = [plan.steps[-1].inputs["s1"] for plan in plans]
    assert {name for name in inputs[0] if inputs[0][name] != inputs[1][name]} == {"secret:secret hub"}
    labels = [
        releases_of(site, lock, catalog, {**PUBLIC.identities, "secret hub": r}) for r in ("one", "two")
    ]
    changed = {one.name for one, two in zip(*labels, strict=True) if one.inputs != two.inputs}
    assert changed == {"gateway"}


def test_a_secret_that_nobody_gave_forbids_the_plan() -> None:
    """The finding names the place and the command that helps."""
    values = {"password": {"fromSecret": "hub"}}
    site = SITE.model_copy(update={"planes": {"access": {"gateway": ComponentSetting(values=values)}}})
    facts = facts_of(site, {}, {"s1": {"lab": "x"}, "a1": {"lab": "x"}})
    assert [str(f) for f in refusals(site, steady_lock(), facts)] == [
        "planes.access.gateway.values.password: there is no secret hub; give it one: aiplat secret set hub"
    ]
    assert refusals(site, steady_lock(), facts, {"hub"}) == ()


def test_a_reference_replaces_what_stood_there() -> None:
    """It is a value, not a map to be laid over another."""
    over = {"auth": {"fromSecret": "hub"}}
    assert merged({"auth": {"user": "a"}, "b": {"c": 1}}, {**over, "b": {"d": 2}}) == {
        **over,
        "b": {"c": 1, "d": 2},
    }


def test_template_that_names_what_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    """A misspelt name in values.yaml.j2 stops the plan and says where."""
    catalog = load_catalog()
    broken = next(c for c in catalog.components if c.chart).model_copy(update={"folder": tmp_path})
    (tmp_path / "values.yaml.j2").write_text("image: {{ imagse }}")
    others = tuple(c for c in catalog.components if c.name != broken.name)
    changed = type(catalog)(catalog.planes, (*others, broken))
    with pytest.raises(
        AiplatError, match=rf"{broken.name}/values.yaml.j2: cannot be rendered: 'imagse' is undefined"
    ):
        releases_of(SITE, steady_lock(), changed, PUBLIC.identities)


def _without_values(role: object) -> object:
    if not isinstance(role, PlaneRelease):
        return role
    short = tuple(r.model_copy(update={"values": "…", "inputs": "0" * 63}) for r in role.releases)
    return role.model_copy(update={"releases": short})


def compare(name: str, text: str) -> None:
    """Compare with a golden file, or write it where that was asked for."""
    path = GOLDEN / name
    if os.environ.get("AIPLAT_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text
    if path.suffix == ".yaml":
        YAML(typ="safe").load(text)
