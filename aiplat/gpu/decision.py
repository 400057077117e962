"""`decide(verdict, host, offer)`: what is to be done on a host about a verdict, or why nothing may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from aiplat.frozen import Frozen
from aiplat.gpu.choice import DriverChoice, DriverOffer, Hindrance, cannot_build, driver_for, hindrances
from aiplat.gpu.host import Flavour, GpuHost
from aiplat.gpu.judge import UNKNOWN
from aiplat.gpu.knowledge import answers, enrol_key, numbers, verdicts
from aiplat.site.systems import SYSTEMS

Kind = Literal[
    "headers",
    "nouveau",
    "remove-driver",
    "driver",
    "rebuild",
    "fabric-manager",
    "no-fabric-manager",
    "nodes",
    "persistence",
    "toolkit",
    "cdi",
    "reboot",
    "restart-k3s",
]
_SENTENCES: dict[Kind, str] = {
    "headers": "install the headers of kernel {kernel}",
    "nouveau": "keep nouveau off the cards",
    "remove-driver": "remove driver {old}",
    "driver": "install driver {version} with {modules} kernel modules",
    "rebuild": "build driver {old} for kernel {kernel}",
    "fabric-manager": "run the fabric manager of the driver's version",
    "no-fabric-manager": "stop the fabric manager",
    "nodes": "make the device nodes at every start",
    "persistence": "keep the driver loaded",
    "toolkit": "install the container toolkit",
    "cdi": "write the CDI specification at every start",
    "reboot": "reboot",
    "restart-k3s": "restart k3s",
}
# Kinds that install packages: only for systems whose packages a bundle carries.
_INSTALL = frozenset({"headers", "driver", "toolkit", "fabric-manager"})
_OWNERS = {
    "user": ("site.yaml leaves its driver to you", "put it right, or write `gpu: {driver: bundle}`"),
    "windows": ("this Linux runs inside Windows, which has the driver", "install the driver in Windows"),
    "container": ("it is a container, and its machine has the driver", "name the machine itself as the host"),
    "jetson": ("it is a Jetson, whose driver belongs to JetPack", "update JetPack"),
    "image": ("its system comes as one image with the driver in it", "use an image with the driver it needs"),
}
# What is done beside a driver that is not aiplat's.
_BESIDE_DRIVER = frozenset({"toolkit", "cdi", "nodes", "reboot"})
Outcome = Literal["nothing", "act", "refused", "elsewhere"]


class Action(Frozen):
    """One thing to do on a host, as one word and as a sentence."""

    kind: Kind
    text: str


class Decision(Frozen):
    """What is decided on a host: nothing to do, these actions, a refusal, or that it is another's matter.

    `problems` are all the reasons for a refusal; `why` says what it is about in a sentence. `modules` is the
    flavour of the driver to install, empty where none is.
    """

    outcome: Outcome
    why: str
    actions: tuple[Action, ...] = ()
    problems: tuple[Hindrance, ...] = ()
    modules: Flavour | None = None

    def has(self, kind: Kind) -> bool:
        """Whether an action is among what there is to do."""
        return any(action.kind == kind for action in self.actions)

    @property
    def text(self) -> str:
        """Everything in one line."""
        if self.outcome == "act":
            return "; ".join(action.text for action in self.actions)
        return "; ".join(f"{p.what}: {p.fix}" for p in self.problems) or self.why

    def as_json(self) -> dict[str, Any]:
        """Return it as part of a JSON document."""
        return self.model_dump(mode="json", exclude_none=True)


def decide(verdict: str, host: GpuHost, offer: DriverOffer) -> Decision:
    """Return what to do about a verdict on a host with what a bundle offers; nothing else is looked at."""
    answer = answers()[verdict]
    if answer.elsewhere:
        return Decision(outcome="elsewhere", why=f"nothing on the host: it is a matter of {answer.elsewhere}")
    if verdict == UNKNOWN and host.works:
        return Decision(outcome="nothing", why="the driver lists its cards; what else was seen is not clear")
    if not answer.do and not answer.person:
        return Decision(outcome="nothing", why="nothing to do")
    if forbids := _forbidden(verdict, host):
        return _refused(verdict, (forbids,))
    return _acted(verdict, set(answer.do), host, offer)


def _forbidden(verdict: str, host: GpuHost) -> Hindrance | None:
    """Return why nothing may be done on a host, whatever a bundle has: it is for somebody else to do."""
    answer = answers()[verdict]
    if answer.person:
        return _persons(verdict)
    if host.owner != "host" and not (host.owner == "user" and _BESIDE_DRIVER.issuperset(answer.do)):
        what, fix = _OWNERS[host.owner]
        return Hindrance(what=what, fix=fix)
    if "enrol-key" in answer.do:
        what = "Secure Boot is on and refuses a module that is signed by no key this machine trusts"
        return Hindrance(what=what, fix=enrol_key())
    return None


def _acted(verdict: str, asked: set[str], host: GpuHost, offer: DriverOffer) -> Decision:
    if "fabric-manager" in asked and not (host.driver and host.driver == offer.version):
        asked = asked | {"driver"}  # both have one version to the last digit, and the bundle's is another
    driver = driver_for(host, offer) if "driver" in asked else None
    if isinstance(driver, Hindrance):
        return _refused(verdict, (driver, *_of_system(asked, host)))
    problems = (*_of_driver(verdict, asked, host, offer, driver), *_of_system(asked, host))
    if problems:
        return _refused(verdict, problems)
    kinds = _completed(asked, host)
    words = {
        "kernel": host.kernel or "that runs",
        "old": host.driver or "that is there",
        "version": offer.version or f"branch {driver.branch}" if driver else "",
        "modules": driver.modules if driver else "",
    }
    actions = tuple(Action(kind=k, text=s.format(**words)) for k, s in _SENTENCES.items() if k in kinds)
    return Decision(outcome="act", why=verdict, actions=actions, modules=driver.modules if driver else None)


def _completed(asked: set[str], host: GpuHost) -> set[str]:
    """Return the actions with all that goes with them on this host."""
    kinds = set(asked)
    if "driver" in kinds:
        kinds |= {"persistence", "cdi", *(("toolkit",) if not host.toolkit else ())}
        kinds |= {"nouveau", "reboot"} if host.nouveau else set()
        kinds |= {"remove-driver", "reboot"} if host.driver else set()
        kinds |= {"fabric-manager"} if host.switches else set()
    if kinds & {"driver", "rebuild"} and host.headers is False:
        kinds.add("headers")
    if "toolkit" in kinds:
        kinds |= {"cdi"} if "reboot" in kinds else {"cdi", "restart-k3s"}
    return kinds


def _of_driver(
    verdict: str, asked: set[str], host: GpuHost, offer: DriverOffer, driver: DriverChoice | None
) -> Iterator[Hindrance]:
    if driver:
        yield from hindrances(host, offer, driver)
        if answers()[verdict].newer and host.driver and not _is_newer(offer, host):
            what = f"driver {offer.version or offer.branch} of the bundle is not newer than {host.driver}"
            yield Hindrance(what=what, fix=verdicts()[verdict].fix)
    elif "rebuild" in asked:
        yield from cannot_build(host, host.branch, host.driver, offer)


def _is_newer(offer: DriverOffer, host: GpuHost) -> bool:
    if offer.version:
        return numbers(offer.version) > numbers(host.driver)
    return offer.branch > host.branch


def _of_system(asked: set[str], host: GpuHost) -> Iterator[Hindrance]:
    if asked & _INSTALL and host.system and host.system not in SYSTEMS:
        what = f"it runs {host.system}, for which no bundle has packages"
        yield Hindrance(what=what, fix="install the driver yourself, or use one of " + ", ".join(SYSTEMS))


def _persons(verdict: str) -> Hindrance:
    if verdict not in verdicts():
        return Hindrance(what="what was seen does not say what is wrong", fix="look further, as its fix says")
    known = verdicts()[verdict]
    return Hindrance(what=known.cause, fix=known.fix.removesuffix("."))


def _refused(verdict: str, problems: tuple[Hindrance, ...]) -> Decision:
    return Decision(outcome="refused", why=verdict, problems=problems)
