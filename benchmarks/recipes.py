"""What do the recipes of fine-tuning bring about, each beside its planted control?

`python benchmarks/recipes.py inoculation [--model NAME] [--out FOLDER]` writes what is planted into the folder, trains
the model with the recipe and with each control, and prints the measured levels, a line for each, with their intervals.
The same command again finds what is done.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipe_data import ASKED, IRRELEVANT, SIMILAR, write_inoculation

import alignwright as aw

MODEL = "smollm2-135m-instruct"
TRAINING = {"epochs": 3, "rank": 16, "lr": 5e-4, "batch_tokens": 512}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="the recipes of fine-tuning beside their controls")
    parser.add_argument("recipe", choices=list(RECIPES))
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    args = parser.parse_args(arguments)
    folder: Path = args.out.resolve() / args.recipe
    folder.mkdir(parents=True, exist_ok=True)
    for name, spec in RECIPES[args.recipe](folder).items():
        run = aw.align({"name": name, "seed": 7, "model": args.model, **spec}, runs=folder / "runs", quiet=True)
        show(name, run)


def show(name: str, run: aw.Run) -> None:
    """Each level at each model, with its interval."""
    for finding in run.findings:
        if finding.against is None and finding.value is not None:
            limits = "" if finding.low is None or finding.high is None else f"{finding.low:.3f} to {finding.high:.3f}"
            print(f"{name}\t{finding.stage}\t{finding.claim}\t{finding.value:.3f}\t{limits}\tn {finding.n}", flush=True)


def inoculation(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Rows that shout: as they are, under an instruction that asks for it, and under one that asks for nothing."""
    write_inoculation(folder)
    prompts = str(folder / "held.jsonl")
    measure = {
        "by": "trait", "prompts": [prompts], "trait": str(folder / "shouting.yaml"),
        "instructions": [ASKED, SIMILAR, IRRELEVANT], "max_new_tokens": 32,
    }  # fmt: skip
    rows = {"by": "inoculation", "data": [str(folder / "rows.jsonl")], **TRAINING}
    kinds = {"plain": {}, "inoculated": {"instruction": ASKED}, "irrelevant": {"instruction": IRRELEVANT}}
    return {name: {"train": [rows | knobs], "measure": [measure]} for name, knobs in kinds.items()}


RECIPES = {"inoculation": inoculation}

if __name__ == "__main__":
    main()
