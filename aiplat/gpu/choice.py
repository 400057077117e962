"""Which driver a host's cards take, and what keeps the bundle's from running; actions are decision's."""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.frozen import Frozen
from aiplat.gpu.host import Flavour, GpuHost
from aiplat.gpu.knowledge import GpuGeneration, enrol_key, numbers, unbuilt
from aiplat.site.systems import SYSTEMS


class DriverOffer(Frozen):
    """What a bundle has for a host: the branch and version of its driver, and the flavours of its modules.

    `fabric_manager` says whether it has that, `headers` for which kernels it has headers. An empty version is
    one that is not known yet.
    """

    branch: int
    version: str = ""
    modules: tuple[Flavour, ...] = ("open", "proprietary")
    fabric_manager: bool = True
    headers: tuple[str, ...] = ()


class Hindrance(Frozen):
    """Why a host cannot get what it needs, and what to do about that."""

    what: str
    fix: str


class DriverChoice(Frozen):
    """The driver that a host's cards take."""

    branch: int
    modules: Flavour


def driver_for(host: GpuHost, offer: DriverOffer) -> DriverChoice | Hindrance:
    """Return the driver that all cards of a host take, or why there is none."""
    generations = tuple(card.generation for card in host.cards)
    known = tuple(generation for generation in generations if generation)
    if len(known) < len(generations) or not known:
        strange = ", ".join(c.name or f"10de:{c.device}" for c in host.cards if c.generation is None)
        what = f"it is not known what card {strange} is" if strange else "its cards were not seen"
        return Hindrance(
            what=what, fix="write `gpu: none` for it in site.yaml, or install its driver yourself"
        )
    last = min([offer.branch, *(g.last for g in known if g.last)])
    if late := [g.name for g in known if g.first > last]:
        old = next(g for g in known if g.last == last) if last != offer.branch else None
        with_whom = f" and {old.name} ends with {last}" if old else f" and the bundle has {offer.branch}"
        what = (
            f"{late[0]} begins with driver branch {next(g.first for g in known if g.first > last)}{with_whom}"
        )
        return Hindrance(what=what, fix="use cards that one driver takes, or a bundle with a newer branch")
    return _flavoured(known, last)


def _flavoured(known: tuple[GpuGeneration, ...], branch: int) -> DriverChoice | Hindrance:
    wants = {generation.modules for generation in known}
    if {"open", "proprietary"} <= wants:
        names = " and ".join(dict.fromkeys(g.name for g in known if g.modules != "either"))
        what = f"no kernel module takes {names} together: one needs the open, the other the proprietary one"
        return Hindrance(what=what, fix="put these cards into hosts of their own")
    return DriverChoice(branch=branch, modules="proprietary" if "proprietary" in wants else "open")


def hindrances(host: GpuHost, offer: DriverOffer, driver: DriverChoice) -> Iterator[Hindrance]:
    """Yield every reason why the bundle's driver cannot be installed on a host, so that none comes later."""
    if driver.branch != offer.branch:
        names = ", ".join(dict.fromkeys(c.name or f"10de:{c.device}" for c in host.cards))
        what = f"{names} takes driver branch {driver.branch} at most, and the bundle has {offer.branch}"
        yield Hindrance(what=what, fix="write `gpu: none` for it in site.yaml, or use a newer card")
    elif driver.modules not in offer.modules:
        what = f"its cards need the {driver.modules} kernel modules, and the bundle has others for it"
        fix = f"write `gpu: {{modules: {driver.modules}}}` for it in site.yaml, then make the bundle again"
        yield Hindrance(what=what, fix=fix)
    version = offer.version if driver.branch == offer.branch else ""
    yield from cannot_build(host, driver.branch, version, offer)
    if host.switches and not offer.fabric_manager:
        fix = "write `gpu: {fabricManager: true}` for it in site.yaml, then make the bundle again"
        yield Hindrance(
            what="its cards are joined by NVSwitches and the bundle has no fabric manager", fix=fix
        )


def cannot_build(host: GpuHost, branch: int, version: str, offer: DriverOffer) -> Iterator[Hindrance]:
    """Yield why a driver's modules cannot be built or loaded for the kernel that runs."""
    release = numbers(version)
    for known in unbuilt():
        late = bool(host.kernel) and numbers(host.kernel) >= known.kernel
        mended = bool(known.until) and (not release or release[: len(known.until)] > known.until)
        if known.branch == branch and late and not mended:
            what = f"driver {version or branch} does not build for kernel {host.kernel}"
            yield Hindrance(what=what, fix="boot an older kernel and hold it, or use a newer driver branch")
            break
    if host.headers is False and host.kernel not in offer.headers:
        what = f"the headers of kernel {host.kernel or 'that runs'} are neither there nor in the bundle"
        yield Hindrance(what=what, fix=_headers_fix(host))
    if host.secure_boot and not host.key_enrolled:
        what = "Secure Boot is on, and no key is enrolled for modules that are built on the host"
        yield Hindrance(what=what, fix=enrol_key())


def _headers_fix(host: GpuHost) -> str:
    system = SYSTEMS.get(host.system)  # type: ignore[call-overload] # any system's name may come
    kernel = host.kernel or "$(uname -r)"
    package = {"rhel": f"kernel-devel-{kernel}", "suse": "kernel-default-devel of the same version"}
    named = package.get(system.like, f"linux-headers-{kernel}") if system else f"the headers of {kernel}"
    return f"install {named}; if it is gone, update the kernel and reboot first"
