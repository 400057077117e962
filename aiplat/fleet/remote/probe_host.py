"""Prints one host's facts as JSON; runs on the host alone (Python 3.9+, standard library) and only looks."""

from __future__ import annotations

import argparse
import concurrent.futures
import hashlib
import json
import os
import platform
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LEVELS = (
    (2, "cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"),
    (3, "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"),
    (4, "avx512f avx512bw avx512cd avx512dq avx512vl"),
)
KUBECTL_SECONDS = 8


def read(path: Path) -> str:
    """Return a file's text, or nothing where it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def output(argv: list[str]) -> str:
    """Return a command's output, or nothing where it is missing, fails or hangs."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def os_release(root: Path) -> dict[str, str]:
    """Return the fields of os-release."""
    pairs = (line.partition("=") for line in read(root / "etc/os-release").splitlines())
    return {name: value.strip("\"'") for name, _, value in pairs}


def x86_64_level(cpuinfo: str) -> int:
    """Return the psABI level (0: not x86-64) that the processor's flags reach."""
    found = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    flags = set(found.group(1).split()) if found else set()
    if "lm" not in flags:
        return 0
    level = 1
    for candidate, needed in LEVELS:
        if not set(needed.split()) <= flags:
            break
        level = candidate
    return level


def memory_mib(meminfo: str) -> int:
    """Return the memory in MiB."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found.group(1)) // 1024 if found else 0


def has_default_route(root: Path) -> bool:
    """Say whether a default route exists; k3s does not start without one."""
    v4 = [line.split() for line in read(root / "proc/net/route").splitlines()[1:]]
    v6 = [line.split() for line in read(root / "proc/net/ipv6_route").splitlines()]
    return any(f[1] == "00000000" and f[7] == "00000000" for f in v4) or any(
        f[0] == "0" * 32 and f[1] == "00" and f[9] != "lo" for f in v6
    )


def free_mib(path: Path) -> int:
    """Return the free space for root below the nearest folder that exists, in MiB."""
    while not path.exists():
        path = path.parent
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize >> 20


def data_folders(root: Path, asked: dict[str, str]) -> dict[str, str]:
    """Return where this host's data is: by its own record, else where it is wanted."""
    try:
        recorded: dict[str, str] = json.loads(read(root / "var/lib/aiplat/data.json"))["paths"]
    except (ValueError, KeyError):
        # A host that has a ledger and no record has everything in the usual places.
        return {**asked, "data": ""}
    return recorded


def file_problem(path: Path, wanted: dict[str, str]) -> str:
    """Say what differs from the recorded file, or nothing."""
    try:
        mode = f"{stat.S_IMODE(path.lstat().st_mode):04o}"
        with path.open("rb") as stream:
            digest = hashlib.sha256()
            for piece in iter(lambda: stream.read(1 << 20), b""):
                digest.update(piece)
    except OSError:
        return "is missing"
    if digest.hexdigest() != wanted["sha256"]:
        return "has other content than was written"
    return "" if mode == wanted["mode"] else f"has mode {mode} instead of {wanted['mode']}"


