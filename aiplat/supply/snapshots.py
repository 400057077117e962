"""Judges a Hugging Face snapshot in a folder: safetensors alone, and nothing that has code run or fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiplat.content import parsed_json
from aiplat.errors import Finding
from aiplat.supply.upstream.snapshot import CODE, PICKLES, SHARDS, missing_shards

_MOST_BYTES = 32 << 20
_FIX = "take the key out if the engine knows the model without it, or use another model"
# Keys by which a configuration has code of the model's own run, whatever their value.
_CODE_KEYS = {"auto_map": "code of its own", "custom_pipelines": "a pipeline of its own"}
# Keys whose value, where it is `owner/name`, is a repository that is fetched when the model is loaded.
_FETCHED_KEYS = (
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
    "mm_vision_tower",
    "vision_tower",
    "mm_audio_tower",
    "audio_tower",
    "speech_encoder",
    "text_encoder_name",
    "custom_generate",
)
# Of these what a key says is a part of a text, not a wish.
_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json")
_PRETRAINED = ("use_pretrained_backbone", "use_kernels")


def judge_snapshot(where: str, folder: Path) -> list[Finding]:
    """Return everything that keeps a folder from being served as it is; empty: an engine needs nothing else.

    `where` is how people know the folder. Nothing of it is run; a link that leads out of it is a finding.
    """
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir() or p.is_symlink())
    inside = [name for name in names if (folder / name).resolve().is_relative_to(folder.resolve())]
    findings = [
        Finding(where, f"{name} leads out of the folder", "put the file itself there")
        for name in names
        if name not in inside
    ]
    findings += _kinds(where, inside)
    return findings + document_findings(where, folder, inside)


def document_findings(where: str, folder: Path, names: list[str]) -> list[Finding]:
    """Return what the JSON files among `names` ask to be run or fetched, and shards that are not there."""
    documents = [n for n in names if n.endswith(".json") and n.rpartition("/")[2] not in _VOCABULARIES]
    return [found for name in documents for found in _document(where, folder / name, name, names)]


def config_findings(where: str, name: str, body: bytes) -> list[Finding]:
    """Return what a snapshot's JSON file asks to be run, or to be fetched when the model is loaded."""
    if name.rpartition("/")[2] in _VOCABULARIES:
        return []
    try:
        document = parsed_json(body)
    except (ValueError, RecursionError):
        return [Finding(where, f"{name} is not JSON", "take the model's files from their source again")]
    asked = dict.fromkeys(_asked(document)) if isinstance(document, dict) else {}
    return [Finding(where, f"{name} {what}", _FIX) for what in asked]


def _kinds(where: str, names: list[str]) -> Iterator[Finding]:
    """Yield what is wrong with the files by their names alone."""
    for name in names:
        if name.lower().endswith(PICKLES):
            problem = f"{name} may run as a program when it is loaded"
            yield Finding(where, problem, "convert the weights to safetensors and remove it")
        elif name.lower().endswith(CODE):
            yield Finding(
                where, f"{name} is code", "remove it, if the model's engine knows the model by itself"
            )
    if not any(name.endswith(".safetensors") for name in names):
        yield Finding(where, "has no safetensors file", "convert the weights to safetensors")
    if not {"config.json", "adapter_config.json"} & set(names):
        yield Finding(
            where, "has no config.json", "take the whole folder of the model, not its weights alone"
        )


def _document(where: str, path: Path, name: str, names: list[str]) -> list[Finding]:
    if path.stat().st_size > _MOST_BYTES:
        return [Finding(where, f"{name} is larger than a configuration can be", "see what it is")]
    body = path.read_bytes()
    if name.endswith(SHARDS):
        return missing_shards(where, body, names)
    return config_findings(where, name, body)


def _asked(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a configuration asks for, also in the configurations of its parts."""
    for key, value in document.items():
        if key in _CODE_KEYS and value:
            yield f"asks for {_CODE_KEYS[key]} to be run (`{key}`)"
        elif key == "trust_remote_code" and value:
            yield "asks to be trusted with code of its own (`trust_remote_code`)"
        elif key in _PRETRAINED and value is True:
            yield f"asks for parts to be fetched when it is loaded (`{key}`)"
        elif isinstance(value, str) and _is_fetched(key, value):
            yield f"asks for {value} to be fetched when it is loaded (`{key}`)"
        elif isinstance(value, dict):
            yield from _asked(value)


def _is_fetched(key: str, value: str) -> bool:
    if value.startswith(("http://", "https://", "hf://", "s3://")):
        # Addresses that people read are not fetched; those of files are.
        return key.endswith(("_file", "_files", "_path", "_url", "url", "_repo", "_config"))
    return key in _FETCHED_KEYS and "/" in value
