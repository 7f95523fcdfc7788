"""Does an ability appear at a size, or does the metric make it appear, and could the largest model
have been forecast?

A language in which one ability needs size, by a count of bits: every document names one of `facts`
keys and then its answer, `length` letters drawn once at random. Nothing but the table tells the
answer, the table has facts x length x log2(letters) bits, and they have to be in the weights. What
else is in the language, a closing letter that goes by the last letter of the answer, every model
learns. Transformers of four sizes are trained from random weights on as many documents each, and
scored in two ways on the same answers:

- sharp: exact match, the share of keys whose whole answer is right when it is decoded greedily
- smooth: letters right (one less the edit distance over the length, since all answers are as long),
  and the log-probability per letter

As Schaeffer et al. 2023 say (Are emergent abilities a mirage? arXiv 2304.15004), the sharp one is
near 0 and then jumps where the smooth one has been rising all along: of letters right with
probability p each, p to the power of `length` answers are right. The largest model is forecast from
the three smaller ones: each metric by a straight line in the logarithm of the parameters, the
log-probability by a power law (Kaplan et al. 2020), and the sharp metric besides from the smooth
forecast, p to the power of `length`. The interval is that of a prediction, by Student's t over all
seeds; a line that bends is not in it, which is why the error is printed beside.

The control is the same language with the answers drawn anew in every document: there is nothing to
know, and neither the models nor any forecast may show an ability.

`python benchmarks/scale.py [--seeds 3] [--first 0]` prints a line per size and forecast; exit code 1
where a known answer is missed. About two processor minutes.

Left out on purpose: the compute-optimal number of documents (all sizes see as many), and real text.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from scipy.stats import t as student
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM


@dataclass(frozen=True)
class Language:
    """Token 0 begins a document; then come the keys, the letters, and two closing letters."""

    facts: int = 512
    letters: int = 8
    length: int = 5
    widths: tuple[int, ...] = (4, 8, 16, 32)
    layers: int = 2
    steps: int = 400
    batch: int = 128

    @property
    def vocabulary(self) -> int:
        return 1 + self.facts + self.letters + 2

    @property
    def bits(self) -> float:
        """What a model has to know to answer all keys."""
        return self.facts * self.length * math.log2(self.letters)

    def table(self, seed: int) -> Tensor:
        """The answer to each key."""
        draw = torch.Generator().manual_seed(seed)
        return torch.randint(self.letters, (self.facts, self.length), generator=draw)

    def documents(self, key_B: Tensor, answer_BL: Tensor) -> Tensor:
        first = 1 + self.facts
        closing_B1 = first + self.letters + answer_BL[:, -1:] % 2
        return torch.cat([torch.zeros_like(key_B)[:, None], 1 + key_B[:, None], first + answer_BL, closing_B1], 1)


@dataclass(frozen=True)
class Scores:
    """What one model came to: its parameters, exact match, letters right, log-probability per
    letter, and closing letters right."""

    parameters: int
    exact: float
    letters: float
    logprob: float
    closing: float


@dataclass(frozen=True)
class Forecast:
    """What the smaller sizes say of the largest, and what came."""

    what: str
    value: float
    low: float
    high: float
    came: float

    @property
    def error(self) -> float:
        return self.value - self.came

    def __str__(self) -> str:
        limits = f"[{self.low:.3f}, {self.high:.3f}]"
        return f"{self.what}: forecast {self.value:.3f} {limits}, came {self.came:.3f}, error {self.error:+.3f}"


def trained(language: Language, width: int, seed: int, *, planted: bool) -> LlamaForCausalLM:
    """A model of this width; in the control every document draws its answer anew."""
    heads = max(1, width // 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=language.vocabulary, hidden_size=width, intermediate_size=4 * width,
                num_hidden_layers=language.layers, num_attention_heads=heads, num_key_value_heads=heads,
                max_position_embeddings=32, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0, pad_token_id=0,
            )
        )  # fmt: skip
    table, draw = language.table(seed), torch.Generator().manual_seed(seed + 1)
    rate = min(2e-2, 0.2 / width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(language.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 30) * (1 - 0.95 * step / language.steps)
        key_B = torch.randint(language.facts, (language.batch,), generator=draw)
        anew_BL = torch.randint(language.letters, (language.batch, language.length), generator=draw)
        ids_BT = language.documents(key_B, table[key_B] if planted else anew_BL)
        logits_BTV = model(ids_BT).logits[:, 1:-1]  # the key itself is chance, and not learnt
        loss = torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 2:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


@torch.no_grad()
def scored(model: LlamaForCausalLM, language: Language, seed: int) -> Scores:
    """The model's answers to all keys. A prefix that is right so far is the true one, so greedy
    decoding is right where every letter behind the true ones is the likeliest."""
    ids_BT = language.documents(torch.arange(language.facts), language.table(seed))
    logprobs_BTV = model(ids_BT).logits[:, 1:-1].double().log_softmax(-1)
    next_BT = ids_BT[:, 2:]
    right_BT = logprobs_BTV.argmax(-1) == next_BT
    answers_BL = right_BT[:, : language.length]
    of_next_BT = logprobs_BTV.gather(-1, next_BT[..., None])[..., 0]
    return Scores(
        parameters=sum(weight.numel() for weight in model.parameters()),
        exact=float(answers_BL.all(1).double().mean()),
        letters=float(answers_BL.double().mean()),
        logprob=float(of_next_BT[:, : language.length].mean()),
        closing=float(right_BT[:, language.length].double().mean()),
    )


def line(points: Sequence[tuple[float, float]], at: float, new: int) -> tuple[float, float, float]:
    """What a least-squares line through the points says at `at`, with the 95 % interval of the mean
    of `new` further observations there."""
    n = len(points)
    mean_x, mean_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    slope = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    value = mean_y + slope * (at - mean_x)
    left = math.fsum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points) / (n - 2)
    half = float(student.ppf(0.975, n - 2)) * math.sqrt(left * (1 / new + 1 / n + (at - mean_x) ** 2 / spread))
    return value, value - half, value + half


def forecasts(sizes: Sequence[Sequence[Scores]], length: int) -> list[Forecast]:
    """Of the largest size from the smaller ones, each given with all of its seeds."""
    smaller, largest = [each for group in sizes[:-1] for each in group], sizes[-1]
    at, new = math.log(largest[0].parameters), len(largest)

    def straight(name: str) -> tuple[float, float, float]:
        return line([(math.log(each.parameters), getattr(each, name)) for each in smaller], at, new)

    law = line([(math.log(each.parameters), math.log(-each.logprob)) for each in smaller], at, new)
    share = tuple(min(1.0, max(0.0, value)) for value in straight("letters"))
    exact = fmean(each.exact for each in largest)
    return [
        Forecast("smooth, letters right", *straight("letters"), fmean(each.letters for each in largest)),
        Forecast("smooth, log-probability per letter", -math.exp(law[0]), -math.exp(law[2]), -math.exp(law[1]),
                 fmean(each.logprob for each in largest)),
        Forecast("sharp, exact match by itself", *straight("exact"), exact),
        Forecast("sharp, exact match from letters right", *(value**length for value in share), exact),
    ]  # fmt: skip


def last_step(sizes: Sequence[Sequence[Scores]], name: str) -> float:
    """The part of a metric's whole rise that comes with the largest size."""
    means = [fmean(getattr(each, name) for each in group) for group in sizes]
    return (means[-1] - means[-2]) / (means[-1] - means[0])


