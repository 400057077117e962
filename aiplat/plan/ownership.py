"""Whether hosts and nodes are this site's, with the secrets at hand; what to install is make's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aiplat.errors import Finding
from aiplat.plan.models import Facts, HostFacts
from aiplat.site.models import Site

TOKEN = "k3s token"  # noqa: S105 - the name of a secret's identity
_STEPS = ("k3s_server", "k3s_agent")


def other_secrets(
    site: str, facts: Facts, identities: Mapping[str, str], rotated_from: str | None = None
) -> Iterator[Finding]:
    """Yield a finding for each host whose cluster was made with another token than the site's vault has.

    The token also encrypts what k3s keeps: a new one takes a running control plane down for good.

    Args:
        site: its name.
        facts: what the hosts' ledgers say they were made of.
        identities: the identities of the vault's secrets by name; empty where there is no vault.
        rotated_from: the identity of the token before, while it is being exchanged.
    """
    for host in facts.hosts:
        recorded = _token_of(site, host)
        if recorded in (None, identities.get(TOKEN), rotated_from):
            continue
        have = "the vault here has another token" if identities else "there is no vault of it here"
        problem = f"its cluster was made with the secrets of {site}, and {have}"
        fix = (
            "bring the vault from where the site was made: aiplat vault import FILE (see aiplat vault --help)"
        )
        yield Finding(host.host, problem, fix)


def _token_of(site: str, host: HostFacts) -> str | None:
    """Return the identity of the token a host's cluster was made with, None if it has none of the site."""
    if host.ledger is None or host.ledger.site != site:
        return None  # a host of another site is refused already, and by its own sentence
    steps = host.ledger.steps
    found = (steps[name].inputs.get(f"secret:{TOKEN}") for name in _STEPS if name in steps)
    return next((digest for digest in found if digest), None)


def other_nodes(site: Site, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each node of the cluster that is not a host of the site: removed, or renamed."""
    known = {host.name for host in site.hosts}
    for name in sorted({node for host in facts.hosts for node in host.nodes} - known):
        problem = f"{name} is a node of the cluster and no host of the site"
        fix = f"take it out of the cluster with `aiplat node remove {name}`, or name it under hosts again"
        yield Finding("hosts", problem, fix)
