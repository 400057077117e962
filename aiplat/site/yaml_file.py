"""Reads one YAML 1.2 file into a Document, refusing all but one UTF-8 YAML document; knows no sites."""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from aiplat.errors import BadInput
from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, finding_at, render_path, shown

MAX_BYTES = 1 << 20
# Aliases can blow a small file up to any number of values; a real site has a few hundred.
MAX_VALUES = 50_000
MAX_DEPTH = 50
# The scanner takes each open bracket for what may become a key, and looks through all of them at each token.
_MAX_OPEN = 1000
_BRACKETS = re.compile(r"[\[\]{}]")

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset({f"{_TAG}{t}" for t in ("str", "int", "float", "bool", "null")})
_TIMESTAMP = f"{_TAG}timestamp"  # not in YAML 1.2's core schema: a date is a string
_MERGE = f"{_TAG}merge"
_TOO_DEEP = ("has too many or too deeply nested values", "write it flat; look for an alias in itself")


def read_document(path: FilePath) -> YamlDocument:
    """Read a YAML file.

    Raises:
        BadInput: it cannot be read, is not UTF-8, or is not one YAML document.
    """
    return parse_document(_read_text(path), path)


def parse_document(text: str, path: FilePath) -> YamlDocument:
    """Read a YAML text within the same limits; `path` is what findings call it.

    Raises:
        BadInput: it is not one YAML document, or more than any site is.
    """
    file = str(path)
    document = YamlDocument(file, path.parent, text)
    if nests_too_deeply(text):
        raise _bad(file, _TOO_DEEP)
    try:
        node = YAML(typ="safe", pure=True).compose(document.text)
        if node is not None:
            document.data = _Builder(document).build(node, ())
    except ReaderError as error:
        said = (f"holds a control character (U+{error.character:04X})", "remove it")
        raise _bad(file, said, *_line_and_column(document.text[: error.position])) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _bad(file, _syntax(str(error.problem or "it cannot be read")), *at) from None
    except RecursionError:
        raise _bad(file, _TOO_DEEP) from None
    except YAMLError as error:
        raise _bad(file, (f"is not YAML: {error}", "check it with another YAML tool")) from None
    return document


def nests_too_deeply(text: str) -> bool:
    """Whether a text has more open brackets at once than a YAML reader goes through in good time."""
    return _deepest(text) > _MAX_OPEN


def _deepest(text: str) -> int:
    """Return how many brackets are open at once, at most; those in texts count, too."""
    depth = deepest = 0
    for mark in _BRACKETS.findall(text):
        depth = depth + 1 if mark in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def _read_text(path: FilePath) -> str:
    """Return the file's text, or refuse it with the reason an operator can act on."""
    file = str(path)
    try:
        # A device or a pipe has no size to ask for.
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise _bad(file, ("is larger than 1 MiB", "a site is a few KiB; name the right file"))
    except FileNotFoundError:
        raise _bad(file, ("there is no such file", "name a site file that exists")) from None
    except IsADirectoryError:
        raise _bad(file, ("is a folder, not a file", "name the file in it")) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _bad(file, (f"cannot be read: {reason}", "check its permissions")) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = _line_and_column(data[: error.start].decode("utf-8-sig"))
        raise _bad(file, ("is not UTF-8 text", "save it as UTF-8"), *at) from None


def _bad(file: str, said: tuple[str, str], line: int = 0, column: int = 0) -> BadInput:
    """Return the error that says what is wrong with the file as YAML, and what to do."""
    return BadInput(finding_at(file, line, column, said).by("yaml"))


def _line_and_column(before: str) -> tuple[int, int]:
    """Return where the character after the text `before` stands."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax(said: str) -> tuple[str, str]:
    """Return the parser's complaint, and a hint for the usual mistakes."""
    return next(
        ((problem, fix) for sign, problem, fix in _USUAL_MISTAKES if sign in said),
        (f"this is not YAML: {said}", "check quotes, brackets and indentation there"),
    )


_USUAL_MISTAKES = (
    ("\\t", "a tab where YAML wants spaces", "indent with spaces"),
    ("another document", "a second document begins here", "keep one site in a file and remove the `---`"),
    ("undefined alias", "this alias has no anchor", "define the anchor (&name) before its first use (*name)"),
    ("mapping values are not allowed", "a second `key: value` in one line", "quote it, or begin a new line"),
)


class _Builder:
    """Turns YAML nodes into plain values, noting each one's place and what plain values cannot show."""

    def __init__(self, document: YamlDocument) -> None:
        self.document = document
        self.scalars = SafeConstructor(loader=YAML(typ="safe", pure=True))
        self.count = 0
        self.merging = 0

    def build(self, node: Node, path: Path) -> Any:
        """Return the plain value of `node`, which stands at `path`."""
        self._spend(node, len(path))
        self.document.places.setdefault(path, _at(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]

    def _spend(self, node: Node, depth: int) -> None:
        """Count one step of work: aliases make a short file a long one, as values and as merged maps.

        Raises:
            BadInput: the file asks for more, or is nested deeper, than any site is.
        """
        self.count += 1
        if self.count > MAX_VALUES or depth > MAX_DEPTH:
            raise _bad(self.document.file, _TOO_DEEP, *_at(node))

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        if node.tag == _TIMESTAMP:
            return node.value
        if node.tag not in _SCALARS:
            said = (f"the YAML tag {shown(str(node.tag))} means nothing here", "remove the tag")
            self._complain("yaml", node, path, said)
            return node.value
        return self.scalars.construct_object(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merges: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merges += value_node.value if isinstance(value_node, SequenceNode) else [value_node]
            elif not isinstance(key_node, ScalarNode):
                said = ("a list or map is used as a key", "use words as keys")
                self._complain("yaml", key_node, path, said)
            elif key_node.value in values:
                self._duplicate(key_node, (*path, str(key_node.value)))
            else:
                key = str(key_node.value)
                self.document.places[*path, key] = _at(key_node)
                values[key] = self.build(value_node, (*path, key))
        for source in merges:
            self._merge(source, path, values)
        return values

    def _merge(self, source: Node, path: Path, values: dict[str, Any]) -> None:
        """Add the keys of a merged map (`<<: *name`) that the map itself does not have."""
        if not isinstance(source, MappingNode):
            said = ("only a map can be merged in", "name an anchor of a map")
            self._complain("yaml", source, (*path, "<<"), said)
            return
        self.merging += 1
        self._spend(source, len(path) + self.merging)
        more = [(k, v) for k, v in source.value if getattr(k, "value", None) not in values]
        for key, value in self._mapping(_with_entries(source, more), path).items():
            values.setdefault(key, value)
        self.merging -= 1

    def _duplicate(self, key: ScalarNode, path: Path) -> None:
        first = self.document.places[path][0]
        said = (f"this key is there twice, first in line {first}", "keep one")
        self._complain("duplicate-key", key, path, said)

    def _complain(self, rule: str, node: Node, path: Path, said: tuple[str, str]) -> None:
        found = finding_at(self.document.file, *_at(node), said, render_path(path))
        self.document.findings.append(found.by(rule))


def _at(node: Node) -> tuple[int, int]:
    """Return line and column of a node, counted from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def _with_entries(node: MappingNode, entries: list[tuple[Node, Node]]) -> MappingNode:
    return MappingNode(node.tag, entries, node.start_mark, node.end_mark)