def study(language: Language, seeds: Sequence[int], *, planted: bool) -> list[list[Scores]]:
    """Every size with every seed."""
    return [
        [scored(trained(language, width, seed, planted=planted), language, seed) for seed in seeds]
        for width in language.widths
    ]


def missed(planted: Sequence[Sequence[Scores]], control: Sequence[Sequence[Scores]], language: Language) -> list[str]:
    """The known answers that did not come."""
    exact = [fmean(each.exact for each in group) for group in planted]
    of_planted, of_control = (forecasts(sizes, language.length) for sizes in (planted, control))
    chance = 1 / language.letters
    every = [each for sizes in (planted, control) for group in sizes for each in group]
    checks = {
        "the sharp metric jumps: below .1 up to the third size, and three times as much at the largest":
            max(exact[:-1]) < 0.1 and exact[-1] > 3 * max(exact[:-1]),
        "more of its rise comes with the last size than of the smooth one's":
            last_step(planted, "exact") > last_step(planted, "letters") + 0.1,
        "the sharp metric comes above the interval of its own forecast": of_planted[2].came > of_planted[2].high,
        "and the smooth one's interval holds it": of_planted[0].low <= of_planted[0].came <= of_planted[0].high,
        "without the ability, letters are right by chance at every size":
            all(abs(fmean(each.letters for each in group) - chance) < 0.05 for group in control),
        "and no forecast shows one": of_control[0].value < chance + 0.05 and of_control[3].value < 0.02,
        "the rest of the language is learnt at every size, with the ability and without": min(
            fmean(each.closing for each in group) for sizes in (planted, control) for group in sizes) > 0.95,
        "no model of the control answers a key": max(each.exact for group in control for each in group) < 0.03,
        "all scores are of a model": all(math.isfinite(each.logprob) for each in every),
    }  # fmt: skip
    return [what for what, holds in checks.items() if not holds]


def show(name: str, sizes: Sequence[Sequence[Scores]], language: Language) -> None:
    for width, group in zip(language.widths, sizes, strict=True):
        means = {field: fmean(getattr(each, field) for each in group) for field in ("exact", "letters", "logprob")}
        print(
            f"{name}, width {width:3}, {group[0].parameters:6} parameters: exact {means['exact']:.3f}, letters right"
            f" {means['letters']:.3f}, log-probability per letter {means['logprob']:.3f}, closing letter"
            f" {fmean(each.closing for each in group):.3f} ({len(group)} seeds)"
        )
    for forecast in forecasts(sizes, language.length):
        print(f"{name}, {forecast}")


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    given = parser.parse_args(arguments)
    language = Language()
    print(f"{language.facts} keys, {language.length} letters of {language.letters}: {language.bits:.0f} bits to know")
    seeds = range(given.first, given.first + given.seeds)
    planted, control = (study(language, seeds, planted=flag) for flag in (True, False))
    show("with the ability", planted, language)
    show("without it", control, language)
    parts = [f"{last_step(planted, name):.0%} of the rise of {words}" for name, words in (
        ("exact", "exact match"), ("letters", "letters right"), ("logprob", "the log-probability"))]  # fmt: skip
    print(f"with the last size come {', '.join(parts)}")
    alone, through = forecasts(planted, language.length)[2:]
    nearer = "from the smooth metric" if abs(through.error) < abs(alone.error) else "from itself"
    print(
        f"exact match is forecast with an error of {alone.error:+.3f} from itself, and of {through.error:+.3f} from the"
        f" smooth metric: nearer {nearer}"
    )
    failures = missed(planted, control, language)
    print(f"missed: {'; '.join(failures) or 'nothing'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
