"""A cluster that aiplat did not make: its owner's Kubernetes, registry and release on one lab host.

None of aiplat's roles takes part: programs and images are put on the host by hand, as the owner of a cluster
does who knows nothing of aiplat. The Kubernetes is the lab's stand-in for k3s.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiplat.catalog.artifacts import Artifact
from aiplat.catalog.resolve import resolve
from aiplat.content import parsed_json
from aiplat.lab import ssh_argv
from aiplat.site.load import load_site
from aiplat.supply.contract import Supplied
from aiplat.supply.oci import MANIFEST, blob_path, write_layout
from aiplat.supply.packages import PackagesSupply
from tests.e2e.journey import Journey
from tests.patience import PATIENCE, until
from tests.upstreams.authority import Authority

PROGRAMS = ("k3s", "registry", "helm")
SYSTEM_IMAGES = (
    "mirrored-pause",
    "mirrored-coredns-coredns",
    "local-path-provisioner",
    "mirrored-library-busybox",
)
KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
CONFIG = """\
disable: [servicelb, traefik, metrics-server]
node-ip: {address}
resolv-conf: /etc/owner/resolv.conf
write-kubeconfig-mode: "0600"
"""
REGISTRIES = """\
configs:
  "{registry}":
    tls: {{ca_file: /etc/owner/ca.pem}}
"""
UNITS = {
    "k3s": "Type=notify\nKillMode=process\nDelegate=yes\nExecStart=/usr/local/bin/k3s server\n",
    "registry": (
        "Environment=OTEL_TRACES_EXPORTER=none\nExecStart=/opt/owner/registry serve /etc/owner/registry.yml\n"
    ),
}
REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: /srv/registry}}}}
http: {{addr: "{registry}", tls: {{certificate: /etc/owner/registry.pem, key: /etc/owner/registry.pem}}}}
"""
# A release with something of each kind that an over-eager removal might take along.
CHART = {
    "Chart.yaml": "apiVersion: v2\nname: till\nversion: 1.0.0\n",
    "crds/tills.yaml": """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tills.shop.example}
spec:
  group: shop.example
  scope: Namespaced
  names: {plural: tills, singular: till, kind: Till}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
""",
    "templates/till.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: till}
spec:
  selector: {matchLabels: {app: till}}
  template:
    metadata: {labels: {app: till}}
    spec:
      containers: [{name: till, image: PAUSE}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: till}
data: {currency: EUR}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: till-reader}
rules: [{apiGroups: [shop.example], resources: [tills], verbs: [get]}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: receipts}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
""",
}
# What Kubernetes itself writes all the time, whoever installs or removes anything.
CHURN = {
    "Event": "what happened, kept for an hour",
    "Lease": "renewed every few seconds by nodes and controllers",
    "ComponentStatus": "made up when it is asked for, no object",
}
# Notes of Kubernetes' own controllers about when and by whom, not what anybody asked for.
NOTES = ("endpoints.kubernetes.io/last-change-trigger-time", "deployment.kubernetes.io/revision")
Objects = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class ForeignCluster:
    """The cluster as its owner has it, and what its owner tells others: kubeconfig, registry, its CA.

    Without a registry, `registry` is empty.
    """

    lab: Journey
    folder: Path
    registry: str

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig on this machine (0600)."""
        return self.folder / "kubeconfig"

    def kubectl(self, words: str, expect: int = 0) -> str:
        """Run kubectl on the cluster's host, as its owner, and return what it printed."""
        return self.lab.on_host(f"k3s kubectl --kubeconfig {KUBECONFIG} {words}", expect=expect)

    def helm(self, words: str) -> str:
        """Run Helm on the cluster's host, as its owner, and return what it printed."""
        return self.lab.on_host(f"KUBECONFIG={KUBECONFIG} HOME=/root /opt/owner/helm {words}")

    def objects(self) -> Objects:
        """Return every object of every resource that API discovery names, but for what is churn."""
        names = self.kubectl("api-resources --verbs=list --output=name").split()
        listed = parsed_json(self.kubectl(f"get {','.join(names)} --all-namespaces --output=json").encode())
        return {_identity(one): _asked_for(one) for one in listed["items"] if one["kind"] not in CHURN}


