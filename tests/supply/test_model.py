"""What an engine's own store says of a model is the same wherever it was imported."""

from __future__ import annotations

import json
from pathlib import Path

from aiplat.supply.model import forget_places


def test_a_store_does_not_say_in_which_folder_a_model_was_imported(tmp_path: Path) -> None:
    """Ollama notes the file that a layer is from; the name of another model that it is from stays."""
    said = []
    for place in ("one", "two"):
        manifest = tmp_path / place / "manifests/registry.ollama.ai/library/tiny/1b"
        manifest.parent.mkdir(parents=True)
        weights = {"digest": "sha256:aa", "size": 5, "from": str(tmp_path / place / "blobs/sha256-aa")}
        layers = [weights, {"digest": "sha256:bb", "size": 7, "from": "library/base"}]
        manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
        forget_places(tmp_path / place)
        said.append(manifest.read_text())
    assert said[0] == said[1]
    assert json.loads(said[0])["layers"] == [
        {"digest": "sha256:aa", "size": 5},
        {"digest": "sha256:bb", "size": 7, "from": "library/base"},
    ]
