"""A repository of rpm's form: real packages made by rpmbuild, indexes by createrepo_c."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.upstreams.signing import Signer

_SPEC = """\
Name: {name}
Version: {version}
Release: {release}
Summary: made for a test
License: MIT
{epoch}{tags}
%description
Made for a test.
%install
mkdir -p %{{buildroot}}/usr/share/made
echo {version} > %{{buildroot}}/usr/share/made/{name}
%files
/usr/share/made/{name}
"""


@dataclass(frozen=True)
class Rpm:
    """What a package's spec says; `tags` are lines such as `Requires: other`."""

    name: str
    version: str = "1.0"
    release: str = "1.el9"
    arch: str = "x86_64"
    tags: tuple[str, ...] = ()
    epoch: str = ""

    def build(self, folder: Path) -> Path:
        """Return the package file, made by rpmbuild."""
        top = folder / f"build-{self.name}-{self.version}-{self.arch}"
        top.mkdir()
        epoch = f"Epoch: {self.epoch}\n" if self.epoch else ""
        tags = "".join(
            f"{tag}\n" for tag in (*self.tags, *(("BuildArch: noarch",) if self.arch == "noarch" else ()))
        )
        spec = top / "made.spec"
        spec.write_text(
            _SPEC.format(name=self.name, version=self.version, release=self.release, epoch=epoch, tags=tags)
        )
        target = () if self.arch == "noarch" else ("--target", self.arch)
        defines = {
            "_topdir": top,
            "_build_id_links": "none",
            "debug_package": "%{nil}",
            "__os_install_post": "%{nil}",
        }
        given = [part for name, value in defines.items() for part in ("--define", f"{name} {value}")]
        subprocess.run(["rpmbuild", "-bb", "--quiet", *given, *target, spec], check=True, capture_output=True)
        return next((top / "RPMS").rglob("*.rpm"))


def rpm_repository(
    folder: Path,
    base: str,
    rpms: tuple[Rpm, ...],
    signer: Signer | None,
    core: tuple[str, ...] = (),
    *,
    packed: str = "",
) -> dict[str, bytes | Path]:
    """Return the files of a repository by their path.

    `core` is what its group of that name installs, `packed` the ending of its lists if not createrepo_c's.
    """
    tree = folder / "tree"
    tree.mkdir(parents=True)
    for rpm in rpms:
        made = rpm.build(folder)
        made.rename(tree / made.name)
    groups = ()
    if core:
        listed = "".join(f'<packagereq type="mandatory">{name}</packagereq>' for name in core)
        text = (
            f"<comps><group><id>core</id><name>Core</name><packagelist>{listed}</packagelist></group></comps>"
        )
        (folder / "comps.xml").write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')
        groups = ("--groupfile", str(folder / "comps.xml"))
    subprocess.run(["createrepo_c", "--quiet", *groups, tree], check=True, capture_output=True)
    if packed:
        _repack(tree / "repodata", packed)
    files: dict[str, bytes | Path] = {
        f"{base}/{path.relative_to(tree)}": path.read_bytes() for path in tree.rglob("*") if path.is_file()
    }
    if signer:
        files[f"{base}/repodata/repomd.xml.asc"] = signer.detached(
            (tree / "repodata/repomd.xml").read_bytes()
        )
    return files


def _repack(folder: Path, ending: str) -> None:
    """Pack the list of packages otherwise, as newer repositories have it."""
    old = next(folder.glob("*primary.xml.*"))
    text = subprocess.run(["zstd", "-dcq", old], capture_output=True, check=True).stdout
    if ending == ".xz":
        data = lzma.compress(text)
    else:
        data = subprocess.run(["zstd", "-cq"], input=text, capture_output=True, check=True).stdout
    new = folder / f"primary.xml{ending}"
    index = folder / "repomd.xml"
    changed = index.read_text().replace(old.name, new.name)
    changed = changed.replace(hashlib.sha256(old.read_bytes()).hexdigest(), hashlib.sha256(data).hexdigest())
    changed = changed.replace(f"<size>{old.stat().st_size}</size>", f"<size>{len(data)}</size>")
    index.write_text(changed)
    old.unlink()
    new.write_bytes(data)
