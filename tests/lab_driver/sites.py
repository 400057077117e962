"""Sites that the lab's tests bring up; each test has a name and a subnet of its own."""

from __future__ import annotations

from aiplat.site.models import Site


def site(name: str, *addresses: str) -> Site:
    """Return a site of one server and as many agents as there are further addresses."""
    roles = ("server", *("agent" for _ in addresses[1:]))
    hosts = [
        {"name": f"{role[0]}{number}", "address": address, "role": role}
        for number, (address, role) in enumerate(zip(addresses, roles, strict=True), 1)
    ]
    return Site.model_validate(
        {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": name, "hosts": hosts}
    )
