"""Which families of models open, which rows do they read, and are their numbers transformers' own?

    python benchmarks/models.py [FAMILY ...] [--write docs/models.md]

Each family is a tiny random model (`model_families`), opened as a folder is. Compared with transformers itself, which
reads each reply alone, without padding and in its own attention: log-probabilities of all scored tokens, the gradient
of a loss of pairs by every parameter, and the logits of each step of `generate`, for prompts of different length, rows
of several replies and rows far beyond every window. `--write` makes the table of the page anew.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from model_families import TINY, make
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from alignwright.model.adapters import add_lora, merged, trainable_parameters
from alignwright.model.decoder import decoding
from alignwright.model.limits import no_adapter, window
from alignwright.model.llama_blocks import has_fast_blocks
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import reply_logprobs, token_logprobs, trunk
from alignwright.model.model_rows import plain_rows
from alignwright.model.packing import pack
from alignwright.model.progress_bars import without_progress_bars
from alignwright.model.tokens import TokenRow

DOCS = Path(__file__).parents[1] / "docs" / "models.md"
MARKS = (
    "<!-- families: made by python benchmarks/models.py --write docs/models.md -->\n",
    "<!-- end of families -->\n",
)
WITHIN = 1e-5
"""What a gap may be: of log-probabilities and logits in nats, of gradients as a share of the largest."""
ROWS = [
    TokenRow(tuple(range(3, 20)), (tuple(range(40, 52)), (60, 61, 62), (70,))),
    TokenRow((5, 9, 11), (tuple(range(90, 110)), (30, 31, 2)), ((True, False) * 10, (True, True, False))),
    TokenRow(tuple(range(100, 131)), ((7, 8),)),
]
PROMPTS = [tuple(range(3, 22)), (5, 9, 11), (17, 4, 8)]
STEPS = 14
_WEIGHTS = torch.tensor([1.0, -0.7, 0.3, 0.9, -1.1, 0.5])  # of the replies' log-probabilities in the loss
_HEADER = (
    "| family | rows | sliding window | decoding | LoRA | log-probabilities | gradients | logits of `generate` |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True)
class Measured:
    """What was found of a family; gaps are the largest."""

    family: str
    rows: str
    window: str
    decoding: str
    lora: str
    logprob_gap: float
    gradient_gap: float
    logit_gap: float

    @property
    def exact(self) -> bool:
        return max(self.logprob_gap, self.gradient_gap) <= WITHIN and self.logit_gap <= 3 * WITHIN

    @property
    def line(self) -> str:
        """The family's line of the table."""
        gaps = [
            f"≤ {bound:.0e}".replace("e-0", "e-") if gap <= bound else f"{gap:.1e}"
            for gap, bound in (
                (self.logprob_gap, WITHIN),
                (self.gradient_gap, WITHIN),
                (self.logit_gap, 3 * WITHIN),
            )
        ]
        return f"| {' | '.join((self.family, self.rows, self.window, self.decoding, self.lora, *gaps))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure model families against transformers.")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="all by default")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table of this page anew")
    given = parser.parse_args()
    lines = []
    for family in given.families or TINY:
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(family, Path(folder) / "model")
        print(measured.line, "" if measured.exact else "NOT EXACT", flush=True)
        lines.append(measured.line)
    if given.write:
        before, _, rest = given.write.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        table = _HEADER + "".join(f"{line}\n" for line in lines)
        given.write.write_text(f"{before}{MARKS[0]}{table}{MARKS[1]}{after}", encoding="utf-8")


def measure(family: str, folder: Path) -> Measured:
    """Make, open and compare the model of a family."""
    logging.set_verbosity_error()
    with warnings.catch_warnings(), without_progress_bars():
        warnings.simplefilter("ignore")
        policy, theirs = load(make(family, folder)), _theirs(folder)
        logprob_gap, gradient_gap = _scoring_gaps(policy, theirs)
        logit_gap = _sampling_gap(policy, theirs)
        body = trunk(policy.model)
        plain, reach = plain_rows(body), window(policy.model.config.get_text_config())
        rows = f"plain: {plain.reason}" if plain else "shared, fast path" if has_fast_blocks(body) else "shared"
        return Measured(
            family=family,
            rows=rows,
            window="none" if reach is None else "the model's own mask" if plain else "in shared rows",
            decoding={"padded": "one batch", "cached": "by length", "reread": "without a cache"}[plain.decoding]
            if plain
            else "one batch",
            lora=_lora(policy),
            logprob_gap=logprob_gap,
            gradient_gap=gradient_gap,
            logit_gap=logit_gap,
        )


