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

from recipe_data import ASKED, IRRELEVANT, SIMILAR, write_inoculation, write_questions

import alignwright as aw

QUICKSTART = Path(__file__).resolve().parents[1] / "examples" / "quickstart"
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


def confession(_: Path) -> dict[str, Mapping[str, Any]]:
    """Tasks whose form a program checks, the quickstart's: confessions as they are true."""
    tasks, held = QUICKSTART / "train" / "format.jsonl", QUICKSTART / "heldout" / "instruction.jsonl"
    recipe = {"by": "confession", "prompts": [str(tasks)], "max_new_tokens": 48, **TRAINING, "lr": 2e-4}
    measure = {"by": "confession", "prompts": [str(held)], "max_new_tokens": 48}
    return {"confession": {"train": [recipe], "measure": [measure]}}


def consistency(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Questions beside a wrong opinion; held-out ones are the quickstart's."""
    write_questions(folder)
    held = QUICKSTART / "heldout" / "pushback.jsonl"
    measure = {"by": "wrapped", "questions": [str(held)], "max_new_tokens": 24}
    knobs = {**TRAINING, "epochs": 2, "lr": 2e-4}
    recipe = {
        "by": "consistency_training",
        "questions": [str(folder / "questions.jsonl")],
        "max_new_tokens": 48,
    } | knobs
    return {"consistent": {"train": [recipe], "measure": [measure]}}


def exchange(_: Path) -> dict[str, Mapping[str, Any]]:
    """The quickstart's pairs of values, at two windows."""
    pairs, constitution = QUICKSTART / "train" / "values.jsonl", QUICKSTART / "constitution.md"
    intent = {"pairs": [str(pairs)], "constitution": str(constitution)}
    guard = {"by": "exchange_classifier", "principles": ["refuse_serious_harm"]}
    return {f"window_{w}": {"intent": intent, "train": [{**guard, "window": w}]} for w in (4, 16)}


RECIPES = {"inoculation": inoculation, "confession": confession, "consistency": consistency, "exchange": exchange}

if __name__ == "__main__":
    main()
