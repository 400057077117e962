"""What needs come to: Secrets with what was generated, databases, keys and connections."""

from __future__ import annotations

import json

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.components import Component
from aiplat.catalog.needs import Needs
from aiplat.content import sha256_bytes
from aiplat.plan.needs import (
    connections,
    databases,
    declared_keys,
    generated_names,
    metrics_targets,
    names_askers,
    needed_objects,
    passwords,
)
from aiplat.vault.generated import generate
from aiplat.vault.store import GATEWAY_SERVICE
from tests.catalog.test_needs import THING as WITHOUT_NEEDS

THING = Component.model_validate(
    {
        **WITHOUT_NEEDS,
        "needs": {
            "secrets": [{"name": "cookie", "kind": "token"}],
            "databases": [{"name": "thing", "extensions": ["vector"]}],
            "gatewayKeys": [
                {
                    "name": "chat",
                    "team": "things",
                    "models": ["smollm2:135m"],
                    "budgets": [{"unit": "tokens", "period": "day", "limit": 1000}],
                }
            ],
            "connections": [{"to": "registry", "port": 5443}],
            "dns": True,
        },
    }
)
ON = (*(c for c in load_catalog().components if c.name in {"gateway", "postgresql"}), THING)
GENERATED = {name: generate(kind).entries for name, kind in generated_names(ON).items()}

SHARED = {"name": "aiplat", "extensions": ["vector"], "of": "gateway"}
FIRST = {"name": "first-admin", "role": "admin"}


def test_what_is_generated_follows_from_the_needs() -> None:
    """A password for each database, a key for each gateway key, and the secrets as they are named."""
    assert generated_names(ON) == {
        "gateway/database/aiplat": "password",
        "thing/cookie": "token",
        "thing/database/thing": "password",
        "thing/gateway-key/chat": "apiKey",
    }


def test_each_need_has_a_secret_in_the_components_namespace() -> None:
    """A pod gets everything that it must know from Secrets named after its component."""
    made = {
        entry["name"]: entry["stringData"] for c, entry in needed_objects(ON, GENERATED, "CA") if c == THING
    }
    password = GENERATED["thing/database/thing"]["password"]
    assert made == {
        "thing-cookie": GENERATED["thing/cookie"],
        "thing-database": {
            "host": "postgresql.aiplat-data",
            "port": "5432",
            "database": "thing",
            "username": "thing",
            "password": password,
            "url": f"postgresql://thing:{password}@postgresql.aiplat-data:5432/thing",
        },
        "thing-gateway-key": {
            "key": GENERATED["thing/gateway-key/chat"]["key"],
            "url": "https://gateway.aiplat-access.svc/v1",
            "ca.crt": "CA",
        },
    }


def test_the_gateways_certificate_speaks_for_the_name_that_components_use() -> None:
    """Otherwise no component could trust it."""
    url = next(
        e["stringData"]["url"]
        for _, e in needed_objects(ON, GENERATED, "")
        if "url" in e["stringData"] and "https" in e["stringData"]["url"]
    )
    assert url.removeprefix("https://").partition("/")[0] in GATEWAY_SERVICE


def test_the_database_server_is_told_names_and_not_passwords() -> None:
    """Values show what changes with a password; the passwords are in a Secret."""
    identities = {"component thing/database/thing": "sha256:1"}
    assert databases(ON, identities) == [
        {"name": "aiplat", "extensions": ["vector"], "passwordIdentity": "not generated yet"},
        {"name": "thing", "extensions": ["vector"], "passwordIdentity": "sha256:1"},
    ]
    assert passwords(ON, GENERATED)["thing"] == GENERATED["thing/database/thing"]["password"]


def test_a_role_may_be_asked_for_beside_a_database() -> None:
    """The server is told which of its own roles the component's is a member of."""
    reader = Component.model_validate(
        {
            **THING.model_dump(by_alias=True),
            "name": "reader",
            "needs": {"databases": [{"name": "reader", "roles": ["pg_monitor"]}]},
        }
    )
    assert databases((*ON, reader), {})[-1]["roles"] == ["pg_monitor"]


