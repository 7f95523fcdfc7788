"""How do norms, rotary positions, SwiGLU and attention over the KV cache cost one pass over memory
each? By C kernels, compiled at first use.

Some hundred lines of C beside this file are compiled in seconds when a model first runs on a
processor, for the very processor, and kept in the user's cache. A token generated in 8 rows takes
1.4 times as long without them, a training step 1.1 times: torch makes a dozen operations of a norm,
a rotation or an attention over a cache, each a call and a pass. `kernels.c` holds what stands
between the matrix products, `matmul.c` these (see `matmul`), `shared_prompt_attention.c` attention
with its gradient (see `shared_prompt_attention`).

`kernels(x)` is None where they cannot be had: on a GPU, in another precision, on another system
than Linux, without a C compiler (`cc`, or what CC names), without a cache to write to, or with
ALIGNWRIGHT_KERNELS=off. Every caller has torch's operations beside them, with the same numbers up
to rounding; tests compare the two. `why_no_kernels` says why, and a run's provenance and first
lines repeat it.

The threads are torch's own: the compiled file is bound to the OpenMP library that torch has loaded,
never to a second one.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_SOURCE = Path(__file__).with_suffix(".c")
_SOURCES = [
    _SOURCE,
    *(_SOURCE.with_name(name) for name in ("matmul.c", "shared_prompt_attention.c")),
]  # the first includes the others
_FLAGS = (
    "-O3", "-march=native", "-std=gnu11", "-fPIC", "-fopenmp",
    "-fno-math-errno", "-fno-trapping-math", "-fassociative-math", "-fno-signed-zeros",
)  # fmt: skip
_PRECISION = {torch.bfloat16: ("bfloat16", ("-DBFLOAT16",)), torch.float32: ("float32", ())}
_P, _L, _F = ctypes.c_void_p, ctypes.c_long, ctypes.c_float
_ARGUMENTS: dict[str, list[Any]] = {
    "rms_norm": [_P, _P, _P, _P, _L, _L, _F],
    "rms_norm_heads": [_P, _P, _L, _L, _L, _L, _F],
    "add_rms_norm": [_P, _P, _P, _P, _L, _L, _F],
    "rms_norm_backward": [_P, _P, _P, _P, _P, _L, _L],
    "swiglu": [_P, _P, _P, _L, _L, _L],
    "quantize_q8_0": [_P, _P, _P, _L],
    "swiglu_backward": [_P, _P, _P, _P, _P, _L, _L],
    "apply_rotary": [_P, _P, _P, _P, _L, _L, _L, _F],
    "masked_softmax": [_P, _P, _L, _L, _L, _L],
    "softmax_backward": [_P, _P, _L, _L],
    "unnormalised_probs": [_P, _P, _P, _P, _L, _L, _F],
    "label_logprob": [_P, _P, _P, _P, _L, _L, ctypes.c_int],
    "matmul": [_P, _P, _P, _L, _L, _L],
    "matmul_swiglu": [_P, _P, _P, _P, _L, _L, _L],
    "matmul_sum": [_P, _L, _P, _L, _L],
    "pack_weight": [_P, _P, _L, _L],
    "pack_weight_transposed": [_P, _P, _L, _L],
    "outer": [_P, _P, _P, _L, _L, _L, _L],
    "attend": [_P, _P, _P, _P, _P, _P, _P, _L, _L, _L, _L, _L],
    "attend_backward": [_P, _P, _P, _P, _P, _P, _P, _P, _P, _P, _L, _L, _L, _L, _L],
    "attend_branches": [_P, _P, _P, _P, _P, _P, _P, _P, _L, _L, _L, _L, _L],
    "attend_paths": [_P, _P, _P, _P, _P, _P, _L, _L, _L, _L, _L],
    "attend_kv_cache": [_P, _P, _P, _P, _P, _P, _P, _L, _L, _L, _L, _L, _L, _F],
}


class Kernels:
    """The functions of `kernels.c` in one precision. Tensors must be contiguous, as each
    function says, and of that precision."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.rms_norm = _call(library, "rms_norm")
        self.rms_norm_heads = _call(library, "rms_norm_heads")
        self.add_rms_norm = _call(library, "add_rms_norm")
        self.rms_norm_backward = _call(library, "rms_norm_backward")
        self.swiglu = _call(library, "swiglu")
        self.quantize_q8_0 = _call(library, "quantize_q8_0")
        self.swiglu_backward = _call(library, "swiglu_backward")
        self.apply_rotary = _call(library, "apply_rotary")
        self.masked_softmax = _call(library, "masked_softmax")
        self.softmax_backward = _call(library, "softmax_backward")
        self.unnormalised_probs = _call(library, "unnormalised_probs")
        self.label_logprob = _call(library, "label_logprob")
        self.attend_kv_cache = _call(library, "attend_kv_cache")
        self.has_matmul = hasattr(library, "matmul")  # not every processor: see `matmul`
        if self.has_matmul:
            self.matmul = _call(library, "matmul")
            self.matmul_swiglu = _call(library, "matmul_swiglu")
            self.matmul_sum = _call(library, "matmul_sum")
            self.pack_weight = _call(library, "pack_weight")
            self.pack_weight_transposed = _call(library, "pack_weight_transposed")
            self.outer = _call(library, "outer")
            self.attend = _call(library, "attend")
            self.attend_backward = _call(library, "attend_backward")
            self.attend_branches = _call(library, "attend_branches")
            self.attend_paths = _call(library, "attend_paths")
            self.vector_width = int(library.vector_width())


