"""Images and models where an existing cluster's nodes get them: which lack there, and bringing them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiplat.bundle.push import push_bundle, repository_of, tag_of
from aiplat.catalog.artifacts import Lock
from aiplat.errors import AiplatError
from aiplat.plan.guest_plan import PUSH, brought
from aiplat.plan.make import OPERATOR
from aiplat.runs.context import RunContext
from aiplat.runs.execute import throttled
from aiplat.runs.run import Run
from aiplat.site.models import Site, Upstream
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.registry_push import PushTarget


def absent(site: Site, lock: Lock) -> tuple[tuple[str, ...], str]:
    """Return the digests of images and models that nodes cannot get yet, and why that could not be seen."""
    made = [artifact for artifact in brought(lock) if artifact.digest]
    try:
        with _registry(site) as (target, prefix):
            lacking = [
                str(artifact.digest)
                for artifact in made
                if not target.has_manifest(
                    repository_of(prefix, artifact), tag_of(artifact), str(artifact.digest)
                )
            ]
    except AiplatError as error:
        return tuple(str(artifact.digest) for artifact in made), error.findings[0].problem
    return tuple(lacking), ""


def bring(run: Run, context: RunContext) -> None:
    """Bring what nodes lack to where they get it; what is there is not sent again.

    Raises:
        AiplatError: content was altered, or the registry does not take something.
    """
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
