"""What a component needs of the platform: `needs` of component.yaml; how it is met belongs in aiplat.plan."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from aiplat.frozen import Frozen


def _not_the_servers(name: str) -> str:
    if name.startswith("pg_") or name in {"postgres", "template0", "template1"}:
        raise ValueError(f"{name} is PostgreSQL's own; name it after the component")
    return name


def _not_the_gateways(name: str) -> str:
    if name == GATEWAY_NAME:
        raise ValueError(f"{name} is the gateway's; take another name")
    return name


GATEWAY_NAME = "api"
"""The name under the site's domain that is the gateway's."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$"), AfterValidator(_not_the_servers)]
Port = Annotated[int, Field(ge=1, le=65535)]
UrlPath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9/_.~-]*$")]
SecretKind = Literal["password", "token", "keyPair", "htpasswd", "apiKey"]
NeedKind = Literal["databases", "buckets", "gatewayKeys", "routes", "forwardAuth", "oidcClients", "metrics"]


class SecretNeed(Frozen):
    """A secret that aiplat generates once and keeps; the Secret `<component>-<name>` holds it.

    Its entries: `password`, or `token`, or `private.pem` and `public.pem` (RSA, 3072 bits), or `username`,
    `password` and `htpasswd` (bcrypt).
    """

    name: Name
    kind: Literal["password", "token", "keyPair", "htpasswd"]


class DatabaseNeed(Frozen):
    """A database of the component's own in the site's PostgreSQL, and the role of that name that owns it.

    The Secret (`<component>-database`, or named by `secret`) holds `host`, `port`, `database`, `username`,
    `password` and `url`. An optional one is made where the site has PostgreSQL. `of` names another component
    whose database of this name is used too, as its owner. `roles` are PostgreSQL's own that the role is a
    member of: with `pg_monitor` it reads what the server says of itself and of all databases, not their rows.
    """

    name: Identifier
    extensions: tuple[Literal["vector"], ...] = ()
    roles: tuple[Literal["pg_monitor"], ...] = ()
    secret: Name | None = None
    optional: bool = False
    of: Name | None = None


class BudgetNeed(Frozen):
    """How much may be used in a UTC day or month."""

    unit: Literal["tokens", "requests", "money"]
    period: Literal["day", "month"]
    limit: Decimal = Field(ge=0)


class GatewayKeyNeed(Frozen):
    """A key with which the component calls models: of a team, for some models (all by default), in budgets.

    The Secret `<component>-gateway-key` (`<component>-<name>-gateway-key` where there are several) holds
    `key`, `url` (OpenAI's base URL) and `ca.crt`. Its role is for what the key may do beyond models.
    """

    name: Name
    role: Literal["admin", "operator", "member"] = "member"
    team: Name | None = None
    models: tuple[str, ...] = ()
    budgets: tuple[BudgetNeed, ...] = ()


class RouteNeed(Frozen):
    """A name under the site's domain that leads to a Service; only these groups may enter.

    `port` is that of the Service and of its pods. With `signIn: own` the component signs people in itself;
    else the site's sign-in is asked before every request. With `tls` the pods speak TLS, with a certificate
    of the site CA for `<service>.<namespace>.svc`. An optional one is made where the site has an ingress, and
    the sign-in that it asks for.
    """

    name: Annotated[Name, AfterValidator(_not_the_gateways)]
    service: Name
    port: Port
    groups: tuple[Name, ...] = Field(min_length=1)
    sign_in: Literal["forwarded", "own"] = Field(default="forwarded", alias="signIn")
    tls: bool = False
    optional: bool = False


class BucketNeed(Frozen):
    """A bucket of the site's object store, with credentials for it alone."""

    name: Name


