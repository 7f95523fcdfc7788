"""What does a strong judge make of a weak one's labels on real preferences?

`python benchmarks/weak_to_strong.py --data hh_rlhf_harmless/test.jsonl.gz [--blocks 6 | --weak NAME] [--strong NAME]`
reads pairs at even distances from a file under ALIGNWRIGHT_DATA, and prints one JSON line for each weight of the
student's own certainty: weak, student and ceiling on the same held-out pairs, and the gap recovered.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from data_folder import data

from alignwright.core.records import Preference
from alignwright.files.sources import read_pairs
from alignwright.job.data import subsample_evenly
from alignwright.model.adapters import add_lora
from alignwright.model.first_blocks import keep_first_blocks
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.train.knobs_weak_to_strong import WeakToStrong
from alignwright.train.weak_to_strong import weak_labels, weak_to_strong

MODEL = "smollm2-135m-instruct"
RANK = 16


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="weak-to-strong on real preferences")
    parser.add_argument("--data", required=True)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--weak")
    parser.add_argument("--blocks", type=int)
    parser.add_argument("--strong", default=MODEL)
    parser.add_argument("--confidence", type=float, nargs="+", default=[0.5])
    parser.add_argument("--heldout", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--max_tokens", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    folder, name = args.data.split("/")
    rows = subsample_evenly(read_pairs(data(folder, name), bad_rows=0.01).rows, args.pairs)
    pairs = [
        Preference(prompt=row.prompt, chosen=row.replies[0].text, rejected=row.replies[1].text)
        for row in rows
        if len(row.replies) == 2
    ]
    stage = WeakToStrong(
        by="weak_to_strong",
        rank=RANK,
        epochs=args.epochs,
        batch_tokens=2048,
        max_tokens=args.max_tokens,
        heldout=args.heldout,
    )
    began = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "weak").mkdir()
        labels = weak_labels(_teacher(args), pairs, stage, seed=args.seed, folder=Path(scratch) / "weak")
        strong = _trainable(args.strong, args.seed)
        for k, confidence in enumerate(args.confidence):
            own = Path(scratch) / str(k)
            own.mkdir()
            if k:
                (own / "ceiling").symlink_to(Path(scratch) / "0" / "ceiling")  # the same, whatever the student's loss
            tried = stage.model_copy(update={"confidence": confidence})
            findings = weak_to_strong(strong, labels, tried, seed=args.seed, folder=own)
            levels = {f.claim.split(".")[1]: [_short(f.value), _short(f.low), _short(f.high)] for f in findings}
            made = {
                "data": args.data,
                "weak": args.weak or args.blocks,
                "strong": args.strong,
                "confidence": confidence,
            }
            counts = {"taught": len(labels.labelled), "tried": findings[0].n}
            more = {
                "method": findings[-1].method,
                "note": findings[0].note,
                "cpu_s": round(time.process_time() - began),
            }
            print(json.dumps(made | counts | levels | more), flush=True)


def _teacher(args: argparse.Namespace) -> LocalModel:
    weak = load(args.weak or args.strong)
    if args.weak is None:
        keep_first_blocks(weak, args.blocks or 7)
    add_lora(weak, rank=RANK, seed=args.seed)
    return weak


def _trainable(name: str, seed: int) -> LocalModel:
    policy = load(name)
    add_lora(policy, rank=RANK, seed=seed)
    return policy


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


if __name__ == "__main__":
    main()
