"""Fetches files of projects' releases, by their published checksums; which files is the recipes'."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from aiplat.catalog.artifacts import Blob, Digest
from aiplat.catalog.upstream_recipes import ReleaseFile
from aiplat.errors import AiplatError, Finding
from aiplat.supply.contract import Made
from aiplat.supply.hostfiles import store_hostfile
from aiplat.supply.oci import link_or_copy
from aiplat.supply.upstream.downloads import Downloads, Part
from aiplat.supply.upstream.fetcher import FetchOrder, Pin
from aiplat.supply.upstream.partial import OnBytes
from aiplat.supply.upstream.sentences import plain

_HEX = re.compile(r"\b[0-9a-f]{64}\b")


class ReleaseFiles:
    """Files that a project's release has, each with the checksum that the release itself publishes."""

    def pin(self, order: FetchOrder) -> Pin:
        """Ask for the published checksum and the size; the file itself is not fetched.

        Raises:
            AiplatError: the release does not have it, or publishes no checksum for it.
        """
        release = _recipe(order)
        url, checksums = _address(order, release.url), _address(order, release.checksums)
        order.phase("ask for its checksum", 0, 0)
        text = order.http.get(checksums, limit=1 << 20).body.decode(errors="replace")
        digest = published(text, url, plain(checksums))
        said = order.http.head(url).headers.get("Content-Length", "")
        size = int(said) if said.isdecimal() else 0
        file = None if release.member else digest
        return Pin(digest, url, size, platforms=(order.artifact.platform,), file=file)

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Fetch what was pinned, and take the one file out of it that is wanted."""
        target = order.work / order.artifact.name
        member = _recipe(order).member

        def bring(path: Path, told: OnBytes) -> None:
            wanted = {"digest": pin.digest, "size": pin.size or None}
            order.http.download(pin.source, path, on_bytes=told, **wanted)  # type: ignore[arg-type]

        def use(_: Blob, path: Path) -> None:
            if member:
                _take_out(path, order.filled(member), target, plain(pin.source))
            else:
                link_or_copy(path, target)

        part = Part(Blob(digest=pin.digest, size=pin.size), bring)
        downloads = Downloads(order)
        downloads.bring([part], use)
        made = store_hostfile(folder, target, order.artifact.version, "upstream")
        downloads.forget([part.blob])
        return made


def published(text: str, url: str, where: str) -> Digest:
    """Return what a checksum file says of the file at `url`: a line of sha256sum's, or one digest alone.

    Raises:
        AiplatError: it says nothing of it.
    """
    name = urlsplit(url).path.rpartition("/")[2]
    named = re.findall(rf"^([0-9a-f]{{64}}) [ *](?:\S*/)?{re.escape(name)}$", text, re.MULTILINE)
    alone = _HEX.findall(text) if len(text.split()) == 1 else []
    found = set(named or alone)
    if len(found) != 1:
        said = "has no checksum" if not found else "has more than one checksum"
        fix = "see whether the version exists for this architecture, and whether a proxy or mirror answers"
        raise AiplatError(Finding(where, f"{said} of {name}", fix))
    return f"sha256:{found.pop()}"


def _recipe(order: FetchOrder) -> ReleaseFile:
    assert order.recipe.release is not None  # noqa: S101 - the supply asks by the recipe's kind
    return order.recipe.release


def _address(order: FetchOrder, template: str) -> str:
    """Fill an address in; what a version holds (`+`) must not mean anything else in it."""
    names = _recipe(order).names
    arch = order.arch
    if names and arch not in names:
        problem = f"its release has no file for {arch}"
        raise AiplatError(Finding(order.artifact.ref, problem, "use hosts of another architecture"))
    return order.filled_address(template, name=dict(names).get(arch, ""))  # type: ignore[call-overload]


def _take_out(archive: Path, member: str, target: Path, where: str) -> None:
    """Write one member of an archive to `target`.

    Raises:
        AiplatError: it is not an archive, or has no such file.
    """
    try:
        with tarfile.open(archive) as opened:
            source = opened.extractfile(member)
            if source is not None:
                with target.open("wb") as stream:
                    shutil.copyfileobj(source, stream)
                return
    except (KeyError, RecursionError):
        pass  # it is not there, or is a link to itself
    except FileNotFoundError:
        raise
    except (tarfile.TarError, EOFError, OSError) as error:
        raise AiplatError(Finding(where, f"is not an archive that can be read: {error}")) from error
    raise AiplatError(Finding(where, f"holds no file {member}", "its project packs otherwise now"))
