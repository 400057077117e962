"""Writes shared libraries that stand in for those of GPUs where they are linked and never called."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from aiplat.errors import AiplatError, Finding
from aiplat.supply.process import run

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(@[A-Za-z0-9_.]+)?")


def write_standins(root: Path, folder: str, libraries: Mapping[str, str], work: Path) -> None:
    """Write into `folder` below `root` each library (its soname → how its functions' names begin).

    It has just the functions that the shared objects below `root` want of it. Who calls one is ended by the
    kernel: nothing may go on with an answer that nobody computed.

    Raises:
        AiplatError: nothing wants one of them any more, or it cannot be linked.
    """
    linked, symbols = _links(root)
    unwanted = sorted(set(libraries) - linked)
    if unwanted:
        problem = f"nothing links {', '.join(unwanted)} any more"
        raise AiplatError(Finding("stand_ins", problem, "take it out of the recipe"))
    for soname, prefix in libraries.items():
        wanted = {symbol for symbol in symbols if re.match(rf"({prefix})[A-Z_]", symbol)}
        _link(soname, wanted, root / folder / soname, work)


def _links(root: Path) -> tuple[set[str], set[str]]:
    """Return the sonames that shared objects below a folder need, and the symbols they have from others."""
    linked: set[str] = set()
    symbols: set[str] = set()
    for path in sorted(root.rglob("*.so*")):
        if path.is_file() and path.read_bytes()[:4] == b"\x7fELF":
            lines = run(["objdump", "-p", path], what=path.name)
            linked |= {line.split()[1] for line in lines if line.strip().startswith("NEEDED")}
            named = run(["nm", "-D", "--undefined-only", path], what=path.name)
            symbols |= {line.split()[-1] for line in named if line.strip()}
    return linked, {symbol for symbol in symbols if _NAME.fullmatch(symbol)}


def _link(soname: str, symbols: Collection[str], target: Path, work: Path) -> None:
    source, script = work / "standin.s", work / "standin.map"
    versions: defaultdict[str, list[str]] = defaultdict(list)
    lines = ['.section .note.GNU-stack,"",@progbits', ".text"]
    for symbol in sorted(symbols):
        name, _, version = symbol.partition("@")
        versions[version].append(name)
        lines += [f'.globl "{name}"', f'.type "{name}",@function', f'"{name}": ud2']
    source.write_text("\n".join(lines) + "\n")
    versions.pop("", None)
    script.write_text(
        "".join(f"{v} {{ global: {' '.join(f'{n};' for n in names)} }};\n" for v, names in versions.items())
    )
    options = ["-shared", "-nostdlib", f"-Wl,-soname,{soname}", "-Wl,--build-id=none"]
    options += [f"-Wl,--version-script={script}"] if versions else []
    run(["gcc", *options, "-o", target, source], what=f"stand-in for {soname}")