def _identity(one: dict[str, Any]) -> str:
    meta = one["metadata"]
    return f"{one['apiVersion']} {one['kind']} {meta.get('namespace', '-')}/{meta['name']}"


def _asked_for(one: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what changes by itself: its status, its version, who wrote it last."""
    meta = one["metadata"]
    notes = {name: text for name, text in meta.get("annotations", {}).items() if name not in NOTES}
    said = {"uid": meta.get("uid"), "labels": meta.get("labels", {}), "annotations": notes}
    return said | {name: part for name, part in one.items() if name not in ("metadata", "status")}


def differences(before: Objects, after: Objects) -> dict[str, str]:
    """Return what is not the same in two looks at a cluster: an object → what is the matter with it."""
    gone = dict.fromkeys(before.keys() - after.keys(), "gone")
    new = dict.fromkeys(after.keys() - before.keys(), "new")
    both = before.keys() & after.keys()
    changed = {one: _changed(before[one], after[one]) for one in both if before[one] != after[one]}
    return dict(sorted({**gone, **new, **changed}.items()))


def _changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    parts = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    return "; ".join(f"{p}: {json.dumps(before.get(p))} → {json.dumps(after.get(p))}" for p in sorted(parts))[
        :500
    ]


def make_foreign_cluster(lab: Journey, folder: Path, node: str = "") -> ForeignCluster:
    """Make the cluster on the lab's one host with the owner's release; `folder` gets what others are told.

    With `node` it is as k3d makes one: the node has that name, its container's, and there is no registry.
    """
    built = _built(lab.site_file)
    address = load_site(lab.site_file).hosts[0].address
    cluster = ForeignCluster(lab, folder, "" if node else f"{address}:5000")
    _programs(lab, built)
    if cluster.registry:
        _registry(cluster, address)
    else:
        lab.on_host("ln -s k3s /usr/local/bin/ctr")  # as in an image of k3s
    _kubernetes(cluster, built, address, node)
    _release(cluster, built)
    return cluster


def _built(site_file: Path) -> dict[str, Supplied]:
    """Return what the owner has from elsewhere; here it is built, or was, for labs anyhow."""
    lock = resolve(load_site(site_file), supply="packages")
    supply = PackagesSupply(lock)

    def silent(artifact: Artifact, phase: str, done: int, total: int) -> None:
        """Nobody watches."""

    names = {(a.kind, a.name.rpartition("/")[2]): a for a in lock.artifacts}
    wanted = [*(("hostfile", name) for name in PROGRAMS), *(("image", name) for name in SYSTEM_IMAGES)]
    return {name: supply.supply(names[kind, name], silent) for kind, name in wanted}


def _programs(lab: Journey, built: dict[str, Supplied]) -> None:
    for name in PROGRAMS:
        content = blob_path(built[name].folder, str(built[name].artifact.file))
        _put(
            lab, content.read_bytes(), "/usr/local/bin/k3s" if name == "k3s" else f"/opt/owner/{name}", "0755"
        )


def _registry(cluster: ForeignCluster, address: str) -> None:
    """Start the owner's registry, with a certificate of the owner's authority."""
    authority = Authority(cluster.folder)
    authority.path.rename(cluster.folder / "registry-ca.pem")
    _put(cluster.lab, authority.server([address]), "/etc/owner/registry.pem", "0600")
    _put(cluster.lab, (cluster.folder / "registry-ca.pem").read_bytes(), "/etc/owner/ca.pem")
    _put(cluster.lab, REGISTRY.format(registry=cluster.registry).encode(), "/etc/owner/registry.yml")
    _start(cluster.lab, "registry")


def _kubernetes(cluster: ForeignCluster, built: dict[str, Supplied], address: str, node: str) -> None:
    """Start the owner's Kubernetes, wait until its node is Ready, and bring its kubeconfig here."""
    lab, archive = cluster.lab, cluster.folder / "images.tar"
    _archive(archive, [built[name] for name in SYSTEM_IMAGES])
    _put(lab, archive.read_bytes(), "/var/lib/rancher/k3s/agent/images/system.tar")
    archive.unlink()
    # Whoever a pod asks for a name outside is the host itself, where nobody answers: nothing tries to leave.
    _put(lab, f"nameserver {address}\n".encode(), "/etc/owner/resolv.conf")
    config = CONFIG.format(address=address) + (f"node-name: {node}\n" if node else "")
    _put(lab, config.encode(), "/etc/rancher/k3s/config.yaml", "0600")
    if cluster.registry:
        registries = REGISTRIES.format(registry=cluster.registry)
        _put(lab, registries.encode(), "/etc/rancher/k3s/registries.yaml", "0600")
    _start(lab, "k3s")
    # Its deployments are made a little after the API answers.
    until(lambda: "coredns" in cluster.kubectl("-n kube-system get deployments --output=name"))
    until(lambda: "local-path" in cluster.kubectl("get storageclasses --output=name"))
    cluster.kubectl(f"wait --for=condition=Ready nodes --all --timeout={PATIENCE}s")
    cluster.kubectl(f"-n kube-system wait --for=condition=Available deployments --all --timeout={PATIENCE}s")
    cluster.kubeconfig.touch(mode=0o600)
    cluster.kubeconfig.write_text(lab.on_host(f"cat {KUBECONFIG}").replace("127.0.0.1", address))


def _release(cluster: ForeignCluster, built: dict[str, Supplied]) -> None:
    """Install what the owner runs, and wait until it does."""
    pause = built["mirrored-pause"].artifact
    for name, text in CHART.items():
        filled = text.replace("PAUSE", f"{pause.name}:{pause.version}")
        _put(cluster.lab, filled.encode(), f"/opt/owner/till/{name}")
    cluster.helm("install till /opt/owner/till --namespace shop --create-namespace")
    cluster.kubectl(f"-n shop wait --for=condition=Available deployments --all --timeout={PATIENCE}s")


def _archive(target: Path, images: list[Supplied]) -> None:
    """Write an archive of images as `docker save` or `skopeo copy` does, each under its name."""
    layout = target.with_suffix("")
    named = []
    for one in images:
        digest, name = str(one.artifact.digest), f"{one.artifact.name}:{one.artifact.version}"
        size = blob_path(one.folder, digest).stat().st_size
        described = {"mediaType": MANIFEST, "digest": digest, "size": size}
        named.append(described | {"annotations": {"io.containerd.image.name": name}})
    write_layout(layout, named)
    with tarfile.open(target, "w") as tar:
        for name in ("oci-layout", "index.json"):
            tar.add(layout / name, name)
        blobs = {blob.digest: one.folder for one in images for blob in one.artifact.blobs}
        for digest, folder in blobs.items():
            tar.add(blob_path(folder, digest), f"blobs/sha256/{digest.removeprefix('sha256:')}")


def _put(lab: Journey, content: bytes, path: str, mode: str = "0644") -> None:
    """Write a file on the host."""
    command = f"mkdir -p {Path(path).parent} && umask 077 && cat > {path} && chmod {mode} {path}"
    host = load_site(lab.site_file).hosts[0].name
    subprocess.run([*ssh_argv(lab.name, host), command], input=content, check=True, timeout=PATIENCE)


def _start(lab: Journey, name: str) -> None:
    unit = f"[Service]\n{UNITS[name]}\n[Install]\nWantedBy=multi-user.target\n"
    _put(lab, unit.encode(), f"/etc/systemd/system/{name}.service")
    lab.on_host(f"systemctl enable --now {name}.service")
