"""`aiplat init`: from a look at hosts to a site file that can be bootstrapped; nothing on them is changed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiplat.actions.doctor_hosts import HostsReport
from aiplat.actions.named_hosts import label
from aiplat.actions.site_text import HostText, SiteText, written
from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import SupplyName
from aiplat.content import write_atomic
from aiplat.errors import AiplatError, Finding
from aiplat.fleet.probe import gather_facts
from aiplat.hosts.check import HostNeeds, SeenHost
from aiplat.hosts.facts import HostLook
from aiplat.hosts.free_networks import USUAL, FreeNetworks, free_networks
from aiplat.hosts.judge import judge
from aiplat.plan.model_choice import ModelChoice, choose_model
from aiplat.site.load import load_site
from aiplat.site.models import Host, Site
from aiplat.site.systems import SYSTEMS, arch_of, system_name
from aiplat.supply.choose import choose_supply

_SAME_FOR_ALL = ("localhost", "debian", "ubuntu", "raspberrypi", "linux")
_DRAFT_MODE = 0o644


@dataclass(frozen=True)
class Draft:
    """A site file as it would be written, what it rests on, and what is wrong with the hosts."""

    site: str
    text: str
    supply: SupplyName
    networks: FreeNetworks
    model: ModelChoice | None
    report: HostsReport

    def document(self, path: Path) -> dict[str, Any]:
        """Return it for programs."""
        model = self.model
        return {
            "apiVersion": "aiplat.dev/v1alpha1",
            "kind": "SiteDraft",
            "site": self.site,
            "file": str(path),
            "text": self.text,
            "model": {"name": model.model, "host": model.host, "why": list(model.why)} if model else None,
            "others": list(model.others) if model else [],
            "doctor": self.report.document(),
        }


def draft_site(named: Site) -> Draft:
    """Look at the hosts of a site that only names them, and return the site file for them.

    Raises:
        AiplatError: a host could not be looked at, or no network is free; all that is wrong at once.
    """
    facts = gather_facts(named, thorough=True)
    unseen = [Finding(h.host, h.look.problem, h.look.fix) for h in facts.hosts if h.look and h.look.problem]
    unseen += [
        Finding(h.host, h.problem.removeprefix(f"{h.host}: "))
        for h in facts.hosts
        if not h.reachable and not (h.look and h.look.problem)
    ]
    if unseen:
        raise AiplatError(unseen)
    looks = [h.look for h in facts.hosts if h.look]
    networks = free_networks(looks)
    if networks is None:
        fix = "name two that are free in a site file of your own"
        raise AiplatError(Finding("hosts", "have ways to all of 10.0.0.0/8 and 172.16.0.0/12", fix))
    names = _names(named.hosts, looks)
    seen = [
        SeenHost(
            name,
            look,
            HostNeeds(named.name, host.role, address_of(host, look), networks.pods, networks.services),
        )
        for name, host, look in zip(names, named.hosts, looks, strict=True)
    ]
    choice = choose_supply(named)
    model = choose_model(seen, load_catalog(), choice.name)
    text = written(_text(named, seen, networks, model, choice.why))
    report = HostsReport(named.name, judge(seen), facts)
    return Draft(named.name, text, choice.name, networks, model, report)


def save(draft: Draft, path: Path) -> Site:
    """Write the draft, see that it is a good site file, and return the site.

    Raises:
        BadInput: it is none, which is a defect of aiplat; the file stays for a look at it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, draft.text.encode(), _DRAFT_MODE)
    return load_site(path)


def address_of(host: Host, look: HostLook) -> str:
    """Return the address under which the other hosts reach a host: the one named, if it is its own."""
    own = [a.partition("/")[0] for link in look.links if link.name != "lo" for a in link.addresses]
    if host.address in own:
        return host.address
    out = next((r.link for r in look.routes if r.to == "default"), "")
    ordered = sorted(look.links, key=lambda link: link.name != out)
    usable = (a.partition("/")[0] for link in ordered if link.up for a in link.addresses)
    return next((a for a in usable if not _is_narrow(a)), host.address)


