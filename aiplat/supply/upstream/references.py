"""Names of images and models as people write them, in full; asking for them is the protocols'."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from aiplat.errors import BadInput, Finding

DOCKER_HUB = "docker.io"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_EXAMPLE = "write it as docker.io/library/busybox:1.37"


@dataclass(frozen=True)
class Reference:
    """An image, chart or artefact of a registry; `digest`, where it is known, is what counts."""

    host: str
    repository: str
    tag: str = "latest"
    digest: str | None = None

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def wanted(self) -> str:
        """What a manifest is asked for by: the digest, or else the tag."""
        return self.digest or self.tag

    def at(self, digest: str) -> Reference:
        """Return the same name, pinned."""
        return replace(self, digest=digest)

    @property
    def tagged(self) -> str:
        """What people call it."""
        return f"{self.name}:{self.tag}"


def image_reference(text: str) -> Reference:
    """Return the image that `text` means; without a host it is Docker Hub's, without a tag `latest`.

    Raises:
        BadInput: it is not such a name.
    """
    rest, _, digest = text.partition("@")
    head, slash, tail = rest.rpartition("/")
    last, _, tag = tail.partition(":")
    host, repository = _split_host(f"{head}{slash}{last}")
    if not _REPOSITORY.fullmatch(repository):
        raise BadInput(
            Finding(text, "is not a name of an image: lower-case letters, digits, . _ - and /", _EXAMPLE)
        )
    if ":" in tail and not _TAG.fullmatch(tag):
        raise BadInput(Finding(text, f"{tag!r} is not a tag", _EXAMPLE))
    if "@" in text and not _DIGEST.fullmatch(digest):
        raise BadInput(
            Finding(text, f"{digest!r} is not a digest: sha256: and 64 hexadecimal digits", _EXAMPLE)
        )
    return Reference(host, repository, tag or "latest", digest or None)


def _split_host(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    host, repository = (first, rest) if is_host else (DOCKER_HUB, name)
    if host in {"index.docker.io", "registry-1.docker.io"}:
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return host, repository


@dataclass(frozen=True)
class ModelName:
    """A model as Ollama names it."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def repository(self) -> str:
        """What a registry knows it by."""
        return f"{self.namespace}/{self.model}"

    @property
    def path(self) -> str:
        """Where Ollama's store keeps its manifest."""
        return f"manifests/{self.host}/{self.repository}/{self.tag}"

    def __str__(self) -> str:
        """Render in full."""
        return f"{self.host}/{self.repository}:{self.tag}"


_MODEL_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")


def model_name(text: str) -> ModelName:
    """Return the model that `text` means to Ollama: `[host/][namespace/]model[:tag]`.

    Raises:
        BadInput: it is not such a name.
    """
    head, slash, tail = text.rpartition("/")
    model, colon, tag = tail.partition(":")
    parts = [*(head.split("/") if slash else []), model]
    host, namespace, model = (["registry.ollama.ai", "library"][: 3 - len(parts)] + parts + ["", "", ""])[:3]
    named = ModelName(host, namespace, model, tag if colon else "latest")
    good = all(_MODEL_PART.fullmatch(part) for part in (namespace, model, named.tag))
    if len(parts) > 3 or not good or not re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?", host):
        problem = "is not a model's name: [host/][namespace/]model[:tag]"
        raise BadInput(Finding(text, problem, "write it as gemma3:270m or hf.co/owner/model:Q4_K_M"))
    return named
