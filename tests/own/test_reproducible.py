"""A lock built twice gives one digest, on another day, in another place, for another user."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from aiplat.shipped import shipped
from tests.own.worlds import gguf_bytes, laid, ward

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "reproduce-a-bundle.md"
# What a second machine has otherwise: clock, zone, umask, language, order of sets, state and cache folders.
BUILD = """
import datetime, json, os, sys, time
days, umask, state, site_file = sys.argv[1:]
ahead, now = int(days) * 86400, time.time
time.time = lambda: now() + ahead
class Later(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=ahead)
datetime.datetime = Later
os.umask(int(umask, 8))
from pathlib import Path
from aiplat.bundle.build import build_bundle
from aiplat.catalog.resolve import resolve
from aiplat.content import sha256_file
from aiplat.site.load import load_site
from aiplat.supply.choose import supply_for
site = load_site(Path(site_file))
lock = resolve(site)
lock = lock.model_copy(update={"artifacts": (*lock.of("chart"), *lock.of("model"))})
bundle = build_bundle(site, lock, supply_for(site, lock), lambda *_: None)
digests = {artifact.label: artifact.digest for artifact in bundle.lock.artifacts}
print(json.dumps({"bundle": sha256_file(bundle.path / "bundle.json"), "artifacts": digests}))
"""


def exceptions() -> list[str]:
    """Return what the page lists as different from build to build: beginnings of `kind name`."""
    return re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE)


def built(tmp_path: Path, name: str, days: int, umask: str, **environment: str) -> dict[str, dict[str, str]]:
    """Return the digests of a bundle made in a place of its own."""
    place = {"AIPLAT_STATE": str(tmp_path / name / "state"), "XDG_CACHE_HOME": str(tmp_path / name / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(days), umask, name, str(tmp_path / "site.yaml")],
        env={**os.environ, **place, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, dict[str, str]] = json.loads(done.stdout)
    return document


def test_two_builds_of_a_lock_give_one_digest(tmp_path: Path) -> None:
    """All charts of a site and a model of its own with its card; what differs would stand on the page."""
    model = laid(tmp_path / "m", **{"notes.gguf": gguf_bytes(), "README.md": b"# Notes\n"})
    ward(tmp_path, {"from": "./m"})
    first = built(tmp_path, "a", 0, "022", TZ="UTC", LC_ALL="C", PYTHONHASHSEED="1")
    os.utime(model / "notes.gguf", (0, 0))
    second = built(tmp_path, "b", 40, "077", TZ="Asia/Tokyo", LC_ALL="C.UTF-8", PYTHONHASHSEED="2")
    assert len(first["artifacts"]) > 1
    differing = [n for n, digest in first["artifacts"].items() if second["artifacts"][n] != digest]
    assert [n for n in differing if not n.startswith(tuple(exceptions()))] == []
    assert first["bundle"] == second["bundle"]


def test_every_exception_has_its_reason_and_is_there() -> None:
    """The page names artifacts that the catalogue has, and why each differs."""
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert [row for row in rows if len(row[1]) < 20] == []
    shipped_text = "\n".join(path.read_text() for path in shipped("charts").rglob("component.yaml"))
    shipped_text += "\n".join(path.read_text() for path in shipped("charts").rglob("models/*.yaml"))
    assert [name for name, _ in rows if name.partition(" ")[2] not in shipped_text] == []
