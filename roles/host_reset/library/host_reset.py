#!/usr/bin/python
"""Ansible module: takes off a host what aiplat put there, by the ledger and by kind, and looks again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.aiplat_host import STATE, HostProblem, ledger_path, read_ledger
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_commands import Kind, attempt, read, text_of
from ansible.module_utils.host_firewall import kinds as firewall
from ansible.module_utils.host_names import NAMES
from ansible.module_utils.host_packages import manager
from ansible.module_utils.host_remains import GROUPS_OF_PODS, NETWORK, mounts, processes, remove_paths, runs

DOCUMENTATION = r"""
module: host_reset
short_description: Takes off a host what aiplat put there and proves it
description:
  - Goes by the ledger, and by the well-known places of every role, for a run may have been killed before it
    wrote the ledger. The ledger goes last, so that a reset that was killed can be run again.
  - The data folder is the one that the host has on record, whatever the site says by now, and goes itself if
    aiplat made it.
  - Files go after everything that runs or filters packets, for k3s' own iptables is in its data folder. If
    anything of that cannot be removed, the files stay for the next reset.
options:
  site: {description: "Name of the site the host belongs to.", type: str, required: true}
  paths: {description: "The folders that grow, where the site has them.", type: dict, default: {}}
  managed: {description: "The units, files, links and dirs of every role.", type: dict, required: true}
  keep_blobs: {description: "Digests of staged blobs that stay.", type: list, elements: str, default: []}
author: [aiplat]
"""
EXAMPLES = r"""
- name: Nothing of aiplat is left on the host
  host_reset: {site: ward-3, managed: {units: [], files: [], links: [], dirs: []}}
