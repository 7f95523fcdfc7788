"""How much reward does each method buy for its divergence, on a real model?

Figure 2 of the DPO paper (Rafailov et al. 2023, arXiv 2305.18290) at the size of this machine: the
bundled model answers "How was the soup?" in at most 8 tokens, and the reward is the good words of
its reply less the bad ones (`sentiment_words.txt`), cut at 2 either way and halved. Each training
prompt has 4 sampled completions, which make up to 6 pairs. SFT learns the completions that lose to
none, DPO all pairs, PPO and RLOO from fresh samples; best-of-n is read off the same completions by
the unbiased estimator, at its bound of KL.

A point of the frontier is mean reward against the sequence KL to the start model, both on fresh
samples to prompts that no method was trained on: ln policy - ln start summed over the tokens of a
sample, both in float32. Checkpoints along training make the curve.

Controls: DPO on pairs whose order was shuffled (no gain in reward may come of it), and PPO on a
reward that the hash of the reply draws.
"""

from __future__ import annotations

import hashlib
import random
import re
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from alignwright.core.records import Conversation, Preference, Prompt, Score
from alignwright.model.adapters import merged
from alignwright.model.local_model import LocalModel
from alignwright.model.reward_head import in_float32
from alignwright.model.sampling import sample
from alignwright.model.tokens import TokenRow
from alignwright.stats.best_of_n import bon_estimate, bon_kl
from alignwright.stats.intervals import clustered
from alignwright.train.knobs import Sft
from alignwright.train.knobs_pairs import Dpo
from alignwright.train.knobs_policy_gradient import Ppo, Rloo
from alignwright.train.loop import StepReport
from alignwright.train.policy_gradient import policy_gradient
from alignwright.train.preference import preference
from alignwright.train.sft import Demonstration, sft
from science.log import Facts, Line, Log
from science.model import adapted, folder, start

TOKENS, RANK, LR = 8, 8, 3e-4
Train = Callable[[LocalModel, Path, Callable[[StepReport], None]], object]


def run(log: Log, seed: int) -> None:
    """The start model, SFT, DPO and PPO for one seed. Offline methods share the completions that
    the seed draws."""
    size, shared = sizes(log)
    jobs: dict[str, Callable[[], list[Line]]] = {
        "start": lambda: begin(size, seed),
        "sft": lambda: offline("sft", Sft(by="sft", lr=LR, batch_tokens=512, **shared), size, seed),
        "dpo": lambda: offline("dpo", Dpo(by="dpo", beta=0.1, lr=LR, batch_tokens=512, **shared), size, seed),
        "ppo": lambda: online(
            "ppo", Ppo(by="ppo", num_iterations=2, kl_coef=0.05, **sampling(size)), size, seed, Lexicon()
        ),
    }
    for name, job in jobs.items():
        log.job(f"sentiment_frontier.{name}", seed, size.told(), job)


def controls(log: Log, seed: int) -> None:
    """The two controls, DPO that is held more firmly, and RLOO, which PPO should resemble."""
    size, shared = sizes(log)
    jobs: dict[str, Callable[[], list[Line]]] = {
        "dpo_shuffled": lambda: offline(
            "dpo_shuffled", Dpo(by="dpo", beta=0.1, lr=LR, batch_tokens=512, **shared), size, seed
        ),
        "dpo_firm": lambda: offline("dpo_firm", Dpo(by="dpo", beta=0.5, lr=LR, batch_tokens=512, **shared), size, seed),
        "rloo": lambda: online(
            "rloo", Rloo(by="rloo", num_iterations=2, kl_coef=0.05, **sampling(size)), size, seed, Lexicon()
        ),
        "ppo_hash": lambda: online(
            "ppo_hash", Ppo(by="ppo", num_iterations=2, kl_coef=0.05, **sampling(size)), size, seed, Hash()
        ),
    }
    for name, job in jobs.items():
        log.job(f"sentiment_frontier.{name}", seed, size.told(), job)


def sizes(log: Log) -> tuple[Size, dict[str, Any]]:
    size = Size(4, 4, 2, 1, (1,)) if log.quick else Size(48, 24, 4, 4, (8, 24))
    return size, {"epochs": size.epochs, "rank": RANK, "max_tokens": 128}


