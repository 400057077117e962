"""Moves blobs to the hosts' stores, resumed and verified; which blobs a host needs is the plan's."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aiplat.catalog.artifacts import Blob
from aiplat.errors import AiplatError, Finding
from aiplat.fleet.ssh import HostError
from aiplat.fleet.stream import Stream
from aiplat.frozen import Frozen
from aiplat.hosts.paths import paths_of
from aiplat.signed import Signed
from aiplat.site.models import Host, Site

CHUNK = 1 << 20
MAX_PARALLEL = 8
# A part left by an earlier run may be damaged: the receiver drops it and gets the blob once more, whole.
ROUNDS = 2

# How a host judges a signed bundle: the same text as here, on whatever Python the host has.
_CHECK = Path(__file__).parents[1] / "signed.py"

OnProgress = Callable[[str, int, int], None]


class _Missing(Frozen):
    """How much of each blob that is not whole on a host is there."""

    missing: dict[str, int]


class _Arrived(Frozen):
    """Whether a blob came with the digest it is named by."""

    name: str
    good: bool


class _Freed(Frozen):
    """The bytes that were freed."""

    freed: int


class BlobSource(Protocol):
    """Where blobs come from: an opened bundle."""

    @property
    def signed(self) -> Signed | None:
        """What hosts are to judge before they take anything, if the site asks for a signature."""
        ...

    def blob_path(self, digest: str) -> Path:
        """Return the file that holds a blob."""
        ...


def push_blobs(
    site: Site,
    wanted: Mapping[str, Sequence[Blob]],
    source: BlobSource,
    run_id: str,
    on_progress: OnProgress,
) -> dict[str, int]:
    """Bring every host the blobs it lacks of those it must hold; return the bytes moved per host.

    `wanted` maps host names to blobs. `on_progress(host, done, total)` is called from other threads, in
    bytes; what an earlier, broken transfer left counts as done. Hosts are served side by side. Each judges
    a signed bundle itself before anything else, also if it wants no blob of it.

    Raises:
        AiplatError: one finding per host that failed or blob that is damaged in the source.
    """
    findings: list[Finding] = []

    def push(name: str) -> int:
        host = next(h for h in site.hosts if h.name == name)
        sizes = {blob.digest.removeprefix("sha256:"): blob.size for blob in wanted[name]}
        try:
            return _Transfer(site, host, source, run_id, on_progress).run(sizes)
        except AiplatError as error:
            findings.extend(error.findings)
            return 0

    with ThreadPoolExecutor(max_workers=MAX_PARALLEL) as pool:
        moved = dict(zip(wanted, pool.map(push, wanted), strict=True))
    if findings:
        raise AiplatError(findings)
    return moved


def prune_blobs(site: Site, keep: Mapping[str, Collection[str]], run_id: str) -> dict[str, int]:
    """Remove from each host every staged blob that is not in `keep` (host → digests); return bytes freed."""
    hosts = [host for host in site.hosts if host.name in keep]

    def prune(host: Host) -> int:
        stream = _receiver(site, host, run_id)
        try:
            names = [digest.removeprefix("sha256:") for digest in keep[host.name]]
            stream.say({"paths": _paths(host), "keep": names})
            return stream.hear(_Freed).freed
        finally:
            stream.close()

    with ThreadPoolExecutor(max_workers=MAX_PARALLEL) as pool:
        return dict(zip((host.name for host in hosts), pool.map(prune, hosts), strict=True))


def _paths(host: Host) -> dict[str, str]:
    return paths_of(host.data_dir).model_dump()


def _receiver(site: Site, host: Host, run_id: str) -> Stream:
    return Stream(site, host, ["receive_blobs.py"], run_id)


@dataclass
class _Transfer:
    """One host's transfer; `done` and `total` are bytes of its running round, `moved` of all rounds."""

    site: Site
    host: Host
    source: BlobSource
    run_id: str
    on_progress: OnProgress
    done: int = 0
    total: int = 0
    moved: int = 0

    def run(self, sizes: dict[str, int]) -> int:
        """Send what is missing of `sizes` and return the bytes moved."""
        for _ in range(ROUNDS):
            sizes = self._round(sizes)
            if not sizes:
                return self.moved
        raise AiplatError([self._damaged(name) for name in sizes])

    def _round(self, sizes: dict[str, int]) -> dict[str, int]:
        """Send what is missing and return the blobs that arrived with another digest than their name."""
        stream = _receiver(self.site, self.host, self.run_id)
        try:
            stream.say({"paths": _paths(self.host), "blobs": sizes, **self._shown()})
            if self.source.signed:
                stream.send(self.source.signed.document)
            missing = self._missing(stream.hear(_Missing).missing, sizes)
            self.total = sum(sizes[name] for name in missing)
            self.done = sum(missing.values())
            if sizes:
                self.on_progress(self.host.name, self.done, self.total)
            return {n: sizes[n] for n, at in missing.items() if not self._send(stream, n, sizes[n], at)}
        finally:
            stream.close()

    def _shown(self) -> dict[str, Any]:
        """Return what a host is shown of a signed bundle; bundle.json follows on the stream."""
        signed = self.source.signed
        if signed is None:
            return {}
        files = {n: base64.b64encode(t).decode() for n, t in signed._asdict().items() if n != "document"}
        size, check = len(signed.document), _CHECK.read_text()
        return {"signed": {"site": self.site.name, "files": files, "document": size, "check": check}}

    def _missing(self, said: dict[str, int], sizes: dict[str, int]) -> dict[str, int]:
        if any(not 0 <= at <= sizes.get(name, -1) for name, at in said.items()):
            problem = "asks for content that it was not offered"
            raise HostError(Finding(self.host.name, problem, "see whose host it is"))
        return said

    def _send(self, stream: Stream, name: str, size: int, offset: int) -> bool:
        """Send one blob from `offset` on and return whether it arrived with the digest it is named by."""
        path = self.source.blob_path(f"sha256:{name}")
        if not path.is_file() or path.stat().st_size != size:
            problem = f"is missing or not {size} bytes long"
            raise AiplatError(Finding(str(path), problem, "run `aiplat bundle verify`"))
        with path.open("rb") as content:
            content.seek(offset)
            while piece := content.read(CHUNK):
                stream.send(piece)
                self.done += len(piece)
                self.moved += len(piece)
                self.on_progress(self.host.name, self.done, self.total)
        return stream.hear(_Arrived).good

    def _damaged(self, name: str) -> Finding:
        path = self.source.blob_path(f"sha256:{name}")
        return Finding(str(path), "arrives with another digest than its name", "run `aiplat bundle verify`")
