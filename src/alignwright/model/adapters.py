"""How is a model fine-tuned by LoRA adapters without losing what it was?

Low-rank adapters (LoRA, Hu et al. 2021, arXiv:2106.09685) over frozen weights, by peft: the
reference model is the same model with its adapter off. Adapters have the model's dtype; the
training loop keeps float32 masters, so nothing is lost in small steps.

Where a spec gave the model a chat template, the rows of the template's tokens learn beside the
adapter (`token_embeddings`), in a file of their own.

To sample and to measure, the adapter is merged for the while: one product a layer instead of three.
The base weights are set aside whole and put back, never subtracted back, so restoration is exact to
the bit; and what is measured is what `save` writes. In training its layers run as those of
`lora_linear`. Over a base in 4 bits nothing is merged (`quantization`). peft is imported
when the first adapter is put over a model.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from alignwright.files.models import BUNDLED, BUNDLED_FROM, HUB_ID
from alignwright.files.quantization import NO_WHOLE
from alignwright.model.limits import ADAPTERS
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.lora_linear import fuse_lora
from alignwright.model.peft_types import is_lora_layer, is_peft_model
from alignwright.model.quantization import has_quantized, is_quantized
from alignwright.model.token_embeddings import (
    ROWS_FILE,
    add_token_delta,
    delta_merged,
    delta_off,
    delta_tensors,
    drop_token_delta,
    load_delta,
)
from alignwright.model.weights import load_tensors, write_tensors

_STATE_SPACE_WEIGHTS = ("x_proj", "dt_proj", "out_proj")


def add_lora(
    policy: LoadedModel,
    *,
    rank: int,
    alpha: float | None = None,
    targets: str | Sequence[str] = "all-linear",
    seed: int,
) -> None:
    """Freeze the model and put a trainable adapter over it that changes nothing yet. `alpha`
    defaults to twice the rank."""
    from peft import LoraConfig, get_peft_model

    _no_adapter(policy)
    if rank < 1:
        raise ValueError(f"a LoRA rank must be at least 1, not {rank}")
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha if alpha is not None else 2 * rank,  # type: ignore[arg-type]
        target_modules=targets if isinstance(targets, str) else list(targets),
        exclude_modules=_read_as_weights(policy.model) or None,
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    free, dtype = [parameter.requires_grad for parameter in policy.model.parameters()], policy.dtype
    with torch.random.fork_rng(devices=[]), _peft():
        torch.manual_seed(seed)
        model = get_peft_model(policy.model, config, autocast_adapter_dtype=False).eval()
    if why := _unfit(model):
        policy.model = model.unload()
        for parameter, requires_grad in zip(policy.model.parameters(), free, strict=True):
            parameter.requires_grad_(requires_grad)
        raise ValueError(f"an adapter of rank {rank} cannot be put over {policy.name}: {why}")
    policy.model = model
    _adapters_in(policy, dtype)
    fuse_lora(policy.model)
    if policy.template_tokens:
        add_token_delta(policy.model, policy.template_tokens)


@contextlib.contextmanager
def over_for_a_while(policy: LoadedModel, *, rank: int, seed: int) -> Iterator[None]:
    """A new trainable adapter over a plain model while this lasts; afterwards the model is what it
    was, to the bit."""
    free = [parameter.requires_grad for parameter in policy.model.parameters()]
    add_lora(policy, rank=rank, seed=seed)
    try:
        yield
    finally:
        policy.model = _adapted(policy).unload()
        drop_token_delta(policy.model)
        for parameter, requires_grad in zip(policy.model.parameters(), free, strict=True):
            parameter.requires_grad_(requires_grad)


def _adapters_in(policy: LoadedModel, dtype: torch.dtype) -> None:
    """Adapters have the model's dtype; peft gives them float32 where the weights below are in 4 bits."""
    if has_quantized(policy.model):
        for name, parameter in policy.model.named_parameters():
            if ".lora_" in name:
                parameter.data = parameter.data.to(dtype)