def _is_narrow(address: str) -> bool:
    """Whether an address means nothing on other hosts."""
    found = ip_address(address)
    return found.is_loopback or found.is_link_local


def _names(hosts: Sequence[Host], looks: Sequence[HostLook]) -> list[str]:
    """Return a name for each host: its own where it has one, and each only once."""
    wanted = [
        label(look.hostname) if look.hostname else host.name for host, look in zip(hosts, looks, strict=True)
    ]
    counts = Counter(wanted)
    return [
        host.name if counts[name] > 1 or name in _SAME_FOR_ALL else name
        for host, name in zip(hosts, wanted, strict=True)
    ]


def _text(
    named: Site, seen: Sequence[SeenHost], networks: FreeNetworks, model: ModelChoice | None, supply_why: str
) -> SiteText:
    count = f"{len(seen)} host{'' if len(seen) == 1 else 's'}"
    head = (
        f"The site {named.name}, written by `aiplat init` from a look at {count}; it is yours to change.",
        "`aiplat site check` says whether it is good, `aiplat plan` what would be done, and "
        "`aiplat bootstrap` does it.",
        "All keys: `aiplat site schema`, and docs/reference/site.md.",
    )
    hosts = tuple(_host(one, host) for one, host in zip(seen, named.hosts, strict=True))
    why = f"Where content comes from: `auto` takes what answers. Now that is {supply_why}."
    models = ((model.model, model.engine),) if model else ()
    return SiteText(
        named.name, head, named.supply, why, networks.pods, networks.services, _networks_why(networks), hosts,
        models, _model_why(model),
    )  # fmt: skip


def _networks_why(networks: FreeNetworks) -> str:
    inside = "Networks inside the cluster, for pods and services; no host has a way to an address in them"
    if (networks.pods, networks.services) == USUAL:
        return f"{inside} (these are k3s' own defaults)."
    return f"{inside}. The usual ones, {' and '.join(USUAL)}, are taken: {', '.join(networks.in_the_way)}."


def _model_why(model: ModelChoice | None) -> tuple[str, ...]:
    if model is None:
        return (
            "No model fits: the hosts have too little memory. Name one here when a larger host is there.",
        )
    told = (f"The model that suits these hosts best: {'; '.join(model.why)}.",)
    others = model.others[:4]
    return (*told, f"Others that fit: {', '.join(others)} (`aiplat catalog models`).") if others else told


def _host(seen: SeenHost, named: Host) -> HostText:
    look, needs = seen.look, seen.needs
    keys = {"name": seen.name, "address": named.address}
    comments = [_hardware(look)]
    if needs.address != named.address:
        keys["nodeAddress"] = needs.address
        comments.append(f"You reach it as {named.address}, the other hosts as {needs.address}.")
    keys |= {"role": needs.role, "arch": str(arch_of(look.arch) or look.arch)}
    system = system_name(look.os_id, look.os_version)
    if system in SYSTEMS:
        keys["os"] = system
    else:
        comments.append(f"Its system, {system or 'without a name'}, is none that packages are carried for.")
    if needs.role == "server":
        comments.append("The server, as it was named first: it runs the control plane and workloads.")
    ssh = named.ssh.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return HostText(tuple(comments), keys, ssh)


def _hardware(look: HostLook) -> str:
    cpu = re.sub(r"\s+", " ", re.sub(r"\((R|TM)\)|\bCPU\b", "", look.cpu_model)).strip()
    processors = f"{look.cpus} processor{'' if look.cpus == 1 else 's'}{f' ({cpu})' if cpu else ''}"
    place = look.places.get("/var/lib")
    room = f", {place.free_mib / 1024:.0f} GiB free below /var/lib" if place else ""
    gpus = f", {', '.join(look.gpus)}" if look.gpus else ""
    memory = f"{look.memory_mib / 1024:.1f} GiB of memory"
    return f"{look.os_id} {look.os_version}, {processors}, {memory}{room}{gpus}."
