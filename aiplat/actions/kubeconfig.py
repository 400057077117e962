"""`aiplat kubeconfig`: for a team or the administrator; what one may do is said by roles in the cluster."""

from __future__ import annotations

import base64
from typing import Any

from ruamel.yaml import YAML

from aiplat.actions.login import LoginProvider, provider_of_site
from aiplat.actions.model import objects_of
from aiplat.cluster.raw import RawObjects, Refused
from aiplat.errors import BadInput, Finding
from aiplat.plan.sign_in import SCOPES
from aiplat.site.addresses import in_url
from aiplat.site.models import Site
from aiplat.state import site_dir

_ACCOUNTS = "aiplat-model"
_NOT_FOUND = 404
# Linux takes no longer word on a command line than 128 KiB.
_LONGEST_WORD = 120_000


def admin_kubeconfig(site: Site) -> dict[str, Any]:
    """Return the kubeconfig of the cluster's administrator, which `aiplat bootstrap` fetched.

    Raises:
        BadInput: the site was never bootstrapped from here.
    """
    path = site_dir(site.name) / "kubeconfig"
    if not path.exists():
        problem = "has no cluster that is known on this machine"
        raise BadInput(Finding(f"site {site.name}", problem, "run `aiplat bootstrap`"))
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return document


def team_kubeconfig(site: Site, team: str, hours: int) -> dict[str, Any]:
    """Return a kubeconfig with a token of a team's own account, which ends by itself after `hours`.

    Raises:
        BadInput: there is no such Team, it has no namespace, or the site was never bootstrapped from here.
        AiplatError: the cluster cannot be asked.
    """
    objects = objects_of(site)
    namespace = _namespace_of(objects, team)
    token = objects.token(_ACCOUNTS, f"team-{team}", hours * 3600)
    return _kubeconfig(site, f"team-{team}", namespace, {"token": token})


def person_kubeconfig(site: Site, team: str = "") -> dict[str, Any]:
    """Return a kubeconfig without a credential: kubectl has whoever uses it sign in by `aiplat login`.

    Raises:
        BadInput: the site has no sign-in for the command line, no such Team, or was never bootstrapped.
        AiplatError: the cluster cannot be asked about the Team.
    """
    provider = provider_of_site(site)
    words = ["login", "--exec-credential", "--issuer", provider.issuer, "--client", provider.client]
    words += _vouching(provider)
    # A provider may refuse what it does not know.
    words += [] if provider.scopes == SCOPES else [w for name in provider.scopes for w in ("--scope", name)]
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "aiplat",
        "args": words,
        "interactiveMode": "IfAvailable",
        "installHint": "aiplat signs you in: it has to be on your PATH",
    }
    namespace = _namespace_of(objects_of(site), team) if team else "default"
    return _kubeconfig(site, "person", namespace, {"exec": plugin})


def _vouching(provider: LoginProvider) -> list[str]:
    """Return the words that tell `aiplat login` who vouches for the issuer, on any machine."""
    if provider.ca is None:
        return []
    try:
        data = base64.b64encode(provider.ca.read_bytes()).decode()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise BadInput(
            Finding(str(provider.ca), problem, "run `aiplat bootstrap`, or mend signIn.ca")
        ) from None
    return ["--ca-data", data] if len(data) <= _LONGEST_WORD else ["--ca", str(provider.ca)]


def _namespace_of(objects: RawObjects, team: str) -> str:
    """Return the namespace of a Team that has one."""
    try:
        found = objects.read("Team.aiplat.dev", "", team)
        names = [] if found else sorted(t["metadata"]["name"] for t in objects.listed("Team.aiplat.dev"))
    except Refused as refused:
        if refused.status != _NOT_FOUND:
            raise
        raise BadInput(Finding(f"Team {team}", "the site has no operator", "turn `operator` on")) from None
    if found is None:
        known = f"there are {', '.join(names)}" if names else "make one: docs/how-to/give-teams-kubernetes.md"
        raise BadInput(Finding(f"Team {team}", "there is no such Team", known))
    status = found.get("status", {})
    if status.get("phase") != "Ready":
        problem = f"has no namespace: {status.get('message', 'the operator has not seen it yet')}"
        raise BadInput(
            Finding(f"Team {team}", problem, "look at `kubectl describe team`, then run this again")
        )
    return str(status["namespace"])


def _kubeconfig(site: Site, user: str, namespace: str, who: dict[str, Any]) -> dict[str, Any]:
    """Return a kubeconfig for the site's API server by its address in the site file."""
    authority = admin_kubeconfig(site)["clusters"][0]["cluster"]["certificate-authority-data"]
    cluster = {"server": f"https://{in_url(site.endpoint)}:6443", "certificate-authority-data": authority}
    context = {"cluster": site.name, "user": user, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": site.name, "cluster": cluster}],
        "users": [{"name": user, "user": who}],
        "contexts": [{"name": site.name, "context": context}],
        "current-context": site.name,
    }
