"""Images and models where an existing cluster's nodes get them: which lack there, and bringing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aiplat.bundle.push import push_bundle, repository_of, tag_of
from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.errors import AiplatError
from aiplat.plan.guest_plan import PUSH, brought
from aiplat.plan.make import OPERATOR
from aiplat.runs.context import RunContext
from aiplat.runs.execute import throttled
from aiplat.runs.node_images import archive_bytes, lacking, node_containers
from aiplat.runs.run import Run
from aiplat.site.models import Site, Upstream
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.registry_push import PushTarget


def absent(site: Site, lock: Lock, nodes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return the digests of images and models that nodes cannot get yet, and why that could not be seen."""
    made = [artifact for artifact in brought(lock) if artifact.digest]
    try:
        lacks = _not_in_nodes(nodes, made) if site.cluster.load else _not_in_registry(site, made)
    except AiplatError as error:
        return tuple(str(artifact.digest) for artifact in made), error.findings[0].problem
    return tuple(str(artifact.digest) for artifact in lacks), ""


def bring(run: Run, context: RunContext, nodes: Sequence[str]) -> None:
    """Bring what nodes lack to where they get it; what is there is not sent again.

    Raises:
        AiplatError: content was altered, or the registry or a node does not take something.
    """
    if context.site.cluster.load:
        _load(run, context, nodes)
    else:
        _push(run, context)


def _not_in_nodes(nodes: Sequence[str], made: Sequence[Artifact]) -> list[Artifact]:
    lacks = lacking(node_containers(nodes), made).values()
    digests = {artifact.digest for artifacts in lacks for artifact in artifacts}
    return [artifact for artifact in made if artifact.digest in digests]


def _not_in_registry(site: Site, made: Sequence[Artifact]) -> list[Artifact]:
    with _registry(site) as (target, prefix):
        return [
            artifact
            for artifact in made
            if not target.has_manifest(
                repository_of(prefix, artifact), tag_of(artifact), str(artifact.digest)
            )
        ]


def _load(run: Run, context: RunContext, nodes: Sequence[str]) -> None:
    report = throttled(run, PUSH)
    lacks = lacking(node_containers(nodes), brought(context.lock))
    total, done = sum(map(archive_bytes, lacks.values())), 0

    def moved(count: int) -> None:
        nonlocal done
        done += count
        report(OPERATOR, done, total)

    for node, artifacts in lacks.items():
        node.load(artifacts, context.bundle.path, moved)
        run.changed += len(artifacts)


def _push(run: Run, context: RunContext) -> None:
    report = throttled(run, PUSH)
    with _registry(context.site) as (target, prefix):
        result = push_bundle(
            context.bundle,
            target,
            prefix,
            ("image", "model"),
            lambda _what, done, total: report(OPERATOR, done, total),
        )
    run.changed += len(result.written)


@contextmanager
def _registry(site: Site) -> Iterator[tuple[PushTarget, str]]:
    host, _, prefix = (site.cluster.registry or "").partition("/")
    authority = site.cluster.registry_ca
    http = HttpClient(Upstream(ca=authority) if authority else None)
    target = PushTarget(http, host)
    try:
        yield target, prefix
    finally:
        target.close()
        http.close()
