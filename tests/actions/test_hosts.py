"""`aiplat hosts`: every name of a site with its address, in the words of three name servers."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.actions.hosts import lines_of, names_of
from aiplat.errors import BadInput
from aiplat.site.models import Site


def site(address: str = "10.0.0.11", cluster: dict[str, Any] | None = None, **host: Any) -> Site:
    """A site of one server."""
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3", "cluster": cluster or {}}
    return Site.model_validate(
        {**head, "hosts": [{"name": "s1", "address": address, "role": "server", **host}]}
    )


def test_a_line_of_etc_hosts_has_every_name() -> None:
    """The site's domain, and the gateway's name under it."""
    assert lines_of(names_of(site()), "hosts") == ["10.0.0.11 ward-3.internal api.ward-3.internal"]


def test_name_servers_get_everything_under_the_domain() -> None:
    """Also names that teams give themselves; nothing of the domain is asked for elsewhere."""
    found = names_of(site(nodeAddress="10.0.0.11,fd00::11"))
    assert lines_of(found, "dnsmasq") == [
        "local=/ward-3.internal/",
        "address=/ward-3.internal/10.0.0.11",
        "address=/ward-3.internal/fd00::11",
    ]
    assert lines_of(found, "bind") == [
        "$ORIGIN ward-3.internal.",
        "@ 300 IN A 10.0.0.11",
        "* 300 IN A 10.0.0.11",
        "@ 300 IN AAAA fd00::11",
        "* 300 IN AAAA fd00::11",
    ]


def test_names_lead_to_the_endpoint_where_that_is_another_address() -> None:
    """People come in by it, not by the address among nodes."""
    assert names_of(site(cluster={"endpoint": "192.0.2.7"})).addresses == ("192.0.2.7",)
    assert names_of(site(cluster={"endpoint": "ai.example.org"})).addresses == ("10.0.0.11",)


def test_a_site_of_names_alone_has_no_lines() -> None:
    """It says what to add."""
    with pytest.raises(BadInput, match="are names, and no address is known; add the nodeAddress of s1"):
        names_of(site("s1.example.org"))


@pytest.mark.parametrize(
    ("domain", "says"),
    [
        ("10-0-0-11.sslip.io", "10.0.0.11"),
        ("ward.10.0.0.11.nip.io", "10.0.0.11"),
        ("ward-10-0-0-12.sslip.io", "10.0.0.12"),
        ("fd00--11.sslip.io", "fd00::11"),
        ("999-0-0-1.sslip.io", ""),
        ("10-0-0-11.example.org", ""),
    ],
)
def test_a_domain_may_say_its_address_by_itself(domain: str, says: str) -> None:
    """Then the Internet's name servers know the way, if it is the right one."""
    found = names_of(site(cluster={"domain": domain}))
    assert found.says == says
    assert found.lead_there is (says == "10.0.0.11")
