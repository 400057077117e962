"""Where the base root's packages come from: the machine's own mirrors, for another suite too."""

from __future__ import annotations

import pytest

from aiplat.lab.rootfs import debian_codename, lab_suite, mirrors_for

# As `apt-get indextargets` lists them on a machine with a company's mirror and a vendor's archive.
LISTING = """\
https://mirror.example/debian/ bookworm main
https://mirror.example/debian/ bookworm contrib
https://mirror.example/debian/ bookworm-updates main
https://mirror.example/debian-security/ bookworm-security main
https://vendor.example/apt/ nodistro main
"""


def test_the_machines_own_mirrors_serve_another_suite() -> None:
    """Only Debian's own archives are taken, each once, with the suite's name in place of the machine's."""
    assert mirrors_for("trixie", "bookworm", LISTING) == [
        ("https://mirror.example/debian/", "trixie"),
        ("https://mirror.example/debian/", "trixie-updates"),
        ("https://mirror.example/debian-security/", "trixie-security"),
    ]


def test_a_machine_that_is_not_debian_names_no_mirror() -> None:
    """Then mmdebstrap takes Debian's own archive."""
    codename = debian_codename({"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_CODENAME": "noble"})
    assert mirrors_for("bookworm", codename, "http://archive.example/ubuntu/ noble main\n") == []
    assert debian_codename({"ID": "debian", "VERSION_CODENAME": "trixie"}) == "trixie"


def test_sources_that_say_stable_count() -> None:
    """Some machines follow `stable` instead of a name."""
    assert mirrors_for("trixie", "trixie", "http://m.example/debian/ stable main\n") == [
        ("http://m.example/debian/", "trixie")
    ]


def test_the_suite_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment goes before versions.yaml."""
    monkeypatch.setenv("AIPLAT_LAB_SUITE", "trixie")
    assert lab_suite() == "trixie"
    monkeypatch.delenv("AIPLAT_LAB_SUITE")
    assert lab_suite().isalpha()
