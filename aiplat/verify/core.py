"""The checks that every site has: hosts, registry, nodes, releases, workloads, images, network policies."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from aiplat.catalog.resolve import components_on
from aiplat.cluster.way import request_hooks
from aiplat.errors import AiplatError
from aiplat.site.addresses import in_url
from aiplat.site.models import Host
from aiplat.verify.certificates import certificates_last
from aiplat.verify.check import Check, Failed, Skipped, fail_on
from aiplat.verify.context import OWN_NAMESPACES, CheckContext

REGISTRY_PORT = 5443
_SIDE_BY_SIDE = 16
_SECONDS = 5.0
_AGAIN = "run `aiplat bootstrap` again; it repairs what differs"


def hosts_answer(context: CheckContext) -> str:
    """Look at the SSH port of every host."""
    hosts = context.site.hosts
    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        fail_on([problem for problem in pool.map(partial(_ssh_problem, context), hosts) if problem])
    return ", ".join(host.name for host in hosts)


def _ssh_problem(context: CheckContext, host: Host) -> str:
    try:
        end = context.way.to_ssh(host)
    except AiplatError as error:
        return f"{host.name}: {error.findings[0].problem}"
    shown = f"{host.name} ({host.address}:{end[1]})" if end[0] == host.address else host.name
    try:
        with socket.create_connection(end, timeout=_SECONDS) as connection:
            greeting = connection.recv(4)
    except OSError as error:
        return f"{shown}: {error.strerror or error}"
    return "" if greeting == b"SSH-" else f"{shown} does not speak SSH"


def disks_have_room(context: CheckContext) -> str:
    """Ask the hosts, for a full disk makes much else fail, which then says anything but that."""
    full = context.disks()
    if full is None:
        raise Skipped("no host could be asked for its disks")
    fail_on([f"{found.where}: {found.problem}" for found in full], "make room there")
    return "no disk is full"


def registry_answers(context: CheckContext) -> str:
    """Ask the registry of every server, with the site CA as the only one trusted."""
    trusted = _trusted(context)
    fail_on(
        [problem for host in context.site.servers if (problem := _registry_problem(context, host, trusted))],
        _AGAIN,
    )
    return f"port {REGISTRY_PORT} of {', '.join(h.name for h in context.site.servers)}"


def _registry_problem(context: CheckContext, host: Host, trusted: ssl.SSLContext) -> str:
    url = f"https://{in_url(host.address)}:{REGISTRY_PORT}/v2/"
    try:
        hooks = request_hooks(url, context.way)
        with httpx.Client(verify=trusted, timeout=_SECONDS, trust_env=False, event_hooks=hooks) as client:
            answer = client.get(url)
    except httpx.HTTPError as error:
        return f"{host.name}: {error}"
    except AiplatError as error:
        return f"{host.name}: {error.findings[0].problem}"
    return "" if answer.status_code == 200 else f"{host.name} answered {answer.status_code}"


def _trusted(context: CheckContext) -> ssl.SSLContext:
    try:
        return context.tls
    except OSError as error:
        raise Skipped("the site has no CA yet") from error


def api_answers(context: CheckContext) -> str:
    """Ask the Kubernetes API for its version."""
    return context.version


def nodes_are_ready(context: CheckContext) -> str:
    """Compare hosts with nodes, by name."""
    nodes = {node.name: node for node in context.nodes}
    missing = [f"{host.name} is not a node" for host in context.site.hosts if host.name not in nodes]
    unready = [f"{node.name}: {node.problem}" for node in context.nodes if not node.ready]
    fail_on(missing + unready, _AGAIN)
    return f"{len(nodes)} with {', '.join(sorted({n.version for n in nodes.values()}))}"


def releases_are_deployed(context: CheckContext) -> str:
    """Compare the components that are on with Helm's releases."""
    wanted = [c for c in components_on(context.site) if c.is_release]
    found = {(r.namespace, r.name): r.status for r in context.releases}
    states = {c.name: found.get((c.namespace or "", c.name), "not installed") for c in wanted}
    fail_on([f"{name} is {state}" for name, state in states.items() if state != "deployed"], _AGAIN)
    return ", ".join(states)