class OidcClientNeed(Frozen):
    """A client at the site's sign-in: somebody that it gives identities of people to.

    Redirect and logout paths are below `hosts`: the component's own routes, every host that the sign-in is
    asked about, or this machine's loopback address, for programs of the command line. A public client has no
    secret. The Secret `<component>-oidc` (`<component>-<name>-oidc` where the names differ) has `client_id`,
    `client_secret`, `issuer` and `ca.crt`. An optional one is made where the site has a sign-in. One that
    manages people may do so at the administration port of the site's own sign-in.
    """

    name: Name
    redirect_paths: tuple[UrlPath, ...] = Field(alias="redirectPaths", min_length=1)
    logout_paths: tuple[UrlPath, ...] = Field(default=(), alias="logoutPaths")
    hosts: Literal["own", "forwarded", "loopback"] = "own"
    public: bool = False
    auth_method: Literal["client_secret_basic", "client_secret_post"] = Field(
        default="client_secret_basic", alias="authMethod"
    )
    manages_people: bool = Field(default=False, alias="managesPeople")
    optional: bool = False

    @model_validator(mode="after")
    def _proves_who_it_is(self) -> Self:
        if self.manages_people and self.public:
            raise ValueError("managesPeople: a public client has no secret to prove who it is")
        return self


class LabelledPods(Frozen):
    """Pods that somebody else makes for a component, found by a label of theirs."""

    label: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9_./]*$")]
    value: Name
    namespace: Name | None = None


class MetricsNeed(Frozen):
    """Where Prometheus reads the metrics of the component's pods; their containers declare the port.

    Optional ones are read where the site has Prometheus. `pods` are those of a release of the component's
    name where nothing else is said. With `honorLabels` the series are about other pods and nodes: what they
    call `pod` and `node` stays, and the exporter's own are not added.
    """

    port: Port
    pods: LabelledPods | None = None
    path: Annotated[str, Field(pattern="^/")] = "/metrics"
    honor_labels: bool = Field(default=False, alias="honorLabels")
    optional: bool = False


class VolumeNeed(Frozen):
    """A volume claim of the component's chart, and whether a backup of the site holds it."""

    claim: Name
    backup: bool = True


class ConnectionNeed(Frozen):
    """A connection that the component's pods make to another component's."""

    to: Name
    port: Port


class Needs(Frozen):
    """Everything that a component needs of the platform."""

    secrets: tuple[SecretNeed, ...] = ()
    databases: tuple[DatabaseNeed, ...] = ()
    gateway_keys: tuple[GatewayKeyNeed, ...] = Field(default=(), alias="gatewayKeys")
    buckets: tuple[BucketNeed, ...] = ()
    routes: tuple[RouteNeed, ...] = ()
    oidc_clients: tuple[OidcClientNeed, ...] = Field(default=(), alias="oidcClients")
    metrics: tuple[MetricsNeed, ...] = ()
    volumes: tuple[VolumeNeed, ...] = ()
    connections: tuple[ConnectionNeed, ...] = ()
    dns: bool = False

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        for what, names in (
            ("secrets", [s.name for s in self.secrets]),
            ("databases", [d.name for d in self.databases]),
            ("databases", [d.secret or "" for d in self.databases]),
            ("gatewayKeys", [k.name for k in self.gateway_keys]),
            ("routes", [r.name for r in self.routes]),
            ("oidcClients", [c.name for c in self.oidc_clients]),
        ):
            twice = next((n for n in names if names.count(n) > 1), None)
            if twice is not None:
                raise ValueError(f"{what}: {twice or 'a Secret without `secret:`'} is there twice")
        return self

    @model_validator(mode="after")
    def _clients_have_hosts(self) -> Self:
        homeless = [c.name for c in self.oidc_clients if c.hosts == "own" and not self.routes]
        if homeless:
            raise ValueError(f"oidcClients: {homeless[0]} has no route of the component to come back to")
        return self

    @property
    def kinds(self) -> tuple[NeedKind, ...]:
        """What somebody else must provide for the component to work."""
        asked: dict[NeedKind, bool] = {
            "databases": any(not d.optional for d in self.databases),
            "buckets": bool(self.buckets),
            "gatewayKeys": bool(self.gateway_keys),
            "routes": any(not r.optional for r in self.routes),
            "forwardAuth": any(r.sign_in == "forwarded" and not r.optional for r in self.routes),
            "oidcClients": any(not c.optional for c in self.oidc_clients),
            "metrics": any(not m.optional for m in self.metrics),
        }
        return tuple(kind for kind, needed in asked.items() if needed)


class Provided(Frozen):
    """What a component does for others: the port of its pods to connect to, if any, and the Service there."""

    port: Port | None = None
    service: Name | None = None
