"""Reads one YAML 1.2 file into a Document, refusing what is no single UTF-8 YAML document; knows no sites."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from aiplat.errors import BadInput
from aiplat.site.document import Document
from aiplat.site.findings import Path, SiteFinding, place, shown

MAX_BYTES = 1 << 20
# Aliases can blow a small file up to any number of values; a real site has a few hundred.
MAX_VALUES = 50_000
MAX_DEPTH = 50

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset({f"{_TAG}{t}" for t in ("str", "int", "float", "bool", "null")})
_TIMESTAMP = f"{_TAG}timestamp"  # not in YAML 1.2's core schema: a date is a string
_MERGE = f"{_TAG}merge"
_TOO_DEEP = ("has too many or too deeply nested values", "write it flat; look for an alias in itself")


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
        problem = f"holds a control character (U+{ord(error.character):04X})"
        raise BadInput(_whole(file, problem, "remove it", line)) from None
    except MarkedYAMLError as error:
        raise BadInput(_syntax(file, error)) from None
    except RecursionError:
        raise BadInput(_whole(file, *_TOO_DEEP)) from None
    except YAMLError as error:
        raise BadInput(_whole(file, f"is not YAML: {error}", "check it with another YAML tool")) from None
    return document


def _read_text(path: FilePath) -> str:
    """Return the file's text, or refuse it with the reason an operator can act on."""
    file = str(path)
    try:
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise BadInput(_whole(file, "is larger than 1 MiB", "a site is a few KiB; name the right file"))
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(_whole(file, "there is no such file", "name a site file that exists")) from None
    except IsADirectoryError:
        raise BadInput(_whole(file, "is a folder, not a file", "name the file in it")) from None
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
    return SiteFinding(place(file, line), problem, fix, file=file, line=line, rule="yaml")


def _syntax(file: str, error: MarkedYAMLError) -> SiteFinding:
    """Return the YAML parser's complaint with line and column, and a hint for the usual mistakes."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    said = str(error.problem or "cannot be read")
    problem, fix = next(
        ((problem, fix) for sign, problem, fix in _USUAL_MISTAKES if sign in said),
        (f"this is not YAML: {said}", "check quotes, brackets and indentation there"),
    )
    where = place(file, line, column)
    return SiteFinding(where, problem, fix, file=file, line=line, column=column, rule="yaml")


_USUAL_MISTAKES = (
    ("\\t", "a tab where YAML wants spaces", "indent with spaces"),
    ("another document", "a second document begins here", "keep one site in a file and remove the `---`"),
    ("undefined alias", "this alias has no anchor", "define the anchor (&name) before its first use (*name)"),
    ("mapping values are not allowed", "a second `key: value` in one line", "quote it, or begin a new line"),
)


class _Builder:
    """Turns YAML nodes into plain values, noting each one's place and what plain values cannot show."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.scalars = SafeConstructor(loader=YAML(typ="safe", pure=True))
        self.count = 0

    def build(self, node: Node, path: Path) -> Any:
        """Return the plain value of `node`, which stands at `path`."""
        self.count += 1
        if self.count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise BadInput(_whole(self.document.file, *_TOO_DEEP))
        self.document.places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        if node.tag == _TIMESTAMP:
            return node.value
        if node.tag not in _SCALARS:
            self._complain(path, f"the YAML tag {shown(str(node.tag))} means nothing here", "remove the tag")
            return node.value
        return self.scalars.construct_object(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merges: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merges += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
            elif not isinstance(key_node, ScalarNode):
                self._complain(path, "a list or map is used as a key", "use words as keys")
            elif key_node.value in values:
                self._duplicate(key_node, path)
            else:
                key, mark = str(key_node.value), key_node.start_mark
                self.document.places[*path, key] = (mark.line + 1, mark.column + 1)
                values[key] = self.build(value_node, (*path, key))
        for source in merges:
            self._merge(source, path, values)
        return values

    def _merge(self, source: Node, path: Path, values: dict[str, Any]) -> None:
        """Add the keys of a merged map (`<<: *name`) that the map itself does not have."""
        if not isinstance(source, MappingNode):
            self._complain((*path, "<<"), "only a map can be merged in", "name an anchor of a map")
            return
        more = [(k, v) for k, v in source.value if getattr(k, "value", None) not in values]
        for key, value in self._mapping(_with_entries(source, more), path).items():
            values.setdefault(key, value)

    def _duplicate(self, key: ScalarNode, path: Path) -> None:
        here = (*path, str(key.value))
        problem = f"this key is there twice, first in line {self.document.places[here][0]}"
        found = self.document.finding(here, problem, "keep one", line=key.start_mark.line + 1)
        self.document.findings.append(found.by("duplicate-key"))

    def _complain(self, path: Path, problem: str, fix: str) -> None:
        self.document.findings.append(self.document.finding(path, problem, fix).by("yaml"))


def _with_entries(node: MappingNode, entries: list[tuple[Node, Node]]) -> MappingNode:
    return MappingNode(node.tag, entries, node.start_mark, node.end_mark)
