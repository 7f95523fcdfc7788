"""What is computed between the products is what torch computes, gradients included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from alignwright.model.elementwise import apply_rotary, rms_norm, signed_sine, swiglu

ANGLE = torch.linspace(0.1, 3.0, 12).view(3, 4).repeat(1, 2)


def turned(x: Tensor) -> Tensor:
    """transformers' own rotation of two heads of eight."""
    heads = x.view(1, 3, 2, 8).transpose(1, 2)
    return apply_rotary_pos_emb(heads, heads, ANGLE.cos()[None], ANGLE.sin()[None])[0].transpose(1, 2).reshape(3, 16)


PAIRS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], list[tuple[int, ...]]]] = {
    "rms_norm": (lambda x, w: rms_norm(x, w, 1e-5), lambda x, w: F.rms_norm(x, (16,), w, 1e-5), [(3, 16), (16,)]),
    "swiglu": (swiglu, lambda gate, up: F.silu(gate) * up, [(3, 16), (3, 16)]),
    "rotate": (lambda x: apply_rotary(x, ANGLE.cos(), signed_sine(ANGLE.sin())), turned, [(3, 16)]),
}


@pytest.mark.parametrize("name", PAIRS)
def test_value_and_gradient_are_those_of_the_plain_operations(name: str) -> None:
    ours, plain, shapes = PAIRS[name]
    torch.manual_seed(0)
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    upstream = torch.randn(3, 16)
    torch.testing.assert_close(ours(*inputs), plain(*inputs), atol=1e-6, rtol=1e-5)
    slopes = [torch.autograd.grad((f(*inputs) * upstream).sum(), inputs) for f in (ours, plain)]
    for got, want in zip(*slopes, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_handed_in_is_changed(name: str) -> None:
    ours, _, shapes = PAIRS[name]
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    upstream, kept = torch.randn(3, 16), [x.detach().clone() for x in inputs]
    given = upstream.clone()
    torch.autograd.grad(ours(*inputs), inputs, upstream)
    assert torch.equal(upstream, given)
    assert all(torch.equal(a, b) for a, b in zip(inputs, kept, strict=True))


def test_the_check_can_fail_sines_without_their_sign() -> None:
    x = torch.randn(3, 16)
    assert (apply_rotary(x, ANGLE.cos(), ANGLE.sin()) - turned(x)).abs().max() > 1e-2


def test_half_precision_is_rounded_once() -> None:
    x, w = torch.randn(5, 64), torch.randn(64)
    exact = rms_norm(x.bfloat16().float(), w.bfloat16().float(), 1e-5)
    assert torch.equal(rms_norm(x.bfloat16(), w.bfloat16(), 1e-5), exact.bfloat16())
