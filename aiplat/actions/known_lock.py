"""A site's lock as far as it is known: from its bundle, or as it is written down."""

from __future__ import annotations

from aiplat.bundle.bundle import Bundle, bundle_path
from aiplat.bundle.document import DOCUMENT
from aiplat.bundle.trust import open_trusted
from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.catalog.lockfile import lock_path, read_lock
from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.resolve import resolve
from aiplat.errors import BadInput, Finding
from aiplat.site.models import Site
from aiplat.site.rules.files import BUNDLE_PREFIX
from aiplat.state import bundle_dir
from aiplat.supply.choose import choose_supply


def bundle_of(site: Site) -> Bundle:
    """Return the site's bundle; with `trust:` only if someone who may sign it did.

    Raises:
        AiplatError: there is none, it is not a bundle, or it is refused.
    """
    return open_trusted(site)


def bundle_for(site: Site, lock: Lock) -> Bundle:
    """Return the site's bundle; one that was brought or signed has every artifact of a lock, by its digest.

    A plan was made for that lock: a bundle that took its place meanwhile is not what was agreed to. One that
    was made here for an earlier lock is of use where nothing of it is moved.

    Raises:
        AiplatError: see `bundle_of`; or it is another bundle than the one the plan was made for.
    """
    bundle = bundle_of(site)
    if not bundle.signed and not site.supply.startswith(BUNDLE_PREFIX):
        return bundle
    there = {artifact.label: artifact.digest for artifact in bundle.lock.artifacts}
    fix = "see what it would do: aiplat plan; or make it again: aiplat bundle build"
    findings = [
        Finding(str(bundle.path), f"has another {artifact.label} than the plan was made for", fix)
        for artifact in lock.artifacts
        if there.get(artifact.label) != artifact.digest
    ]
    if findings:
        raise BadInput(findings)
    return bundle


def known_lock(site: Site, *, judged: bool = True) -> Lock:
    """Return the site's lock, with digests known from before where what an artifact is made of is the same.

    They come from the site's bundle, or from its lock.yaml where the bundle was removed or the artifacts
    come from upstream, whose pins are there. With `supply: bundle:PATH` it is that bundle's lock; who takes
    things away need not have it `judged` whether somebody signed it.

    Raises:
        BadInput: the bundle given lacks something that the site needs, or is damaged.
    """
    if site.supply.startswith(BUNDLE_PREFIX):
        return _given_lock(site, bundle_of(site) if judged else Bundle.open(bundle_path(site)))
    lock = resolve(site, supply=choose_supply(site).name)
    # What was pinned is only in the lock; a bundle may be older.
    earlier = written_lock(site) if lock.supply == "upstream" else _earlier_lock(site)
    if earlier is None:
        return lock
    known = {(a.label, a.inputs): a for a in earlier.artifacts if a.digest or a.pinned}

    def supplied(artifact: Artifact) -> Artifact:
        return known.get((artifact.label, artifact.inputs), artifact)

    return lock.model_copy(update={"artifacts": tuple(supplied(a) for a in lock.artifacts)})


def no_lock(site: Site) -> Lock:
    """Return the lock of a run that takes away and uses nothing of a bundle, which may be gone."""
    return Lock(site=site.name, supply="packages", artifacts=())


def _earlier_lock(site: Site) -> Lock | None:
    # A bundle whose making was cut off has content, but no document yet.
    if (bundle_dir(site.name) / DOCUMENT).exists():
        # Its digests are only what is known from before; what is used is looked at when it is used.
        return Bundle.open(bundle_path(site)).lock
    return written_lock(site)


def written_lock(site: Site) -> Lock | None:
    """Return the lock that is written down for a site, or None."""
    path = lock_path(site)
    return read_lock(path) if path.exists() else None


def _given_lock(site: Site, bundle: Bundle) -> Lock:
    given = bundle.lock
    lock = resolve(site, catalog_of(site, given), given.supply)
    there = {a.label for a in given.artifacts}
    findings = [
        Finding(
            site.supply,
            f"has no {a.label}, which {a.component} needs",
            "use a bundle made for this site",
        )
        for a in lock.artifacts
        if a.label not in there
    ]
    if findings:
        raise BadInput(findings)
    return given.model_copy(update={"site": site.name})
