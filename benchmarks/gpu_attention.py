"""On a GPU: is attention under block masks the dense one's, and what does it save?

    python benchmarks/gpu_attention.py              # needs CUDA
    python benchmarks/gpu_attention.py --device cpu # a rehearsal: uncompiled, forward alone, small

Rows of a prompt and its replies as `packing` lays them out, with and without a sliding window, in
float32 and bfloat16. Of each: the largest difference of outputs and gradients between FlexAttention
under `flex_mask.block_mask` and the fused kernel under the dense additive mask, the milliseconds of a
forward and backward pass, and the bytes that the masks and the passes take beside the inputs. Then a
small random Gemma 3 as transformers runs it: log-probabilities and gradients both ways. Exit 1 where
they differ by more than rounding.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from tiny import make_tokenizer

from alignwright.model import flex_mask
from alignwright.model.attention import attention
from alignwright.model.flex_mask import attend_blocks, block_mask
from alignwright.model.load import load
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import PackedBatch, pack
from alignwright.model.tokens import TokenRow

HEADS, KEYS, SIZE, REPEATS = 16, 4, 64, 10
CASES = (
    (4, 512, (256,) * 8, None),
    (2, 2048, (512,) * 8, None),
    (1, 4096, (1024,) * 8, None),
    (2, 2048, (512,) * 8, 512),
    (16, 128, (64,) * 2, None),
)
TOLERANCE = {torch.float32: 2e-4, torch.bfloat16: 4e-2}


@dataclass
class Pass:
    """What one way of attending came to."""

    out: Tensor
    grads: tuple[Tensor, ...]
    milliseconds: float
    bytes: int


def main() -> int:
    """Compare both ways on all cases; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    device = torch.device(parser.parse_args().device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("no CUDA device is here; --device cpu rehearses the comparison without times that mean anything")
        return 2
    name = torch.cuda.get_device_name() if device.type == "cuda" else "a processor (a rehearsal)"
    print(f"torch {torch.__version__} on {name}; {HEADS} heads over {KEYS} of keys, size {SIZE}\n")
    print("| rows | prompt | replies | window | dtype | out | grad | dense ms | blocks ms | dense MB | blocks MB |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    right = True
    for case in CASES if device.type == "cuda" else [(2, 90, (40, 150), None), (1, 300, (40, 40), 64)]:
        for dtype in (torch.float32, torch.bfloat16):
            right &= _case(*case, dtype=dtype, device=device)
    return 0 if _whole_model(device) and right else 1


def _case(
    rows: int, prompt: int, replies: tuple[int, ...], reach: int | None, *, dtype: torch.dtype, device: torch.device
) -> bool:
    packed = pack([TokenRow((4,) * prompt, tuple((5,) * n for n in replies))] * rows, 2, dtype=dtype).to(device)
    width = packed.input_ids_BT.shape[1]
    torch.manual_seed(0)
    inputs = [torch.randn(rows, n, width, SIZE, dtype=dtype, device=device) for n in (HEADS, KEYS, KEYS)]
    weights = torch.randn(rows, HEADS, width, SIZE, dtype=dtype, device=device)
    grad, scale = device.type == "cuda", SIZE**-0.5

    def dense(query: Tensor, key: Tensor, value: Tensor, mask: Any) -> Tensor:
        return attention(None, query, key, value, mask, scale)[0].transpose(1, 2)

    def blocks(query: Tensor, key: Tensor, value: Tensor, mask: Any) -> Tensor:
        return attend_blocks(query, key, value, mask, scale)

    one = _measured(dense, lambda: _dense_mask(packed, reach), inputs, weights, grad=grad)
    two = _measured(
        blocks, lambda: block_mask(packed.segments_BT, packed.position_ids_BT, reach), inputs, weights, grad=grad
    )
    seen = (packed.segments_BT >= 0)[:, None, :, None]  # what padding makes is never read
    out = float(((one.out - two.out).float() * seen).abs().max())
    slope = max(
        (float((a - b).float().abs().max() / b.float().abs().max()) for a, b in zip(two.grads, one.grads, strict=True)),
        default=0.0,
    )
    print(
        f"| {rows} | {prompt} | {len(replies)} x {replies[0]} | {reach or '-'} | {str(dtype)[6:]} | {out:.1e} |"
        f" {slope:.1e} | {one.milliseconds:.2f} | {two.milliseconds:.2f} | {one.bytes / 1e6:.0f} |"
        f" {two.bytes / 1e6:.0f} |"
    )
    return out <= TOLERANCE[dtype] and slope <= TOLERANCE[dtype]


def _dense_mask(packed: PackedBatch, reach: int | None) -> Tensor:
    return packed.mask_B1TT if reach is None else packed.window_mask(reach)


def _measured(
    attend: Callable[[Tensor, Tensor, Tensor, Any], Tensor],
    make_mask: Callable[[], Any],
    inputs: list[Tensor],
    weights: Tensor,
    *,
    grad: bool,
) -> Pass:
    """One way, with the making of its mask; the first pass, which compiles, is not counted."""
    cuda = weights.is_cuda
    leaves = [t.detach().clone().requires_grad_(grad) for t in inputs]
    best = float("inf")
    out, grads = weights, tuple[Tensor, ...]()
    for repeat in range(REPEATS if cuda else 1):
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        started = time.perf_counter()
        out = attend(leaves[0], leaves[1], leaves[2], make_mask())
        grads = torch.autograd.grad(out, leaves, weights) if grad else ()
        if cuda:
            torch.cuda.synchronize()
        if repeat or not cuda:
            best = min(best, time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated() - before if cuda else 0
    return Pass(out.detach(), grads, 1000 * best, peak)


def _whole_model(device: torch.device) -> bool:
    """A model that transformers runs, its layers partly windowed: both ways through the same calls."""
    from transformers import AutoModelForCausalLM, Gemma3TextConfig

    tokenizer = make_tokenizer()
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, sliding_window=64, max_position_embeddings=2048, eos_token_id=2,
        pad_token_id=2, bos_token_id=1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        policy = load(folder, device=device.type)
    row = TokenRow(tuple(range(5, 205)), (tuple(range(20, 120)), tuple(range(60, 100))))
    found: list[list[Tensor]] = []
    for blocks in (False, True):
        policy.model.zero_grad()
        grad = device.type == "cuda"
        with mock.patch.object(flex_mask, "uses_blocks", lambda _, chosen=blocks: chosen), torch.set_grad_enabled(grad):
            logp = token_logprobs(policy.model, pack([row], 2, dtype=policy.dtype))
            if grad:
                logp.sum().backward()
        found.append([logp.detach(), *(p.grad.clone() for p in policy.model.parameters() if p.grad is not None)])
    gaps = [float((a - b).abs().max() / a.abs().max().clamp(min=1e-6)) for a, b in zip(*found, strict=True)]
    print(
        f"\na Gemma 3 of six layers, five of them windowed: log-probabilities differ by {gaps[0]:.1e} of the largest,"
    )
    print(f"gradients of {len(gaps) - 1} weights by {max(gaps[1:], default=0.0):.1e}")
    return max(gaps) < 1e-3


if __name__ == "__main__":
    sys.exit(main())
