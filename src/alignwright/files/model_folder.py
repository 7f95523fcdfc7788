"""Is this folder a whole model (config.json, safetensors headers), as far as its files tell without
being loaded?

The configuration is JSON of the right form and fits the weights; each safetensors file is as long
as its header says, and every tensor lies within it. What a cut download, a Git LFS pointer or an
edited number would do later (a library's panic, a loop over 2^70 layers, a model with a random
layer) is told here, with the file and what to do. Values that only a model can judge are left to
whoever opens it.
"""

from __future__ import annotations

import json
import re
from math import prod
from pathlib import Path
from typing import Any, cast

HEADER = 100 * 2**20
"""Bytes of a safetensors header; the format allows no more."""
SIZES = (
    *(
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
    ),
    *("max_position_embeddings", "n_embd", "n_layer", "n_head", "n_positions", "sliding_window"),
)
BY_LAYER = ("intermediate_size", "num_attention_heads", "num_key_value_heads")
"""Sizes that may be a list, one for each layer."""
LARGEST = 2**31
BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}
AGAIN = "the file is damaged: fetch it again"
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


def trouble(folder: Path) -> str | None:
    """What is wrong with a model's files, with the file and the cure; None where nothing is seen."""
    for name in ("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if not path.exists():
            continue
        if isinstance(content := json_object(path), str):
            return content
        if odd := _no_token(content, path):
            return odd
    config = json_object(folder / "config.json")
    shapes: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        shapes_or_error = tensors(path)
        if isinstance(shapes_or_error, str):
            return shapes_or_error
        shapes |= shapes_or_error
    assert isinstance(config, dict)
    return _odd(config, folder / "config.json") or _unlike(config, shapes, folder)


def json_object(path: Path) -> dict[str, Any] | str:
    """A JSON file that holds an object; else what is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror}); a model folder holds it as a file"
    if data.startswith(b"version https://git-lfs"):
        return f"{path}: this is a Git LFS pointer and not the file: run 'git lfs pull' in its repository"
    try:
        value: object = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); {AGAIN}"
    except (ValueError, RecursionError) as error:
        return f"{path}: not JSON ({error}); {AGAIN}"
    if not isinstance(value, dict):
        return f"{path}: should be a JSON object, saw {type(value).__name__}; {AGAIN}"
    return cast("dict[str, Any]", value)


def architectures(config: dict[str, Any]) -> list[str]:
    """The classes that a configuration names; none where it names them in no list."""
    kinds = config.get("architectures")
    return [str(kind) for kind in cast("list[object]", kinds)] if isinstance(kinds, list) else []


def tensors(path: Path) -> dict[str, list[int]] | str:
    """The shape of every tensor in a safetensors file, from its header; else what is wrong with it."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
            length = int.from_bytes(head, "little")
            if head == b"version ":
                return f"{path}: this is a Git LFS pointer and not the file: run 'git lfs pull' in its repository"
            if len(head) < 8 or length > min(size - 8, HEADER):
                return f"{path}: not a safetensors file, or cut short ({size} bytes); {AGAIN}"
            header: object = json.loads(file.read(length).decode("utf-8"))
    except OSError as error:
        return f"{path}: cannot be read ({error.strerror}); a model folder holds it as a file"
    except (ValueError, RecursionError) as error:
        return f"{path}: not a safetensors file, its header is no JSON ({error}); {AGAIN}"
    if not isinstance(header, dict):
        return f"{path}: not a safetensors file, its header is no JSON object; {AGAIN}"
    shapes: dict[str, list[int]] = {}
    end = 0
    for name, tensor in cast("dict[str, object]", header).items():
        if name == "__metadata__":
            continue
        shape, last = _tensor(tensor)
        if shape is None:
            return f"{path}: the header's entry of {name!r} fits no tensor; {AGAIN}"
        shapes[name], end = shape, max(end, last)
    if 8 + length + end != size:
        return f"{path}: {size} bytes, and its header tells of {8 + length + end}; {AGAIN}"
    return shapes


def _tensor(entry: object) -> tuple[list[int] | None, int]:
    """The shape of an entry and where its bytes end; None where dtype, shape and bytes do not go
    together."""
    if not isinstance(entry, dict):
        return None, 0
    fields = cast("dict[str, Any]", entry)
    shape, offsets, bits = (
        _numbers(fields.get("shape")),
        _numbers(fields.get("data_offsets")),
        BITS.get(str(fields.get("dtype"))),
    )
    if shape is None or offsets is None or len(offsets) != 2 or not bits:
        return None, 0
    first, last = offsets
    return (shape, last) if 8 * (last - first) == prod(shape) * bits else (None, 0)


def _numbers(value: Any) -> list[int] | None:
    """A list of whole numbers, none below 0."""
    if not isinstance(value, list) or not all(
        type(number) is int and number >= 0 for number in cast("list[object]", value)
    ):
        return None
    return cast("list[int]", value)


def _odd(config: dict[str, Any], path: Path) -> str | None:
    """A size that is none."""
    if not isinstance(config.get("model_type"), str) or not config["model_type"]:
        return f"{path}: 'model_type' should be a name such as \"llama\", saw {config.get('model_type')!r}; {AGAIN}"
    kinds = config.get("architectures")
    if kinds is not None and not (
        isinstance(kinds, list) and all(isinstance(kind, str) for kind in cast("list[object]", kinds))
    ):
        return f"{path}: 'architectures' should be a list of names, saw {kinds!r}; {AGAIN}"
    for name in SIZES:
        value = config.get(name)
        listed = isinstance(value, list) and name in BY_LAYER
        several = cast("list[object]", value if listed else [value])
        least = 0 if name == "sliding_window" else 1  # 0 is written for a window that is switched off
        if value is not None and not all(type(each) is int and least <= each < LARGEST for each in several):
            return f"{path}: {name!r} should be a whole number above 0, saw {value!r}; {AGAIN}"
    return None


def _no_token(config: dict[str, Any], path: Path) -> str | None:
    """A number of a token, or a length, that is none."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        value = config.get(name)
        several = cast("list[object]", value) if isinstance(value, list) else [value]
        if not all(each is None or (type(each) is int and -1 <= each < LARGEST) for each in several):
            return f"{path}: {name!r} should be the number of a token, saw {value!r}; {AGAIN}"
    length = config.get("model_max_length")
    if length is not None and (isinstance(length, bool) or not isinstance(length, int | float)):
        return f"{path}: 'model_max_length' should be a number of tokens, saw {length!r}; {AGAIN}"
    return None


def _unlike(config: dict[str, Any], shapes: dict[str, list[int]], folder: Path) -> str | None:
    """A configuration of another model than the weights are of."""
    numbers = {int(match[1]) for name in shapes if (match := _LAYER.search(name))}
    layers = config.get("num_hidden_layers", config.get("n_layer"))
    predicts = any(
        "nextn" in name or "mtp" in name for name in config
    )  # weights of further layers, which only speed sampling up
    if layers is not None and numbers and (layers > max(numbers) + 1 or (layers < max(numbers) + 1 and not predicts)):
        return (
            f"{folder / 'config.json'}: says {layers} layers, and the weights beside it have {max(numbers) + 1}; fetch"
            " the whole folder again"
        )
    return None
