"""Is a reward model worth following? It must beat chance and a rule that knows nothing but length,
or nothing starts behind it in silence.

On pairs of prompts that were kept apart it **has signal** when both hold:

1. the lower 95% limit of its accuracy exceeds 1/2;
2. so does that of its accuracy less that of the length rule, paired pair by pair and clustered by
   topic (or prompt), exceed 0. The rule picks the longer reply, or the shorter one where the votes
   of the *training* pairs are for the shorter: it is not chosen by the pairs it is tried on.

Where the replies of every pair are of one length, no rule of length says anything, and chance is
all there is to beat. Too few pairs for an interval are no evidence, and neither are votes that
length alone explains: a model of such votes cannot beat the rule. What follows is the knob
`no_signal`: stop the run, skip what would be judged by the model, or use it all the same, which the
report says.

Sources. Prompts kept apart at random are of the topics (files, principles) that were trained on. So
whole sources are kept out beside them, and the model's accuracy there is found with its fall: a
difference of two independent means, each with its standard error clustered by prompt. The interval
is over prompts of those very sources; how other sources differ it cannot tell.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from alignwright.core.records import Detail, Finding, Preference, content_id
from alignwright.stats.intervals import clustered, paired
from alignwright.stats.scalars import mean
from alignwright.train.reward_eval import ScoredPair, hold_out_prompts, interval, prefers_longer

REFUSED = "REFUSED"
LARGEST = 1 / 3
"""The largest part of all pairs that sources kept out whole may be."""
FEWEST = 3
"""Fewer topics or principles than this are not kept apart from each other; two files are enough."""


class RewardRefused(RuntimeError):
    """A reward model has no signal, and the run was told to stop then."""

    def __init__(self, stage: str, reason: str) -> None:
        advice = (
            "Nothing was trained on it. More pairs, pairs of like length, or a larger 'heldout' may help; 'no_signal:"
            " skip' leaves out what would be judged by it, 'no_signal: use' goes on and says so"
        )
        super().__init__(f"{stage}: the reward model was refused: {reason}. {advice}")


@dataclass(frozen=True)
class HeldoutSplit:
    """Pairs to train on, pairs of prompts kept apart, and pairs of sources kept out whole."""

    train: list[Preference]
    heldout: list[Preference]
    unseen_pairs: list[Preference]
    kind: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class RewardVerdict:
    """Whether a reward model has signal, and the numbers in words."""

    signal: bool
    reason: str

    @property
    def note(self) -> str:
        return f"{'has signal' if self.signal else REFUSED}: {self.reason}"


def split(preferences: Sequence[Preference], share: float, seed: int, files: Mapping[str, str]) -> HeldoutSplit:
    """Whole sources first, at least `share` of the pairs and at most a third, drawn by their names
    and `seed`; then prompts of the others.

    A source is a topic, else a principle, else a file (`files`: by prompt), whatever the pairs have
    several of. A prompt of a source that is kept out is trained on nowhere. No source is kept out
    where none is small enough.
    """
    kind, source_of = _sources(preferences, files)
    shuffled = (
        sorted(set(source_of.values()), key=lambda name: content_id("source kept out", seed, name)) if share else []
    )
    out: list[str] = []
    sizes = Counter(source_of[p.prompt.conversation.id] for p in preferences if p.prompt.conversation.id in source_of)
    for name in shuffled:
        num_kept_out = sum(sizes[other] for other in out)
        if num_kept_out < share * len(preferences) and num_kept_out + sizes[name] <= LARGEST * len(preferences):
            out.append(name)
    unseen_pairs = [p for p in preferences if source_of.get(p.prompt.conversation.id) in out]
    rest = [p for p in preferences if source_of.get(p.prompt.conversation.id) not in out]
    train, heldout = hold_out_prompts(rest, share, seed)
    return HeldoutSplit(train, heldout, unseen_pairs, kind if out else "", tuple(out))


def signal_verdict(scored_pairs: Sequence[ScoredPair], train: Sequence[Preference]) -> RewardVerdict:
    """The verdict of the pairs that were kept apart."""
    scored = [pair for pair in scored_pairs if pair.preference.strength != 0.5]
    if not scored:
        return RewardVerdict(
            False, "no pair with a vote was kept apart, so nothing is known of it; give 'heldout' a share"
        )
    shorter = _longer_wins(train) < 0.5
    rule = [1.0 - pair.longer_wins if shorter else pair.longer_wins for pair in scored]
    credits, clusters = [pair.credit for pair in scored], [pair.cluster for pair in scored]
    accuracy = interval(credits, clusters, share=True)
    gain = paired(credits, rule, None if len(set(clusters)) == len(clusters) else clusters)
    uneven = [pair for pair in scored if prefers_longer(pair) is not None]
    longer = (
        f"; it prefers the longer one in {mean([prefers_longer(pair) or 0.0 for pair in uneven]):.1%}" if uneven else ""
    )
    picks = f"picking the {'shorter' if shorter else 'longer'} reply is right on {mean(rule):.1%}"
    evidence = f"right on {mean(credits):.1%} of {len(scored)} held-out pairs, {picks}{longer}"
    if accuracy.low is None or accuracy.low <= 0.5:
        why = accuracy.method if accuracy.low is None else f"its lower 95% limit is {accuracy.low:.1%}"
        return RewardVerdict(False, f"{evidence}; no better than chance: {why}")
    if not uneven:
        return RewardVerdict(
            True, f"{evidence}; lower 95% limit {accuracy.low:.1%}, and the replies of each pair are of one length"
        )
    low = gain.interval.low
    if low is None or low <= 0.0:
        why = (
            gain.interval.method
            if low is None
            else f"{100 * (gain.value or 0.0):+.1f} points, lower 95% limit {100 * low:+.1f}"
        )
        return RewardVerdict(False, f"{evidence}; no better than length: {why}")
    return RewardVerdict(
        True, f"{evidence}; lower 95% limits {accuracy.low:.1%}, and {100 * low:+.1f} points beyond length"
    )


def mark_findings(
    findings: Sequence[Finding], verdict: RewardVerdict, *, stage: str, use_anyway: bool
) -> tuple[Finding, ...]:
    """The findings with the verdict in the note of the accuracy, which there is always; `use_anyway`:
    it is followed although it was refused."""
    own = "used all the same, as 'no_signal: use' says" if use_anyway and not verdict.signal else ""
    findings_with_accuracy = list(findings) if any(map(_is_level, findings)) else [_absent(stage), *findings]
    return tuple(_with_verdict(f, verdict, own) if _is_level(f) else f for f in findings_with_accuracy)


def _with_verdict(level: Finding, verdict: RewardVerdict, own: str) -> Finding:
    more = "".join(f"; {part}" for part in (own, level.note) if part)
    refused: Detail = {} if verdict.signal else {"refused": True, "reason": f"{verdict.reason}{more}"}
    return level.model_copy(update={"note": f"{verdict.note}{more}", "detail": refused})


def unseen_source_findings(
    unseen_pairs: Sequence[ScoredPair], heldout_pairs: Sequence[ScoredPair], apart: HeldoutSplit, *, stage: str
) -> tuple[Finding, ...]:
    """Accuracy on sources that were kept out whole, and its difference from that on prompts of
    the sources that were trained on."""
    unseen_scored = [pair for pair in unseen_pairs if pair.preference.strength != 0.5]
    heldout_scored = [pair for pair in heldout_pairs if pair.preference.strength != 0.5]
    if not unseen_scored:
        return ()
    names = ", ".join(apart.names[:4]) + (f" and {len(apart.names) - 4} more" if len(apart.names) > 4 else "")
    note = f"{'topics' if apart.kind == 'topic' else f'{apart.kind}s'} kept out whole: {names}"
    credits, prompts = (
        [pair.credit for pair in unseen_scored],
        [pair.preference.prompt.conversation.id for pair in unseen_scored],
    )
    limits = interval(credits, prompts, share=True)
    common = {"claim": "reward.accuracy_elsewhere", "stage": stage, "axis": "feedback", "clusters": len(set(prompts))}
    common["unscored"] = len(unseen_pairs) - len(unseen_scored)
    level = Finding.model_validate(
        common
        | {
            "value": mean(credits),
            "low": limits.low,
            "high": limits.high,
            "n": len(unseen_scored),
            "method": limits.method,
            "note": note,
        }
    )
    if not heldout_scored:
        return (level,)
    errors = [
        clustered(
            [pair.credit for pair in scored_pairs],
            [pair.preference.prompt.conversation.id for pair in scored_pairs],
            bounds=(0.0, 1.0),
        ).se
        for scored_pairs in (unseen_scored, heldout_scored)
    ]
    fall = mean(credits) - mean([pair.credit for pair in heldout_scored])
    change: dict[str, object] = {
        "value": fall,
        "n": len(unseen_scored),
        "against": "prompts of known sources",
        "note": _fell(fall, None),
    }
    if all(errors):
        half = 1.96 * math.hypot(*(error or 0.0 for error in errors))
        note = _fell(fall, half)
        change |= {
            "low": fall - half,
            "high": fall + half,
            "method": "difference of two means, normal 95%, each clustered by prompt",
            "note": note,
        }
    else:
        change["method"] = "no interval: one of the two has no spread"
    return level, Finding.model_validate(common | change)


def refusal(findings: Sequence[Finding]) -> str | None:
    """Why a reward model was refused; None of one that has signal."""
    refused = next((f for f in findings if _is_level(f) and f.detail.get("refused")), None)
    return None if refused is None else str(refused.detail["reason"])


def _fell(fall: float, half: float | None) -> str:
    if half is None or abs(fall) <= half:
        return "no fall can be told"
    return "right less often where it was never trained" if fall < 0 else "right more often where it was never trained"


def _sources(preferences: Sequence[Preference], files: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """What kind of source the pairs have several of, and the source of each prompt by its
    conversation; one of two sources has none."""
    ways: tuple[tuple[str, int, Callable[[Preference], str]], ...] = (
        ("topic", FEWEST, lambda p: p.prompt.topic),
        ("principle", FEWEST, lambda p: p.prompt.principle),
        ("file", 2, lambda p: files.get(p.prompt.conversation.id, "")),
    )
    for kind, fewest, source in ways:
        sources_of: dict[str, set[str]] = {}
        for p in preferences:
            sources_of.setdefault(p.prompt.conversation.id, set()).add(source(p))
        source_of = {
            prompt: next(iter(sources))
            for prompt, sources in sources_of.items()
            if len(sources) == 1 and "" not in sources
        }
        if fewest <= len(set(source_of.values())) < len(source_of):  # a source of one prompt each would be a prompt
            return kind, source_of
    return "", {}


def _absent(stage: str) -> Finding:
    return Finding(claim="reward.accuracy", stage=stage, axis="feedback", value=None, n=0, method="no scored pairs")


def _is_level(finding: Finding) -> bool:
    return finding.claim == "reward.accuracy" and finding.against is None


def _longer_wins(preferences: Sequence[Preference]) -> float:
    return mean([ScoredPair(p, 0.0).longer_wins for p in preferences if p.strength != 0.5] or [0.5])
