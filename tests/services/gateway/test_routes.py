"""The file that says where models are, and that nothing leaves a site that forbids it."""

from __future__ import annotations

import asyncio
import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import ResolveResult

from aiplat.services.gateway.config.routes import RouteFile, Routes
from aiplat.services.gateway.routing.egress import Egress, GuardedResolver
from aiplat.services.gateway.routing.models import Model, ModelTable
from aiplat.services.gateway.upstream.providers import Providers

OUTSIDE: dict[str, Any] = {
    "providers": [{"name": "far", "url": "https://api.example.com/v1"}],
    "models": [{"name": "big", "provider": "far"}],
}


def test_a_providers_model_is_asked_at_the_provider() -> None:
    """Its place is the provider's URL."""
    table = ModelTable()
    RouteFile(Path("unused"), table, Egress(), Providers()).apply(Routes.model_validate(OUTSIDE))
    model = table.find("big")
    assert model is not None
    assert model.replicas == ("https://api.example.com/v1",)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"models": [{"name": "m", "provider": "far"}]}, "no provider is called 'far'"),
        ({"models": [{"name": "m", "url": "http://a", "urls": ["http://b"]}]}, "not both"),
        ({"models": [{"name": "m", "urls": ["a:1"]}]}, "is not a URL"),
        ({**OUTSIDE, "models": [{"name": "m", "provider": "far", "url": "http://a"}]}, "the provider has"),
        ({"egres": "forbidden"}, "egres"),
        ({"egress": "forbiden"}, "'allowed' or 'forbidden'"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(document: dict[str, Any], said: str) -> None:
    """Each with the sentence that names what is wrong."""
    with pytest.raises(ValueError, match=said):
        Routes.model_validate(document)


@pytest.mark.parametrize(
    "document",
    [
        OUTSIDE,
        {"models": [{"name": "m", "url": "https://api.example.com"}]},
        {"models": [{"name": "m", "urls": ["http://10.0.0.1:1", "http://203.0.113.7:1"]}]},
        {"models": [{"name": "m", "url": "http://0.0.0.0:1"}]},
        {"models": [{"name": "m", "url": "http://[2001:4860:4860::8888]:1"}]},
        {"models": [{"name": "m", "url": "http://[::ffff:8.8.8.8]:1"}]},
        {"models": [{"name": "m", "url": "http://model.svc.example.com"}]},
        {"models": [{"name": "m", "url": "http://notlocalhost"}]},
    ],
)
def test_what_leads_outside_does_not_load_where_egress_is_forbidden(document: dict[str, Any]) -> None:
    """Whether by a provider or by a plain URL, by name or by address."""
    with pytest.raises(ValueError, match="egress is forbidden"):
        Routes.model_validate({**document, "egress": "forbidden"})
    assert Routes.model_validate(document).models


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.3:8000", "http://127.0.0.1:1", "http://[fd00::5]:1", "http://m.aiplat-model.svc:1",
        "http://m.x.svc.cluster.local", "http://localhost:1", "https://llm.example.org/v1",
        "https://deep.models.example.net", "http://198.18.5.5",
    ],
)  # fmt: skip
def test_what_is_inside_loads(url: str) -> None:
    """Private addresses, names of the cluster, and what the site calls its own."""
    inside = ["llm.example.org", ".example.net", "198.18.0.0/15"]
    document = {"egress": "forbidden", "inside": inside, "models": [{"name": "m", "url": url}]}
    assert Routes.model_validate(document).models


def test_an_inside_entry_that_is_no_network_is_refused() -> None:
    """A typing error must not open or close anything silently."""
    with pytest.raises(ValueError, match="does not appear to be"):
        Routes.model_validate({"egress": "forbidden", "inside": ["10.0.0.0/99"]})


def test_a_reload_that_forbids_egress_and_is_wrong_takes_everything_away(tmp_path: Path) -> None:
    """It fails closed: the models that the old file had let out are gone at once."""
    file, table, egress = tmp_path / "routes.json", ModelTable([Model(name="own")]), Egress()
    routes = RouteFile(file, table, egress, Providers())
    file.write_text(json.dumps(OUTSIDE))
    routes.load()
    assert table.names() == ["big", "own"]
    file.write_text(json.dumps({**OUTSIDE, "egress": "forbidden"}))
    with pytest.raises(ValueError, match="egress is forbidden"):
        routes.load()
    assert table.names() == ["own"]
    assert egress.refuses("https://api.example.com/v1")


def test_a_reload_that_is_merely_broken_keeps_what_was(tmp_path: Path) -> None:
    """A file that is half written changes nothing."""
    file, table = tmp_path / "routes.json", ModelTable()
    routes = RouteFile(file, table, Egress(), Providers())
    file.write_text(json.dumps(OUTSIDE))
    routes.load()
    file.write_text(json.dumps(OUTSIDE)[:-5])
    with pytest.raises(ValueError, match="line 1"):
        routes.load()
    assert table.names() == ["big"]


def resolved(*addresses: str) -> list[ResolveResult]:
    """Return what a resolver finds."""
    return [ResolveResult(hostname="n", host=a, port=80, family=2, proto=6, flags=0) for a in addresses]


def test_a_name_that_leads_outside_is_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """An inside name whose address is outside is refused when it is called; mixed ones lose that address."""
    found = resolved("8.8.8.8")

    async def resolve(*_: object) -> list[ResolveResult]:
        return found

    async def hosts(forbidden: bool = True) -> list[str]:
        resolver = GuardedResolver(Egress(forbidden))
        monkeypatch.setattr(resolver._resolver, "resolve", resolve)
        return [r["host"] for r in await resolver.resolve("m.svc", 80)]

    with pytest.raises(OSError, match="leads outside"):
        asyncio.run(hosts())
    found = resolved("8.8.8.8", "10.0.0.1")
    assert asyncio.run(hosts()) == ["10.0.0.1"]
    assert asyncio.run(hosts(forbidden=False)) == ["8.8.8.8", "10.0.0.1"]


def test_only_addresses_that_cannot_be_reached_from_elsewhere_are_inside() -> None:
    """Loopback, private and the site's own networks."""
    egress = Egress(forbidden=True, inside=["203.0.113.0/24"])
    inside = ["127.0.0.1", "::1", "192.168.1.1", "fd12::1", "203.0.113.9", "::ffff:10.0.0.1"]
    outside = ["8.8.8.8", "2606:4700::1", "169.254.169.254", "::ffff:8.8.8.8"]
    assert all(egress.holds(ip_address(a)) for a in inside)
    assert not any(egress.holds(ip_address(a)) for a in outside)


def test_a_site_may_choose_replicas_by_load_alone() -> None:
    """By the prompt's beginning as well where the file does not say."""
    table = ModelTable()
    file = RouteFile(Path("unused"), table, Egress(), Providers())
    for document, expected in (({"routing": "load"}, False), ({}, True)):
        file.apply(Routes.model_validate(document))
        assert table.by_prefix is expected
