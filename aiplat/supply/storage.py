"""buildah with its images in our cache, away from those of whoever runs it; what is built is image's."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiplat.content import canonical_json, parsed_json, sha256_file
from aiplat.supply.process import run

# What buildah mounts is gone with it, however it ends.
_IN_ITS_OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private", "--")


class Storage:
    """A folder with layers and images while they are built."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._policy = folder / "policy.json"
        self._registries = folder / "registries.conf"
        self._policy.write_bytes(canonical_json({"default": [{"type": "insecureAcceptAnything"}]}))
        self._registries.touch()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Hold the storage while building; whoever comes first clears what a killed build left."""
        with (self.folder / "held").open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._clear()
            except BlockingIOError:
                pass  # another build runs; nothing may be cleared under it
            fcntl.flock(held, fcntl.LOCK_SH)
            yield

    def buildah(self, *arguments: object) -> list[str]:
        """Run buildah on this storage and return its lines.

        Raises:
            AiplatError: it failed.
        """
        options = [
            *("--root", self.folder / "root", "--runroot", self.folder / "run"),
            *("--storage-driver", "overlay", "--registries-conf", self._registries),
        ]
        return run([*_IN_ITS_OWN_MOUNTS, "buildah", *options, *arguments], what=f"buildah {arguments[0]}")

    def load(self, layout: Path) -> str:
        """Return the name of the image in an OCI layout, loaded if it was not."""
        # Named by what is in it: the same folder holds another image once that was made again.
        name = f"localhost/aiplat-base:{sha256_file(layout / 'index.json').removeprefix('sha256:')[:32]}"
        if not self.buildah("images", "--quiet", "--filter", f"reference={name}"):
            store = f"[overlay@{self.folder / 'root'}+{self.folder / 'run'}]"
            copy = [
                "copy",
                "--quiet",
                "--policy",
                self._policy,
                f"oci:{layout}",
                f"containers-storage:{store}{name}",
            ]
            run([*_IN_ITS_OWN_MOUNTS, "skopeo", *copy], what="base image")
        return name

    def _clear(self) -> None:
        listed = self.folder / "root" / "overlay-containers" / "containers.json"
        if listed.is_file() and parsed_json(listed.read_text() or "[]"):
            self.buildah("rm", "--all")