def kernels(x: Tensor, *others: Tensor) -> Kernels | None:
    """The kernels for these tensors' place and common precision, or None: then torch's
    operations do it."""
    if x.device.type != "cpu" or x.dtype not in _PRECISION or any(other.dtype != x.dtype for other in others):
        return None
    binary = _compiled_kernels(x.dtype)
    return binary if isinstance(binary, Kernels) else None


def why_no_kernels() -> str | None:
    """Why there are no kernels on this machine; None where there are."""
    binary = _compiled_kernels(torch.float32)
    return binary if isinstance(binary, str) else None


def _call(library: ctypes.CDLL, name: str) -> Callable[..., None]:
    function = getattr(library, name)
    function.argtypes, function.restype = [*_ARGUMENTS[name], ctypes.c_int], None

    def run(*arguments: Any) -> None:
        function(*[a.data_ptr() if isinstance(a, Tensor) else a for a in arguments], torch.get_num_threads())

    return run


@functools.cache
def _compiled_kernels(dtype: torch.dtype) -> Kernels | str:
    """Compile, or take from the cache; why not, where that is not possible."""
    compiler_name = os.environ.get("CC", "cc")
    compiler, threads = shutil.which(compiler_name), _openmp()
    if os.environ.get("ALIGNWRIGHT_KERNELS") == "off":
        return "ALIGNWRIGHT_KERNELS is off"
    if sys.platform != "linux":
        return "they are made on Linux alone"
    if compiler is None:
        return f"there is no C compiler {compiler_name!r}; install one, or name one in CC"
    if threads is None:
        return "torch is not built on GNU's OpenMP"
    name, flags = _PRECISION[dtype]
    try:
        binary = _folder() / f"{name}-{_key(compiler)}.so"
        if not binary.exists():
            _compile(compiler, flags, binary)
        ctypes.CDLL(threads, mode=ctypes.RTLD_GLOBAL)
        return Kernels(ctypes.CDLL(str(binary)))
    except subprocess.CalledProcessError as error:
        return (
            f"{compiler_name} could not compile {_SOURCE.name}: {error.stderr.decode(errors='replace').strip()[:300]}"
        )
    except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
        return str(error)


def _compile(compiler: str, flags: tuple[str, ...], binary: Path) -> None:
    """Compiled aside and moved, so that no other process sees half a file. Not linked to OpenMP:
    that is torch's, loaded already."""
    with tempfile.TemporaryDirectory(dir=binary.parent) as aside:
        half, whole = Path(aside) / "kernels.o", Path(aside) / "kernels.so"
        for command in (
            [*_FLAGS, *flags, "-c", str(_SOURCE), "-o", str(half)],
            ["-shared", str(half), "-lm", "-o", str(whole)],
        ):
            subprocess.run([compiler, *command], check=True, capture_output=True, timeout=120)  # noqa: S603
        whole.replace(binary)


def _key(compiler: str) -> str:
    """What the compiled file depends on: the source, the compiler, and the processor, since a
    home may be shared between machines."""
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True, timeout=60).stdout  # noqa: S603
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    features = "".join(
        sorted({line for line in info.splitlines() if line.startswith(("flags", "Features", "model name"))})
    )
    parts = (
        *(source.read_bytes() for source in _SOURCES),
        version,
        " ".join(_FLAGS).encode(),
        features.encode(),
        platform.machine().encode(),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _folder() -> Path:
    """The cache, which must be this user's alone: what lies there is run."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alignwright" / "kernels"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = folder.stat()
    if state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise PermissionError(
            f"{folder} can be written by others, and what lies there is run; take that right away, or name another"
            " XDG_CACHE_HOME"
        )
    return folder


def _openmp() -> str | None:
    """The file of GNU's OpenMP library that is loaded already."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text(encoding="utf-8").splitlines() if maps.exists() else []
    return next((line[line.index("/") :] for line in lines if "libgomp" in line), None)
