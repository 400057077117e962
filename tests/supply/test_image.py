"""What is laid out for an image has the same modes for everybody who builds it."""

from __future__ import annotations

from pathlib import Path

from aiplat.supply.image import _plain_modes


def test_files_of_a_checkout_have_plain_modes_and_those_of_packages_stay(tmp_path: Path) -> None:
    """What may be run by its owner may be run by all, as in Git; a package's own modes mean something."""
    made = {
        "files/run": 0o700,
        "files/etc/settings": 0o600,
        "sources/a.py": 0o664,
        "debian/etc/shadow": 0o640,
    }
    for name, mode in made.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch()
        path.chmod(mode)
    (tmp_path / "files/link").symlink_to("/nowhere")
    _plain_modes(tmp_path)
    assert {
        name: oct((tmp_path / name).stat().st_mode & 0o777) for name in (*made, "files/etc", "debian")
    } == {
        "files/run": "0o755",
        "files/etc/settings": "0o644",
        "sources/a.py": "0o644",
        "debian/etc/shadow": "0o640",
        "files/etc": "0o755",
        "debian": "0o755",
    }
