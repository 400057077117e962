"""A card that is made up on a lab host, with packages of a driver that answers once the host has rebooted.

Nothing here is NVIDIA's: the bus is a file that the probe reads on lab hosts alone, nvidia-smi is a script.
Run as a program it carries a site's plan out as far as the hosts and their nodes go, without the planes.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from aiplat.actions.gpu_facts import gather_with_gpus
from aiplat.actions.known_lock import bundle_of, known_lock
from aiplat.actions.make_bundle import complete_bundle
from aiplat.catalog.artifacts import Artifact, Blob, Lock, OsPackage
from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import components_on
from aiplat.content import sha256_bytes
from aiplat.fleet.remote.probe_gpu import COMMANDS
from aiplat.lab import ssh_argv
from aiplat.plan.make import make_plan
from aiplat.plan.models import Facts, Plan
from aiplat.plan.needs import generated_names
from aiplat.plan.refusals import refusals
from aiplat.runs.context import RunContext, public_parts
from aiplat.runs.events import Event
from aiplat.runs.execute import execute
from aiplat.runs.run import running
from aiplat.site.load import load_site
from aiplat.site.models import ComponentSetting, Site
from aiplat.vault.store import ensure_secrets
from tests.patience import PATIENCE

VERSION = "580.142"
CARD = "GPU 0: NVIDIA L4 (UUID: GPU-00000000-0000-0000-0000-000000000000)"
BUS = next(c for c in COMMANDS if c.startswith("lspci"))
LOADED = next(c for c in COMMANDS if c.startswith("lsmod"))
ROOM = next(c for c in COMMANDS if c.startswith("systemd-detect-virt"))
HEADERS = next(c for c in COMMANDS if "/build" in c)
L4 = "41:00.0 3D controller [0302]: NVIDIA Corporation AD104GL [L4] [10de:27b8] (rev a1)\n"
COMMON = {ROOM: "none", HEADERS: "/lib/modules/simulated/build"}
FRESH = {**COMMON, BUS: f"{L4}\tKernel driver in use: nouveau", LOADED: "nouveau 3096576 0"}
BOOTED = {**COMMON, BUS: f"{L4}\tKernel driver in use: nvidia", LOADED: "nvidia 56717312 2"}
MISMATCH = {**BOOTED, "nvidia-smi": "Failed to initialize NVML: Driver/library version mismatch"}
PLACE = "/etc/aiplat/simulated-gpu.json"
AT_BOOT = f"""#!/bin/sh
mkdir -p /run/simulated-gpu
touch /run/simulated-gpu/driver
cat >{PLACE} <<'END'
{json.dumps(BOOTED)}
END
"""
SMI = f"""#!/bin/sh
if ! test -e /run/simulated-gpu/driver; then
    echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    exit 9
