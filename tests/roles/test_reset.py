"""What a reset takes off the packet filter and off systemd, and in which order; each was left by k3s once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from aiplat.hosts.paths import paths_of
from aiplat.plan.steps import managed
from tests.patience import PATIENCE
from tests.roles.conftest import load_module

# As k3s leaves them in the tables that a host's own firewall uses too.
RULES = """*nat
:PREROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A CNI-HOSTPORT-DNAT -p tcp --dport 443 -j DNAT --to-destination 10.42.0.7:443
COMMIT
*filter
:INPUT ACCEPT [0:0]
:KUBE-ROUTER-INPUT - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A INPUT -j KUBE-ROUTER-INPUT
-A KUBE-ROUTER-INPUT -m set --match-set KUBE-SRC-A src -j ACCEPT
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
COMMIT
"""
# The whole of `iptables`, as a program that keeps its rules in a file.
SAVE = '#!/bin/sh\ncat "{rules}"\n'
RESTORE = '#!/bin/sh\ncat > "{rules}.new"; mv "{rules}.new" "{rules}"\n'
# Like the kernel: a set that a rule asks is in use.
IPSET = """#!/bin/sh
case $1 in
list) ls "{sets}" ;;
destroy) grep -q -- "$2" "{rules}" && exit 1; rm "{sets}/$2" ;;
esac
"""
# Like systemd: reading its files again makes the slices that were not stopped.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> "{folder}/calls"
case $1 in
list-units) cat "{folder}/slices" 2>/dev/null ;;
stop) [ "$2" = kubepods.slice ] && rm -f "{folder}/slices" ;;
esac
exit 0
"""


@cache
def loaded() -> dict[str, ModuleType]:
    """Return what a reset consists of, loaded once: the parts know each other."""
    load_module("host_reset/library/host_reset.py")
    names = ("host_commands", "host_firewall", "host_remains")
    return {name: sys.modules[f"ansible.module_utils.{name}"] for name in names}


def firewall() -> ModuleType:
    """Return the part of a reset that looks at the packet filter."""
    return loaded()["host_firewall"]


def program(path: Path, text: str) -> None:
    """Write a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def k3s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose iptables and ipset are in k3s' data folder alone; returned is the file of its rules."""
    rules, sets, data = tmp_path / "rules", tmp_path / "sets", tmp_path / "data"
    rules.write_text(RULES)
    for name in ("KUBE-SRC-A", "inet6:KUBE-DST-B", "of-the-host"):
        (sets / name).parent.mkdir(exist_ok=True)
        (sets / name).touch()
    places = {"rules": rules, "sets": sets}
    program(data / "c0ffee/bin/aux/iptables-save", SAVE.format(**places))
    program(data / "c0ffee/bin/aux/iptables-restore", RESTORE.format(**places))
    program(data / "c0ffee/bin/ipset", IPSET.format(**places))
    (data / "current").symlink_to(data / "c0ffee")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return rules


def k3s_of(rules: Path) -> tuple[str]:
    """Return the data folder of that host's k3s, as a reset is given it."""
    return (str(rules.parent),)


def test_rules_are_found_by_k3s_own_iptables(k3s: Path) -> None:
    """Where PATH has no iptables, that of k3s' data folder serves; the host's own rules stay."""
    found = firewall().find_rules(k3s_of(k3s))
    assert len(found) == 9
    assert not any("--dport 22" in line for line in found)
    firewall().delete_rules(k3s_of(k3s), found)
    assert firewall().find_rules(k3s_of(k3s)) == []
    assert "-A INPUT -p tcp --dport 22 -j ACCEPT" in k3s.read_text()


def test_host_ports_of_the_last_installation_do_not_stay(k3s: Path) -> None:
    """A stale rule for port 443 would send the next gateway's clients to a pod that is gone."""
    firewall().delete_rules(k3s_of(k3s), firewall().find_rules(k3s_of(k3s)))
    assert "CNI-HOSTPORT" not in k3s.read_text()


def test_sets_go_after_the_rules_that_ask_them(k3s: Path) -> None:
    """A set in use cannot be destroyed; the host's own sets stay."""
    every = firewall().kinds(set(), k3s_of(k3s))
    for kind in every:
        if kind.find is not firewall().find_tables and "nft" not in kind.name:
            kind.remove(kind.find())
    assert [kind.name for kind in every].index("ipsets of policies") > 0
    assert firewall().find_sets(k3s_of(k3s)) == []
    assert [path.name for path in (k3s.parent / "sets").iterdir()] == ["of-the-host"]


