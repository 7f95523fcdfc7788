"""How much does a debate cost beside the same turns asked one by one, and how fast is the pixel game solved?

`python benchmarks/oversee.py [--quick] [--dtypes float32] [--questions 64] [--turns 3] [--every 16]` prints one JSON
line with `"targets": {name: [value, aim, met]}` and exits 1 where one is missed. CPU-seconds on one thread.

- `turns_DTYPE`: a debate of two speakers over so many questions (those of `examples/oversight`, each again with another
  number in its passage, until there are enough), greedy, 48 tokens an argument; only what the speakers cost, not the
  judge. Beside it every so many-th of the same prompts by transformers' `generate` with its cache, one after the
  other, times so many. At most half.
- `pixels_seconds`: the exact equilibrium of all 1,797 digits of scikit-learn with 6 pixels against every label, the
  judge's fit included: at most 30 s. Left out where scikit-learn is not installed.

`--quick`: 8 questions, one turn.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alignwright.core.protocols import ChatModel
from alignwright.core.records import Conversation
from alignwright.files.passage_items import PassageItem
from alignwright.model.load import load
from alignwright.oversee.passage_debate import Protocol, debate
from alignwright.oversee.pixel_debate import pixel_game, pixel_judge

sys.path.insert(0, str(Path(__file__).parent))
from attack import model

PASSAGES = Path(__file__).parents[1] / "examples" / "oversight" / "passages.jsonl"
TOKENS, HALF, SECONDS = 48, 0.5, 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description="debates beside a loop of generate, and the pixel game")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dtypes", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--every", type=int, default=16)
    options = parser.parse_args()
    if options.quick:
        options.questions, options.turns, options.every = 8, 1, 8
    torch.set_num_threads(1)
    result: dict[str, Any] = {"questions": options.questions, "turns": options.turns, "every": options.every}
    targets: dict[str, list[Any]] = {}
    for dtype in options.dtypes:
        result[dtype] = turns(options, dtype)
        ratio = result[dtype]["seconds"] / result[dtype]["loop_seconds"]
        targets[f"turns_{dtype}"] = [round(ratio, 3), HALF, ratio <= HALF]
    seconds = pixels()
    if seconds is not None:
        targets["pixels_seconds"] = [round(seconds, 2), SECONDS, seconds <= SECONDS]
    print(json.dumps({**result, "targets": targets}))
    return 0 if all(met for _, _, met in targets.values()) else 1


def turns(options: argparse.Namespace, dtype: str) -> dict[str, Any]:
    """What the speakers of a debate cost, and the same prompts one by one."""
    policy = load(model(), dtype=dtype)
    prompts: list[Conversation] = []
    replies: list[str] = []
    seconds = 0.0

    class Timed:
        def generate(self, texts: list[Conversation], **how: Any) -> Any:
            nonlocal seconds
            began = time.process_time()
            groups = policy.generate(texts, **how)
            seconds += time.process_time() - began
            prompts.extend(texts)
            replies.extend(group[0].text for group in groups)
            return groups

    speaker: ChatModel = Timed()  # type: ignore[assignment]
    policy.generate(
        [Conversation.user("Hello!")], n=1, max_new_tokens=2, temperature=0.0
    )  # what is packed at first use
    debate(items(options.questions), lambda _: speaker, lambda _: [], Protocol(options.turns, TOKENS))
    loop, same = one_by_one(policy, dtype, prompts[:: options.every], replies[:: options.every])
    return {
        "arguments": len(prompts), "seconds": round(seconds, 1), "loop_seconds": round(loop * options.every, 1),
        "same_replies": round(same, 3),
    }  # fmt: skip


def one_by_one(policy: Any, dtype: str, prompts: list[Conversation], replies: list[str]) -> tuple[float, float]:
    """CPU-seconds of transformers' own `generate` on these prompts, and the share of replies that are the same."""
    transformers: Any = importlib.import_module("transformers")
    peer = transformers.AutoModelForCausalLM.from_pretrained(model(), dtype=getattr(torch, dtype)).eval()
    seconds, same = 0.0, 0
    for prompt, reply in zip(prompts, replies, strict=True):
        ids = torch.tensor([policy.chat.prompt(prompt)])
        began = time.process_time()
        with torch.inference_mode():
            out = peer.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False, use_cache=True
            )
        seconds += time.process_time() - began
        same += policy.chat.decode(out[0, ids.shape[1] :].tolist()).strip() == reply.strip()
    return seconds, same / len(prompts)


def items(count: int) -> list[PassageItem]:
    """So many questions; those of a further round have another passage each."""
    rows = [json.loads(line) for line in PASSAGES.read_text(encoding="utf-8").splitlines()]
    rounds = -(-count // len(rows))
    every = [row | {"passage": f"Report {n}. {row['passage']}"} for n in range(rounds) for row in rows]
    return [PassageItem(**row) for row in every[:count]]


def pixels() -> float | None:
    """CPU-seconds of all digits' equilibrium."""
    try:
        digits: Any = importlib.import_module("sklearn.datasets")
    except ImportError:
        return None
    images, labels = digits.load_digits(return_X_y=True)
    began = time.process_time()
    images_NP, labels_N = images.astype(np.int64), labels.astype(np.int64)
    pixel_game(pixel_judge(images_NP, labels_N, 17), images_NP, labels_N, 6)
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
