"""`aiplat plan`: what a run would do and what forbids it; doing it is aiplat.actions.bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiplat.actions.guest_look import look_at_guest
from aiplat.actions.known_lock import known_lock
from aiplat.actions.site_hosts import host_facts
from aiplat.catalog.artifacts import Lock
from aiplat.catalog.own_models import catalog_of
from aiplat.errors import EXIT_BAD_INPUT, EXIT_FAILED, AiplatError, BadInput, Finding
from aiplat.plan.guest_plan import GuestFacts, guest_plan, guest_refusals, guest_warnings
from aiplat.plan.make import make_plan
from aiplat.plan.models import Facts, Plan
from aiplat.plan.ownership import TOKEN, other_nodes, other_secrets
from aiplat.plan.preconditions import troubles
from aiplat.plan.refusals import missing_secrets, refusals
from aiplat.runs.context import public_parts
from aiplat.site.given_address import with_address
from aiplat.site.models import Site
from aiplat.vault.store import SiteSecrets, read_secrets, token_identity


class PlanRefusedError(AiplatError):
    """A plan may not be carried out; nothing was changed."""


class PlanMovedError(BadInput):
    """Site, lock or hosts are no longer what the plan was made from; `digest` is that of the plan now."""

    def __init__(self, site: str, agreed: str, digest: str) -> None:
        self.digest = digest
        problem = f"the plan agreed to was {agreed}, but there is another one now: {digest}"
        fix = "look at it with `aiplat plan`, then agree to that one"
        super().__init__(Finding(f"site {site}", problem, fix))


@dataclass(frozen=True)
class PlanView:
    """A plan with what it was made from; `assumed` says that the lab's hosts are not up yet.

    `findings` forbid carrying it out, `warnings` do not.
    """

    plan: Plan
    lock: Lock
    facts: Facts
    findings: tuple[Finding, ...]
    assumed: bool
    warnings: tuple[Finding, ...] = ()

    @property
    def unseen(self) -> tuple[str, ...]:
        """Names of the hosts that could not be looked at; what there is to do on them is not known."""
        return tuple(host.host for host in self.facts.hosts if not host.reachable)

    def document(self) -> dict[str, Any]:
        """Return the plan for programs: its steps, its digest, and what forbids carrying it out."""
        refused, warned = ([vars(f) for f in found] for found in (self.findings, self.warnings))
        plan = self.plan.model_dump(mode="json", by_alias=True)
        return plan | {
            "nothing_to_do": self.plan.nothing_to_do and not self.unseen,
            "unseen": list(self.unseen),
            "digest": self.plan.digest,
            "assumed": self.assumed,
            "refusals": refused,
            "warnings": warned,
        }

    def is_still(self, agreed: str) -> None:
        """Stop unless this is the plan with the digest that was agreed to.

        Raises:
            PlanMovedError: it is another one.
        """
        if self.plan.digest != agreed:
            raise PlanMovedError(self.plan.site, agreed, self.plan.digest)

    def refuse(self) -> None:
        """Stop if anything forbids the plan.

        Raises:
            PlanRefusedError: with every finding; exit code 1 if a host could not be looked at, else 2.
        """
        if not self.findings:
            return
        error = PlanRefusedError(self.findings)
        error.exit_code = EXIT_BAD_INPUT if all(h.reachable for h in self.facts.hosts) else EXIT_FAILED
        raise error


def plan_site(site: Site) -> PlanView:
    """Look at a site's hosts, or at its cluster, and return what there is to do; changes nothing."""
    if site.is_guest:
        lock = known_lock(site)
        return guest_view(site, lock, look_at_guest(site, lock), read_secrets(site.name))
    facts, assumed = host_facts(site)
    return view_of(site, known_lock(site), facts, read_secrets(site.name), assumed=assumed)


def view_of(
    site: Site, lock: Lock, facts: Facts, secrets: SiteSecrets | None, *, assumed: bool = False
) -> PlanView:
    """Return the plan for what is known about a site."""
    plan = make_plan(site, lock, facts, public_parts(secrets))
    found = troubles(site, facts)
    blockers, warnings = (
        tuple(t.finding for t in found if t.severity == severity) for severity in ("blocker", "warning")
    )
    findings = (
        *refusals(site, lock, facts, secrets.given if secrets else ()),
        *other_secrets(site.name, facts, secrets.identities if secrets else {}, _rotated_from(secrets)),
        *other_nodes(site, facts),
        *blockers,
    )
    return PlanView(plan, lock, facts, findings, assumed, warnings)


def guest_view(site: Site, lock: Lock, found: GuestFacts, secrets: SiteSecrets | None) -> PlanView:
    """Return the plan for what is known about a site in a cluster that aiplat did not make."""
    site = with_address(site, found.address)
    plan = guest_plan(site, lock, found, public_parts(secrets), catalog_of(site, lock))
    refused = (*guest_refusals(site, found), *missing_secrets(site, secrets.given if secrets else ()))
    warned = tuple(guest_warnings(found))
    return PlanView(plan, lock, found.facts, refused, assumed=False, warnings=warned)


def _rotated_from(secrets: SiteSecrets | None) -> str | None:
    """Return the identity of the k3s token that is being exchanged, if one is."""
    former = secrets.former.get(TOKEN) if secrets else None
    return token_identity(former.value) if former else None