class Size:
    """How much of everything. `looks` are the steps after which a point is measured."""

    def __init__(self, train: int, test: int, samples: int, epochs: int, looks: tuple[int, ...]) -> None:
        self.train, self.test, self.samples, self.epochs, self.looks = train, test, samples, epochs, looks

    def told(self) -> Facts:
        known: Facts = {"train_prompts": self.train, "test_prompts": self.test, "samples": self.samples}
        return known | {"epochs": self.epochs, "tokens": TOKENS, "rank": RANK, "lr": LR}


def sampling(size: Size) -> dict[str, Any]:
    """Rollouts of 16 prompts, 4 replies each: nine of them over three passes, two steps a rollout."""
    drawn_so: dict[str, Any] = {
        "reward": "rules",
        "prompts": min(16, size.train),
        "samples": 4,
        "max_new_tokens": TOKENS,
    }
    return drawn_so | {"lr": LR, "batch_tokens": 1024, "epochs": min(3, size.epochs), "rank": RANK, "max_tokens": 128}


# ---- the reward ----------------------------------------------------------------------------------
@cache
def lexicon() -> tuple[frozenset[str], frozenset[str]]:
    """Good words and bad ones."""
    lines = (Path(__file__).parents[1] / "sentiment_words.txt").read_text(encoding="utf-8").splitlines()
    good, bad = (
        frozenset(w for line in lines if line.startswith(f"{side}:") for w in line.split()[1:])
        for side in ("good", "bad")
    )
    assert not good & bad, f"words on both sides: {sorted(good & bad)}"
    return good, bad


def sentiment(text: str) -> float:
    """Good words less bad ones, at most 2 either way, over 2; a word after 'not' or 'no' counts
    for the other side."""
    good, bad = lexicon()
    words = re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower().replace("n't", " not"))
    points = 0
    for before, word in zip(["", *words], words, strict=False):
        points += ((word in good) - (word in bad)) * (-1 if before in ("not", "no", "never") else 1)
    return max(-2, min(2, points)) / 2


class Lexicon:
    """The reward as a scorer."""

    name = "sentiment"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:  # noqa: ARG002
        return [[Score(value=sentiment(text)) for text in given] for given in replies]


class Hash:
    """A reward that nothing can be learnt from but single replies by heart."""

    name = "hash"

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:  # noqa: ARG002
        return [
            [Score(value=hashlib.sha256(text.encode()).digest()[0] / 127.5 - 1) for text in given] for given in replies
        ]


# ---- prompts and completions ---------------------------------------------------------------------
def prompts(size: Size) -> tuple[list[Prompt], list[Prompt]]:
    """Those to train on, and those to measure on: no thing is in both."""
    asked = [
        Prompt(conversation=Conversation.user(f"How was the {thing}?", "You are a reviewer."), topic=thing)
        for thing in THINGS.split(", ")
    ]
    return asked[: size.train], asked[-size.test :]


@cache
def drawn(count: int, seed: int) -> tuple[tuple[Prompt, ...], tuple[tuple[str, ...], ...]]:
    """Training prompts with four completions of the start model."""
    asked = tuple(prompts(Size(count, 1, 0, 0, ()))[0])
    given = start().generate([p.conversation for p in asked], n=4, max_new_tokens=TOKENS, seed=seed)
    return asked, tuple(tuple(reply.text for reply in replies) for replies in given)


def pairs(count: int, seed: int, *, shuffled: bool) -> list[Preference]:
    """Every two completions of a prompt with different rewards; shuffled: in a random order."""
    turn = random.Random(f"shuffled/{seed}")
    made: list[Preference] = []
    for prompt, texts in zip(*drawn(count, seed), strict=True):
        for one, other in combinations(dict.fromkeys(text for text in texts if text.strip()), 2):
            if sentiment(one) == sentiment(other) or one.strip() == other.strip():
                continue
            chosen, rejected = (
                (one, other)
                if (turn.random() < 0.5 if shuffled else sentiment(one) > sentiment(other))
                else (other, one)
            )
            made.append(Preference(prompt=prompt, chosen=chosen, rejected=rejected))
    return made


# ---- methods -------------------------------------------------------------------------------------
def begin(size: Size, seed: int) -> list[Line]:
    """The start model's reward, and best-of-n from its samples."""
    reference, (_, asked) = start(), prompts(size)
    given = reference.generate([p.conversation for p in asked], n=8, max_new_tokens=TOKENS, seed=1000 + seed)
    scores = [[sentiment(reply.text) for reply in replies] for replies in given]
    lines: list[Line] = []
    for n in (1, 2, 4, 8):
        values = [bon_estimate(group, group, n) for group in scores]
        found = clustered(values, [p.topic for p in asked])
        name = "sentiment_frontier.start" if n == 1 else "sentiment_frontier.best_of_n"
        lines.append(Line.of(name, len(values) * 8, found.value or 0.0, found.interval, kl=bon_kl(n), best_of=n))
    return lines


