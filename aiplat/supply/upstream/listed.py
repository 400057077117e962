"""Which tag of an image a project's own list names; fetching the image is images'."""

from __future__ import annotations

from dataclasses import replace

from aiplat.errors import AiplatError, Finding
from aiplat.supply.upstream.fetcher import FetchOrder
from aiplat.supply.upstream.sentences import plain


def as_listed(order: FetchOrder) -> FetchOrder:
    """Return the order with the tag that the recipe's list names; without a list, as it is.

    Raises:
        AiplatError: the list cannot be had, or does not name the image once.
    """
    image = order.recipe.image
    if image is None or image.listed is None:
        return order
    url = order.filled_address(image.listed)
    repository = image.reference or order.artifact.name
    text = order.http.get(url, limit=1 << 20).body.decode(errors="replace")
    tags = {
        tag
        for name, _, tag in (line.strip().rpartition(":") for line in text.splitlines())
        if name == repository
    }
    if len(tags) != 1:
        said = f"names {' and '.join(sorted(tags))} for" if tags else "does not name"
        fix = "use another version, or see whether a proxy or mirror answers instead"
        raise AiplatError(Finding(plain(url), f"{said} {repository}", fix))
    return replace(order, artifact=order.artifact.model_copy(update={"version": tags.pop()}))