fi
case "$*" in ""|-L) echo "{CARD}";; esac
"""
# Device nodes are there when somebody has made them since the start, as with the driver itself.
MODPROBE = """#!/bin/sh
test -e /run/simulated-gpu/driver && touch /dev/nvidia0 /dev/nvidiactl
"""
CTK = """#!/bin/sh
for word; do case "$word" in --output=*) echo "cdiVersion: 0.5.0" >"${word#--output=}";; esac; done
"""
UNIT = """[Unit]
Description=Simulated GPU driver, which is there after a reboot
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/usr/lib/simulated-gpu/at-boot
"""
FILES = {
    "nvidia-driver-cuda": {
        "usr/bin/nvidia-smi": SMI,
        "usr/bin/nvidia-modprobe": MODPROBE,
        "usr/lib/simulated-gpu/at-boot": AT_BOOT,
        "usr/lib/systemd/system/simulated-gpu.service": UNIT,
    },
    "nvidia-kernel-open-dkms": {},
    "nvidia-container-toolkit": {
        "usr/bin/nvidia-ctk": CTK,
        "usr/bin/nvidia-container-runtime": "#!/bin/sh\n",
    },
}
SETS = {
    "nvidia-driver-open": ("gpu-open", ("nvidia-driver-cuda", "nvidia-kernel-open-dkms")),
    "nvidia-toolkit": ("gpu", ("nvidia-container-toolkit",)),
}
# What makes hosts and nodes; the planes are not what is shown here.
OF_HOSTS = {
    "bundle",
    "stage",
    "host_prepare",
    "host_gpu",
    "host_reboot",
    "site_registry",
    "k3s_server",
    "k3s_agent",
}


def packages(folder: Path) -> dict[str, Path]:
    """Make the packages and return their files by name."""
    found = {}
    for name, files in FILES.items():
        root = folder / name
        (root / "DEBIAN").mkdir(parents=True)
        control = f"Package: {name}\nVersion: {VERSION}-1\nArchitecture: amd64\nMaintainer: none\n"
        (root / "DEBIAN/control").write_text(f"{control}Description: simulated\n")
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            (root / path).chmod(0o644 if path.endswith(".service") else 0o755)
        if name == "nvidia-driver-cuda":
            wants = root / "usr/lib/systemd/system/sysinit.target.wants"
            wants.mkdir()
            (wants / "simulated-gpu.service").symlink_to("../simulated-gpu.service")
        found[name] = folder / f"{name}.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(root), str(found[name])]
        subprocess.run(command, check=True, capture_output=True)
    return found


def sets_of(files: dict[str, Path]) -> list[Artifact]:
    """Return the packages as a lock names them."""
    made = []
    for name, (when, members) in SETS.items():
        described = []
        for member in members:
            data = files[member].read_bytes()
            one = {"name": member, "version": f"{VERSION}-1", "arch": "amd64", "size": len(data)}
            described.append(OsPackage(**one, digest=sha256_bytes(data), source="simulated", signed="nobody"))
        digest = sha256_bytes(name.encode())
        artifact = Artifact.model_validate(
            {"kind": "hostfile", "name": name, "version": VERSION, "component": "nvidia", "os": "debian-12"}
            | {"when": when, "hosts": "all", "inputs": digest, "digest": digest}
            | {"blobs": (Blob(digest=digest, size=1),), "packages": tuple(described)}
        )
        made.append(artifact)
    return made


def stage(lab: str, host: str, files: dict[str, Path]) -> None:
    """Put the packages where a bundle's would have been brought."""
    store = "/var/lib/aiplat/blobs"
    for path in files.values():
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        line = f"{digest} {len(data)}"
        command = f"mkdir -p {store}/sha256 && cat >{store}/sha256/{digest} && echo '{line}' >>{store}/sizes"
        subprocess.run([*ssh_argv(lab, host), command], input=data, check=True, timeout=PATIENCE)


def show(lab: str, host: str, facts: dict[str, str]) -> None:
    """Make up what the host's commands say of the card."""
    command = f"mkdir -p /etc/aiplat && cat >{PLACE}"
    subprocess.run(
        [*ssh_argv(lab, host), command], input=json.dumps(facts).encode(), check=True, timeout=PATIENCE
    )


def with_gpus(path: Path) -> Site:
    """Return the site with the component that looks after its GPUs, which `packages` does not have."""
    site = load_site(path)
    resource = {**site.planes.get("resource", {}), "nvidia": ComponentSetting(state="on")}
    return site.model_copy(update={"planes": {**site.planes, "resource": resource}})


def planned(site: Site, lock: Lock, facts: Facts) -> Plan:
    """Return the plan for hosts and nodes; it must not be refused."""
    secrets = ensure_secrets(site, lab=True, needed=generated_names(components_on(site)))
    assert refusals(site, lock, facts) == ()
    plan = make_plan(site, lock, facts, public_parts(secrets))
    return plan.model_copy(update={"steps": tuple(s for s in plan.steps if s.id in OF_HOSTS)})


def lock_with(path: Path, files: dict[str, Path]) -> Lock:
    """Return the lock of the site's bundle, and the simulated packages."""
    lock = known_lock(load_site(path))
    return lock.model_copy(update={"artifacts": (*lock.artifacts, *sets_of(files))})


def main() -> None:
    """Carry the plan of a site (argv[1]) out with the packages in a folder (argv[2]); print the events."""
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    files = {name: folder / f"{name}.deb" for name in FILES}
    site = with_gpus(path)

    def tell(event: Event) -> None:
        sys.stdout.write(event.model_dump_json() + "\n")
        sys.stdout.flush()

    with running(site.name, "bootstrap", tell) as run:
        plain = load_site(path)
        if not known_lock(plain).complete:
            complete_bundle(run, plain, known_lock(plain))
        lock, facts = lock_with(path, files), gather_with_gpus(site)
        plan = planned(site, lock, facts)
        secrets = ensure_secrets(site, lab=True, needed=generated_names(components_on(site)))
        execute(run, plan, RunContext(site, lock, load_catalog(), facts, secrets, bundle_of(plain)))


if __name__ == "__main__":
    main()
