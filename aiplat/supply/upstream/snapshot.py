"""Which files of a Hugging Face repository are a model: weights and what reads them, never code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from aiplat.content import parsed_json
from aiplat.errors import Finding

WEIGHTS = (".safetensors", ".gguf")
# Loading these runs whatever is in them.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5", ".onnx", ".ot")
CODE = (".py", ".so", ".sh", ".ipynb")
SHARDS = ".safetensors.index.json"


def chosen(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the files that the patterns name; pickles and code only where a pattern names them in full."""
    wanted = [name for name in sorted(names) if any(_matches(name, pattern) for pattern in patterns)]
    return [n for n in wanted if n in patterns or not n.endswith((*PICKLES, *CODE))]


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern names a file; one without a slash only those at the top."""
    return fnmatchcase(name, pattern) and ("/" in pattern or "/" not in name)


def objections(
    where: str, names: Sequence[str], taken: Sequence[str], patterns: Sequence[str]
) -> list[Finding]:
    """Return what is wrong with the choice of files; nothing: they are a model."""
    escaping = [name for name in taken if name.startswith("/") or ".." in PurePosixPath(name).parts]
    if escaping:
        return [Finding(where, f"names a file outside of it: {escaping[0]}", "do not use it")]
    refused = [name for name in taken if name.endswith((*PICKLES, *CODE))]
    if refused:
        problem = f"{_listed(refused)} would run as a program when it is loaded"
        return [Finding(where, problem, "take safetensors or GGUF files only")]
    weights = [name for name in taken if name.endswith(WEIGHTS)]
    if not weights:
        return [_no_weights(where, names, patterns)]
    ggufs = [name for name in weights if name.endswith(".gguf")]
    if ggufs and len(ggufs) != len(weights):
        return [Finding(where, "the files are GGUF and safetensors at once", "name one kind in `files`")]
    if len(ggufs) > 1 and not _one_split(ggufs):
        return [Finding(where, f"several models fit: {_listed(ggufs)}", "name one of them in `files`")]
    return []


def _no_weights(where: str, names: Sequence[str], patterns: Sequence[str]) -> Finding:
    there = [name for name in names if name.endswith(WEIGHTS)]
    if there:
        problem = f"no weights fit {', '.join(patterns)}; there are {_listed(there)}"
        return Finding(where, problem, "name them in `files`")
    pickles = [name for name in names if name.endswith(PICKLES)]
    if pickles:
        problem = (
            f"has its weights only as {_listed(pickles)}, which would run as a program when it is loaded"
        )
        return Finding(where, problem, "use a repository with safetensors or GGUF files")
    return Finding(where, "has no weights at all", "see the repository's name")


def missing_shards(where: str, index: bytes, taken: Iterable[str]) -> list[Finding]:
    """Return a finding if an index of shards names files that are not among those taken."""
    try:
        named = set(map(str, parsed_json(index)["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        return [Finding(where, "its index of shards cannot be read", "use another commit")]
    lacking = sorted(named - set(taken))
    if not lacking:
        return []
    return [Finding(where, f"its index names {_listed(lacking)}, which is not there", "use another commit")]


def _one_split(names: Sequence[str]) -> bool:
    """Whether GGUF files are the pieces of one: `…-00001-of-00003.gguf`."""
    heads = {PurePosixPath(name).name.rpartition("-of-")[0].rpartition("-")[0] for name in names}
    totals = {name.rpartition("-of-")[2].removesuffix(".gguf") for name in names}
    return len(heads) == 1 and all(heads) and totals == {f"{len(names):05}"}


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def listing(files: Mapping[str, tuple[str, int]]) -> list[list[str | int]]:
    """Return files (name → digest and size) as a document whose digest stands for all of them."""
    return [[name, digest, size] for name, (digest, size) in sorted(files.items())]
