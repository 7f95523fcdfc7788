"""In which precision should this machine train, bfloat16 or float32?"""

from __future__ import annotations

from pathlib import Path

import torch


def training_dtype() -> str:
    """ "bfloat16" on a GPU that has it and on processors with bfloat16 matrix units, "float32"
    elsewhere, where emulation is slower."""
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    return "bfloat16" if any(f" {flag}" in flags for flag in ("amx_bf16", "avx512_bf16", "bf16")) else "float32"
