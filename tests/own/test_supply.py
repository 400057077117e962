"""Both supplies make the image that the engine mounts of a model's own files."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from aiplat.actions.lock import pinned
from aiplat.catalog.artifacts import Artifact
from aiplat.catalog.resolve import resolve
from aiplat.errors import AiplatError
from aiplat.site.models import Site
from aiplat.supply.choose import supply_for
from aiplat.supply.contract import Supplied
from aiplat.supply.oci import blob_path, read_json
from tests.own.worlds import gguf_bytes, laid, snapshot, ward
from tests.supply.worlds import silent


def files_of(supplied: Supplied) -> dict[str, bytes]:
    """Return the files of an image by name."""
    document = read_json(supplied.folder, str(supplied.artifact.digest))
    found = {}
    for layer in document["layers"]:
        with tarfile.open(blob_path(supplied.folder, layer["digest"])) as tar:
            for member in tar:
                if stream := tar.extractfile(member):
                    found[member.name] = stream.read()
    return found


def supplied(site: Site) -> Supplied:
    """Return the site's one model as the site's supply makes it."""
    lock = resolve(site)
    model = lock.model_copy(update={"artifacts": lock.of("model")})
    supply = supply_for(site, model)
    supply.check(model.artifacts)
    return supply.supply(model.artifacts[0], silent)


@pytest.mark.parametrize("supply", ["packages", "upstream"])
def test_a_gguf_is_mounted_as_the_engine_wants_it(tmp_path: Path, supply: str) -> None:
    """The image's one file is `model.gguf`, byte for byte, and is made of it once."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes(), "README.md": b"# Notes"})
    site = ward(tmp_path, {"from": "./m"}, supply=supply)
    first = supplied(site)
    assert files_of(first) == {"model.gguf": gguf_bytes()}
    assert supplied(site) == first
    assert first.artifact.own


@pytest.mark.parametrize("supply", ["packages", "upstream"])
def test_a_snapshot_is_mounted_as_the_engine_wants_it(tmp_path: Path, supply: str) -> None:
    """Weights and what reads them keep their names; pictures, notes and hidden files stay outside."""
    more = {
        "model.png": b"picture",
        "README.md": b"# Notes",
        ".cache/x.json": {},
        "1_Pooling/config.json": {},
    }
    snapshot(tmp_path / "m", **more)
    made = supplied(ward(tmp_path, {"from": "./m", "engine": "vllm"}, supply=supply))
    names = {"config.json", "tokenizer_config.json", "model.safetensors", "1_Pooling/config.json"}
    assert set(files_of(made)) == names


def test_code_that_a_configuration_asks_for_is_refused(tmp_path: Path) -> None:
    """A folder of the site's own is judged as a snapshot of the hub is."""
    snapshot(tmp_path / "m", **{"generation_config.json": {"custom_generate": "owner/repo"}})
    with pytest.raises(AiplatError, match="asks for owner/repo to be fetched when it is loaded"):
        supplied(ward(tmp_path, {"from": "./m", "engine": "vllm"}))


def test_files_that_changed_since_the_lock_are_refused(tmp_path: Path) -> None:
    """What the bundle holds is what the lock has pinned, or nothing."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes()})
    site = ward(tmp_path, {"from": "./m"})
    lock = resolve(site)
    (artifact,) = lock.of("model")
    (tmp_path / "m" / "notes.gguf").write_bytes(gguf_bytes("{{ other }}"))
    with pytest.raises(AiplatError, match="its files changed since the lock was made"):
        supply_for(site, lock).supply(artifact, silent)


def test_upstream_pins_it_by_its_files(tmp_path: Path) -> None:
    """A site that fetches everything else has its own model in the lock with digest, folder and bytes."""
    laid(tmp_path / "m", **{"notes.gguf": gguf_bytes()})
    site = ward(tmp_path, {"from": "./m"}, supply="upstream")
    lock = resolve(site)
    models = lock.model_copy(update={"artifacts": lock.of("model")})
    supply = supply_for(site, models)
    artifact: Artifact = supply.pin(models.artifacts[0], silent)  # type: ignore[attr-defined]
    assert artifact.own
    assert (artifact.pinned, artifact.download) == (artifact.own.digest, artifact.own.size)
    assert artifact.source == str(tmp_path / "m")
    assert pinned(site, models.model_copy(update={"artifacts": (artifact,)}), silent).artifacts == (artifact,)
