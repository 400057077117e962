"""Which disks of a host are full, in words that say where and how much is left."""

from __future__ import annotations

from aiplat.fleet.disks import full

TABLE = """\
Filesystem     1048576-blocks  Used Available Capacity Mounted on
/dev/vda1              240000 20000    220000       9% /
/dev/vda1              240000 20000    220000       9% /
tmpfs                     500   100       400      20% /run
/dev/vdb                  900   900         0     100% /var/lib/rancher/k3s/server/db
tmpfs                     100    90        10      90% /tmp
/dev/mapper/a disk       4000  4100      -100     100% /var/log
"""


def test_a_full_disk_is_named_with_its_place_and_what_is_left() -> None:
    """Disks below 256 MiB, memory below 16 MiB, each once; reserved blocks do not count below nothing."""
    said = [str(finding) for finding in full("s1", TABLE.replace("a disk", "a-disk"))]
    assert said == [
        "s1: the disk at /var/lib/rancher/k3s/server/db is full: 0 of 900 MiB are free; "
        "make room there, then run the same command again",
        "s1: the disk at /tmp is full: 10 of 100 MiB are free; "
        "make room there, then run the same command again",
        "s1: the disk at /var/log is full: 0 of 4000 MiB are free; "
        "make room there, then run the same command again",
    ]


def test_what_is_no_table_says_nothing() -> None:
    """An answer that is not understood is not taken for a full disk."""
    assert list(full("s1", "df: /x: No such file or directory\n")) == []
