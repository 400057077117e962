"""Checks of what else is on a host: other Kubernetes and containers, other sites, leftovers."""

from __future__ import annotations

from aiplat.hosts.check import BLOCKER, CHECKS, NOTE, WARNING, SeenHost, check


@check("other-site", BLOCKER, "`aiplat reset` that site first, or take the host out of this one")
def other_site(host: SeenHost) -> str:
    """The host belongs to no other site of aiplat's."""
    owner = host.look.owner
    return f"it belongs to the site {owner}" if owner not in (None, host.needs.site) else ""


@check("accepted-known", WARNING, "name checks as `aiplat doctor hosts` and docs/reference/host-checks.md do")
def accepted_known(host: SeenHost) -> str:
    """What the site file accepts of this host (`accept`) are names of checks."""
    known = {each.name for each in CHECKS}
    strange = [name for name in host.needs.accepted if name not in known]
    return f"{', '.join(strange)} under `accept` is not a check of hosts" if strange else ""


@check("lab-host", NOTE, "leave it if this site is a lab")
def lab_host(host: SeenHost) -> str:
    """A real site has no host of a lab."""
    lab = host.look.lab
    return f"it is a host of the lab {lab}" if lab not in (None, host.needs.site) else ""


@check(
    "foreign-k3s",
    BLOCKER,
    "`k3s-uninstall.sh` removes it with all that runs in it; back up first",
    fresh=True,
)
def foreign_k3s(host: SeenHost) -> str:
    """No k3s is there that aiplat did not install."""
    unit = host.look.foreign_k3s
    return f"{unit} is a k3s that aiplat did not install" if unit else ""


@check(
    "kubeadm", BLOCKER, "`kubeadm reset` takes the host out of that cluster, or use another host", fresh=True
)
def kubeadm(host: SeenHost) -> str:
    """The host is not a node of a Kubernetes that kubeadm made."""
    config = host.trace("/etc/kubernetes/admin.conf", "/etc/kubernetes/manifests")
    if host.active("kubelet"):
        return "a kubelet runs there already"
    return f"{config} belongs to a Kubernetes that kubeadm made" if config else ""


@check("rke2", BLOCKER, "`rke2-uninstall.sh` removes it, or use another host", fresh=True)
def rke2(host: SeenHost) -> str:
    """No RKE2 is there."""
    found = host.trace("/var/lib/rancher/rke2", "/etc/rancher/rke2", "/usr/local/bin/rke2", "/usr/bin/rke2")
    runs = host.active("rke2-server") or host.active("rke2-agent")
    return f"RKE2 is there ({found or 'its service runs'})" if found or runs else ""


@check("microk8s", BLOCKER, "`snap remove --purge microk8s` removes it, or use another host", fresh=True)
def microk8s(host: SeenHost) -> str:
    """No MicroK8s is there."""
    there = host.active("snap.microk8s.daemon-kubelite") or host.trace("/snap/microk8s")
    return "MicroK8s is there" if there else ""


@check("k0s", BLOCKER, "`k0s stop; k0s reset` removes it, or use another host", fresh=True)
def k0s(host: SeenHost) -> str:
    """No k0s is there."""
    runs = host.active("k0scontroller") or host.active("k0sworker")
    return "k0s is there" if runs or host.trace("/var/lib/k0s", "/usr/local/bin/k0s") else ""


@check(
    "docker", WARNING, "it may stay; it sets the policy of forwarded packets to drop and fills the same disk"
)
def docker(host: SeenHost) -> str:
    """No Docker runs beside Kubernetes' own containers."""
    return "Docker runs there" if host.active("docker") or host.trace("/run/docker.sock") else ""


@check("containerd", NOTE, "it may stay: k3s has its own, with a socket and folders of its own", fresh=True)
def containerd(host: SeenHost) -> str:
    """No other containerd or CRI-O runs."""
    runs = [unit for unit in ("containerd", "crio") if host.active(unit)]
    return f"{' and '.join(runs)} runs there" if runs else ""


@check("leftover-links", BLOCKER, "uninstall what made them, or `ip link delete` each", fresh=True)
def leftover_links(host: SeenHost) -> str:
    """No earlier cluster left its links (cni0, flannel.1): the new pods' network would clash with them."""
    known = ("cni0", "flannel", "kube-ipvs0", "cilium_", "cali", "weave", "vxlan.calico")
    names = [link.name for link in host.look.links if link.name.startswith(known)]
    return f"{', '.join(names)} are links of an earlier cluster" if names else ""


@check(
    "leftover-data",
    BLOCKER,
    "keep what you need of it, then remove the folder; its cluster cannot be joined to this one",
    fresh=True,
)
def leftover_data(host: SeenHost) -> str:
    """No earlier cluster's data are there: k3s would go on with them."""
    found = host.trace("/var/lib/rancher/k3s", "/var/lib/etcd", "/etc/rancher/k3s/config.yaml")
    return f"{found} is left of an earlier cluster" if found else ""


@check("leftover-files", WARNING, "remove them: `rm -r /var/lib/kubelet /var/lib/cni`", fresh=True)
def leftover_files(host: SeenHost) -> str:
    """No earlier kubelet left its folders."""
    found = host.trace("/var/lib/kubelet", "/var/lib/cni")
    return f"{found} is left of an earlier cluster" if found else ""


@check("leftover-cni", WARNING, "remove it, or pods get their network from it", fresh=True)
def leftover_cni(host: SeenHost) -> str:
    """No other configuration of pods' networks is there."""
    files = [
        p for p in host.look.traces if p.startswith("/etc/cni/net.d/") and p.endswith((".conf", ".conflist"))
    ]
    return f"{files[0]} configures another network for pods" if files else ""


@check(
    "node-password",
    WARNING,
    "`rm /etc/rancher/node/password`, and delete the node where it was joined",
    fresh=True,
)
def node_password(host: SeenHost) -> str:
    """No earlier cluster left a node's password: a new server refuses it."""
    found = host.trace("/etc/rancher/node/password")
    return f"{found} is left of an earlier cluster" if found else ""


@check("k3s-program", NOTE, "it is replaced by the site's own", fresh=True)
def k3s_program(host: SeenHost) -> str:
    """No k3s program lies in /usr/local/bin."""
    alone = host.trace("/usr/local/bin/k3s") and not host.look.foreign_k3s
    return "/usr/local/bin/k3s is there already" if alone else ""
