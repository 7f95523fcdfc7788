"""How does a run's model leave as the adapter that `peft` opens over its base?

Training goes on with one adapter from stage to stage, and an average is an adapter of a summed rank,
so what the last stage left gives the measured model over the start model: it is copied, with the
tokenizer and the chat template beside it. Where a spec gave a chat template, the rows of its tokens
learnt too; peft knows such rows as `trainable_token_indices`, and they are written so, as they
stand in the measured model. A run that trained all weights has no adapter, and is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignwright.experiment.experiment import model_stages
from alignwright.files.contents import json_object
from alignwright.job.ledger import Ledger, write_json, write_text
from alignwright.report import read
from alignwright.report.card import card, front_matter
from alignwright.run.export.base_model import BaseModel, base_model
from alignwright.run.export.new_folder import copy_files, new_folder, size, tokenizer_files
from alignwright.run.run_folder import model_folder, resolved_experiment

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PEFT = "base_model.model."
"""What peft puts before the name of each weight."""


def write_peft(run: Path, out: Path | None) -> tuple[Path, list[str]]:
    """Write the adapter into the folder `out`, or under the run's `export/`. Returns the folder and
    what there is to say of it.

    Raises FileNotFoundError where the run has no model, ValueError where no adapter gives it."""
    place, model = out or run / "export" / "peft", model_folder(run)
    experiment = resolved_experiment(run)
    adapter = _adapter(run, model_stages(experiment)[-1])
    base = base_model(experiment, run)
    with new_folder(place, ours=out is None) as folder:
        copy_files(tokenizer_files(model), folder)
        rows = _write(adapter, model, folder, base.name)
        write_text(folder / "README.md", _card(run, base, rows))
    lines = [f"{place}: an adapter of {size(place / WEIGHTS)} over {base.name}; its README.md shows how to open it"]
    return place, lines + [base.note] * bool(base.note)


def _adapter(run: Path, stage: str) -> Path:
    """The folder that holds what the last training stage left."""
    ledger = Ledger(run)
    if stage not in ledger.entries:
        raise FileNotFoundError(f"{run} has no stage {stage} that came to its end; resume it with alignwright align")
    folder = ledger.intact(stage) / "adapter"
    if not folder.is_dir():
        raise ValueError(
            f"{run}: {stage} trained all weights, so no adapter gives its model; export the whole model with --to"
            " hub or gguf:q8_0, or train with a 'rank' above 0"
        )
    return folder


def _write(adapter: Path, model: Path, folder: Path, base: str) -> int:
    """Write the adapter's two files; returns the rows that the base's embedding must have, 0 where it
    has them."""
    from safetensors.torch import load_file

    from alignwright.model.token_embeddings import IDS, ROWS_FILE
    from alignwright.model.weights import write_tensors

    config: dict[str, Any] = json_object(adapter / CONFIG) | {"base_model_name_or_path": base}
    tensors, size = load_file(adapter / WEIGHTS), 0
    if (adapter / ROWS_FILE).is_file():
        changes = load_file(adapter / ROWS_FILE)
        ids = [int(i) for i in changes.pop(IDS)]
        learnt, size = _token_rows(model, sorted(changes), ids)
        config["trainable_token_indices"] = {name.split(".")[-2]: ids for name in changes}
        tensors |= learnt
    write_json(folder / CONFIG, config)
    write_tensors(tensors, folder / WEIGHTS)
    return size


def _token_rows(model: Path, names: list[str], ids: list[int]) -> tuple[dict[str, Tensor], int]:
    """The rows of these tokens as they are in the measured model, by peft's names, and the rows of
    the whole matrix. peft puts them in the place of the base's own."""
    from safetensors import safe_open

    rows: dict[str, Tensor] = {}
    size, plain = 0, {name.removeprefix(_PEFT) for name in names}
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in sorted(plain & set(tensors.keys())):
                weight = tensors.get_tensor(name)
                size = weight.shape[0]
                path = name.removesuffix(".weight")
                rows[f"{_PEFT}{path}.token_adapter.trainable_tokens_delta"] = weight[ids].clone()
    if len(rows) != len(names):
        raise ValueError(
            f"{model} lacks the weights {', '.join(names)}, whose rows the run trained; run the spec again"
        )
    return rows, size


def _card(run: Path, base: BaseModel, rows: int) -> str:
    """The run's card, with what the Hub asks of an adapter and how it is opened."""
    case = read(run)
    front = front_matter(case) | {"library_name": "peft"}
    if "base_model" in front:
        front["base_model_relation"] = "adapter"
    lines = ["## How it is opened", "", "```python", *base.imports.splitlines(), ""]
    lines += base.opening.splitlines()
    if rows:
        lines += [
            f"base.resize_token_embeddings({rows}, mean_resizing=False)  # the tokens that its chat template brings"
        ]
    lines += [
        'model = PeftModel.from_pretrained(base, "this folder").eval()',
        'tokenizer = AutoTokenizer.from_pretrained("this folder")',
        "```",
        "",
        "The adapter and the base together are the model that was measured, up to rounding; over another base they are"
        " not. The numbers below are of that model.",
    ]
    return card(case, front=front, lead="\n".join(lines))
