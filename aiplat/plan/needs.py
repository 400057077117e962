"""What the needs of a site's components come to: generated secrets, Secrets, databases, keys, connections."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiplat.catalog.components import Component
from aiplat.catalog.needs import DatabaseNeed, GatewayKeyNeed, MetricsNeed, NeedKind, SecretKind
from aiplat.catalog.routes import provider_of
from aiplat.content import sha256_bytes
from aiplat.plan.role_variables import NOT_YET
from aiplat.plan.routes import routed
from aiplat.plan.sign_in import askers, own_clients, secret_of
from aiplat.vault.generated import generated_identity

Entries = Mapping[str, Mapping[str, str]]
"""The entries of generated secrets, by the secrets' names."""


def generated_names(on: Sequence[Component]) -> dict[str, SecretKind]:
    """Return what is to be generated for the components that are on: name → kind."""
    found: dict[str, SecretKind] = {}
    for component in on:
        found |= {f"{component.name}/{s.name}": s.kind for s in component.needs.secrets}
        found |= {_database(component, d): "password" for d in _databases(component, on)}
        found |= {_key(component, k): "apiKey" for k in component.needs.gateway_keys}
    return found | {secret_of(c, client): "token" for c, client in own_clients(on) if not client.public}


def databases(on: Sequence[Component], identities: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the databases that components need: name, extensions, roles, what changes with the password."""
    return [
        {
            "name": database.name,
            "extensions": list(database.extensions),
            **({"roles": list(database.roles)} if database.roles else {}),
            "passwordIdentity": identities.get(generated_identity(_database(component, database)), NOT_YET),
        }
        for component in on
        for database in _databases(component, on)
        if not database.of
    ]


def passwords(on: Sequence[Component], generated: Entries) -> dict[str, str]:
    """Return the password of each database's role, by the database's name. Secret."""
    return {d.name: generated[_database(c, d)]["password"] for c in on for d in _databases(c, on)}


def declared_keys(on: Sequence[Component], generated: Entries) -> str:
    """Return the teams and keys that the gateway is to know, as the JSON of its file. Secret."""
    from_needs = [(c, key) for c in on for key in c.needs.gateway_keys]
    teams = sorted({key.team for _, key in from_needs if key.team})
    keys = [
        {
            "id": f"{component.name}-{key.name}",
            "hash": _hashed(generated[_key(component, key)]["key"]),
            "name": f"{component.name}: {key.name}",
            "team": key.team or "",
            "models": list(key.models),
            **({} if key.role == "member" else {"role": key.role}),
            "budgets": [b.model_dump(mode="json") for b in key.budgets],
        }
        for component, key in from_needs
    ]
    return json.dumps({"teams": [{"name": team} for team in teams], "keys": keys}, sort_keys=True)


def needed_objects(
    on: Sequence[Component], generated: Entries, trusted: str
) -> Iterator[tuple[Component, dict[str, Any]]]:
    """Yield each component's Secrets with what was generated for it; `trusted` are CA certificates (PEM)."""
    for component in on:
        for secret in component.needs.secrets:
            entries = generated[f"{component.name}/{secret.name}"]
            yield component, {"name": f"{component.name}-{secret.name}", "stringData": dict(entries)}
        for database in _databases(component, on):
            password = generated[_database(component, database)]["password"]
            named = database.secret or f"{component.name}-database"
            yield (
                component,
                {"name": named, "stringData": _access(database, password, _provider(on, "databases"))},
            )
        for key in component.needs.gateway_keys:
            door = _provider(on, "gatewayKeys", with_port=True)
            entries = {
                "key": generated[_key(component, key)]["key"],
                "url": f"https://{door.name}.{door.namespace}.svc/v1",
                "ca.crt": trusted,
            }
            yield component, {"name": _key_secret(component, key), "stringData": entries}


def connections(on: Sequence[Component]) -> list[dict[str, Any]]:
    """Return which pods connect to which: to those that provide what a component needs, and as it says."""
    by_name = {c.name: c for c in on}
    found = []
    for component in on:
        asked = [(by_name[c.to], c.port) for c in component.needs.connections if c.to in by_name]
        for to, port in (*_to_providers(component, on), *asked):
            found.append({"from": _pods(component), "to": _pods(to), "port": port})
    through = [{"from": _pods(door), "to": _pods(to), "port": port} for door, to, port in routed(on)]
    return found + _scrapes(on) + through + _to_the_issuer(on)


def metrics_targets(on: Sequence[Component]) -> list[dict[str, Any]]:
    """Return what Prometheus is to scrape: the pods of the components that say where their metrics are."""
    return [
        {**pods, "port": metrics.port, "path": metrics.path, **_labels(metrics)}
        for component in on
        for metrics in component.needs.metrics
        if (pods := _measured(component, metrics))["namespace"]
    ]


def names_askers(on: Sequence[Component]) -> list[dict[str, str]]:
    """Return the pods that may ask the cluster's DNS because their component says so."""
    return [_pods(component) for component in on if component.needs.dns and component.namespace]


def _to_providers(component: Component, on: Sequence[Component]) -> Iterator[tuple[Component, int]]:
    needed: tuple[tuple[NeedKind, bool], ...] = (
        ("databases", bool(_databases(component, on))),
        ("gatewayKeys", bool(component.needs.gateway_keys)),
    )
    for kind, is_needed in needed:
        for other in on if is_needed else ():
            provided = other.provides.needs.get(kind)
            if provided and provided.port and other.name != component.name:
                yield other, provided.port


def _to_the_issuer(on: Sequence[Component]) -> list[dict[str, Any]]:
    """Return the connections of those that ask the sign-in by its name: they go the way of everybody else."""
    door = provider_of(on, "routes")
    port = door.provides.needs["routes"].port if door else None
    return [{"from": _pods(c), "to": _pods(door), "port": port} for c in askers(on) if door and port]


def _scrapes(on: Sequence[Component]) -> list[dict[str, Any]]:
    """Return the connections that whoever reads metrics makes: the other way round than for other needs."""
    readers = [c for c in on if "metrics" in c.provides.needs]
    return [
        {"from": _pods(reader), "to": pods, "port": metrics.port}
        for reader in readers
        for component in on
        if component.name != reader.name
        for metrics in component.needs.metrics
        if (pods := _measured(component, metrics))["namespace"]
    ]


def _measured(component: Component, metrics: MetricsNeed) -> dict[str, str]:
    """Return the pods that have a component's metrics, with the label that finds them where it is another."""
    pods, named = _pods(component), metrics.pods
    if named is None:
        return pods
    return pods | {
        "namespace": named.namespace or pods["namespace"],
        "label": named.label,
        "value": named.value,
    }


def _labels(metrics: MetricsNeed) -> dict[str, bool]:
    return {"honorLabels": True} if metrics.honor_labels else {}


def _pods(component: Component) -> dict[str, str]:
    return {"namespace": component.namespace or "", "component": component.name}


def _databases(component: Component, on: Iterable[Component]) -> list[DatabaseNeed]:
    """Return the databases that a component gets in this site."""
    there = any("databases" in c.provides.needs for c in on)
    return [d for d in component.needs.databases if there or not d.optional]


def _access(database: DatabaseNeed, password: str, server: Component) -> dict[str, str]:
    host = f"{server.name}.{server.namespace}"
    port = server.provides.needs["databases"].port
    return {
        "host": host,
        "port": str(port),
        "database": database.name,
        "username": database.name,
        "password": password,
        # Its characters are those of base64url: nothing to be quoted.
        "url": f"postgresql://{database.name}:{password}@{host}:{port}/{database.name}",
    }


def _provider(on: Sequence[Component], need: NeedKind, *, with_port: bool = False) -> Component:
    return next(c for c in on if need in c.provides.needs and (c.provides.needs[need].port or not with_port))


def _database(component: Component, database: DatabaseNeed) -> str:
    return f"{database.of or component.name}/database/{database.name}"


def _key(component: Component, key: GatewayKeyNeed) -> str:
    return f"{component.name}/gateway-key/{key.name}"


def _key_secret(component: Component, key: GatewayKeyNeed) -> str:
    several = len(component.needs.gateway_keys) > 1
    return f"{component.name}-{key.name}-gateway-key" if several else f"{component.name}-gateway-key"


def _hashed(key: str) -> str:
    return sha256_bytes(key.encode())
