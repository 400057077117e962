"""A bundle's bill of materials as CycloneDX; what is in a bundle is read by aiplat.bundle.contents."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.cards import ModelCard
from aiplat.bundle.contents.package import FoundPackage
from aiplat.bundle.contents.read import Contents
from aiplat.bundle.contents.spdx import licences_of, spdx_expression
from aiplat.catalog.artifacts import Digest
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.components import Licence
from aiplat.content import parsed_json

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "sbom.aiplat.dev")
_TYPES = {
    "image": ComponentType.CONTAINER,
    "hostfile": ComponentType.APPLICATION,
    "chart": ComponentType.APPLICATION,
    "model": ComponentType.MACHINE_LEARNING_MODEL,
}
_LISTED = "files that no package lists and that are not programs (scripts, data) are not here"


def sbom_of_bundle(
    bundle: Bundle, contents: list[Contents], cards: list[ModelCard], catalog: Catalog
) -> dict[str, Any]:
    """Return the document of the whole bundle: its artifacts, and inside of each what it holds."""
    digest = bundle.document.lock_digest
    whole = Component(
        name=f"aiplat-bundle-{bundle.lock.site}",
        version=digest,
        type=ComponentType.PLATFORM,
        bom_ref=digest,
        properties=[_property("supply", bundle.lock.supply), _property("unread", _LISTED)],
    )
    parts = [_artifact(one, cards, catalog, nested=True) for one in contents]
    return _document(whole, parts, digest)


def sbom_of_image(contents: Contents, catalog: Catalog) -> dict[str, Any]:
    """Return the document of one image for one platform."""
    subject = _artifact(contents, [], catalog, nested=False)
    subject.properties.add(_property("unread", _LISTED))
    return _document(subject, _packages(contents), contents.manifest)


def _document(subject: Component, parts: Iterable[Component], digest: Digest) -> dict[str, Any]:
    """Return a document that depends on the bundle's content alone.

    The serial number stands for the content. There is no timestamp: a bundle does not know when it was made,
    and when it was read changes nothing in it.
    """
    bom = Bom(components=parts, serial_number=uuid.uuid5(_NAMESPACE, digest))
    bom.metadata.component = subject
    ours = Component(name="aiplat", version=version("aiplat"), type=ComponentType.APPLICATION)
    bom.metadata.tools.components.add(ours)
    bom.register_dependency(subject, bom.components)
    document: dict[str, Any] = parsed_json(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]
    # A tool in it has a reference of its own by chance.
    for tool in document["metadata"]["tools"]["components"]:
        tool.pop("bom-ref", None)
    return document


def _artifact(contents: Contents, cards: list[ModelCard], catalog: Catalog, *, nested: bool) -> Component:
    artifact = contents.artifact
    card = next((one for one in cards if one.digest == artifact.digest), None)
    licence = card.licence if card else artifact_licence(contents, catalog)
    said = [("kind", artifact.kind), ("component", artifact.component), ("platform", contents.platform)]
    said += [(f"layer:{number}", layer) for number, layer in enumerate(contents.layers)]
    said += [("unread", text) for text in contents.unread]
    said += _of_card(card) if card else []
    return Component(
        name=artifact.name,
        version=artifact.version,
        type=_TYPES[artifact.kind],
        bom_ref=f"{artifact.kind}:{artifact.name}:{artifact.version}@{contents.manifest}",
        purl=_purl(contents),
        hashes=[_hash(artifact.file or contents.manifest)],
        licenses=_licences((licence,)) if licence else (),
        external_references=_references(artifact.source or (card.source if card else None)),
        properties=[_property(name, text) for name, text in said],
        components=_packages(contents) if nested else (),
    )


def artifact_licence(contents: Contents, catalog: Catalog) -> Licence | None:
    """Return the licence that the catalogue has for an artifact: the model's, or its component's."""
    artifact = contents.artifact
    if artifact.kind == "model":
        model = catalog.model_of(artifact.name, artifact.version)
        return model.licence if model else None
    component = catalog.component(artifact.component)
    return component.licence if component else None


def _purl(contents: Contents) -> PackageURL:
    """Return the package URL of an artifact: an image's by digest, a host file's by name and version."""
    artifact = contents.artifact
    if artifact.kind == "hostfile":
        return PackageURL("generic", None, artifact.name, artifact.version)
    qualifiers = {"repository_url": artifact.name, "tag": artifact.version}
    return PackageURL("oci", None, artifact.name.rpartition("/")[2], contents.manifest, qualifiers)


def _of_card(card: ModelCard) -> list[tuple[str, str]]:
    scan = f"{card.scan.scanner} {card.scan.version}: nothing found in {len(card.scan.files)} files"
    said = [("model", card.name), ("source", card.source), ("revision", card.revision), ("scan", scan)]
    said += [("content", card.content or ""), ("quantisation", card.quantisation)]
    said += [("condition", condition) for condition in card.licence.conditions]
    return [(name, text) for name, text in said if text]


def _packages(contents: Contents) -> list[Component]:
    return [_package(one, contents.manifest) for one in contents.packages]


def _package(package: FoundPackage, inside: Digest) -> Component:
    purl = package.purl
    source = f"{package.source} {package.source_version}".strip()
    said = [("place", package.place), ("layer", package.layer), ("source", source)]
    return Component(
        name=package.name,
        version=package.version or None,
        type=ComponentType.FILE if package.kind == "file" else ComponentType.LIBRARY,
        bom_ref=f"{inside}#{package.place}#{purl or package.name}",
        purl=purl,
        hashes=[_hash(package.digest)] if package.digest else (),
        licenses=_said_licences(licences_of(package.licences)),
        properties=[_property(name, text) for name, text in said if text],
    )


def _said_licences(licences: tuple[str, ...]) -> list[License]:
    """Return one expression where all are SPDX; CycloneDX wants that or a list, not both."""
    if licences and all(spdx_expression(one) for one in licences):
        joined = " AND ".join(f"({one})" if len(licences) > 1 and " " in one else one for one in licences)
        return [LicenseExpression(joined)]
    return [DisjunctiveLicense(name=one) for one in licences]


def _licences(licences: tuple[Licence, ...]) -> list[License]:
    return [
        LicenseExpression(one.spdx)
        if spdx_expression(one.spdx)
        else DisjunctiveLicense(name=one.name or one.spdx, url=XsUri(one.url) if one.url else None)
        for one in licences
    ]


def _references(source: str | None) -> list[ExternalReference]:
    url = source if source and source.startswith("https://") else None
    return [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url))] if url else []


def _hash(digest: Digest) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))


def _property(name: str, text: str) -> Property:
    return Property(name=f"aiplat:{name}", value=text)
