"""Rules about how hosts' GPUs are shared; who makes them so is aiplat.catalog's and aiplat.plan's."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, did_you_mean, shown
from aiplat.site.known import Known
from aiplat.site.mig import MigCard, mig_card, mig_names

_WAYS = ("timeSlicing", "mps", "mig")
_Said = tuple[str, str]


def sharing_in_two_ways(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A host's GPUs are shared in one way: the device plugin takes one, and MIG parts what it would share."""
    for path, _, sharing in _sharing(document):
        ways = [way for way in _WAYS if sharing.get(way) is not None]
        if len(ways) > 1:
            yield document.finding(path, f"{' and '.join(ways)} exclude each other", "keep one")


def sharing_without_gpus(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A host whose GPUs are shared names them: what comes of it is planned from their names."""
    for path, host, sharing in _sharing(document):
        if sharing and not _gpus(host):
            problem = f"{shown(host.get('name'))} names no GPU that could be shared"
            yield document.finding(path, problem, "name its GPUs: hardware: {gpus: [RTX 4090]}")


def bad_mig_layout(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """MIG profiles are those that each card of the host has, and no more instances than fit on one."""
    for path, host, sharing in _sharing(document):
        wanted = sharing.get("mig")
        for said in _wrong(wanted, _gpus(host)) if isinstance(wanted, str | dict) else ():
            yield document.finding((*path, "mig"), *said)


def _sharing(document: YamlDocument) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """Yield the place of each host's sharing, the host and the sharing, where it has the right shape."""
    for path, host in document.maps("hosts"):
        gpu = host.get("gpu")
        sharing = gpu.get("sharing") if isinstance(gpu, dict) else None
        if isinstance(sharing, dict):
            yield (*path, "gpu", "sharing"), host, sharing


def _gpus(host: dict[str, Any]) -> list[str]:
    hardware = host.get("hardware")
    named = hardware.get("gpus") if isinstance(hardware, dict) else None
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def _wrong(wanted: Any, gpus: list[str]) -> Iterator[_Said]:
    """Yield what is wrong with a layout on each kind of card, once."""
    for name in dict.fromkeys(gpus):
        card = mig_card(name)
        if card is None:
            yield f"{shown(name)} has no MIG", did_you_mean("", mig_names(), "cards that have it")
        elif said := _wrong_on(card, wanted):
            yield said
    if isinstance(wanted, str):
        yield from _parted_otherwise(wanted, gpus)


def _parted_otherwise(profile: str, gpus: list[str]) -> Iterator[_Said]:
    """Yield that as many as fit are not the same number on every card."""
    cards = [card for card in map(mig_card, gpus) if card and profile in card.profiles]
    fitting = {card.profiles[profile]: card.name for card in cards}
    if len(fitting) > 1:
        told = " and ".join(f"{number} fit on {card}" for number, card in fitting.items())
        problem = f"{told}, and all cards of a host are parted alike"
        yield problem, f"write mig: {{{profile}: {min(fitting)}}}"


def _wrong_on(card: MigCard, wanted: Any) -> _Said | None:
    profiles = list(wanted) if isinstance(wanted, dict) else [wanted]
    for profile in profiles:
        if profile not in card.profiles:
            problem = f"{card.name} has no MIG profile {shown(profile)}"
            return problem, did_you_mean(profile, card.profiles, "it has")
    numbers = wanted.values() if isinstance(wanted, dict) else ()
    if not all(isinstance(number, int) for number in numbers):
        return None  # the shape says so already
    problem = card.too_much(card.layout(wanted))
    return (problem, "ask for fewer") if problem else None
