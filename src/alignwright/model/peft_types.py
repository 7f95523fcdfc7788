"""Has peft put an adapter over this model, or over this layer?

Asked without importing peft, which imports bitsandbytes where that is installed, and bitsandbytes
torch's compiler: a second of every command. Whoever put an adapter over a model has imported peft, so
where it is not imported nothing is of its classes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from peft import PeftModel
    from peft.tuners.lora import Linear, LoraLayer


def is_peft_model(model: object) -> TypeGuard[PeftModel]:
    return _is_of("peft", "PeftModel", model)


def is_lora_layer(layer: object) -> TypeGuard[LoraLayer]:
    """Any layer with a LoRA adapter over it."""
    return _is_of("peft.tuners.lora", "LoraLayer", layer)


def is_lora_linear(layer: object) -> TypeGuard[Linear]:
    """A linear layer with one."""
    return _is_of("peft.tuners.lora", "Linear", layer)


def _is_of(module: str, name: str, thing: object) -> bool:
    kind = getattr(sys.modules.get(module), name, None)  # None too while another thread is importing it
    return kind is not None and isinstance(thing, kind)
