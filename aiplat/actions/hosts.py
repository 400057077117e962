"""`aiplat hosts`: the names of a site and the addresses they are to lead to, as name servers read them."""

from __future__ import annotations

import re
from typing import Literal

from aiplat.catalog.resolve import components_on
from aiplat.errors import BadInput, Finding
from aiplat.frozen import Frozen
from aiplat.plan.routes import site_names
from aiplat.site.addresses import as_ip
from aiplat.site.machines import see_hosts
from aiplat.site.models import Site

Format = Literal["hosts", "dnsmasq", "bind"]
# Name servers on the Internet that answer with the address that stands in the name.
_SAYS = re.compile(r"(?:^|\.|-)(?P<v4>\d{1,3}([.-])\d{1,3}\2\d{1,3}\2\d{1,3})\.(?:sslip|nip)\.io")
_SAYS_6 = re.compile(r"(?:^|\.)(?P<v6>[0-9a-f]{1,4}(?:-[0-9a-f]{0,4}){2,7})\.sslip\.io")


class SiteNames(Frozen):
    """What leads to a site: its names, the addresses they stand for, and what the domain says by itself.

    `says` is the address in a domain like `10-0-0-11.sslip.io`; the Internet's name servers answer with it.
    """

    domain: str
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    says: str = ""

    @property
    def lead_there(self) -> bool:
        """Whether the names lead to the site with no name server of one's own."""
        return self.says in self.addresses


def names_of(site: Site) -> SiteNames:
    """Return the names of a site.

    Raises:
        BadInput: no address of its first server is known, or it has no hosts.
    """
    see_hosts(site, "clients reach it by: aiplat tunnel")
    server = site.servers[0]
    of_server = [text for text in server.node_ips if as_ip(text)]
    endpoint = site.endpoint if as_ip(site.endpoint) else ""
    # Where people come in by one of the server's own addresses, the other family's leads there too.
    addresses = of_server if endpoint in of_server or not endpoint else [endpoint]
    if not addresses:
        problem = f"{site.endpoint} and {server.address} are names, and no address is known"
        raise BadInput(Finding(f"hosts: {server.name}", problem, f"add the nodeAddress of {server.name}"))
    names = site_names(site, components_on(site))
    return SiteNames(
        domain=site.domain, names=tuple(names), addresses=tuple(addresses), says=_said(site.domain)
    )


def lines_of(found: SiteNames, form: Format) -> list[str]:
    """Return the names as lines of /etc/hosts, of dnsmasq's configuration or of a zone file of BIND."""
    if form == "hosts":
        return [f"{address} {' '.join(found.names)}" for address in found.addresses]
    if form == "dnsmasq":
        answers = [f"address=/{found.domain}/{address}" for address in found.addresses]
        return [f"local=/{found.domain}/", *answers]
    records = [(owner, address) for address in found.addresses for owner in ("@", "*")]
    return [f"$ORIGIN {found.domain}.", *(f"{o} 300 IN {_record(a)} {a}" for o, a in records)]


def _record(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def _said(domain: str) -> str:
    """Return the address that stands in a domain of such a service, or nothing."""
    name = domain.lower().removesuffix(".")
    if match := _SAYS.search(name):
        address = as_ip(match["v4"].replace("-", "."))
    elif match := _SAYS_6.search(name):
        address = as_ip(match["v6"].replace("-", ":"))
    else:
        address = None
    return str(address) if address else ""
