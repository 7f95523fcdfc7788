"""How do we run a language model here, and read its probabilities?

Torch starts in this package. `load` opens a model, `LocalModel` generates and scores, `Chat` is the
one door from text to token ids, `pack` lays out a prompt and its replies as one row,
`token_logprobs` scores them, `sample` generates over a KV cache (`decoder`), `adapters` holds LoRA.

On import glibc is told to keep freed memory, so that torch's large temporaries do not go back to
the kernel after every operation: a few per cent of a training step. Only Linux with glibc has this
call, and nothing depends on it.

And OpenMP is told to wait briefly and then to sleep (GOMP_SPINCOUNT, unless the user has said how
to wait, and only before torch is there to read it). By default its threads spin for milliseconds at
every barrier, and decoding becomes ten times slower as soon as any other process wants the same
cores; threads that sleep at once lose a fifth of the speed of an idle machine. Ten thousand turns
keep both: measured on two cores, 259 tokens a second idle (244 spinning, 207 asleep) and 106 beside
a busy process.

oneDNN keeps a compiled kernel for each shape it has met, a thousand of them by default; batches of
ever new shapes fill that with 0.5 GB within a minute. Sixty-four are enough for the layers of one
batch, at the same speed.

peft imports bitsandbytes wherever it is installed, and bitsandbytes, on a processor with bfloat16
instructions, would fetch a kernel from the Hub and run it if the package `kernels` is there. Code
of a repository is never run here, so that package is not there for whoever asks after this.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 1024 * 1024  # glibc refuses more


def keep_freed_memory() -> bool:
    """Ask glibc to serve blocks up to 32 MiB from the heap and not to give the heap back. True
    when it agreed."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return (
        mallopt is not None
        and bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD))
        and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
    )


def give_back_memory() -> None:
    """Return what was freed to the system: between two models, so that a run needs the memory of
    its largest stage and not of their sum."""
    gc.collect()
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)


if "torch" not in sys.modules:
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
keep_freed_memory()
if "bitsandbytes" not in sys.modules:
    sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # it would warn that this failed