"""
RETURN = r"""
notes: {description: "Every kind of thing looked for and what was found.", type: list, returned: always}
removed: {description: "What was removed, by kind.", type: dict, returned: always}
"""

TREES = (
    "/etc/aiplat/trust",
    "/etc/rancher/k3s",
    "/etc/rancher/node",
    "/run/k3s",
    "/run/flannel",
    "/usr/local/lib/aiplat",
    "/var/lib/aiplat/k3s-before",
    "/var/lib/aiplat/registry",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/lib/rancher/k3s",
    "/var/log/containers",
    "/var/log/pods",
)
# Where the data folder is, which folders were made for it; kept as long as something is in there.
RECORD = STATE / "data.json"
GROWING = ("registry", "k3s_before", "k3s", "kubelet")
# Folders that go if nothing else is in them: a lab host's marker is in /etc/aiplat, for example.
PARENTS = ("/etc/aiplat", "/etc/rancher", "/run/netns", "/var/lib/rancher")
# Sockets of containerd's shims and plugins; a containerd of the host's own would have its here too.
SHIMS = ("/run/containerd", "/run/nri")
# The kubelet makes folders for plugins here; they go if there is no file in them.
HOLLOW = "/usr/libexec/kubernetes"


class Remains:
    """What is on the host's disk, by the ledger as it was when the reset began."""

    def __init__(
        self, ledger: dict[str, Any], keep: list[str], paths: dict[str, str], managed: dict[str, list[str]]
    ) -> None:
        record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        self.made: list[str] = record.get("made", [])
        # Where it is by its own record, and where the site has it: a run may have been killed in between.
        places = [place for place in (record.get("paths"), paths) if place]
        grown = [place[name] for place in places for name in GROWING]
        self.trees_wanted = tuple(dict.fromkeys((*TREES, *grown)))
        self.k3s = tuple(dict.fromkeys(("/var/lib/rancher/k3s", *(place["k3s"] for place in places))))
        self.kubelet = tuple(dict.fromkeys(("/var/lib/kubelet", *(place["kubelet"] for place in places))))
        self.blobs = tuple(dict.fromkeys((str(STATE / "blobs"), *(place["blobs"] for place in places))))
        self.managed = managed
        self.programs = tuple(path for path in managed["dirs"] if path.startswith("/usr/"))
        self.steps: list[dict[str, Any]] = list(ledger["steps"].values())
        self.before: dict[str, Any] = ledger.get("before", {})
        self.keep = {digest.removeprefix("sha256:") for digest in keep}

    def recorded(self, part: str) -> set[str]:
        """Return everything the ledger has under one heading."""
        return {name for step in self.steps for name in step.get(part, ())}

    def running(self) -> list[str]:
        """Return our units that are not at rest."""
        names = sorted({*self.managed["units"], *self.recorded("units")})
        states = {name: text_of("systemctl", "show", "-P", "ActiveState", name).strip() for name in names}
        return [name for name in names if states[name] not in ("", "inactive", "failed")]

    def units(self) -> list[str]:
        """Return our units that systemd knows."""
        names = sorted({*self.managed["units"], *self.recorded("units")})
        states = {name: text_of("systemctl", "show", "-P", "LoadState", name).strip() for name in names}
        active = {name: text_of("systemctl", "show", "-P", "ActiveState", name).strip() for name in names}
        return [n for n in names if states[n] not in ("", "not-found") or active[n] not in ("", "inactive")]

    def remove_units(self, names: list[str]) -> None:
        """Forget units with their files; systemd reads its own again, which makes slices that still are."""
        for name in names:
            attempt("systemctl", "disable", name)
            Path("/etc/systemd/system", name).unlink(missing_ok=True)
            attempt("systemctl", "reset-failed", name)
        attempt("systemctl", "daemon-reload")

    def packages(self) -> list[str]:
        """Return the packages that aiplat installed and that are still there."""
        recorded = self.recorded("packages")
        return sorted(recorded & manager().present()) if recorded else []

    def remove_packages(self, names: list[str]) -> None:
        """Remove packages, all at once, so that their order does not matter."""
        manager().remove(names)

    def files(self) -> list[str]:
        """Return our files and links that exist."""
        names = {
            *self.managed["files"],
            *self.managed["links"],
            *self.recorded("files"),
            *self.recorded("links"),
        }
        return sorted(name for name in names if os.path.lexists(name) and not self.foreign(name))

    def foreign(self, name: str) -> bool:
        """Say whether what is in the place of a link, as kubectl's to k3s, is not a link and so not ours."""
        return name in self.managed["links"] and not Path(name).is_symlink()

    def trees(self) -> list[str]:
        """Return the folders that go with everything in them, and blobs that are not to be kept."""
        trees = self.trees_wanted if runs("containerd") else (*self.trees_wanted, *SHIMS)
        found = [name for name in trees if Path(name).exists() and not is_bare_mount(Path(name))]
        if not self.keep:
            return found + [name for name in self.blobs if Path(name).exists()]
        stores = (Path(name, "sha256") for name in self.blobs)
        return found + sorted(str(p) for store in stores for p in store.glob("*") if p.name not in self.keep)

    def hollow(self) -> list[str]:
        """Return the kubelet's folder for plugins if no plugin is in it."""
        holds_files = any(files for _, _, files in os.walk(HOLLOW))
        return [HOLLOW] if Path(HOLLOW).is_dir() and not holds_files else []

    def settings(self) -> list[str]:
        """Return the kernel settings that are no longer as they were before Kubernetes, as `name=value`."""
        recorded: dict[str, str] = self.before.get("sysctls", {})
        paths = {name: Path("/proc/sys", *name.split(".")) for name in recorded}
        # In a lab host, which is a container, some are another machine's and cannot be written.
        mine = [name for name, path in paths.items() if os.access(path, os.W_OK)]
        return [f"{n}={recorded[n]}" for n in mine if read(paths[n]).strip() != recorded[n]]

    def put_back(self, settings: list[str]) -> None:
        """Give kernel settings the values they had."""
        for name, _, value in (setting.partition("=") for setting in settings):
            try:
                Path("/proc/sys", *name.split(".")).write_text(value)
            except OSError:
                continue  # it is seen by looking again

    def parents(self) -> list[str]:
        """Return the folders that are empty now."""
        names = {*PARENTS, *self.recorded("dirs"), *self.made} - {str(STATE)}
        # The deepest first: a folder may be empty but for another that goes.
        deepest = sorted(names, key=lambda name: (-name.count("/"), name))
        empty: list[str] = []
        for name in deepest:
            if Path(name).is_dir() and all(str(path) in empty for path in Path(name).iterdir()):
                empty.append(name)
        return empty

    def in_kernel(self) -> tuple[Kind, ...]:
        """Return what runs and what filters packets, in the order in which it can be removed."""
        return (
            Kind("running units", self.running, lambda names: attempt("systemctl", "stop", *names)),
            processes(self.k3s, self.programs, self.managed["units"]),
            mounts((*self.k3s, *self.kubelet)),
            *NETWORK,
            *firewall(set(self.before.get("tables", ())), self.k3s),
            *GROUPS_OF_PODS,
        )

    def on_disk(self) -> tuple[Kind, ...]:
        """Return what does nothing by itself, in the order in which it can be removed."""
        return (
            Kind("units " + ", ".join(self.managed["units"]), self.units, self.remove_units),
            Kind("kernel settings that Kubernetes changed", self.settings, self.put_back),
            Kind("packages that aiplat installed", self.packages, self.remove_packages),
            NAMES,
            Kind("files and links of the ledger and of every role", self.files, remove_paths),
            Kind("folders " + ", ".join(self.trees_wanted) + " and staged blobs", self.trees, remove_paths),
            Kind("the empty folder " + HOLLOW, self.hollow, remove_paths),
            Kind("empty folders " + ", ".join(PARENTS), self.parents, remove_paths),
        )


