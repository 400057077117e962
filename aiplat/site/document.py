"""Reads one YAML 1.2 file into plain values that remember their lines; what they must mean is in aiplat.site.rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from aiplat.errors import BadInput
from aiplat.site.findings import Path, SiteFinding, render_path, shown

MAX_BYTES = 1 << 20
# Aliases can blow a small file up to any number of values; a real site has a few hundred.
MAX_VALUES = 50_000
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset({f"{_TAG}{t}" for t in ("str", "int", "float", "bool", "null")})
_TIMESTAMP = f"{_TAG}timestamp"  # not in YAML 1.2's core schema: a date is a string
_MERGE = f"{_TAG}merge"


@dataclass
class Document:
    """The values of one file, where each stands, and what was wrong with the YAML itself."""

    file: str
    folder: FilePath
    text: str
    data: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    findings: list[SiteFinding] = field(default_factory=list)

    def finding(self, path: Path, problem: str, fix: str = "") -> SiteFinding:
        """Return a finding at `path`; a path that is not in the file gets its nearest parent's line."""
        at = path
        while at and at not in self.places:
            at = at[:-1]
        line, _ = self.places.get(at, (1, 1))
        name = render_path(path)
        where = f"{self.file}:{line}" + (f": {name}" if name else "")
        return SiteFinding(where, problem, fix, file=self.file, path=name, line=line)

    def at(self, *path: str | int) -> Any:
        """Return the value at `path`, or None where nothing (or nothing of that shape) is."""
        value = self.data
        for part in path:
            if isinstance(part, str) and isinstance(value, dict):
                value = value.get(part)
            elif isinstance(part, int) and isinstance(value, list) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def maps(self, *path: str | int) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield path and value of every map in the list at `path`; anything else there is the shape's to refuse."""
        value = self.at(*path)
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, dict):
                yield (*path, index), item

    def entries(self, *path: str | int) -> Iterator[tuple[Path, Any]]:
        """Yield path and value of every entry of the map at `path`."""
        value = self.at(*path)
        for key, item in value.items() if isinstance(value, dict) else ():
            yield (*path, key), item

    def walk(self) -> Iterator[tuple[Path, Any]]:
        """Yield path and value of everything in the file, parents first."""
        pending: list[tuple[Path, Any]] = [((), self.data)]
        while pending:
            path, value = pending.pop()
            yield path, value
            children = value.items() if isinstance(value, dict) else ()
            items = enumerate(value) if isinstance(value, list) else ()
            pending.extend(reversed([((*path, k), v) for k, v in (*children, *items)]))


def read_document(path: FilePath) -> Document:
    """Read a YAML file.

    Raises:
        BadInput: it cannot be read, is no UTF-8, or is no single YAML document.
    """
    file = str(path)
    document = Document(file, path.parent, _read_text(path))
    try:
        node = YAML(typ="safe", pure=True).compose(document.text)
        if node is not None:
            document.data = _Builder(document).build(node, ())
    except ReaderError as error:
        line = document.text.count("\n", 0, error.position) + 1
        raise BadInput(_whole(file, f"a control character (U+{error.character:04X})", "remove it", line)) from None
    except MarkedYAMLError as error:
        raise BadInput(_syntax(file, error)) from None
    except (RecursionError, YAMLError):
        raise BadInput(_whole(file, "is nested too deeply to be a site", "write it flat")) from None
    return document


def _read_text(path: FilePath) -> str:
    """Return the file's text, or refuse it with the reason an operator can act on."""
    file = str(path)
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise BadInput(_whole(file, "is larger than 1 MiB", "a site file is a few kilobytes: name the right file"))
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(_whole(file, "there is no such file", "name a site file that exists")) from None
    except IsADirectoryError:
        raise BadInput(_whole(file, "is a folder, not a file", f"name the file, e.g. {path / 'site.yaml'}")) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadInput(_whole(file, f"cannot be read: {reason}", "check its permissions")) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(_whole(file, "is not UTF-8 text", "save it as UTF-8", line)) from None


def _whole(file: str, problem: str, fix: str, line: int = 0) -> SiteFinding:
    """Return a finding about the file as a whole, or about one line before it was parsed."""
    return SiteFinding(f"{file}:{line}" if line else file, problem, fix, file=file, line=line, rule="yaml")


def _syntax(file: str, error: MarkedYAMLError) -> SiteFinding:
    """Return the YAML parser's complaint with line and column, and a hint for the usual mistakes."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = (error.problem or "cannot be read").replace("'\\t'", "tab")
    fix = "check quotes, brackets and indentation there"
    if "\\t" in (error.problem or ""):
        problem, fix = "a tab where YAML wants spaces", "indent with spaces"
    elif "another document" in problem:
        problem, fix = "a second document begins here", "keep one site per file and remove the `---`"
    elif "undefined alias" in problem:
        fix = "define the anchor (&name) before its first use (*name)"
    elif "mapping values are not allowed" in problem:
        fix = "quote the value, or put the key on a line of its own"
    text = f"this is not YAML: {problem}" if not problem.startswith(("a tab", "a second")) else problem
    return SiteFinding(f"{file}:{line}:{column}", text, fix, file=file, line=line, column=column, rule="yaml")


class _Builder:
    """Turns YAML nodes into plain values and notes each one's place; finds what the values can no longer show."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.scalars = SafeConstructor(loader=YAML(typ="safe", pure=True))
        self.count = 0

    def build(self, node: Node, path: Path) -> Any:
        """Return the plain value of `node`, which stands at `path`."""
        self.count += 1
        if self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise BadInput(
                _whole(self.document.file, "has too many or too deeply nested values", "look for an alias in itself")
            )
        self.document.places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        if node.tag == _TIMESTAMP:
            return node.value
        if node.tag not in _SCALARS:
            self._complain(path, f"the YAML tag {shown(node.tag)} means nothing in a site", "remove the tag")
            return node.value
        return self.scalars.construct_object(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            if not isinstance(key_node, ScalarNode):
                self._complain(path, "a list or map is used as a key", "keys are words")
                continue
            key = str(key_node.value)
            here = (*path, key)
            line = key_node.start_mark.line + 1
            if key in values:
                first = self.document.places[here][0]
                finding = self.document.finding(here, f"this key is there twice, first in line {first}", "keep one")
                moved = SiteFinding(
                    finding.where.replace(f":{finding.line}:", f":{line}:", 1),
                    finding.problem,
                    finding.fix,
                    file=finding.file,
                    path=finding.path,
                    line=line,
                    rule="duplicate-key",
                )
                self.document.findings.append(moved)
                continue
            self.document.places[here] = (line, key_node.start_mark.column + 1)
            values[key] = self.build(value_node, here)
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                self._merge(value_node, path, values)
        return values

    def _merge(self, node: Node, path: Path, values: dict[str, Any]) -> None:
        """Add the keys of a merged map (`<<: *name`) that the map itself does not have."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                self._complain((*path, "<<"), "only a map can be merged in", "name an anchor of a map")
                continue
            shadow = _Builder(Document(self.document.file, self.document.folder, ""))
            shadow.count = self.count
            merged = shadow._mapping(source, path)
            self.count = shadow.count
            for key, value in merged.items():
                if key not in values:
                    values[key] = value
                    own = {p: at for p, at in shadow.document.places.items() if p[: len(path) + 1] == (*path, key)}
                    self.document.places.update(own)

    def _complain(self, path: Path, problem: str, fix: str) -> None:
        self.document.findings.append(self.document.finding(path, problem, fix))
