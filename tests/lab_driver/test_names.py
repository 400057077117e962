"""Names of a lab's parts, and which addresses its hosts may have."""

from __future__ import annotations

import re

import pytest

from aiplat.errors import BadInput
from aiplat.lab.names import bridge_mac, bridge_name, lab_network, machine_name
from tests.lab_driver.sites import site

LONG = "a-site-with-a-name-as-long-as-rfc-1123-allows-which-is-63-signs"


@pytest.mark.parametrize("lab", ["lab", "lab-agents", "twelve-signs", "thirteen-sign", LONG])
def test_a_bridge_name_fits_the_kernel(lab: str) -> None:
    """The kernel takes at most 15 characters for a link."""
    assert re.fullmatch(r"al-[a-z0-9-]{1,12}", bridge_name(lab))


def test_short_names_are_readable_in_the_bridge() -> None:
    """Who lists links sees which lab a bridge belongs to."""
    assert bridge_name("lab-agents") == "al-lab-agents"


def test_labs_whose_names_begin_alike_have_bridges_of_their_own() -> None:
    """Shortening a long name does not make two labs share a bridge."""
    names = [f"ward-number-{n}-of-the-hospital" for n in range(50)]
    assert len({bridge_name(n) for n in names}) == len({bridge_mac(n) for n in names}) == 50


def test_a_bridge_has_an_address_that_no_vendor_has() -> None:
    """The address is unicast and locally administered."""
    first = int(bridge_mac("lab").split(":")[0], 16)
    assert first & 0b11 == 0b10


def test_machines_of_different_labs_never_share_a_name() -> None:
    """`a.b-c` and `a-b.c` differ, and long names stay within 64 characters."""
    assert machine_name("a", "b-c") != machine_name("a-b", "c")
    long = {machine_name(LONG, f"{LONG[:60]}-{n}") for n in range(20)}
    assert len(long) == 20
    assert all(len(name) <= 64 for name in long)


def test_the_bridge_takes_the_first_address_of_the_hosts_network() -> None:
    """Hosts in 10.92.40.0/24 have their route and nameserver at 10.92.40.1."""
    network = lab_network(site("t-lab", "10.92.40.11", "10.92.40.12"))
    assert (str(network.subnet), str(network.gateway)) == ("10.92.40.0/24", "10.92.40.1")


def test_every_address_that_cannot_be_is_said_at_once() -> None:
    """An address of another network, the bridge's and broadcast are refused together."""
    with pytest.raises(BadInput) as refused:
        lab_network(site("t-lab", "10.92.40.11", "10.92.41.11", "10.92.40.1", "10.92.40.255"))
    assert [str(finding) for finding in refused.value.findings] == [
        "hosts[1].address: 10.92.41.11 is not in 10.92.40.0/24, where the lab's first host is; "
        "give a2 an address in 10.92.40.0/24",
        "hosts[2].address: 10.92.40.1 is the bridge's own address; take another address from 10.92.40.0/24",
        "hosts[3].address: 10.92.40.255 is broadcast's own address; take another address from 10.92.40.0/24",
    ]


def test_a_host_name_instead_of_an_address_is_refused() -> None:
    """The lab gives addresses, it does not look them up."""
    with pytest.raises(BadInput, match=r"s1\.example is not an IPv4 address; lab hosts need one"):
        lab_network(site("t-lab", "s1.example"))
