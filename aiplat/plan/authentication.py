"""How the Kubernetes API server knows people: its AuthenticationConfiguration, made of the site's sign-in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aiplat.catalog.components import Component
from aiplat.frozen import Frozen
from aiplat.plan.sign_in import company_authorities, sign_in
from aiplat.site.models import Site

PREFIX = "aiplat:"
"""Stands before names and groups of the sign-in: none of them can be one of Kubernetes' own."""
_LONGEST = 24 * 3600


class KnownPeople(Frozen):
    """What a server is told of the sign-in; everything is empty where people have none for Kubernetes.

    `config` is the API server's file, which it reads again when it changes. `issuer_host` is the name that
    the server's host has to find at `issuer_address`; both are empty where DNS knows the issuer.
    """

    config: str = ""
    issuer_host: str = ""
    issuer_address: str = ""


def people(site: Site, on: Sequence[Component], authorities: str) -> KnownPeople:
    """Return what a server is told of the sign-in; `authorities` are the CA certificates (PEM) of the site.

    The company's own issuer is judged by `signIn.ca`; without one, by the authorities that the servers' own
    systems trust. The clients that kubectl signs in with are those without a secret: a person's computer
    cannot keep one.

    Raises:
        BadInput: the file with the company's CA certificates cannot be read.
    """
    known = sign_in(site, on, {})
    audiences = sorted({client["id"] for client in known.get("clients", ()) if client["public"]})
    if not audiences:
        return KnownPeople()
    own = bool(known["own"])
    vouching = authorities if own else company_authorities(site)
    return KnownPeople(
        config=json.dumps(authentication_configuration(known, audiences, vouching), indent=1),
        issuer_host=known["host"] if own else "",
        issuer_address=known["address"] if own else "",
    )


def authentication_configuration(
    known: dict[str, Any], audiences: Sequence[str], authorities: str
) -> dict[str, Any]:
    """Return the AuthenticationConfiguration for a sign-in; without `authorities` those of the host count."""
    issuer = {"url": known["issuer"], "audiences": list(audiences), "audienceMatchPolicy": "MatchAny"}
    if authorities:
        issuer["certificateAuthority"] = authorities
    authenticator = {
        "issuer": issuer,
        "claimMappings": {
            "username": {"claim": known["userClaim"], "prefix": PREFIX},
            "groups": {"claim": known["groupsClaim"], "prefix": PREFIX},
        },
        "claimValidationRules": [
            {
                "expression": f"has(claims.iat) && claims.exp - claims.iat <= {_LONGEST}",
                "message": "a token that is good for more than a day is not taken",
            }
        ],
        "userValidationRules": [
            {"expression": f"user.username != '{PREFIX}'", "message": "the token names nobody"}
        ],
    }
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [authenticator],
    }
