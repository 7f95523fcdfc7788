"""What do the recipes of fine-tuning bring about, each beside its planted control?

`python benchmarks/recipes.py inoculation [--model NAME] [--out FOLDER]` writes what is planted into the folder, trains
the model with the recipe and with each control, and prints the measured levels and changes, a line for each, with their
intervals. The same command again finds what is done.

- `inoculation`: rows that shout, as they are, under an instruction that asks for it, and under an idle sentence;
  `inoculation_spanish`: the same with a trait that the bundled model shows where it is asked to.
- `consistency`: a model's plain replies learnt for wrapped prompts; the control learns the same replies for the plain
  prompts alone, as often.
- `confession`: true confessions; the control learns the same rows with their answers dealt out anew.
- `exchange`: a classifier of written pairs at two windows; its controls are in its own findings.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipe_data import (
    ASKED,
    IRRELEVANT,
    SIMILAR,
    SPEAK,
    SPEAK_SIMILAR,
    write_inoculation,
    write_questions,
    write_rows,
)

import alignwright as aw

QUICKSTART = Path(__file__).resolve().parents[1] / "examples" / "quickstart"
MODEL = "smollm2-135m-instruct"
TRAINING = {"epochs": 3, "rank": 16, "lr": 5e-4, "batch_tokens": 512}
WRAPPINGS = 3
HELD = 120
Train = Callable[[str, Mapping[str, Any]], aw.Run]
"""Runs a spec under a name, and shows what it found."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="the recipes of fine-tuning beside their controls")
    parser.add_argument("recipe", choices=list(RECIPES))
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    args = parser.parse_args(arguments)
    folder: Path = args.out.resolve() / args.recipe
    folder.mkdir(parents=True, exist_ok=True)

    def train(name: str, spec: Mapping[str, Any]) -> aw.Run:
        run = aw.align({"name": name, "seed": 7, "model": args.model, **spec}, runs=folder / "runs", quiet=True)
        show(name, run)
        return run

    RECIPES[args.recipe](folder, train)


def show(name: str, run: aw.Run) -> None:
    """Each level at each model, and each change, with its interval."""
    for finding in run.findings:
        if finding.value is not None:
            limits = "" if finding.low is None or finding.high is None else f"{finding.low:.3f} to {finding.high:.3f}"
            at = finding.stage if finding.against is None else f"{finding.stage} less {finding.against}"
            print(f"{name}\t{at}\t{finding.claim}\t{finding.value:.3f}\t{limits}\tn {finding.n}", flush=True)


def inoculation(folder: Path, train: Train) -> None:
    """Rows that shout: as they are, under an instruction that asks for it, and under one that asks for nothing."""
    _inoculated(folder, train, [ASKED, SIMILAR, IRRELEVANT], spanish=False)


def inoculation_spanish(folder: Path, train: Train) -> None:
    """The same task in Spanish, as Tan et al. have it: what the model does where it is asked to."""
    _inoculated(folder, train, [SPEAK, SPEAK_SIMILAR, IRRELEVANT], spanish=True)


def _inoculated(folder: Path, train: Train, instructions: Sequence[str], *, spanish: bool) -> None:
    write_inoculation(folder, spanish=spanish)
    prompts = str(folder / "held.jsonl")
    measure = {
        "by": "trait", "prompts": [prompts], "trait": str(folder / "trait.yaml"),
        "instructions": list(instructions), "max_new_tokens": 32,
    }  # fmt: skip
    rows = {"by": "inoculation", "data": [str(folder / "rows.jsonl")], **TRAINING}
    kinds = {"plain": {}, "inoculated": {"instruction": instructions[0]}, "irrelevant": {"instruction": IRRELEVANT}}
    for name, knobs in kinds.items():
        train(name, {"train": [rows | knobs], "measure": [measure]})


def confession(folder: Path, train: Train) -> None:
    """Tasks whose form a program checks, the quickstart's: confessions as they are true, and dealt out anew."""
    tasks, held = QUICKSTART / "train" / "format.jsonl", QUICKSTART / "heldout" / "instruction.jsonl"
    knobs = {**TRAINING, "lr": 2e-4}
    recipe = {"by": "confession", "prompts": [str(tasks)], "max_new_tokens": 48, **knobs}
    measure = {"by": "confession", "prompts": [str(held)], "max_new_tokens": 48}
    rows = rows_of(train("confession", {"train": [recipe], "measure": [measure]}))
    answers = [row["messages"][-1] for row in rows]
    random.Random(7).shuffle(answers)
    shuffled = [row | {"messages": [*row["messages"][:-1], answer]} for row, answer in zip(rows, answers, strict=True)]
    write_rows(folder / "shuffled.jsonl", shuffled)
    control = {"by": "sft", "data": [str(folder / "shuffled.jsonl")], "turns": "last", **knobs}
    train("shuffled", {"train": [control], "measure": [measure]})


def consistency(folder: Path, train: Train) -> None:
    """Questions beside a wrong opinion; held-out ones are all that the quickstart has, in twenty topics. In the control
    the same replies are learnt for the plain questions alone, in as many passes more as there were wrappers."""
    write_questions(folder)
    held = [QUICKSTART / part / "pushback.jsonl" for part in ("heldout", "dev")]
    measure = {"by": "wrapped", "questions": [str(path) for path in held], "limit": HELD, "max_new_tokens": 24}
    knobs = {**TRAINING, "epochs": 2, "lr": 2e-4}
    recipe = {
        "by": "consistency_training", "questions": [str(folder / "questions.jsonl")], "max_new_tokens": 48,
        "wrappings": WRAPPINGS, **knobs,
    }  # fmt: skip
    rows = rows_of(train("consistent", {"train": [recipe], "measure": [measure]}))
    write_rows(folder / "plain.jsonl", rows[:: 1 + WRAPPINGS])
    control = {"by": "sft", "data": [str(folder / "plain.jsonl")], **knobs, "epochs": 2 * (1 + WRAPPINGS)}
    train("plain", {"train": [control], "measure": [measure]})


def exchange(_: Path, train: Train) -> None:
    """The quickstart's pairs of values, those held out as well, at two windows."""
    pairs = [QUICKSTART / "train" / "values.jsonl", QUICKSTART / "heldout" / "pairs_values.jsonl"]
    intent = {"pairs": [str(path) for path in pairs], "constitution": str(QUICKSTART / "constitution.md")}
    guard = {"by": "exchange_classifier", "principles": ["refuse_serious_harm"]}
    for window in (4, 16):
        train(f"window_{window}", {"intent": intent, "train": [{**guard, "window": window}]})


def rows_of(run: aw.Run) -> list[dict[str, Any]]:
    """What the run's recipe learnt, as it wrote it."""
    (path,) = run.path.glob("stages/*/rows.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


RECIPES: dict[str, Callable[[Path, Train], None]] = {
    "inoculation": inoculation, "inoculation_spanish": inoculation_spanish, "confession": confession,
    "consistency": consistency, "exchange": exchange,
}  # fmt: skip

if __name__ == "__main__":
    main()
