"""Takes blobs into the host's store, signed ones alone if it knows signers; runs there (Python 3.9+)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import types
from pathlib import Path
from typing import Any, BinaryIO

CHUNK = 1 << 20
# What a host keeps free besides the blobs themselves.
RESERVE = 256 << 20
# Always there, so that whoever comes later, a reset above all, finds the data without the site.
RECORD = Path("/var/lib/aiplat/data.json")
# Who may sign this host's bundles, as it was told when it knew nobody, and the highest sequence it accepted.
TRUST = Path("/etc/aiplat/trust")
SIGNERS, SEQUENCE = "allowed_signers", "sequence"


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


def judge(said: dict[str, Any] | None, blobs: dict[str, int], trust: Path, source: BinaryIO) -> None:
    """Judge the bundle that blobs are from, by the list of signers that this host knows, and remember it.

    `said` has the files of the bundle and aiplat.signed as text; bundle.json follows on the stream.

    Raises:
        ValueError: the bundle is refused; the text begins with the name of why.
    """
    listed, counted = trust / SIGNERS, trust / SEQUENCE
    known = listed.read_bytes() if listed.exists() else b""
    if listed.exists() and not known:
        raise ValueError(f"cannot be verified: {listed} is empty")
    if said is None:
        if known:
            raise ValueError(f"unsigned: this host takes bundles of the signers in {listed} alone")
        return
    check = types.ModuleType("signed")
    exec(compile(said["check"], "signed", "exec"), check.__dict__)  # noqa: S102 - what aiplat itself sent
    document = read_all(source, said["document"])
    signed = check.Signed(
        document=document, **{name: base64.b64decode(text) for name, text in said["files"].items()}
    )
    takes_list = check.new_signers(known, signed.signers, signed.signers_signature)
    seen = int(counted.read_text()) if counted.exists() else 0
    statement, _ = check.judge(signed, said["site"], seen)
    check.refuse_foreign(document, blobs)
    if takes_list:
        write_private(listed, signed.signers)
    if statement["sequence"] > seen:
        write_private(counted, b"%d\n" % statement["sequence"])


def read_all(source: BinaryIO, size: int) -> bytes:
    """Return the next bytes of a stream, all of them."""
    text = source.read(size)
    if len(text) < size:
        sys.exit("the operator's side went away")
    return text


def write_private(path: Path, content: bytes) -> None:
    """Replace a file of root's alone at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    part = path.with_name(f"{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:  # noqa: PTH123
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def main() -> None:
    """Serve one request: {"paths": {…}, "blobs": {name: size}} or {"paths": {…}, "keep": [name]}.

    With blobs it may have "signed": what shows that they are of a bundle that somebody signed.
    """
    request = json.loads(sys.stdin.buffer.readline())
    paths = request["paths"]
    try:
        if "blobs" in request:
            trust = Path(os.environ.get("AIPLAT_TRUST", TRUST))
            judge(request.get("signed"), request["blobs"], trust, sys.stdin.buffer)
        if paths["data"]:
            record_data(paths, RECORD)
        store = Path(os.environ.get("AIPLAT_BLOBS", paths["blobs"]))
        (store / "sha256").mkdir(parents=True, exist_ok=True, mode=0o700)
        if "keep" in request:
            tell({"freed": keep_only(store, set(request["keep"]))})
        else:
            take(store, request["blobs"], sys.stdin.buffer)
    except ValueError as error:
        tell({"error": str(error), "fix": getattr(error, "fix", "reset the host first")})
    except OSError as error:
        where = error.filename or paths["blobs"]
        tell({"error": f"{error.strerror} at {where}", "fix": "see the host's disk"})


if __name__ == "__main__":
    main()