def _read_as_weights(model: Any) -> list[str]:
    """Linear layers that a state-space mixer's fused kernel reads as weights alone: an adapter
    beside them would not be there."""
    mixers = [
        (name, mixer)
        for name, mixer in model.named_modules()
        if hasattr(mixer, "conv1d") and {"A_log", "D"} <= dict(mixer.named_parameters(recurse=False)).keys()
    ]
    return [f"{name}.{part}" for name, mixer in mixers for part in _STATE_SPACE_WEIGHTS if hasattr(mixer, part)]


def _unfit(model: Any) -> str | None:
    """Why the adapter over this model could not be made part of its weights."""
    layers = {name: layer for name, layer in model.named_modules() if is_lora_layer(layer)}
    odd = sorted(
        {
            type(layer.get_base_layer()).__name__
            for layer in layers.values()
            if not isinstance(layer.get_base_layer(), nn.Linear)
        }
    )
    if odd:
        return f"it has layers of kind {', '.join(odd)}; {ADAPTERS}"
    owners = Counter(
        id(weight)
        for _, module in model.named_modules()
        for weight in module._parameters.values()
        if weight is not None
    )
    shared = [name for name, layer in layers.items() if owners[id(layer.get_base_layer().weight)] > 1]
    if shared:
        return (
            f"{', '.join(name.removeprefix('base_model.model.') for name in shared)} shares its weight with another"
            " layer (tied embeddings), which would be changed too; leave it out of the targets, or save the model with"
            " tie_word_embeddings: false first"
        )
    return None


def trainable_parameters(policy: LoadedModel) -> list[nn.Parameter]:
    """What training may move: the adapter where there is one, else the whole model. Raises
    ValueError where that is in 4 bits."""
    if not is_peft_model(policy.model) and has_quantized(policy.model):
        raise ValueError(f"{policy.name}: {NO_WHOLE}")
    return [parameter for parameter in policy.model.parameters() if parameter.requires_grad]


