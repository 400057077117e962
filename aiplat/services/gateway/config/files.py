"""The files that say how a gateway keeps accounts, and how one runs alone; nothing is opened here."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from aiplat.errors import BadInput, Finding
from aiplat.frozen import findings_of
from aiplat.services.bounds import CONFIG_BYTES
from aiplat.services.gateway.accounts.prices import TokenPrice
from aiplat.services.gateway.config.routes import Routes

Rate = Annotated[int, Field(ge=1)]
_OnOutage = Literal["serve", "refuse"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatabaseConfig(_Strict):
    """`url` begins with `postgresql://` or `sqlite:///`; its password may stand in a file of its own."""

    url: str = ""
    password_file: Path | None = None
    migrate: bool = False


class SpoolConfig(_Strict):
    """Where usage waits while the database is away, and how much of it may."""

    folder: Path = Path("spool")
    max_mib: int = Field(default=256, ge=1, le=1 << 20)


class AccountsConfig(_Strict):
    """How a gateway keeps accounts. `prices` are per million tokens, by model; `*` is for all others.

    `declared_file` holds teams and keys (`Declarations`, JSON) that are kept in the database as it says;
    `teams_file` the Team objects of the cluster, as the operator writes them, without keys.
    """

    database: DatabaseConfig = DatabaseConfig()
    spool: SpoolConfig = SpoolConfig()
    prices: dict[str, TokenPrice] = {}
    declared_file: Path | None = None
    teams_file: Path | None = None


class BudgetEntry(_Strict):
    """How much may be used in a UTC day or month."""

    unit: Literal["tokens", "requests", "money"]
    period: Literal["day", "month"]
    limit: Decimal = Field(ge=0)


class TeamEntry(_Strict):
    """A team that the file declares."""

    name: str
    description: str = ""
    models: tuple[str, ...] = ()
    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None
    budgets: tuple[BudgetEntry, ...] = ()


class KeyEntry(_Strict):
    """A key that the file declares: by the hash of its secret, or by a file that holds the secret.

    A `secret_file` that is not there is made, with a new secret.
    """

    id: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    hash: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    secret_file: Path | None = None
    name: str = ""
    team: str = ""
    role: Literal["admin", "operator", "member"] = "member"
    models: tuple[str, ...] = ()
    on_outage: _OnOutage = Field(default="serve", validation_alias=AliasChoices("on_outage", "onOutage"))
    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None
    expires_at: AwareDatetime | None = None
    budgets: tuple[BudgetEntry, ...] = ()

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if bool(self.hash) == bool(self.secret_file):
            raise ValueError("give either `hash` or `secret_file`")
        return self


class Declarations(_Strict):
    """Teams and keys that a file declares."""

    teams: tuple[TeamEntry, ...] = ()
    keys: tuple[KeyEntry, ...] = ()

    @model_validator(mode="after")
    def _fit(self) -> Self:
        teams, keys = [t.name for t in self.teams], [k.id for k in self.keys]
        for what, names in (("team", teams), ("key", keys)):
            if twice := sorted({n for n in names if names.count(n) > 1}):
                raise ValueError(f"the {what} {twice[0]!r} is there twice")
        if unknown := next((k for k in self.keys if k.team and k.team not in teams), None):
            raise ValueError(f"key {unknown.id}: no team is called {unknown.team!r}")
        return self


class DeclaredTeams(_Strict):
    """Teams that the cluster's Team objects declare."""

    teams: tuple[TeamEntry, ...] = ()


