"""Can a strong model learn more from a weak teacher's labels than the teacher knows? Weak-to-strong
generalisation for reward models (Burns et al. 2023, arXiv 2312.09390).

The prompts are dealt into three: one part whose true labels the weak model learns, one that it then
labels, and one on which all are tried. The strong student sees the weak labels of the second part
and no true one; the ceiling is the same strong model, from the same weights in the same order of
rows, on that part's true labels. All three are tried on the same pairs, so the gap recovered,
(student - weak) / (ceiling - weak), is of paired items; it is undefined where the gap is under two
of its standard errors (`stats.performance_gap`), and the three accuracies are always there.

A student recovers something only where it cannot imitate its teacher's errors, or will not: the
number belongs to the pair of models, and says nothing of either alone.

Left out on purpose: several teachers in a chain (bootstrapping), and a held-out choice of the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alignwright.core.claims import Claim
from alignwright.core.records import Finding, Preference
from alignwright.core.stage import resolved
from alignwright.model.local_model import LocalModel
from alignwright.stats.performance_gap import performance_gap
from alignwright.stats.scalars import mean, sigmoid
from alignwright.train.confidence import Confidence
from alignwright.train.knobs import RewardModel
from alignwright.train.knobs_weak_to_strong import CEILING, RECOVERED, STUDENT, WEAK, WeakToStrong
from alignwright.train.loop import StepReport
from alignwright.train.pairs import usable
from alignwright.train.reward import fit_reward
from alignwright.train.reward_eval import ScoredPair, hold_out_prompts, interval
from alignwright.train.reward_verdict import HeldoutSplit

FEWEST = 8
"""Pairs with a winner in each of the three parts, at the least."""
OnStep = Callable[[StepReport], None]


@dataclass(frozen=True)
class WeakLabels:
    """What the weak model leaves: its word on the pairs that the student learns from, those pairs with
    their true votes, and its scores of the held-out ones."""

    labelled: list[Preference]
    true: list[Preference]
    heldout: list[ScoredPair]


def weak_labels(
    weak: LocalModel,
    preferences: Sequence[Preference],
    stage: WeakToStrong,
    *,
    seed: int,
    folder: Path,
    on_step: OnStep | None = None,
) -> WeakLabels:
    """Train the weak model on its part and let it label the student's. Raises ValueError of too few
    pairs."""
    pairs = _usable(weak, preferences, stage, folder)
    rest, heldout = hold_out_prompts(pairs, stage.heldout, seed)
    own, students = hold_out_prompts(rest, 0.5, seed + 1)
    if min(map(len, (own, students, heldout))) < FEWEST:
        raise ValueError(
            f"weak_to_strong: {len(pairs)} pairs with a winner leave {len(own)} for the weak model, {len(students)} for"
            f" the student and {len(heldout)} to try them on; it needs {FEWEST} of each, of different prompts"
        )
    fitted = fit_reward(
        weak, HeldoutSplit(own, heldout, students), as_reward(stage), seed=seed, folder=folder, on_step=on_step
    )
    labelled = [_labelled(pair) for pair in fitted.unseen]
    return WeakLabels(labelled, [pair.preference for pair in fitted.unseen], fitted.heldout)


def weak_to_strong(
    strong: LocalModel,
    labels: WeakLabels,
    stage: WeakToStrong,
    *,
    seed: int,
    folder: Path,
    on_step: OnStep | None = None,
    name: str = "weak_to_strong",
) -> tuple[Finding, ...]:
    """Train the student into `folder`, the ceiling into `folder`/ceiling, and say how all three do on
    the pairs that all of them can read."""
    heldout = _usable(strong, [pair.preference for pair in labels.heldout], stage, folder)
    readable = {id(pair) for pair in (*_usable(strong, labels.true, stage, folder), *heldout)}
    both = [pair for pair in zip(labels.labelled, labels.true, strict=True) if id(pair[1]) in readable]
    scored: dict[str, list[ScoredPair]] = {
        WEAK.name: [pair for pair in labels.heldout if id(pair.preference) in readable]
    }
    confidence = Confidence(stage.confidence, stage.warmup) if stage.confidence else None
    parts = (
        (STUDENT.name, [weak for weak, _ in both], folder, confidence),
        (CEILING.name, [true for _, true in both], folder / "ceiling", None),
    )
    for claim, train, place, trust in parts:
        place.mkdir(exist_ok=True)
        scored[claim] = fit_reward(
            strong,
            HeldoutSplit(train, heldout, []),
            as_reward(stage),
            seed=seed,
            folder=place,
            on_step=on_step,
            confidence=trust,
        ).heldout
    agreed = mean([float((weak.strength > 0.5) == (true.strength > 0.5)) for weak, true in both])
    return gap_findings(scored[WEAK.name], scored[STUDENT.name], scored[CEILING.name], agreed, name)


def gap_findings(
    weak: Sequence[ScoredPair], student: Sequence[ScoredPair], ceiling: Sequence[ScoredPair], agreed: float, name: str
) -> tuple[Finding, ...]:
    """The three accuracies and the gap recovered, of the same pairs in whatever order; `agreed` is how
    often the weak labels that were learnt from were right."""
    in_order = [{id(pair.preference): pair for pair in each} for each in (weak, student, ceiling)]
    shared = [key for key in in_order[0] if all(key in each for each in in_order)]
    credits = [[each[key].credit for key in shared] for each in in_order]
    clusters = [in_order[0][key].cluster for key in shared]
    levels = [
        _level(claim, values, clusters, name, note)
        for claim, values, note in zip(
            (WEAK, STUDENT, CEILING), credits, (f"its labels were right on {agreed:.1%} of what it labelled", "", ""),
            strict=True,
        )
    ]  # fmt: skip
    gap = performance_gap(credits[0], credits[1], credits[2], clusters)
    recovered = Finding(
        claim=RECOVERED.name, stage=name, axis=RECOVERED.axis, value=gap.value, low=gap.low, high=gap.high, n=gap.n,
        clusters=len(set(clusters)), method=gap.method, unit=RECOVERED.unit,
        note=f"weak {gap.weak:.1%}, student {gap.assisted:.1%}, ceiling {gap.ceiling:.1%}",
    )  # fmt: skip
    return (*levels, recovered)


def as_reward(stage: WeakToStrong) -> RewardModel:
    """How each of the three is trained."""
    shared = {knob: getattr(stage, knob) for knob in _SHARED}
    return RewardModel(by="reward", heldout=0.0, no_signal="use", **shared)


def _usable(
    policy: LocalModel, preferences: Sequence[Preference], stage: WeakToStrong, folder: Path
) -> list[Preference]:
    voted = [pair for pair in preferences if pair.strength != 0.5]
    return usable(voted, policy.chat, min(resolved(stage.max_tokens), policy.longest), folder)


def _labelled(pair: ScoredPair) -> Preference:
    """The pair with the weak model's word in place of the votes."""
    return pair.preference.model_copy(update={"strength": sigmoid(pair.gap), "voters": ("weak",)})


def _level(claim: Claim, values: Sequence[float], clusters: Sequence[str], name: str, note: str) -> Finding:
    limits = interval(values, clusters, share=True)
    return Finding(
        claim=claim.name, stage=name, axis=claim.axis, value=mean(values), low=limits.low, high=limits.high,
        n=len(values), clusters=len(set(clusters)), method=limits.method, better=claim.better, note=note,
    )  # fmt: skip


_SHARED = ("epochs", "lr", "rank", "batch_tokens", "max_tokens", "checkpoint_every", "labels")