def test_a_database_of_another_component_is_used_with_its_owners_password() -> None:
    """It is made once, and whoever uses it too gets a Secret of its own."""
    sharing = Component.model_validate(
        {**THING.model_dump(by_alias=True), "name": "sharing", "needs": {"databases": [SHARED]}}
    )
    on = (*ON, sharing)
    assert generated_names(on) == generated_names(ON)
    assert [d["name"] for d in databases(on, {})] == ["aiplat", "thing"]
    made = {(c.name, s["name"]): s["stringData"] for c, s in needed_objects(on, GENERATED, "CA")}
    shared = made["sharing", "sharing-database"]
    assert shared["password"] == GENERATED["gateway/database/aiplat"]["password"]
    assert shared["username"] == "aiplat"


def test_a_key_with_a_role_is_declared_with_it() -> None:
    """The first admin's key is one; others are members."""
    admin = Component.model_validate(
        {**THING.model_dump(by_alias=True), "name": "door", "needs": {"gatewayKeys": [FIRST]}}
    )
    generated = {**GENERATED, "door/gateway-key/first-admin": generate("apiKey").entries}
    declared = json.loads(declared_keys((*ON, admin), generated))
    assert {key["id"]: key.get("role", "member") for key in declared["keys"]} == {
        "thing-chat": "member",
        "door-first-admin": "admin",
    }


def test_the_gateway_gets_hashes_of_keys_with_their_limits() -> None:
    """Whoever reads the file cannot use a key of it."""
    declared = json.loads(declared_keys(ON, GENERATED))
    key = GENERATED["thing/gateway-key/chat"]["key"]
    assert key not in json.dumps(declared)
    assert declared == {
        "teams": [{"name": "things"}],
        "keys": [
            {
                "id": "thing-chat",
                "hash": sha256_bytes(key.encode()),
                "name": "thing: chat",
                "team": "things",
                "models": ["smollm2:135m"],
                "budgets": [{"unit": "tokens", "period": "day", "limit": "1000"}],
            }
        ],
    }


def test_connections_lead_to_providers_and_to_those_that_are_named() -> None:
    """The policies are opened for these at both ends, for nothing else; what is off is not connected to."""
    found = {(c["from"]["component"], c["to"]["component"], c["port"]) for c in connections(ON)}
    assert found == {
        ("gateway", "postgresql", 5432),
        ("thing", "postgresql", 5432),
        ("thing", "gateway", 8443),
    }
    registry = THING.model_copy(update={"name": "registry", "needs": Needs()})
    assert ("thing", "registry", 5443) in {
        (c["from"]["component"], c["to"]["component"], c["port"]) for c in connections((*ON, registry))
    }
    assert names_askers(ON) == [{"namespace": "aiplat-data", "component": "thing"}]


def test_metrics_are_read_where_they_are_and_nowhere_else() -> None:
    """A component that says where its metrics are is a target and lets Prometheus in; another is neither."""
    more = [c for c in load_catalog().components if c.name in {"prometheus", "node-exporter"}]
    assert metrics_targets((*ON, *more)) == [
        {"component": "gateway", "namespace": "aiplat-access", "port": 9090, "path": "/metrics"},
        {"component": "node-exporter", "namespace": "aiplat-platform", "port": 9100, "path": "/metrics"},
    ]
    opened = [c for c in connections((*ON, *more)) if c["from"]["component"] == "prometheus"]
    assert [(c["to"]["component"], c["port"]) for c in opened] == [("gateway", 9090), ("node-exporter", 9100)]
    assert not [c for c in connections(ON) if c["port"] == 9090]


def test_without_postgresql_the_gateway_gets_no_database() -> None:
    """Its database is optional."""
    assert generated_names([c for c in ON if c.name == "gateway"]) == {}
