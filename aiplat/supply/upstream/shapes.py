"""What manifests must look like before anything in them is believed; what they say is their readers'."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from aiplat.errors import AiplatError, Finding
from aiplat.frozen import findings_of


class _Descriptor(BaseModel):
    model_config = ConfigDict(strict=True)

    mediaType: str | None = None  # noqa: N815 - the document's own name
    digest: str | None = None
    size: int | None = None
    platform: dict[str, Any] | None = None
    annotations: dict[str, Any] | None = None
    artifactType: str | None = None  # noqa: N815 - the document's own name


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True)

    mediaType: str | None = None  # noqa: N815 - the document's own name
    config: _Descriptor | None = None
    layers: list[_Descriptor] | None = None
    manifests: list[_Descriptor] | None = None


def see_manifest(where: str, document: dict[str, Any]) -> None:
    """See that a manifest or index has the form of one.

    Raises:
        AiplatError: naming the first place that has not.
    """
    try:
        _Manifest.model_validate(document)
    except ValidationError as error:
        first = findings_of(error, "its manifest is none")[0]
        raise AiplatError(Finding(where, f"{first.where}: {first.problem}", "ask its maker")) from None
