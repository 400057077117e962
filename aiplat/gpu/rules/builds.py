"""Rules about getting the module onto the host: packages, headers, compilers, builds, signatures, SELinux."""

from __future__ import annotations

from dataclasses import replace

from aiplat.gpu.facts import Evidence
from aiplat.gpu.rules.driver import driver_works
from aiplat.gpu.rules.rule import Indication, rule, seen
from aiplat.gpu.signals.all import Signals


@rule("apt-signed-by-conflict")
def signed_by(signals: Signals) -> Indication | None:
    """Apt says that values of Signed-By conflict."""
    return seen(signals.heard("signed-by-conflict"))


@rule("apt-driver-deps-broken")
def deps_broken(signals: Signals) -> Indication | None:
    """The package manager refuses, and driver packages are among what it names."""
    told = signals.heard("deps-broken")
    commands = {evidence.command for evidence in told}
    words = " ".join([*commands, *(fact.flow for fact in signals.facts if fact.command in commands)])
    return seen(told) if "nvidia" in words.lower() or "cuda" in words.lower() else None


@rule("kernel-headers-missing")
def headers_missing(signals: Signals) -> Indication | None:
    """A build or package manager misses them."""
    return seen(signals.heard("headers-missing"))


@rule("compiler-mismatch")
def compiler_mismatch(signals: Signals) -> Indication | None:
    """An unknown option, a missing compiler, or compilers of different major versions; not a bare warning."""
    kernel, used = signals.packages.kernel_compiler, signals.packages.used_compiler
    told = signals.heard("compiler-differs")
    if kernel and used and kernel == used:
        told = ()
    detail = f"kernel: {kernel}, build: {used}" if kernel and used else ""
    return seen(signals.heard("compiler-unfit") + told, detail)


@rule("dkms-build-failed")
def build_failed(signals: Signals) -> Indication | None:
    """A build ended with an error."""
    return seen(signals.heard("build-failed"))


def _rejected(signals: Signals) -> tuple[Evidence, ...]:
    # A kernel that does not enforce prints of an unknown signature too, and loads the module.
    loaded = signals.heard("module-loaded") or signals.modules.is_loaded("nvidia") or driver_works(signals)
    unknown = () if loaded else signals.heard("signature-unknown")
    return signals.heard("module-rejected", "key-unavailable") + unknown


@rule("secure-boot-module-rejected")
def secure_boot(signals: Signals) -> Indication | None:
    """A module was rejected for its signature, and nothing says that Secure Boot is off."""
    if not _rejected(signals) or _enforced_without(signals):
        return None
    return seen(_rejected(signals) + signals.heard("secure-boot-on"))


@rule("module-signature-enforced-no-secure-boot")
def signature_enforced(signals: Signals) -> Indication | None:
    """A module was rejected, and Secure Boot is off or the kernel says that it enforces."""
    return seen(_rejected(signals) + _enforced_without(signals)) if _enforced_without(signals) else None


def _enforced_without(signals: Signals) -> tuple[Evidence, ...]:
    if not _rejected(signals) or (signals.heard("secure-boot-on") and not signals.heard("secure-boot-off")):
        return ()
    return signals.heard("secure-boot-off", "enforced-by-kernel", "key-unavailable")


@rule("selinux-denied")
def selinux(signals: Signals) -> Indication | None:
    """The audit log has a denial that names nvidia."""
    return seen(signals.heard("selinux-denial"))


@rule("module-missing-for-running-kernel")
def module_missing(signals: Signals) -> Indication | None:
    """Modprobe does not find it, or DKMS and /lib/modules have it for other kernels only."""
    if signals.modules.is_loaded("nvidia"):
        return None
    # Where the driver lists its cards, a part of it may be missing and nobody needs it.
    part = () if driver_works(signals) else signals.heard("part-not-found")
    told = signals.heard("module-not-found", "wrong-magic", "wrong-magic-error")
    return seen(told + part + built_for_others(signals))


# A module that was built for other kernels says why nouveau has the card; one that is missing does not.
module_for_other_kernels = replace(module_missing, look=lambda signals: seen(built_for_others(signals)))


def built_for_others(signals: Signals) -> tuple[Evidence, ...]:
    """Return what shows that the module is there, but for other kernels than the running one."""
    running = signals.kernel.release or signals.modules.missing_for
    if not running or driver_works(signals) or signals.modules.is_loaded("nvidia"):
        return ()
    dkms = signals.packages.dkms
    others = tuple(entry.evidence for entry in dkms if entry.kernel and entry.kernel != running)
    has_own = any(e.kernel == running and e.state.startswith(("installed", "built")) for e in dkms)
    added = tuple(entry.evidence for entry in dkms if entry.state.startswith("added"))
    kernels = signals.modules.disk_kernels
    on_disk = signals.heard("module-not-found") if kernels and running not in kernels else ()
    return () if has_own or running in kernels else others + added + on_disk