def offline(name: str, stage: Sft | Dpo, size: Size, seed: int) -> list[Line]:
    """SFT on the chosen replies, or DPO on the pairs."""
    made = pairs(size.train, seed, shuffled=name == "dpo_shuffled")
    lost = {(p.prompt.id, p.rejected) for p in made}
    best = {(p.prompt.id, p.chosen): p for p in made if (p.prompt.id, p.chosen) not in lost}
    demonstrations = [Demonstration(p.prompt.conversation.then("assistant", p.chosen)) for p in best.values()]

    def train(policy: LocalModel, place: Path, look: Callable[[StepReport], None]) -> object:
        if isinstance(stage, Sft):
            return sft(policy, demonstrations, stage, seed=seed, folder=place, on_step=look)
        return preference(policy, made, stage, seed=seed, folder=place, on_step=look)

    return watched(name, train, size, seed, pairs=len(made), demonstrations=len(demonstrations))


def online(name: str, stage: Ppo | Rloo, size: Size, seed: int, scorer: Lexicon | Hash) -> list[Line]:
    """A policy gradient on the training prompts."""
    asked, _ = prompts(size)

    def train(policy: LocalModel, place: Path, look: Callable[[StepReport], None]) -> object:
        return policy_gradient(policy, asked, scorer, stage, seed=seed, folder=place, on_step=look)

    return watched(name, train, size, seed)


def watched(name: str, train: Train, size: Size, seed: int, **facts: int) -> list[Line]:
    """Train a fresh adapter, and measure it after the steps of `looks`, at the last step
    whatever its number."""
    policy, lines = adapted(RANK, seed), list[Line]()

    def look(report: StepReport) -> None:
        if report.step + 1 in size.looks[:-1] or report.step + 1 == report.steps:
            lines.append(
                point(
                    policy, f"sentiment_frontier.{name}", size, seed, step=report.step + 1, steps=report.steps, **facts
                )
            )

    with tempfile.TemporaryDirectory() as parent:
        train(policy, folder(parent, name), look)
    return lines


def point(policy: LocalModel, name: str, size: Size, seed: int, **facts: int) -> Line:
    """Reward and divergence on fresh samples to the test prompts, in float32."""
    _, asked = prompts(size)
    ids = [policy.chat.prompt(p.conversation) for p in asked]
    with in_float32(policy), merged(policy):
        groups = sample(
            policy, ids, n=size.samples, max_new_tokens=TOKENS, temperature=1.0, seed=2000 + seed, batch_rows=96
        )
    reference = start()
    with in_float32(reference):
        before = reference.score(
            [
                TokenRow(tuple(prompt), tuple(tuple(s.ids) for s in group))
                for prompt, group in zip(ids, groups, strict=True)
            ]
        )
    topics = [p.topic for p, group in zip(asked, groups, strict=True) for _ in group]
    rewards = [sentiment(policy.chat.decode(s.ids)) for group in groups for s in group]
    kls = [
        sum(s.logprobs) - total
        for group, scored in zip(groups, before, strict=True)
        for s, (total, _) in zip(group, scored, strict=True)
    ]
    found, apart = clustered(rewards, topics), clustered(kls, topics)
    texts = [policy.chat.decode(s.ids) for group in groups for s in group]
    more: Facts = {
        "kl": fmean(kls),
        "kl_low": apart.interval.low,
        "kl_high": apart.interval.high,
        "different": len(set(texts)) / len(texts),
    }
    return Line.of(name, len(rewards), found.value or 0.0, found.interval, **more, **facts)


THINGS = (
    "soup, hotel, film, phone, bus ride, novel, concert, museum, pizza, lecture, boat trip, garden, jacket, laptop,"
    " market, bakery, play, album, train journey, beach, coffee, haircut, camera, wedding, zoo, dentist, taxi, gallery,"
    " salad, hike, library, game, dress, ferry, circus, chair, breakfast, tour, bicycle, opera, party, sandwich, gym,"
    " tent, exhibition, cake, lamp, cruise, dinner, castle, flight, podcast, sofa, picnic, restaurant, tablet, parade,"
    " curry, apartment, documentary, headphones, lake, musical, waiter, shoes, campsite, burger, aquarium, speech,"
    " printer, festival, tea"
)
