"""Which of the machine's package sources are Debian's own."""

from __future__ import annotations

from aiplat.supply.apt import mirrors_in

AFTER_UPDATE = """\
Release: bookworm
Component: main
Origin: Debian
Repo-URI: http://mirror.example.org/debian/

Release: bookworm-security
Component: main
Origin: Debian
Repo-URI: http://mirror.example.org/debian-security/

Release: bookworm
Component: contrib
Origin: Debian
Repo-URI: http://mirror.example.org/debian/

Release: bookworm
Component: main
Origin: Somebody
Repo-URI: http://packages.example.com/apt/

Release: bookworm-backports
Component: main
Origin: Debian
Repo-URI: http://mirror.example.org/debian/

Release: tools-bookworm
Component: main
Origin: Debian
Repo-URI: http://packages.example.com/tools/
"""


def test_only_debians_own_archives_count() -> None:
    """Other vendors, other components and backports stay out."""
    assert mirrors_in(AFTER_UPDATE, "bookworm") == [
        ("", "http://mirror.example.org/debian/"),
        ("-security", "http://mirror.example.org/debian-security/"),
    ]


def test_before_the_first_update_the_origin_is_unknown() -> None:
    """A fresh machine's sources count as they stand."""
    text = "Release: trixie\nComponent: main\nRepo-URI: http://mirror.example.org/debian/\n"
    assert mirrors_in(text, "trixie") == [("", "http://mirror.example.org/debian/")]


def test_another_release_has_no_mirror_here() -> None:
    """Without a match there is nothing, rather than a guess."""
    assert mirrors_in(AFTER_UPDATE, "forky") == []
    assert mirrors_in(AFTER_UPDATE, "") == []
