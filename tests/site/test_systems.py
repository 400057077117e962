"""Which operating systems and architectures a site can name."""

from __future__ import annotations

from typing import get_args

import pytest

from aiplat.site.systems import SYSTEMS, OsName, arch_of, system_name


def test_every_name_that_is_allowed_is_described() -> None:
    """The names a site may use and the table of what they are cannot drift apart."""
    assert tuple(SYSTEMS) == get_args(OsName)


@pytest.mark.parametrize(
    ("os_id", "version", "name"),
    [
        ("debian", "12", "debian-12"),
        ("ubuntu", "24.04", "ubuntu-24.04"),
        ("rocky", "9.4", "rocky-9"),
        ("rhel", "9.6", "rhel-9"),
        ("opensuse-leap", "15.6", "opensuse-leap-15.6"),
        ("arch", "", "arch"),
        ("", "", ""),
    ],
)
def test_a_host_s_own_words_become_the_name_in_site_yaml(os_id: str, version: str, name: str) -> None:
    """Minor releases of the RHEL family are one release; what says nothing has no name."""
    assert system_name(os_id, version) == name


def test_architectures_are_known_by_what_the_kernel_calls_them() -> None:
    """A host says x86_64 or aarch64, a site amd64 or arm64."""
    assert [arch_of(machine) for machine in ("x86_64", "aarch64", "riscv64")] == ["amd64", "arm64", None]
