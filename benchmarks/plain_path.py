"""How much slower than transformers' own forward and backward is a model that reads plain rows?

    python benchmarks/plain_path.py [--quick] [FAMILY ...]

A random model of a family that reads plain rows, pairs of replies to one prompt, all weights trained: the sum of the
replies' log-probabilities and its gradient, by `token_logprobs` and by transformers' own forward over the same replies,
padded on the right in one batch, with whole logits. Both in one process, turn by turn, in CPU-seconds; the ratio is of
the smallest of each. One JSON line a family; the target is at most 1.15.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model_families import FAMILIES, make
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from alignwright.model.load import load
from alignwright.model.logprob import token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow

TARGET = 1.15
FAMILIES_MEASURED = ("lfm2", "qwen3_5_text")
_SIZE = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure plain rows against transformers' own forward and backward.")
    parser.add_argument("families", nargs="*", default=FAMILIES_MEASURED, metavar="FAMILY")
    parser.add_argument("--quick", action="store_true", help="fewer rows and turns")
    given = parser.parse_args()
    for family in given.families:
        ratio = plain_path_ratio(quick=given.quick, family=family)
        print(json.dumps({"family": family, "ratio": round(ratio, 3), "target": TARGET}), flush=True)


def plain_path_ratio(quick: bool, family: str = FAMILIES_MEASURED[0]) -> float:
    """Our CPU-seconds for a batch's forward and backward, divided by transformers'."""
    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = make(family, Path(folder) / "model", **_size(family))
        policy, theirs = load(path), AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        rows = _pairs(4 if quick else 8)
        packed = pack(rows, policy.chat.pad_id, dtype=policy.dtype)
        ways: list[tuple[Any, Callable[[], Tensor]]] = [
            (policy.model, lambda: token_logprobs(policy.model, packed).sum()),
            (theirs, lambda: _own_sum(theirs, rows)),
        ]
        values = [float(way().detach()) for _, way in ways]
        if abs(values[0] - values[1]) > 1e-5 * abs(values[1]):
            raise AssertionError(f"sums of log-probabilities differ: {values}")
        seconds: list[list[float]] = [[], []]
        for _ in range(3 if quick else 6):
            for times, (model, way) in zip(seconds, ways, strict=True):
                model.zero_grad()
                gc.collect()
                start = time.process_time()
                way().backward()
                times.append(time.process_time() - start)
        return min(seconds[0]) / min(seconds[1])


def _size(family: str) -> dict[str, Any]:
    deltas = {"linear_num_key_heads": 4, "linear_num_value_heads": 8, "linear_key_head_dim": 32} | {
        "linear_value_head_dim": 32
    }
    return {**_SIZE, **(deltas if "linear_num_key_heads" in FAMILIES[family] else {}), "vocab_size": 4096}


def _pairs(count: int) -> list[TokenRow]:
    """Prompts of 40 to 80 tokens, each with two replies of 30 to 60."""
    rng = np.random.default_rng(0)

    def some(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(i) for i in rng.integers(3, 4000, rng.integers(low, high)))

    return [TokenRow(some(40, 80), (some(30, 60), some(30, 60))) for _ in range(count)]


def _own_sum(model: Any, rows: Sequence[TokenRow]) -> Tensor:
    ids = [torch.tensor([*row.prompt, *reply]) for row in rows for reply in row.replies]
    scored = [torch.arange(len(row.prompt), len(row.prompt) + len(reply)) for row in rows for reply in row.replies]
    ids_RT = pad_sequence(ids, batch_first=True, padding_value=2)
    mask_RT = pad_sequence([torch.ones_like(each) for each in ids], batch_first=True)
    logits_RTV = model(input_ids=ids_RT, attention_mask=mask_RT, use_cache=False).logits
    logp_RTV = logits_RTV.log_softmax(-1)
    return torch.stack([logp_RTV[r, at - 1, ids_RT[r, at]].sum() for r, at in enumerate(scored)]).sum()


if __name__ == "__main__":
    sys.exit(main())