def is_bare_mount(path: Path) -> bool:
    """Whether a folder is where the host mounts a disk of its own, and nothing is on that any more."""
    return path.is_mount() and not any(path.iterdir())


def reset(
    site: str, keep: list[str], paths: dict[str, str], managed: dict[str, list[str]], check: bool
) -> tuple[dict[str, list[str]], dict[str, list[str]], list[str]]:
    """Remove everything; return what was removed and what is left, by kind, and the kinds looked for."""
    remains = Remains(read_ledger("/", site), keep, paths, managed)
    removed, left = {}, {}
    for kinds in (remains.in_kernel(), remains.on_disk()):
        for kind in kinds:
            found = kind.find()
            if found:
                removed[kind.name] = found
                if not check:
                    kind.remove(found)
            # Looked for at once, while the tools for it are still on the host, and again at the end.
            if not check and (still := kind.find()):
                left[kind.name] = still
        if left:
            break
    every = (*remains.in_kernel(), *remains.on_disk())
    if not check and not left:
        left = {kind.name: found for kind in every if (found := kind.find())}
    return removed, left, [kind.name for kind in every]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "str", "required": True},
            "paths": {"type": "dict", "default": {}},
            "managed": {"type": "dict", "required": True},
            "keep_blobs": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        p = module.params
        removed, left, looked_for = reset(
            p["site"], p["keep_blobs"], p["paths"], p["managed"], module.check_mode
        )
    except (HostProblem, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    if left:
        module.fail_json(msg=f"still on the host: {left}", removed=removed)
    ledger = ledger_path("/")
    changed = bool(removed) or ledger.exists()
    if not module.check_mode:
        ledger.unlink(missing_ok=True)
        if not p["keep_blobs"]:
            RECORD.unlink(missing_ok=True)
    notes = [f"{name}: {', '.join(removed.get(name, ())) or 'none'}" for name in looked_for]
    module.exit_json(changed=changed, removed=removed, notes=notes)


if __name__ == "__main__":
    main()
