"""What comes along in parts beside content, and media that others prepared."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.document import CHECKSUM, DOCUMENT, BundledFile, checksum_line
from aiplat.bundle.parts.resumed import PARTIAL, write_resumed
from aiplat.content import canonical_json, sha256_bytes
from aiplat.errors import AiplatError
from tests.bundle.test_parts import join, split


def test_the_program_that_installs_comes_along(bundle: Bundle, tmp_path: Path) -> None:
    """It is one of the bundle's own files, in every set of parts, and can be run again."""
    program = b"print('hello')"
    (bundle.path / "install").write_bytes(program)
    listed = BundledFile(sha256=sha256_bytes(program), size=len(program))
    files = {**bundle.document.files, "install": listed}
    document = bundle.document.model_copy(update={"files": files})
    text = canonical_json(document.model_dump(mode="json", by_alias=True)) + b"\n"
    (bundle.path / DOCUMENT).write_bytes(text)
    (bundle.path / CHECKSUM).write_bytes(checksum_line(sha256_bytes(text)))
    split(Bundle.open(bundle.path), tmp_path / "medium")
    join(tmp_path / "medium", to=tmp_path / "out")
    assert (tmp_path / "out" / "install").read_bytes() == program
    assert (tmp_path / "out" / "install").stat().st_mode & 0o777 == 0o755


def written(target: Path) -> bool:
    """Write a file of three bytes as parts are written."""
    return write_resumed(target, 3, sha256_bytes(b"new"), lambda at: iter([b"new"[at:]]), lambda _: None)


def test_a_link_on_a_medium_is_not_written_through(tmp_path: Path) -> None:
    """It would lead to a file of this machine."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / f"part{PARTIAL}").symlink_to(tmp_path / "mine")
    with pytest.raises(AiplatError, match="it is a link, which aiplat never made"):
        written(tmp_path / "part")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_part_that_somebody_else_writes_is_left_to_them(tmp_path: Path) -> None:
    """Two that write one file would mix their bytes."""
    with (tmp_path / f"part{PARTIAL}").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(AiplatError, match="another aiplat writes it"):
            written(tmp_path / "part")
    assert written(tmp_path / "part")
