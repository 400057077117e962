"""The repository speaks of the project alone, in files that anyone can read anywhere."""

from __future__ import annotations

import re

import pytest

from tests.house.tree import ROOT, files, lines, text, tracked

SELF = "tests/house/test_words.py"
# Paths of one machine, and words about how the project is made rather than what it is.
FOREIGN = {
    "a path of one machine": re.compile(r"(?<![\w.])/(work|home/\w+)/[\w.]|/tmp/(team|bash_jobs)"),
    "a number of an issue": re.compile(r"\bissues? #?\d+\b", re.IGNORECASE),
    "a word about the making": re.compile(
        r"\b(this|next|previous|earlier) session\b|\bsub-?agents?\b|\b(my|the) (brief|prompt) (says|asks)\b",
        re.IGNORECASE,
    ),
    "a file outside the repository": re.compile(r"\.\./shared\b|\b(design|recipes|seed-systems)\.md\b"),
    "work that is left": re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"),
}
# Each with what to write instead: a busy engineer's words.
STILTED = {
    r"\banew\b": "again",
    r"\blest\b": "so that … not",
    r"(?<![Tt]here )\b(is|are|was|were) no (?!longer\b|more\b|one\b|room\b|place\b|other\b)\w": "is not a",
    r"\bhas its place and says\b": "is not implemented",
    r"\bgoes on\b": "continues, resumes",
    r"\bwhereof\b|\bthereof\b|\bwherein\b": "of which, of it, in which",
}
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)]*)?\)")


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_has_foreign_words(what: str) -> None:
    """Nothing in a tracked file points at one machine or at the making of the project."""
    pattern = FOREIGN[what]
    names = [name for name in tracked() if name not in (SELF, "LICENSE") and not name.endswith("go.sum")]
    assert [
        f"{n}:{number}: {line.strip()[:80]}"
        for n in names
        for number, line in lines(n)
        if pattern.search(line)
    ] == []


@pytest.mark.parametrize(
    ("what", "example"),
    [
        ("a path of one machine", "cd /work/main"),
        ("a path of one machine", "see /tmp/team/notes"),
        ("a number of an issue", "as issue 3 wants"),
        ("a word about the making", "left for the next session"),
        ("a file outside the repository", "see design.md"),
        ("work that is left", "# TODO later"),
    ],
)
def test_foreign_words_are_recognised(what: str, example: str) -> None:
    """The patterns above find what they are for."""
    assert FOREIGN[what].search(example)


@pytest.mark.parametrize("stilted", STILTED)
def test_no_file_has_stilted_words(stilted: str) -> None:
    """Texts are written in the plain words of the field; the table names what to write instead."""
    names = [name for name in tracked() if name not in (SELF, "LICENSE") and not name.endswith("go.sum")]
    assert [
        f"{n}:{number}: {line.strip()[:80]}; write {STILTED[stilted]}"
        for n in names
        for number, line in lines(n)
        if re.search(stilted, line)
    ] == []


@pytest.mark.parametrize(
    "example",
    [
        "is made anew",
        "wait, lest it fails",
        "this is no bundle",
        "it has its place and says so",
        "the run goes on",
    ],
)
def test_stilted_words_are_recognised(example: str) -> None:
    """The patterns above find what they are for."""
    assert any(re.search(stilted, example) for stilted in STILTED)


def test_every_file_is_text() -> None:
    """Whatever is binary is made by a recipe; only files that test how that is refused are not UTF-8."""
    binary = [
        n for n in tracked() if not text(n) and (ROOT / n).stat().st_size and not n.startswith("tests/")
    ]
    assert [n for n in binary if not n.endswith((".png", ".svg"))] == []


def test_links_in_documents_lead_somewhere() -> None:
    """A relative link in a document names a file of the repository."""
    dead = [
        f"{name}: {link[1]}"
        for name in files("*.md")
        for link in LINK.finditer(text(name))
        if "://" not in link[1] and not link[1].startswith("mailto:")
        if not (ROOT / name).parent.joinpath(link[1]).exists()
    ]
    assert dead == []