def path_drift(root: Path, step: str, recorded: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a step's files, folders and links."""
    for name, wanted in recorded.get("files", {}).items():
        problem = file_problem(root / name.lstrip("/"), wanted)
        if problem:
            yield f"{step}: {name} {problem}"
    for name in recorded.get("dirs", ()):
        if not (root / name.lstrip("/")).is_dir():
            yield f"{step}: {name} is missing"
    for name, target in recorded.get("links", {}).items():
        link = root / name.lstrip("/")
        if not link.is_symlink() or str(link.readlink()) != target:
            yield f"{step}: {name} does not point to {target}"


def running_of(root: Path, units: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Return with which content and files active units' processes were started, as they say themselves."""
    found = {}
    for name, unit in units.items():
        if unit.get("ActiveState") == "active":
            environment = read(root / "proc" / unit.get("MainPID", "0") / "environ").split("\0")
            contents = [e.partition("=")[2] for e in environment if e.startswith("AIPLAT_CONTENT=")]
            lines = (line.partition("  ") for line in read(root / "run" / name / "started").splitlines())
            files = {path: digest for digest, _, path in lines}
            found[name] = {"content": "".join(contents[:1]), "files": files}
    return found


def started_drift(step: str, recorded: dict[str, Any], running: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the files that a step's units were started with and that are not those it wrote."""
    for unit in recorded.get("units", ()):
        for path, digest in running.get(unit, {}).get("files", {}).items():
            if digest != recorded.get("files", {}).get(path, {}).get("sha256", digest):
                yield f"{step}: {unit} was started with another {path}"


def system_drift(
    step: str, recorded: dict[str, Any], units: dict[str, dict[str, str]], packages: set[str]
) -> Iterator[str]:
    """Yield what is wrong with a step's units and packages."""
    for unit in recorded.get("units", ()):
        seen = units.get(unit, {})
        if seen.get("ActiveState") != "active":
            yield f"{step}: {unit} is {seen.get('ActiveState', 'missing')}"
        if seen.get("UnitFileState") != "enabled":
            yield f"{step}: {unit} is not enabled"
    for package in recorded.get("packages", ()):
        if package not in packages:
            yield f"{step}: package {package} is not installed"


def units_of(names: list[str]) -> dict[str, dict[str, str]]:
    """Return ActiveState, UnitFileState, MainPID and NRestarts of the units that exist."""
    wanted = "Id,LoadState,ActiveState,UnitFileState,MainPID,NRestarts"
    text = output(["systemctl", "show", "--property", wanted, *names])
    blocks = (
        {name: value for name, _, value in (line.partition("=") for line in block.splitlines())}
        for block in text.split("\n\n")
    )
    found = {block.pop("Id"): block for block in blocks if block.get("Id")}
    return {name: block for name, block in found.items() if block.pop("LoadState", "") == "loaded"}


def installed_packages() -> set[str]:
    """Return the names of the installed packages, by dpkg or rpm, whichever keeps this host's."""
    if Path("/var/lib/dpkg/status").exists():
        lines = output(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\\n"]).splitlines()
        return {line.split()[1] for line in lines if line.startswith(("ii", "hi"))}
    return set(output(["rpm", "-qa", "--qf", "%{NAME}\\n"]).split())


def staged_blobs(folder: Path) -> list[str]:
    """Return the digests staged here; a blob whose size is not the one it arrived with does not count."""
    arrived: dict[str, str] = dict(
        line.split() for line in read(folder / "sizes").splitlines() if line.count(" ") == 1
    )
    store = folder / "sha256"
    files = store.iterdir() if store.is_dir() else ()
    return sorted(f"sha256:{f.name}" for f in files if arrived.get(f.name) == str(f.stat().st_size))


def kubectl(*arguments: str) -> str:
    """Return what k3s' kubectl prints on a server, or nothing."""
    command = [
        "/usr/local/bin/k3s",
        "kubectl",
        "--kubeconfig=/etc/rancher/k3s/k3s.yaml",
        "--request-timeout=5s",
        "--cache-dir=/run/aiplat/kubectl",
    ]
    return output([*command, *arguments])


def nodes_seen() -> dict[str, bool]:
    """Return the cluster's nodes by name, and whether each is Ready."""
    path = '{range .items[*]}{.metadata.name}{" "}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    lines = (line.split() for line in kubectl("get", "nodes", "-o", f"jsonpath={path}").splitlines())
    return {fields[0]: fields[1:] == ["True"] for fields in lines if fields}


def helm_releases() -> list[dict[str, Any]]:
    """Return the newest revision of every release. The table form leaves the content of the Secrets out."""
    columns = "-L=name,version,status,aiplat.dev/inputs"
    table = kubectl("get", "secrets", "-A", "-l", "owner=helm", "--no-headers", columns)
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for fields in (line.split() for line in table.splitlines()):
        namespace, name, revision, status = fields[0], fields[5], int(fields[6]), fields[7]
        if newest.get((namespace, name), {"revision": 0})["revision"] < revision:
            inputs = fields[8] if len(fields) > 8 else ""
            newest[namespace, name] = {
                "name": name,
                "namespace": namespace,
                "revision": revision,
                "status": status,
                "inputs": inputs,
            }
    return [newest[key] for key in sorted(newest)]


def interfaces() -> dict[str, list[str]]:
    """Return the addresses of each interface."""
    links = json.loads(output(["ip", "-json", "address", "show"]) or "[]")
    held = {link["ifname"]: [a["local"] for a in link.get("addr_info", ()) if "local" in a] for link in links}
    return {name: addresses for name, addresses in held.items() if addresses}


def wanted_of(item: dict[str, Any]) -> str:
    """Return a digest of what is wanted of an object of the cluster, as the roles record it."""
    parts = ("spec", "data", "binaryData", "rules", "roleRef", "subjects")
    wanted = {part: item[part] for part in parts if part in item}
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def object_drift(steps: dict[str, Any]) -> list[str]:
    """Return what became of the objects that a step made in the cluster: gone, or changed by somebody.

    Nothing where the cluster does not answer: that is drift of what runs it.
    """
    recorded = {(step, key): made for step in steps for key, made in steps[step].get("objects", {}).items()}
    kinds = sorted({key.partition("/")[0] for _, key in recorded})
    select = ("-A", "-l", "app.kubernetes.io/managed-by=Helm", "-o", "json")
    text = kubectl("get", ",".join(kinds), *select) if kinds else ""
    seen = {}
    for item in json.loads(text)["items"] if text else ():
        meta = item["metadata"]
        seen[f"{item['kind'].lower()}/{meta['namespace']}/{meta['name']}"] = wanted_of(item)
    found = []
    for (step, key), made in recorded.items() if seen else ():
        kind, namespace, name = key.split("/")
        state = "is gone" if key not in seen else "was changed"
        if seen.get(key) != made["digest"]:
            found.append(f"{step}: {kind} {name} in {namespace} {state}")
    return found


def machine(root: Path, wanted: str) -> dict[str, Any]:
    """Return what the host is, with the free space below a folder that is wanted or there."""
    release = os_release(root)
    marker = root / "etc/aiplat/lab-host"
    return {
        "os_id": release.get("ID", ""),
        "os_version": release.get("VERSION_ID", ""),
        "os_codename": release.get("VERSION_CODENAME", ""),
        "arch": platform.machine(),
        "x86_64_level": x86_64_level(read(root / "proc/cpuinfo")),
        "cpus": os.cpu_count() or 0,
        "memory_mib": memory_mib(read(root / "proc/meminfo")),
        "disk_free_mib": free_mib(root / wanted.lstrip("/")),
        "is_root": os.geteuid() == 0,
        "lab": read(marker).strip() or "lab" if marker.exists() else None,
        "default_route": has_default_route(root),
        "interfaces": interfaces(),
        "node_password": (root / "etc/rancher/node/password").exists(),
    }


def facts(root: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return everything; what takes time runs side by side. `units` are asked for beside the ledger's."""
    paths = data_folders(root, arguments["paths"])
    text = read(root / "var/lib/aiplat/ledger.json")
    ledger = json.loads(text) if text else None
    steps = (ledger or {}).get("steps", {})
    names = sorted(
        {*arguments["units"], *(unit for step in steps.values() for unit in step.get("units", ()))}
    )
    on_server = Path("/etc/rancher/k3s/k3s.yaml").exists() and Path("/usr/local/bin/k3s").exists()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        nodes = pool.submit(nodes_seen) if on_server else None
        releases = pool.submit(helm_releases) if on_server else None
        objects = pool.submit(object_drift, steps) if on_server else None
        units, packages = pool.submit(units_of, names), pool.submit(installed_packages)
        changed = pool.map(lambda step: list(path_drift(root, step[0], step[1])), steps.items())
        running = running_of(root, units.result())
        drift = [line for lines in changed for line in lines]
        for name, step in steps.items():
            drift += system_drift(name, step, units.result(), packages.result())
            drift += started_drift(name, step, running)
        seen = nodes.result() if nodes else {}
        drift += objects.result() if objects else []
        return {
            **machine(root, paths["blobs"]),
            "data_dir": paths["data"],
            "ledger": ledger,
            "drift": drift,
            "blobs": staged_blobs(root / paths["blobs"].lstrip("/")),
            "units": units.result(),
            "running": running,
            "nodes": sorted(seen),
            "nodes_ready": sorted(name for name, ready in seen.items() if ready),
            "releases": releases.result() if releases else [],
        }


def main() -> None:
    """Print the facts of this host, or of a tree below --root."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--paths", type=json.loads, required=True)
    parser.add_argument("--units", nargs="*", default=[])
    asked = parser.parse_args()
    json.dump(facts(asked.root, {"paths": asked.paths, "units": asked.units}), sys.stdout)


if __name__ == "__main__":
    main()