def workloads_are_available(context: CheckContext) -> str:
    """Look at every Deployment, StatefulSet and DaemonSet."""
    problems = []
    # In an existing cluster the others are its owner's.
    mine = [
        w for w in context.workloads if not context.site.is_guest or w.namespace.startswith(OWN_NAMESPACES)
    ]
    for workload in mine:
        if not workload.is_available:
            why = _why(context, workload.namespace, workload.name) or workload.problem
            counted = f"{workload.available} of {workload.wanted} available"
            problems.append(f"{workload.namespace}/{workload.name}: {counted}{f' ({why})' if why else ''}")
    fail_on(problems)
    return f"{len(mine)} workloads"


def _why(context: CheckContext, namespace: str, name: str) -> str:
    mine = (p for p in context.pods if p.namespace == namespace and p.name.startswith(f"{name}-"))
    return next((p.problem for p in mine if p.problem), "")


def images_are_the_sites(context: CheckContext) -> str:
    """Compare every image of the planes with the lock; nothing else can come from the site's registry."""
    pods = [p for p in context.pods if p.namespace.startswith(OWN_NAMESPACES)]
    if context.lock is None:
        raise Skipped("the site has no lock yet")
    known = {a.digest for a in context.lock.artifacts if a.kind in {"image", "model"} and a.digest}
    # Charts of others may know no other name: the site registry serves what was locked under that tag.
    theirs = {c.name for c in components_on(context.site) if c.is_release and not c.chart}
    tagged = {f"{a.name}:{a.version}" for a in context.lock.of("image") if a.component in theirs}
    loose, foreign = set(), set()
    for image in {image for pod in pods for image in pod.images} - tagged:
        _, _, digest = image.partition("@")
        if not digest:
            loose.add(image)
        elif digest not in known:
            foreign.add(image)
    fail_on(
        [f"{image} is not named by digest" for image in sorted(loose)]
        + [f"{image} is not in the site's lock" for image in sorted(foreign)],
        _AGAIN,
    )
    return f"{len({image for pod in pods for image in pod.images})} images"


def policies_deny_by_default(context: CheckContext) -> str:
    """Look for a policy that selects every pod and allows nothing, in each namespace of the platform."""
    if not context.namespaces:
        raise Failed("there is no namespace of the platform", _AGAIN)
    closed = {p.namespace for p in context.policies if p.selects_all and p.denies_ingress and p.denies_egress}
    fail_on([f"{n} has no default-deny policy" for n in context.namespaces if n not in closed], _AGAIN)
    return ", ".join(context.namespaces)


_DOOR = ("aiplat-access", "gateway-outside")


def no_ports_past_the_policies(context: CheckContext) -> str:
    """Look for node ports: they are open on every host, and connections by them pass network policies by."""
    mine = [s for s in context.services if s.namespace.startswith(OWN_NAMESPACES)]
    if context.site.cluster.offers_gateway_by != "ClusterIP":
        # The one door that the site asks for; whoever comes in needs a key.
        mine = [s for s in mine if (s.namespace, s.name) != _DOOR]
    open_ones = [
        f"{s.namespace}/{s.name} opens {', '.join(map(str, s.node_ports))}" for s in mine if s.node_ports
    ]
    fail_on(open_ones, "make it a Service of type ClusterIP; clients come in by the gateway")
    return f"{len(mine)} Services"


CORE: tuple[Check, ...] = (
    Check("Every host answers on its SSH port.", "resource", "hosts", hosts_answer),
    Check("No disk of a host is full.", "resource", "hosts", disks_have_room),
    Check("The site registry answers with the site's certificate.", "platform", "registry", registry_answers),
    Check("No certificate of the site ends within 30 days.", "platform", "registry", certificates_last,
          every=3600),
    Check("The Kubernetes API answers.", "resource", "k3s", api_answers),
    Check("Every host is a Ready node.", "resource", "k3s", nodes_are_ready),
    Check("Every release is deployed.", "platform", "helm", releases_are_deployed),
    Check("Every workload is available.", "resource", "k3s", workloads_are_available),
    Check("Every image is named by digest and comes from the site registry.", "platform", "registry",
          images_are_the_sites, every=600),
    Check("Every plane denies connections that no policy allows.", "platform", "policies",
          policies_deny_by_default, every=600),
    Check("No Service opens a port of the hosts past the policies.", "platform", "policies",
          no_ports_past_the_policies, every=600),
)  # fmt: skip

OF_HOSTS = (hosts_answer, disks_have_room, registry_answers, nodes_are_ready)
"""What is looked at on hosts that are aiplat's."""