def save_adapter(policy: LoadedModel, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors, as peft reads them."""
    model = _adapted(policy)
    for config in model.peft_config.values():
        config.base_model_name_or_path = policy.name  # a name, not this machine's path
    with _peft():
        model.save_pretrained(
            str(folder), save_embedding_layers=False
        )  # otherwise peft asks the Hub about the base model
    if rows := delta_tensors(policy.model):
        write_tensors(rows, folder / ROWS_FILE)
    (folder / "README.md").write_text(
        _card(policy.name, {config.r for config in model.peft_config.values()}, rows=bool(rows)), encoding="utf-8"
    )


def _card(name: str, ranks: set[int], *, rows: bool) -> str:
    """What the adapter is, in place of peft's blank form, which would name this machine's
    folders."""
    hub = BUNDLED_FROM if name == BUNDLED else name if HUB_ID.fullmatch(name) else None
    base = f"base_model: {hub}\nbase_model_relation: adapter\n" if hub else ""
    over = f"`{name}`" + (f" (the weights of {hub} as a GGUF file holds them)" if name == BUNDLED else "")
    return (
        f"---\nlibrary_name: peft\n{base}tags:\n- alignwright\n- lora\n---\n\n# A low-rank adapter over {name}\n\nOne"
        f" training stage of an Alignwright run left it: rank {', '.join(map(str, sorted(ranks)))}, over {over}. It"
        " changes that model alone. What was promised, measured and found stands in the run's own README.md and"
        f" report.html; the adapter was not measured apart from them.\n{_ROWS if rows else ''}"
    )


_ROWS = (
    f"\nIts chat template has tokens whose embeddings were learnt, too: `{ROWS_FILE}` holds what is added to their"
    " rows, which begin as the mean of all rows where the base model lacks them. peft does not read that file; the"
    " whole model is in the run's `model/`.\n"
)


def load_adapter(policy: LoadedModel, folder: Path, trainable: bool = False) -> None:
    """Put a saved adapter over the model."""
    from peft import PeftModel

    _no_adapter(policy)
    if not (Path(folder) / "adapter_config.json").is_file():
        raise FileNotFoundError(
            f"{folder} holds no adapter_config.json, so it is not an adapter; write one with save_adapter"
        )
    dtype = policy.dtype
    with _peft():
        model = PeftModel.from_pretrained(
            policy.model, str(folder), is_trainable=trainable, autocast_adapter_dtype=False
        ).eval()
    if why := _unfit(model):
        policy.model = model.unload()
        raise ValueError(f"the adapter of {folder} cannot be put over {policy.name}: {why}")
    policy.model = model
    _adapters_in(policy, dtype)
    fuse_lora(policy.model)
    rows = Path(folder) / ROWS_FILE
    if policy.template_tokens and (trainable or rows.is_file()):
        add_token_delta(policy.model, policy.template_tokens, trainable=trainable)
    if rows.is_file():
        try:
            load_delta(policy.model, load_tensors(rows))
        except ValueError as error:
            raise ValueError(f"{rows} does not fit {policy.name}: {error}") from None


def merge(policy: LoadedModel) -> None:
    """Make the adapter part of the weights, for good. What was adapted is from now on the plain
    model. Over a base in 4 bits, where the sum has no form, the adapter stays, and is frozen."""
    model = _adapted(policy)
    if has_quantized(model):
        model.requires_grad_(False)
        return
    with merged(policy, restore=False):
        policy.model = model.unload().requires_grad_(True)
    drop_token_delta(policy.model)


@contextlib.contextmanager
def adapter_off(policy: LoadedModel) -> Iterator[None]:
    """The reference: the same model as if its adapter had never been."""
    with _adapted(policy).disable_adapter(), delta_off(policy.model):
        yield


@contextlib.contextmanager
def merged(policy: LoadedModel, *, restore: bool = True) -> Iterator[None]:
    """The adapter inside the weights while this lasts; afterwards every base weight is what it
    was, to the bit. Nothing without an adapter, and of a layer in 4 bits."""
    layers = [
        layer
        for layer in policy.model.modules()
        if is_lora_layer(layer) and not layer.disable_adapters and not is_quantized(layer.get_base_layer())
    ]
    aside: list[tuple[Any, Tensor]] = []
    try:
        for layer in layers:
            weight: Any = layer.get_base_layer().weight
            aside.append((weight, weight.data))
            weight.data = with_adapter(layer, weight)
            layer._disable_adapters = True
        with delta_merged(policy.model, restore=restore):
            yield
    finally:
        for weight, data in aside if restore else ():
            weight.data = data
        for layer in layers:
            layer._disable_adapters = False


def linear_under(layer: Any) -> nn.Linear | None:
    """The linear layer whose weight, an adapter merged into it or off, is all that this layer
    does; None of another kind of layer."""
    adapted = is_lora_layer(layer)
    base: Any = layer.get_base_layer() if adapted else layer
    sums = not adapted or layer.disable_adapters or "forward" in vars(layer)  # a variant of LoRA is no sum of weights
    return base if sums and type(base) is nn.Linear else None


def plain_weights(layer: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a layer with a `linear_under` it, as it generates: its adapter made part
    of a copy, where it has one."""
    base = linear_under(layer)
    assert base is not None
    return (
        with_adapter(layer, base.weight) if is_lora_layer(layer) and not layer.disable_adapters else base.weight
    ), base.bias


@torch.no_grad()
def with_adapter(layer: Any, weight: Tensor) -> Tensor:
    """A layer's weight with its adapter in it: W + scale * B A, summed in float32 and rounded once."""
    whole = weight.detach().float()
    if whole.data_ptr() == weight.data_ptr():
        whole = whole.clone()
    for name in layer.active_adapters:
        whole.addmm_(layer.lora_B[name].weight.float(), layer.lora_A[name].weight.float(), alpha=layer.scaling[name])
    return whole.to(weight.dtype)


@contextlib.contextmanager
def _peft() -> Iterator[None]:
    """Without the warning that peft draws from transformers by asking a deprecated question, and
    those of layers that are refused here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        warnings.filterwarnings(
            "ignore", message="(fan_in_fan_out|The following (rank|alpha)_pattern|Model has `tie_word_embeddings)"
        )
        yield


def _adapted(policy: LoadedModel) -> Any:
    if not is_peft_model(policy.model):
        raise ValueError(f"{policy.name} has no adapter; put one over it with add_lora or load_adapter")
    return policy.model


def _no_adapter(policy: LoadedModel) -> None:
    if is_peft_model(policy.model):
        raise ValueError(
            f"{policy.name} already has an adapter; make it part of the weights with merge before adding another"
        )
