"""A folder with a Hugging Face snapshot is judged before it becomes part of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiplat.supply.snapshots import judge_snapshot
from tests.upstreams.images import safetensors

GOOD = {
    "config.json": b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}',
    "tokenizer.json": b'{"model": {"vocab": {"auto_map": 1}}}',
    "tokenizer_config.json": b'{"name_or_path": "owner/little", "auto_map": null}',
    "model.safetensors": safetensors(),
}


def laid(folder: Path, **files: bytes | None) -> Path:
    """Return a folder with a good snapshot, and other files than it has (None: without one)."""
    for name, body in {**GOOD, **files}.items():
        if body is not None:
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_bytes(body)
    return folder


def test_weights_and_what_describes_them_are_good(tmp_path: Path) -> None:
    """A name of a repository that nobody fetches is not a finding, nor is a word in a vocabulary."""
    assert judge_snapshot("models/little", laid(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "document", "said"),
    [
        (
            "config.json",
            {"auto_map": {"AutoModel": "modeling.Little"}},
            "config.json asks for code of its own",
        ),
        ("config.json", {"text_config": {"auto_map": {"AutoModel": "m.L"}}}, "asks for code of its own"),
        (
            "tokenizer_config.json",
            {"auto_map": {"AutoTokenizer": ["t.T", None]}},
            "tokenizer_config.json asks",
        ),
        ("preprocessor_config.json", {"auto_map": {"AutoProcessor": "p.P"}}, "preprocessor_config.json asks"),
        ("config.json", {"trust_remote_code": True}, "asks to be trusted with code of its own"),
        (
            "config.json",
            {"attn_implementation": "kernels-community/flash-attn"},
            "asks for kernels-community/flash",
        ),
        ("config.json", {"use_pretrained_backbone": True}, "asks for parts to be fetched"),
        (
            "config.json",
            {"mm_vision_tower": "openai/clip-vit-large"},
            "asks for openai/clip-vit-large to be fetched",
        ),
        ("processor_config.json", {"vocab_file": "https://example.org/v"}, "asks for https://example.org/v"),
    ],
)
def test_what_a_configuration_has_run_or_fetched_is_named(
    tmp_path: Path, name: str, document: dict[str, Any], said: str
) -> None:
    """Each with the folder, the file and the key."""
    (finding,) = judge_snapshot("models/little", laid(tmp_path, **{name: json.dumps(document).encode()}))
    assert finding.where == "models/little"
    assert said in finding.problem
    assert finding.fix


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pytorch_model.bin", "may run as a program"),
        ("optimizer.PT", "may run as a program"),
        ("modeling_little.py", "is code"),
        ("kernels/fast.so", "is code"),
    ],
)
def test_files_that_run_are_named(tmp_path: Path, name: str, said: str) -> None:
    """Pickles and code, in folders too, also beside safetensors."""
    (finding,) = judge_snapshot("models/little", laid(tmp_path, **{name: b"x"}))
    assert finding.problem.startswith(name)
    assert said in finding.problem


def test_everything_is_said_at_once(tmp_path: Path) -> None:
    """No weights, no configuration, a broken file and a shard that is missing."""
    index = json.dumps({"weight_map": {"a": "model-00002-of-00002.safetensors"}}).encode()
    files = {"config.json": None, "model.safetensors": None, "generation_config.json": b"{", "x.pkl": b""}
    folder = laid(tmp_path, **files, **{"model.safetensors.index.json": index})
    said = "\n".join(f.problem for f in judge_snapshot("models/little", folder))
    wanted = ("no safetensors", "no config.json", "is not JSON", "x.pkl may run", "model-00002-of-00002")
    for words in wanted:
        assert words in said


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Whoever wrote the folder does not choose what of this machine gets into a bundle."""
    folder = tmp_path / "model"
    laid(folder)
    (folder / "tokenizer.model").symlink_to("/etc/hostname")
    (finding,) = judge_snapshot("models/little", folder)
    assert finding.problem == "tokenizer.model leads out of the folder"
