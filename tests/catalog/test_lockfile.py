"""lock.yaml keeps what was resolved, refuses what it does not know, and says what differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.catalog.artifacts import Artifact, Blob, Lock
from aiplat.catalog.lockfile import diff_locks, read_lock, write_lock
from aiplat.errors import EXIT_BAD_INPUT, BadInput

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
OLLAMA = Artifact(
    kind="image", name="docker.io/ollama/ollama", version="1", component="ollama", hosts="all", inputs=A,
    digest=A, blobs=(Blob(digest=A, size=3), Blob(digest=B, size=4)),
)  # fmt: skip
HELM = Artifact(kind="hostfile", name="helm", version="2", component="helm", inputs=B)
LOCK = Lock(site="ward-3", supply="packages", artifacts=(OLLAMA, HELM))


def _with(artifact: Artifact, **change: object) -> Lock:
    return LOCK.model_copy(
        update={
            "artifacts": tuple(a.model_copy(update=change) if a == artifact else a for a in LOCK.artifacts)
        }
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Nothing is lost or invented on the way through the file, which only its owner reads."""
    path = tmp_path / "lock.yaml"
    write_lock(path, LOCK)
    assert read_lock(path) == LOCK
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_same_lock_is_the_same_file(tmp_path: Path) -> None:
    """Files can be compared by any tool."""
    for name in ("one", "two"):
        write_lock(tmp_path / name, LOCK)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no lock"),
        ("kind: Site\n", "this is not a lock"),
        ("- a\n", "this is not a lock"),
        (
            "kind: Lock\napiVersion: aiplat.dev/v9\n",
            "aiplat.dev/v9 is a version of locks that this aiplat does not",
        ),
        ("kind: [\n", "this is not YAML"),
        ("kind: " + "[" * 3000, "cannot be read"),
        (
            "apiVersion: aiplat.dev/v1alpha1\nkind: Lock\nsite: x\nsupply: y\n",
            "supply: input should be 'packages'",
        ),
    ],
)
def test_what_is_no_lock_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    """Missing, damaged, foreign and newer files are bad input."""
    path = tmp_path / "lock.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        read_lock(path)
    assert caught.value.exit_code == EXIT_BAD_INPUT


def test_equal_locks_have_no_difference() -> None:
    """Nothing to say where nothing differs."""
    assert diff_locks(LOCK, LOCK) == []


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (_with(HELM, version="3"), "hostfile helm changes from 2 to 3"),
        (_with(HELM, inputs=A), "hostfile helm is made again: what it is made of changed"),
        (
            _with(OLLAMA, digest=B),
            "image docker.io/ollama/ollama has other content: "
            "sha256:aaaaaaaaaaaa becomes sha256:bbbbbbbbbbbb",
        ),
        (LOCK.model_copy(update={"artifacts": (OLLAMA,)}), "hostfile helm:2 goes"),
        (LOCK.model_copy(update={"supply": "upstream"}), "the supply changes from packages to upstream"),
    ],
)
def test_each_difference_is_a_sentence(new: Lock, said: str) -> None:
    """One sentence for what differs, and none for what does not."""
    assert diff_locks(LOCK, new) == [said]


def test_what_is_new_comes() -> None:
    """An artifact that the old lock does not have comes."""
    old = LOCK.model_copy(update={"artifacts": (HELM,)})
    assert diff_locks(old, LOCK) == ["image docker.io/ollama/ollama:1 comes"]
