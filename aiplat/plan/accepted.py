"""Whether the k3s of a lock takes what is asked of it: configuration keys, arguments, images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from ruamel.yaml import YAML

from aiplat.catalog.artifacts import Lock
from aiplat.errors import Finding
from aiplat.k3s.arguments import argument_findings
from aiplat.k3s.contract import CONFIG, Command, key_findings
from aiplat.k3s.images import wrong_images
from aiplat.k3s.release import K3sRelease, release_of
from aiplat.plan.models import Facts
from aiplat.plan.variables import packaged_on
from aiplat.shipped import shipped
from aiplat.site.models import Site

# The settings of a site by the key that carries them; what has no setting is written for every site.
_SETTINGS = {
    "secrets-encryption-provider": "cluster.k3s.secretsEncryption",
    "kube-apiserver-arg": "cluster.k3s.apiServerArgs",
    "kubelet-arg": "cluster.k3s.kubeletArgs",
    "resolv-conf": "cluster.k3s.resolvers",
}


def not_accepted(site: Site, lock: Lock, facts: Facts) -> Iterator[Finding]:
    """Yield what this site's k3s would stop at, or pass over in silence."""
    yield from _images(site, lock, facts)
    yield from _packaged(site, facts)
    release = release_of(lock.hostfile("k3s", site.servers[0].arch).version)
    yield from _keys(site, release)
    asked = site.cluster.k3s
    yield from argument_findings("cluster.k3s.kubeletArgs", "kubelet", release, asked.kubelet_args)
    yield from argument_findings(
        "cluster.k3s.apiServerArgs", "kube-apiserver", release, asked.api_server_args
    )


def _images(site: Site, lock: Lock, facts: Facts) -> Iterator[Finding]:
    """Yield where the bundle's images are not those that its k3s asks for."""
    k3s = lock.hostfile("k3s", site.servers[0].arch)
    # Until upstream was asked, an image has the version of the release whose list names its tag.
    known = (a for a in lock.of("image") if a.digest or a.pinned or lock.supply == "packages")
    images = {a.name: a.version for a in known}
    # In a lab the release itself may be the stand-in, whatever it came from.
    in_lab = bool(facts.hosts) and all(host.lab for host in facts.hosts)
    yield from wrong_images(k3s.version, images, standin=k3s.lab_only or in_lab)


def _packaged(site: Site, facts: Facts) -> Iterator[Finding]:
    """Yield the packaged components that a lab's stand-in for k3s does not have: it would not start."""
    if any(host.lab for host in facts.hosts):
        for name in packaged_on(site):
            problem = f"lab hosts run a stand-in for k3s, which does not have {name}"
            yield Finding(f"planes.resource.{name}", problem, "leave it out in a lab")


def _keys(site: Site, release: K3sRelease) -> Iterator[Finding]:
    """Yield each key that the roles write and this release does not know, once for all hosts."""
    found = {
        name: finding
        for role in dict.fromkeys(host.role for host in site.hosts)
        for finding in key_findings(role, release, written_keys(role))
        for name in [finding.where.removeprefix(f"{CONFIG}: ")]
    }
    for name, finding in found.items():
        fix = "use a bundle with a k3s that this aiplat was made for"
        yield Finding(_SETTINGS.get(name, "supply"), f"k3s' key {name} {finding.problem}", fix)


@cache
def written_keys(command: Command) -> tuple[str, ...]:
    """Return the keys of the configuration that the role of a server or an agent writes."""
    variables = YAML(typ="safe").load(shipped(f"roles/k3s_{command}/vars/main.yml"))
    return tuple(variables[f"k3s_{command}_config"])