def test_programs_go_after_what_only_they_can_remove() -> None:
    """Rules, sets and slices go before the data folder, and slices before systemd reads its files."""
    module = load_module("host_reset/library/host_reset.py")
    remains = module.Remains({"steps": {}}, [], {}, managed("host_reset"))
    first = [kind.name for kind in remains.in_kernel()]
    then = [kind.name for kind in remains.on_disk()]
    assert {"iptables rules of Services and policies", "ipsets of policies"} <= set(first)
    assert "systemd's slices of pods" in first
    assert first.index("systemd's slices of pods") < first.index("control groups of pods")
    assert then[0].startswith("units ")
    assert any("/var/lib/rancher/k3s" in name for name in then)


def test_files_stay_while_something_is_left_that_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reset that cannot remove rules does not take the program away that the next one needs."""
    module = load_module("host_reset/library/host_reset.py")
    touched: list[str] = []
    stuck = module.Kind("rules", lambda: ["one"], lambda _found: None)
    files = module.Kind("files", lambda: ["k3s"], touched.extend)
    monkeypatch.setattr(module.Remains, "in_kernel", lambda _self: (stuck,))
    monkeypatch.setattr(module.Remains, "on_disk", lambda _self: (files,))
    monkeypatch.setattr(module, "read_ledger", lambda _root, _site: {"steps": {}})
    _, left, _ = module.reset("ward", [], {}, managed("host_reset"), check=False)
    assert (left, touched) == ({"rules": ["one"]}, [])


def test_slices_of_pods_are_stopped_before_systemd_reads_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are transient: a reload while they run makes them again, and their control groups with them."""
    (tmp_path / "slices").write_text(
        "kubepods.slice loaded active\nkubepods-besteffort.slice loaded active\n"
    )
    program(tmp_path / "bin/systemctl", SYSTEMCTL.format(folder=tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    remains = loaded()["host_remains"]
    found = remains.find_slices()
    assert found == ["kubepods.slice", "kubepods-besteffort.slice"]
    remains.stop_slices(found)
    assert remains.find_slices() == []
    assert "daemon-reload" not in (tmp_path / "calls").read_text()


IN_A_NAMESPACE = """
import json, subprocess, sys
from tests.roles.test_reset import firewall
rules = sys.stdin.read()
subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
module = firewall()
before = set(json.loads(sys.argv[1]))
found = {}
for kind in module.kinds(before, ()):
    found[kind.name] = kind.find()
    kind.remove(found[kind.name])
left = [line for kind in module.kinds(before, ()) for line in kind.find()]
ruleset = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
print(json.dumps([found, left, ruleset]))
"""
# What iptables of k3s makes of RULES in the kernel, beside a host's own rule and a host's own firewall.
NFT = """
table ip filter {
    chain KUBE-ROUTER-INPUT { counter accept; }
    chain FLANNEL-FWD { ip saddr 10.42.0.0/16 accept; }
    chain INPUT { type filter hook input priority filter; policy accept;
        tcp dport 22 accept; counter jump KUBE-ROUTER-INPUT; }
    chain FORWARD { type filter hook forward priority filter; policy accept; jump FLANNEL-FWD; }
}
table ip nat {
    chain CNI-DN-1 { tcp dport 443 counter; }
    chain CNI-HOSTPORT-DNAT { jump CNI-DN-1; }
    chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; jump CNI-HOSTPORT-DNAT; }
}
table ip6 nat {
    chain FLANNEL-POSTRTG { ip6 saddr fd42::/56 masquerade; }
    chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; jump FLANNEL-POSTRTG; }
}
table ip6 mangle {
    chain PREROUTING { type filter hook prerouting priority mangle; policy accept; }
}
table ip6 filter {
    chain KUBE-ROUTER-INPUT { counter accept; }
    chain INPUT { type filter hook input priority filter; policy accept; counter jump KUBE-ROUTER-INPUT; }
}
table inet firewall {
    chain input { type filter hook input priority 10; policy accept; tcp dport 22 accept; }
}
"""


@pytest.mark.parametrize("iptables", ["without iptables", "with the machine's own"])
def test_what_iptables_left_in_nftables_goes_and_the_hosts_own_stays(iptables: str, tmp_path: Path) -> None:
    """Where there is no iptables, nft takes Kubernetes' chains out of shared tables, and new empty tables.

    Where there is one, it writes the host's own rules again, with counters.
    """
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    nft = shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert nft, "the test needs nftables: apt-get install nftables"
    (tmp_path / "nft").symlink_to(nft)
    path = str(tmp_path) if iptables.startswith("without") else f"{os.environ['PATH']}:{tmp_path}"
    unshare = str(shutil.which("unshare"))
    done = subprocess.run(
        [unshare, *user, "--net", sys.executable, "-c", IN_A_NAMESPACE, json.dumps(["ip6 filter"])],
        env={**os.environ, "PATH": path},
        input=NFT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    found, left, ruleset = json.loads(done.stdout)
    assert left == []
    assert not any(
        word in ruleset for word in ("KUBE", "CNI", "FLANNEL", "table ip nat", "ip6 nat", "ip6 mangle")
    )
    assert len(re.findall(r"tcp dport 22 (counter packets \d+ bytes \d+ )?accept", ruleset)) == 2
    assert "table ip6 filter" in ruleset, "it was there before aiplat came"
    assert sorted(found["empty tables of iptables"]) == ["ip nat", "ip6 mangle", "ip6 nat"]


def test_only_tables_and_rules_of_kubernetes_are_remains() -> None:
    """A host's own firewall is not touched by a reset."""
    module = firewall()
    ours = ("kube-proxy", "standin-masquerade", "cni_hostport", "flannel-ipv4", "KUBE-SERVICES")
    assert all(module.TABLES.match(name) for name in ours)
    assert not any(module.TABLES.match(name) for name in ("filter", "firewalld", "nat", "docker-bridges"))
    assert module.CHAINS.search("-A KUBE-SERVICES -j KUBE-MARK-MASQ")
    assert not module.CHAINS.search("-A INPUT -p tcp --dport 22 -j ACCEPT")
    assert not any(module.SETS.match(name) for name in ("f2b-sshd", "inet6:blocked", "my-kube-set"))


def test_kernel_settings_are_put_back_as_the_ledger_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Kubernetes set gets its old value; what is as it was, and what is not recorded, is let be."""
    module = load_module("host_reset/library/host_reset.py")
    sys_folder = tmp_path / "net"
    sys_folder.mkdir()
    for name, value in (("changed", "1\n"), ("same", "7\n"), ("other", "9\n")):
        (sys_folder / name).write_text(value)
    real = module.Path
    monkeypatch.setattr(
        module, "Path", lambda *parts: real(tmp_path, *parts[1:]) if parts[0] == "/proc/sys" else real(*parts)
    )
    ledger = {"steps": {}, "before": {"sysctls": {"net.changed": "0", "net.same": "7", "net.gone": "1"}}}
    remains = module.Remains(ledger, [], {}, managed("host_reset"))
    assert remains.settings() == ["net.changed=0"]
    remains.put_back(remains.settings())
    assert remains.settings() == []
    assert (sys_folder / "other").read_text() == "9\n"


def test_the_kubelets_folder_for_plugins_goes_if_no_plugin_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its empty folders are the kubelet's; a file in them is somebody's."""
    module = load_module("host_reset/library/host_reset.py")
    folder = tmp_path / "kubernetes/kubelet-plugins/volume/exec"
    folder.mkdir(parents=True)
    monkeypatch.setattr(module, "HOLLOW", str(tmp_path / "kubernetes"))
    remains = module.Remains({"steps": {}}, [], {}, managed("host_reset"))
    assert remains.hollow() == [str(tmp_path / "kubernetes")]
    (folder / "driver").touch()
    assert remains.hollow() == []


def test_a_reset_goes_by_the_data_folder_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And by the site's: everything in either goes, then the folders that were made for it, and no other."""
    module = load_module("host_reset/library/host_reset.py")
    disk, record = tmp_path / "disk", tmp_path / "data.json"
    old, new = disk / "ai/old", tmp_path / "new"
    for folder in (old, new):
        for name in ("blobs", "k3s", "kubelet", "registry"):
            (folder / name).mkdir(parents=True)
    paths = paths_of(str(old)).model_dump()
    record.write_text(json.dumps({"paths": paths, "made": [str(old), str(old.parent)]}))
    monkeypatch.setattr(module, "RECORD", record)
    remains = module.Remains({"steps": {}}, [], paths_of(str(new)).model_dump(), managed("host_reset"))
    assert {f"{folder}/k3s" for folder in (old, new)} <= set(remains.k3s)
    mine = [name for name in remains.trees() if name.startswith(str(tmp_path))]
    assert len(mine) == 8
    module.remove_paths(mine)
    module.remove_paths([name for name in remains.parents() if name.startswith(str(tmp_path))])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "disk", "new"]
    assert list(disk.iterdir()) == []
