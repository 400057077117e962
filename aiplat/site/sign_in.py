"""`signIn` of site.yaml: the company's own OpenID Connect provider, where people have accounts already."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from aiplat.site.strict import Strict

Role = Literal["admin", "operator", "member"]


class SecretReference(Strict):
    """A secret that `aiplat secret set` keeps; the file has its name alone."""

    from_secret: str = Field(alias="fromSecret")
    """The secret's name."""


class CompanySignIn(Strict):
    """The provider, the client it knows this site as, and which of its groups may do what here."""

    issuer: str = Field(json_schema_extra={"pattern": "^https://"})
    """The issuer's address, as its `/.well-known/openid-configuration` has it."""
    client_id: str = Field(default="aiplat", alias="clientId")
    """The id of the client that was registered for this site (`aiplat sign-in` says with what)."""
    client_secret: SecretReference = Field(alias="clientSecret")
    """Its secret, as `{fromSecret: NAME}`."""
    cli_client_id: str | None = Field(default=None, alias="cliClientId")
    """The id of a public client for the command line and kubectl; left out, they have no sign-in by name."""
    ca: Path | None = None
    """File with the CA certificates (PEM) that vouch for the issuer; left out, the public ones."""
    proxy: str | None = None
    """Proxy by which the site's pods reach the issuer (`http://proxy.example.com:3128`); left out, none."""
    user_claim: str = Field(default="preferred_username", alias="userClaim")
    """The claim that has a person's name."""
    groups_claim: str = Field(default="groups", alias="groupsClaim")
    """The claim that has the groups a person is in."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    """What is asked for; some providers give groups for a scope `groups`."""
    groups: dict[Role, tuple[str, ...]] = Field(json_schema_extra={"required": ["admin"]})
    """Which of the provider's groups are admins, operators and members of this site."""
