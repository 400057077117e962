"""The address that a load balancer gives is the endpoint of the site that waits for one, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.site.given_address import awaits_address, keep_address
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.state import address_file

GUEST = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: guest
supply: packages
cluster: {{existing: ./kubeconfig, registry: registry.example/aiplat{more}}}
"""
BALANCED = ", serviceType: LoadBalancer"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State of the test's own."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "state"))


def guest(folder: Path, more: str) -> Site:
    """The site as its file has it now."""
    (folder / "site.yaml").write_text(GUEST.format(more=more))
    return load_site(folder / "site.yaml")


def test_an_address_that_came_is_the_endpoint_from_then_on(tmp_path: Path) -> None:
    """For whoever loads the file next; another one takes its place."""
    before = guest(tmp_path, BALANCED)
    assert (before.endpoint, awaits_address(before)) == ("guest.internal", True)
    for address in ("192.0.2.7", "lb.example"):
        assert keep_address(guest(tmp_path, BALANCED), address).endpoint == address
        after = guest(tmp_path, BALANCED)
        assert (after.endpoint, awaits_address(after)) == (address, True)
    assert address_file("guest").stat().st_mode & 0o777 == 0o600


def test_no_address_leaves_the_site_as_it_is(tmp_path: Path) -> None:
    """As where nobody gives any."""
    site = guest(tmp_path, BALANCED)
    assert keep_address(site, "") is site
    assert not address_file("guest").exists()


@pytest.mark.parametrize("more", ["", ", serviceType: NodePort", f"{BALANCED}, endpoint: ai.example"])
def test_a_site_that_waits_for_none_takes_none(tmp_path: Path, more: str) -> None:
    """Its endpoint is its own, whatever was kept before."""
    keep_address(guest(tmp_path, BALANCED), "192.0.2.7")
    site = guest(tmp_path, more)
    assert (awaits_address(site), "192.0.2.7" in site.endpoint) == (False, False)
    assert keep_address(site, "192.0.2.8").endpoint == site.endpoint
