"""Writes a Hugging Face snapshot of random weights: `python random_model.py llama|lora FOLDER`.

A Llama of two layers and a tokenizer of bytes, or a LoRA adapter of it. It answers nonsense, and always the
same: it shows that an engine serves, not what a model can do.
"""

from __future__ import annotations

import json
import random
import struct
import sys
from array import array
from pathlib import Path
from typing import Any

Shape = tuple[int, ...]

LAYERS, WIDTH, INNER, HEADS, KEY_HEADS, HEAD = 2, 128, 512, 4, 2, 32
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")
VOCABULARY, CONTEXT, RANK = 1024, 2048, 8
# Calls of tools are written as Hermes has them.
TEMPLATE = (
    "{% if tools %}<|im_start|>system\n"
    "{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_names() -> list[str]:
    """Return the characters that byte-level tokenizers write bytes as."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def tokenizer() -> dict[str, Any]:
    """Return a byte-level tokenizer without merges; tokens beyond the bytes are words that nobody types."""
    names = [*SPECIAL, *byte_names()]
    names += [f"<|unused{number}|>" for number in range(VOCABULARY - len(names))]
    added = [
        {"id": number, "content": name, "special": number < 3, "single_word": False, "lstrip": False}
        | {"rstrip": False, "normalized": False}
        for number, name in enumerate(SPECIAL)
    ]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "vocab": {name: number for number, name in enumerate(names)},
            "merges": [],
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
        },
    }


def projections() -> dict[str, Shape]:
    """Return the shape of every linear layer of a block, by its name."""
    keys = KEY_HEADS * HEAD
    return {
        "self_attn.q_proj": (HEADS * HEAD, WIDTH),
        "self_attn.k_proj": (keys, WIDTH),
        "self_attn.v_proj": (keys, WIDTH),
        "self_attn.o_proj": (WIDTH, HEADS * HEAD),
        "mlp.gate_proj": (INNER, WIDTH),
        "mlp.up_proj": (INNER, WIDTH),
        "mlp.down_proj": (WIDTH, INNER),
    }


def llama() -> dict[str, Shape]:
    """Return the shapes of the model's tensors."""
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (VOCABULARY, WIDTH)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        shapes |= {f"{at}.{name}.weight": shape for name, shape in projections().items()}
        shapes |= {
            f"{at}.{name}.weight": (WIDTH,) for name in ("input_layernorm", "post_attention_layernorm")
        }
    return shapes | {"model.norm.weight": (WIDTH,), "lm_head.weight": (VOCABULARY, WIDTH)}


def lora() -> dict[str, Shape]:
    """Return the shapes of an adapter's tensors, for queries and values."""
    shapes: dict[str, Shape] = {}
    for layer in range(LAYERS):
        for name in ("self_attn.q_proj", "self_attn.v_proj"):
            rows, columns = projections()[name]
            at = f"base_model.model.model.layers.{layer}.{name}"
            shapes |= {f"{at}.lora_A.weight": (RANK, columns), f"{at}.lora_B.weight": (rows, RANK)}
    return shapes


def safetensors(shapes: dict[str, Shape], seed: int, spread: float) -> bytes:
    """Return tensors of random numbers in safetensors' format, norms of ones."""
    source, body, header = random.Random(seed), bytearray(), {}  # noqa: S311 - not a secret
    for name, shape in sorted(shapes.items()):
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        values = [1.0] * count if len(shape) == 1 else [source.gauss(0, spread) for _ in range(count)]
        start = len(body)
        body += array("f", values).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(body)]}
    head = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(head)) + head + body


def model_files() -> dict[str, Any]:
    """Return the files of the model: documents, and bytes of the weights."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float32",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "head_dim": HEAD,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-05,
        "vocab_size": VOCABULARY,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[2],
        "chat_template": TEMPLATE,
    }
    return {
        "config.json": config,
        "generation_config.json": {"bos_token_id": 0, "eos_token_id": 2},
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": told,
        "model.safetensors": safetensors(llama(), seed=1, spread=0.2),
    }


def adapter_files() -> dict[str, Any]:
    """Return the files of an adapter that changes what the model says."""
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "random-llama",
        "r": RANK,
        "lora_alpha": 4 * RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj", "v_proj"],
    }
    return {
        "adapter_config.json": config,
        "adapter_model.safetensors": safetensors(lora(), seed=2, spread=0.5),
    }


def main() -> None:
    """Write the files of a kind into a folder."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"llama": model_files, "lora": adapter_files}[kind]().items():
        data = content if isinstance(content, bytes) else json.dumps(content, indent=1).encode()
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
