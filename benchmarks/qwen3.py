"""How many DPO pairs does a Qwen3 learn in a CPU-second, beside TRL on the same rows?

`python benchmarks/qwen3.py [--turns 3] [--dtypes fp32,bf16] [--all-weights]` prints a JSON line a
turn and the ratio of the medians last. The model is a random Qwen3 of 105 M parameters, in the
family's own proportions (heads of 128, twice as many query as key heads, tied embeddings), with the
bundled model's tokenizer and rows as `benchmarks/train.py` has them. Ours and TRL take turns, each
in a process of its own on one thread; where TRL's environment is said as in `train.py`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import train

TARGET = 1.8
CONFIG = {
    "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 20, "num_attention_heads": 8,
    "num_key_value_heads": 4, "head_dim": 128, "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip
_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def make(folder: Path) -> int:
    """Write the model in both precisions, as the peer's scripts look for it; how many parameters
    it has."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from alignwright.model.load import load

    tokenizer = load(train.MODEL).tokenizer
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), **ids, **CONFIG))
    for name, dtype in _DTYPES.items():
        model.to(getattr(torch, dtype)).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return model.num_parameters()


def dpo_beside_trl(
    turns: int = 3, dtypes: tuple[str, ...] = ("fp32", "bf16"), steps: int = 3, case: str = "dpo"
) -> dict[str, Any]:
    """Of each precision the pairs per CPU-second of both, the medians of the turns, and how many
    times the peer's ours are; or why the peer was skipped."""
    result: dict[str, Any] = {"target": TARGET}
    with tempfile.TemporaryDirectory() as folder:
        result["parameters"] = make(Path(folder))
        for dtype in dtypes:
            own: list[float] = []
            peer: list[float] = []
            for turn in range(turns):
                command = [sys.executable, train.__file__, "--ours", case, dtype, "--steps", str(steps)]
                ours = train.run_json([*command, "--model", str(Path(folder) / dtype)], 1)
                theirs = train.trl(case, dtype, steps, 1, cache=folder)
                for row, rates in ((ours, own), (theirs, peer)):
                    print(json.dumps({"turn": turn, "case": case, "dtype": dtype, **row}), flush=True)
                    rates += [row["per_cpu_s"]] if "per_cpu_s" in row else []
                if "skipped" in theirs:
                    result[dtype] = theirs
                    break
            if own and peer:
                ours_median, peer_median = statistics.median(own), statistics.median(peer)
                times = round(ours_median / peer_median, 2)
                result[dtype] = {"ours": ours_median, "trl": peer_median, "times": times, "met": times >= TARGET}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="DPO on a random Qwen3 beside TRL")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--dtypes", default="fp32,bf16")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--all-weights", action="store_true", help="train all weights instead of LoRA of rank 16")
    args = parser.parse_args()
    case = "dpo-full" if args.all_weights else "dpo"
    print(json.dumps(dpo_beside_trl(args.turns, tuple(args.dtypes.split(",")), args.steps, case)), flush=True)


if __name__ == "__main__":
    main()
