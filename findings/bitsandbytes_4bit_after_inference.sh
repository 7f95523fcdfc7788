#!/usr/bin/env bash
# bitsandbytes 0.50.2 on a processor with AVX512-BF16: one pass under no_grad turns a 4-bit layer into one that passes no gradient, for good.
#
# Guess: Linear4bit with compute_dtype=float32 is the same function before and after it was used for inference, so a QLoRA model may be evaluated
#   and then trained (or sampled from between the steps of PPO or GRPO).
# Seen: in eval mode the first pass without a gradient repacks the weight for bfloat16 instructions. From then on, in train mode too, the layer
#   multiplies in bfloat16 although float32 was asked for (a relative error near 1/256 instead of 1e-7), and the gradient with respect to its input is
#   None: the output still says requires_grad, and the only sign is a warning of torch about a missing autograd kernel. Elsewhere, and before that
#   pass, the gradient is there.
# Why it matters: every adapter below the last quantised layer stops learning after the first evaluation, and the loss goes on being printed.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export OMP_NUM_THREADS=1
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q torch==2.13.0 bitsandbytes==0.50.2 numpy==2.4.6 2>"$tmp/pip.log" || { tail -20 "$tmp/pip.log"; exit 1; }
cd "$tmp"
venv/bin/python - 2>run.log <<'PY' || { tail -20 run.log; exit 1; }
import bitsandbytes
import torch
from bitsandbytes.nn import Linear4bit

assert bitsandbytes.__version__ == "0.50.2"
if not torch.backends.cpu.get_cpu_capability().startswith("AVX512") or not torch.cpu._is_avx512_bf16_supported():
    print("NOT SHOWN: this processor has no bfloat16 instructions (AVX512-BF16), so nothing is repacked")
    raise SystemExit
torch.manual_seed(0)
layer = Linear4bit(128, 128, bias=False, compute_dtype=torch.float32, quant_type="nf4").to("cpu")
weight = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
x = torch.randn(4, 128)


def state() -> tuple[float, bool]:
    """The relative error of the product, and whether the input gets a gradient, in train mode."""
    layer.train()
    given = x.clone().requires_grad_(True)
    out = layer(given)
    assert out.requires_grad and out.dtype == torch.float32
    out.sum().backward()
    due = x @ weight.T
    return ((out - due).abs().max() / due.abs().max()).item(), given.grad is not None


error, has_gradient = state()
print(f"before: relative error {error:.1e}, gradient of the input {'is there' if has_gradient else 'is None'}")
assert error < 1e-5 and has_gradient
layer.eval()
with torch.no_grad():
    layer(x)
error, has_gradient = state()
print(f"after one pass under no_grad: relative error {error:.1e}, gradient of the input {'is there' if has_gradient else 'is None'}")
assert error > 1e-4 and not has_gradient
print("CONFIRMED")
PY
