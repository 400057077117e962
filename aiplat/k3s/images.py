"""Which images a release of k3s asks for; whether a lock has them is what `wrong_images` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from aiplat.errors import Finding
from aiplat.shipped import shipped

TABLE = "locks/k3s-images.tsv"
_PREFIX = "docker.io/rancher/"
_COLUMNS = (
    "mirrored-pause",
    "mirrored-coredns-coredns",
    "local-path-provisioner",
    "mirrored-library-busybox",
)
# The stand-in asks for the provisioner that can be built where only package registries can be reached.
_STANDIN = "local-path-provisioner"


@cache
def images_of(release: str) -> Mapping[str, tuple[str, ...]] | None:
    """Return the tags that a release may ask for, by image; None where its list is not known."""
    rows = (line.split("\t") for line in shipped(TABLE).read_text().splitlines() if line[:1] == "v")
    found = next((row[1:] for row in rows if row[0] == release), None)
    if found is None:
        return None
    tags = (tuple(field.split("|")) for field in found)
    return dict(zip((f"{_PREFIX}{name}" for name in _COLUMNS), tags, strict=True))


def wrong_images(release: str, images: Mapping[str, str], *, standin: bool) -> Iterator[Finding]:
    """Yield the images, name to tag, that this k3s does not ask for: no pod would start with them."""
    for name, tags in (images_of(release) or {}).items():
        has = images.get(name)
        if has is None or has in tags or (standin and name.endswith(_STANDIN)):
            continue
        problem = f"k3s {release} asks for {name}:{' or '.join(tags)}, and the bundle has {name}:{has}"
        yield Finding("supply", problem, "use a bundle made for this k3s; no pod would start from this one")
