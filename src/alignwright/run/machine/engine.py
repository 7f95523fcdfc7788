"""Which precision will training have here, and are the compiled kernels there? Torch is loaded to say so."""

from __future__ import annotations

import importlib
import sys

from alignwright.run.machine.machine_part import MachinePart


def engine() -> tuple[MachinePart, ...]:
    """The accelerator, the precision of training and the compiled kernels; one fault where torch itself does
    not load."""
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        cure = "pip install --force-reinstall torch, in a build for this machine"
        return (MachinePart(part="torch", state="fault", seen=f"does not load: {first}", cure=cure),)
    return _accelerator(torch.cuda), _precision(), _kernels()


def _accelerator(cuda: object) -> MachinePart:
    names = [cuda.get_device_name(i) for i in range(cuda.device_count())] if cuda.is_available() else []  # type: ignore[attr-defined]
    return MachinePart(part="accelerator", state="ok", seen=", ".join(names) or "none that torch sees; not needed")


def _precision() -> MachinePart:
    from alignwright.model.training_dtype import training_dtype

    dtype = training_dtype()
    why = "" if dtype == "bfloat16" else ", as bfloat16 would be emulated here"
    return MachinePart(part="precision", state="ok", seen=f"training in {dtype}{why}; findings always in float32")


def _kernels() -> MachinePart:
    from alignwright.model.kernels import why_no_kernels

    if (why := why_no_kernels()) is None:
        return MachinePart(part="kernels", state="ok", seen="compiled for this processor")
    if sys.platform != "linux":
        return MachinePart(part="kernels", state="ok", seen=f"none: {why}")
    return MachinePart(
        part="kernels",
        state="note",
        seen=f"none, so training and sampling take up to 1.5 times as long: {why}",
        cure="install a C compiler (cc), or name one in CC; the cache must be this user's alone",
    )
