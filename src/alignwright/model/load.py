"""How does a name (Hub id, folder, GGUF file) become a model that runs?

A folder, a Hub id, a GGUF file, or the bundled model: all end as a transformers folder with
safetensors, opened in float32 or bfloat16. A GGUF file is dequantised once, into a cache folder
named by the file's content; packed weights could be neither trained nor saved. The folder is
written beside its final place and renamed, so a kill, or two processes at once, never leave half a
model.

Nothing is downloaded for a folder, a GGUF file or the bundled model. Code in a model's repository
is never run, pickles never read.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

from alignwright.core.records import TODAY
from alignwright.files.chat_format import ChatFormat
from alignwright.files.model_folder import AGAIN
from alignwright.files.models import ModelError, ModelRef, resolve
from alignwright.files.quantization import Quantization, why_not_quantized
from alignwright.files.steering_folder import read_steering
from alignwright.model.activations.steering import load_steering, steer_for_good
from alignwright.model.adapters import load_adapter
from alignwright.model.attention import NAME
from alignwright.model.gguf_once import parsed_once
from alignwright.model.gguf_rope import scaled_rope
from alignwright.model.given_template import give_template
from alignwright.model.hub import hub_answers
from alignwright.model.local_model import LocalModel
from alignwright.model.progress_bars import without_progress_bars
from alignwright.model.quantization import has_quantized, loading_options, set_dtype
from alignwright.model.token_embeddings import fit_to
from alignwright.model.tokenizer import dequantised_folder, open_tokenizer, readable

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_STALE_AFTER = 24 * 3600.0


def load(
    name: str | Path,
    *,
    dtype: str = "float32",
    adapter: Path | None = None,
    device: str | None = None,
    date: str = TODAY,
    chat: ChatFormat | None = None,
    quantization: Quantization | None = None,
) -> LocalModel:
    """Open a model by name (bundled, ./folder, file.gguf, Hub id) in "float32" or "bfloat16", with
    a trained adapter if one is given. `quantization`: its linear layers are kept in so few bits.

    `date` is the day that its chat template takes for today, where it writes one; `chat` the
    template that it is given in place of its own."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is not known; use one of {', '.join(DTYPES)}")
    ref = resolve(str(name))
    if ref.kind == "server":
        raise ModelError(f"model {ref.name!r} is behind a server: its weights are not here, and cannot be opened")
    if quantization and (why := why_not_quantized()):
        raise ModelError(f"model {str(name)!r}: {why}")
    place = _place(ref)
    local_only = ref.kind != "hub" or not hub_answers(ref.name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with without_progress_bars(), readable(str(name), place):
        tokenizer = open_tokenizer(place) if isinstance(place, Path) else _hub_tokenizer(place, local_only)
        options = loading_options(quantization, device) if quantization else {}
        model, loading_info = _open(place, DTYPES["float32" if quantization else dtype], local_only, options)
        _whole(str(name), place, loading_info)
    if has_quantized(model):  # asked for here, or in the model's own configuration
        set_dtype(model, DTYPES[dtype])
    with readable(str(name), place, ours=ValueError):
        given = give_template(tokenizer, chat) if chat else None
        if given:
            fit_to(model, given)
            tokenizer = given.tokenizer
        policy = LocalModel(_record_name(ref), model.to(device), tokenizer, date=date)
        policy.template_tokens = given.token_ids if given else ()
    if ref.steering is not None:
        steer_for_good(policy, load_steering(ref.steering, policy))
        policy.steering_meta = read_steering(ref.steering).meta
    if adapter is not None:
        load_adapter(policy, adapter)
    return policy


def _open(
    place: str | Path, dtype: torch.dtype, local_only: bool, more: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    """The model with our attention; with transformers' own where it can have no other."""
    options = {
        "dtype": dtype,
        "local_files_only": local_only,
        "trust_remote_code": False,
        "use_safetensors": True,
        "output_loading_info": True,
        **more,
    }
    opening = cast("Any", AutoModelForCausalLM).from_pretrained
    try:
        return opening(place, attn_implementation=NAME, **options)
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        kind = AutoConfig.from_pretrained(place, local_files_only=local_only, trust_remote_code=False).model_type
        raise ModelError(
            f"model {str(place)!r}: transformers has no causal language model of the kind {kind!r}; use the text model"
            " that it is made of, or another"
        ) from error
    except KeyError as error:  # older families look their attention up in a table of their own
        if error.args != (NAME,):
            raise
    return opening(place, attn_implementation="eager", **options)


def _hub_tokenizer(name: str, local_only: bool) -> Any:
    return AutoTokenizer.from_pretrained(name, local_files_only=local_only, trust_remote_code=False)


def _whole(name: str, place: str | Path, loading_info: Mapping[str, Any]) -> None:
    """Weights that are not there would be random numbers, and nothing would say so."""
    missing = sorted(map(str, (*loading_info["missing_keys"], *(key[0] for key in loading_info["mismatched_keys"]))))
    if missing:
        raise ModelError(
            f"model {name!r}: the weights in {place} lack {len(missing)} that its config.json asks for, such as"
            f" {missing[0]}; {AGAIN}"
        )


def _record_name(ref: ModelRef) -> str:
    """What records call it: a folder's or file's own name, so that the same model is named alike
    on every machine."""
    if ref.steering is not None:
        return ref.steering.resolve().name
    return (
        ref.path.resolve().name.removesuffix(".gguf")
        if ref.kind in ("folder", "gguf") and ref.path is not None
        else ref.name
    )


def _place(ref: ModelRef) -> str | Path:
    """The folder or Hub id that transformers opens."""
    if ref.path is None:
        return ref.name
    return ref.path if ref.kind == "folder" else dequantised(ref.path)


def dequantised(gguf: Path) -> Path:
    """The transformers folder of a GGUF file, made in the cache when it is not there yet."""
    target = dequantised_folder(gguf)
    if target.is_dir():
        _scale(gguf, target)
        return target
    cache = target.parent
    cache.mkdir(parents=True, exist_ok=True)
    _sweep(cache)
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        _dequantise(gguf, making)
        with contextlib.suppress(OSError):  # another process was first, with the same content
            making.rename(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    if not target.is_dir():
        raise OSError(
            f"could not keep the dequantised model of {gguf} as {target}; set ALIGNWRIGHT_CACHE to a folder that can be"
            " written"
        )
    return target


def _dequantise(gguf: Path, folder: Path) -> None:
    gguf = gguf.resolve()  # a bare name would be one in the working folder, where there is a file of that name
    options: dict[str, Any] = {"gguf_file": str(gguf), "local_files_only": True, "trust_remote_code": False}
    with without_progress_bars(), readable(gguf.name, gguf), parsed_once(gguf):
        AutoTokenizer.from_pretrained(gguf.parent, **options).save_pretrained(folder)
        unpacked = GgufConfig(dequantize=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent, quantization_config=unpacked, dtype=torch.float32, **options
        )
        if hasattr(model.config, "quantization_config"):
            del (
                model.config.quantization_config
            )  # the weights are plain now, and a saved model that says otherwise does not open
        model.save_pretrained(folder)
        _scale(gguf, folder)


def _scale(gguf: Path, folder: Path) -> None:
    """Put into a folder's configuration what transformers leaves out of the file: how its rotary frequencies
    are scaled. Once for each folder; one that an earlier version made lacks it."""
    mark = folder / ".rope"
    if mark.exists():
        return
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if scaled_rope(gguf, config):
        config.save_pretrained(folder)
    with contextlib.suppress(OSError):  # a folder that cannot be written to is looked at again
        mark.touch()


def _sweep(cache: Path) -> None:
    """Remove what a killed process left a day ago."""
    for leftover in cache.glob(".making-*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _STALE_AFTER:
                shutil.rmtree(leftover, ignore_errors=True)
