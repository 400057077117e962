"""Takes blobs from its standard input into the host's store; runs on the host alone (Python 3.9+)."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

CHUNK = 1 << 20
# What a host keeps free besides the blobs themselves.
RESERVE = 256 << 20
# Always there, so that whoever comes later, a reset above all, finds the data without the site.
RECORD = Path("/var/lib/aiplat/data.json")


def tell(document: dict[str, Any]) -> None:
    """Send one JSON line to the operator's side."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def arrived_sizes(store: Path) -> dict[str, int]:
    """Return the size every blob had when it arrived, by its name."""
    try:
        lines = (store / "sizes").read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {line.split()[0]: int(line.split()[1]) for line in lines if line.count(" ") == 1}


def write_sizes(store: Path, sizes: dict[str, int]) -> None:
    """Replace the list of sizes at once."""
    part = store / "sizes.part"
    part.write_text("".join(f"{name} {size}\n" for name, size in sorted(sizes.items())))
    part.chmod(0o600)
    part.replace(store / "sizes")


def offset_of(store: Path, name: str, size: int, sizes: dict[str, int]) -> int:
    """Return how many bytes of a blob are here; only a whole, listed one counts as finished."""
    final, part = store / "sha256" / name, store / "sha256" / f"{name}.part"
    if final.exists():
        if final.stat().st_size == size == sizes.get(name):
            return size
        final.replace(part)
    if part.exists() and part.stat().st_size <= size:
        return part.stat().st_size
    part.unlink(missing_ok=True)
    return 0


def receive(store: Path, name: str, size: int, offset: int, source: BinaryIO) -> bool:
    """Take the rest of one blob; its name appears only if the whole of it has the digest it is named by."""
    part = store / "sha256" / f"{name}.part"
    digest = hashlib.sha256()
    with open(os.open(part, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as stream:  # noqa: PTH123 (sets the mode)
        while piece := stream.read(CHUNK):
            digest.update(piece)
        while offset < size:
            piece = source.read(min(CHUNK, size - offset))
            if not piece:
                sys.exit("the operator's side went away")
            stream.write(piece)
            digest.update(piece)
            offset += len(piece)
        stream.flush()
        os.fsync(stream.fileno())
    if digest.hexdigest() != name:
        part.unlink()
        return False
    part.replace(store / "sha256" / name)
    return True


def keep_only(store: Path, keep: set[str]) -> int:
    """Remove every blob and every part not in `keep`; return the bytes set free."""
    freed = 0
    for path in (store / "sha256").iterdir():
        if path.name not in keep:
            freed += path.stat().st_size
            path.unlink()
    write_sizes(store, {n: s for n, s in arrived_sizes(store).items() if n in keep})
    return freed


def record_data(paths: dict[str, str], record: Path) -> None:
    """Write down where this host's data is going to be, and which folders are made for it.

    Raises:
        ValueError: it is elsewhere already.
    """
    folder = Path(paths["data"])
    there = json.loads(record.read_text())["paths"]["data"] if record.exists() else None
    if there not in (None, str(folder)):
        raise ValueError(f"its data is in {there}")
    if there is None:
        made = [str(path) for path in (folder, *folder.parents) if not path.exists()]
        part = record.with_name(f"{record.name}.part")
        part.write_text(json.dumps({"paths": paths, "made": made}))
        part.chmod(0o600)
        part.replace(record)
        folder.mkdir(parents=True, exist_ok=True)
        if str(folder) in made:
            folder.chmod(0o711)


def take(store: Path, wanted: dict[str, int], source: BinaryIO) -> None:
    """Say how much of each blob is here, then take what is missing in that order."""
    sizes = arrived_sizes(store)
    offsets = {name: offset_of(store, name, size, sizes) for name, size in wanted.items()}
    space = os.statvfs(store)
    free, need = space.f_bavail * space.f_frsize, sum(wanted.values()) - sum(offsets.values())
    if need and need + RESERVE > free:
        tell({
            "error": f"{need >> 20} MiB must be moved to {store} and only {free >> 20} MiB are free",
            "fix": f"free {(need + RESERVE - free >> 20) + 1} MiB there",
        })  # fmt: skip
        return
    missing = {name: offset for name, offset in offsets.items() if not (store / "sha256" / name).exists()}
    tell({"missing": missing})
    for name, offset in missing.items():
        size = wanted[name]
        good = receive(store, name, size, offset, source)
        if good:
            sizes[name] = size
            write_sizes(store, sizes)
        tell({"name": name, "good": good})


def main() -> None:
    """Serve one request: {"paths": {…}, "blobs": {name: size}} or {"paths": {…}, "keep": [name]}."""
    request = json.loads(sys.stdin.buffer.readline())
    paths = request["paths"]
    try:
        if paths["data"]:
            record_data(paths, RECORD)
        store = Path(os.environ.get("AIPLAT_BLOBS", paths["blobs"]))
        (store / "sha256").mkdir(parents=True, exist_ok=True, mode=0o700)
        if "keep" in request:
            tell({"freed": keep_only(store, set(request["keep"]))})
        else:
            take(store, request["blobs"], sys.stdin.buffer)
    except ValueError as error:
        tell({"error": str(error), "fix": "reset the host first"})
    except OSError as error:
        where = error.filename or paths["blobs"]
        tell({"error": f"{error.strerror} at {where}", "fix": "see the host's disk"})


if __name__ == "__main__":
    main()