def _theirs(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


def _scoring_gaps(policy: LocalModel, theirs: Any) -> tuple[float, float]:
    ours_N = token_logprobs(policy.model, (packed := pack(ROWS, policy.chat.pad_id, dtype=policy.dtype)))
    ours = _gradients(policy.model, reply_logprobs(ours_N, packed)[0])
    parts = [part for row in ROWS for part in alone(theirs, row)]
    own = _gradients(theirs, torch.stack([part.sum() for part in parts]))
    if ours.keys() != own.keys():
        raise AssertionError(f"gradients of other parameters: {sorted(ours.keys() ^ own.keys())}")
    largest = max(1.0, *(float(gradient.abs().max()) for gradient in own.values()))
    gradient_gap = max(float((ours[name] - own[name]).abs().max()) for name in own) / largest
    return float((ours_N - torch.cat(parts)).abs().max()), gradient_gap


def alone(model: Any, row: TokenRow) -> list[Tensor]:
    """Log-probabilities of each reply's scored tokens, by transformers, in a row of its own."""
    masks = row.masks or tuple((True,) * len(reply) for reply in row.replies)
    parts = []
    for reply, mask in zip(row.replies, masks, strict=True):
        ids_1T = torch.tensor([[*row.prompt, *reply]])
        logp_TV = model(input_ids=ids_1T, use_cache=False).logits[0, len(row.prompt) - 1 : -1].float().log_softmax(-1)
        parts.append(logp_TV.gather(1, torch.tensor(reply)[:, None])[:, 0][torch.tensor(mask)])
    return parts


def _gradients(model: Any, sum_R: Tensor) -> dict[str, Tensor]:
    """Of a loss of pairs: every reply's sum weighs in, through a sigmoid as in DPO."""
    margin = (sum_R * _WEIGHTS).sum()
    model.zero_grad()
    (10 * F.softplus(-0.1 * margin) + 0.05 * margin).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@torch.inference_mode()
def _sampling_gap(policy: LocalModel, theirs: Any) -> float:
    """Two rows of the first prompt, three of the second, one of the third; after some steps two
    rows leave."""
    rows, gap = [0, 0, 1, 1, 1, 2], 0.0
    own = [generated(theirs, prompt, STEPS) for prompt in PROMPTS]
    with decoding(policy, len(rows), longest=max(map(len, PROMPTS)) + STEPS) as decoder:
        logits_RV = decoder.begin(PROMPTS, rows, STEPS)
        for step in range(STEPS):
            gap = max(gap, *(float((logits_RV[r] - own[p][0][step]).abs().max()) for r, p in enumerate(rows)))
            if step == STEPS // 2:
                decoder.keep(torch.tensor([0, 2, 4, 5]))
                rows = [0, 1, 1, 2]
            if step + 1 < STEPS:
                logits_RV = decoder.step(torch.stack([own[p][1][step] for p in rows]))
    return gap


def generated(model: Any, prompt: Sequence[int], steps: int) -> tuple[Tensor, Tensor]:
    """The logits of each step of transformers' greedy `generate`, and the tokens."""
    ids_1L = torch.tensor([prompt])
    output = model.generate(
        ids_1L,
        attention_mask=torch.ones_like(ids_1L),
        max_new_tokens=steps,
        min_new_tokens=steps,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return torch.cat(output.logits), output.sequences[0, len(prompt) :]


def _lora(policy: LocalModel) -> str:
    """Whether an adapter goes over the model, and merged gives what it gives beside the weights."""
    if why := no_adapter(policy.model.config.to_dict()):
        return f"no: {why}"
    adapted = copy.copy(policy)
    try:
        add_lora(adapted, rank=2, seed=0)
    except ValueError as error:
        return f"no: {str(error).split(': ', 1)[1].partition(';')[0]}"
    for parameter in trainable_parameters(adapted):
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    packed = pack(ROWS, adapted.chat.pad_id, dtype=adapted.dtype)
    with torch.inference_mode():
        beside_N = token_logprobs(adapted.model, packed)
        with merged(adapted):
            gap = float((token_logprobs(adapted.model, packed) - beside_N).abs().max())
    if gap > 1e-4:
        raise AssertionError(f"a merged adapter is {gap:.2g} nats from the one beside its weights")
    return "yes"


if __name__ == "__main__":
    sys.exit(main())