class Listen(_Strict):
    """Where the gateway listens; port 0 takes a free one. Beyond this machine, give it a certificate."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    health_port: int = Field(default=9090, ge=0, le=65535)


class Tls(_Strict):
    """Certificate and private key, as PEM files; both are read again when they change."""

    cert: Path
    key: Path


class AloneConfig(AccountsConfig, Declarations, Routes):
    """The file of `aiplat serve gateway --config`: a gateway without a cluster.

    Without `database`, accounts are in a SQLite file beside the configuration.
    """

    listen: Listen = Listen()
    tls: Tls | None = None
    max_body_mib: int = Field(default=16, ge=1, le=1024)
    max_bodies_mib: int = Field(default=96, ge=1, le=65536)
    cors_origins: tuple[Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^\s/,]+)$")], ...] = ("*",)


_C = TypeVar("_C", bound=AccountsConfig)
_D = TypeVar("_D", bound=BaseModel)


def read_config(path: Path, kind: type[_C]) -> _C:
    """Read a file, YAML or (named `.json`) JSON; relative paths in it are below its folder.

    Raises:
        BadInput: it cannot be read, or with everything that is wrong in it at once.
    """
    return _with_places(_read(path, kind), path.absolute().parent)


def read_declarations(path: Path, teams_file: Path | None = None) -> Declarations:
    """Read the files that declare teams and keys; one that is not there declares none.

    A team of both files is as the first one says: a component's key depends on it.

    Raises:
        BadInput: one cannot be read, or with everything that is wrong in it at once.
    """
    found = _read(path, Declarations) if path.exists() else Declarations()
    if teams_file is None or not teams_file.exists():
        return found
    named = {team.name for team in found.teams}
    more = tuple(team for team in _read(teams_file, DeclaredTeams).teams if team.name not in named)
    return found.model_copy(update={"teams": found.teams + more})


def _read(path: Path, kind: type[_D]) -> _D:
    try:
        return kind.model_validate(_document(path))
    except ValidationError as error:
        raise BadInput(findings_of(error, str(path), kind)) from None


def _document(path: Path) -> Any:
    if path.suffix != ".json":
        # The image of the services holds no YAML reader: in a cluster the files are JSON. A site's reader has
        # limits of size, depth and aliases.
        document = import_module("aiplat.site.yaml_file").read_document(path)
        if document.findings:
            raise BadInput(document.findings)
        return document.data
    try:
        with path.open("rb") as stream:
            text = stream.read(CONFIG_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise BadInput(Finding(str(path), f"cannot be read: {reason}", "name a file that can")) from None
    if len(text) > CONFIG_BYTES:
        raise BadInput(Finding(str(path), "is larger than 1 MiB", "name the right file"))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        said = str(error).strip().splitlines()
        raise BadInput(Finding(str(path), f"is not JSON: {said[0] if said else error}")) from None


def _with_places(config: _C, folder: Path) -> _C:
    spool = config.spool.model_copy(update={"folder": folder / config.spool.folder})
    database = config.database
    if not database.url:
        changes: dict[str, Any] = {"url": f"sqlite:///{folder / 'gateway.db'}"}
        database = database.model_copy(update=changes)
    elif database.url.startswith("sqlite:///") and not database.url.startswith("sqlite:////"):
        name = database.url.removeprefix("sqlite:///")
        database = database.model_copy(update={"url": f"sqlite:///{folder / name}"})
    if database.password_file is not None:
        database = database.model_copy(update={"password_file": folder / database.password_file})
    update: dict[str, Any] = {"spool": spool, "database": database}
    if isinstance(config, AloneConfig):
        update |= _alone_places(config, folder, database)
    return config.model_copy(update=update)


def _alone_places(config: AloneConfig, folder: Path, database: DatabaseConfig) -> dict[str, Any]:
    tls = config.tls and Tls(cert=folder / config.tls.cert, key=folder / config.tls.key)
    keys = [
        k.model_copy(update={"secret_file": folder / k.secret_file}) if k.secret_file else k
        for k in config.keys
    ]
    providers = [
        p.model_copy(update={"key_file": folder / p.key_file}) if p.key_file else p for p in config.providers
    ]
    return {
        "tls": tls,
        "keys": tuple(keys),
        "providers": tuple(providers),
        # Alone, nobody else makes the tables.
        "database": database.model_copy(update={"migrate": True}),
    }
