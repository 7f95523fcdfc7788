"""Is an LLM judge better than chance on labelled pairs, and is it more than length bias or position
bias? No voter's votes are used before that is answered.

A voter that is a model is first asked about written pairs, whose better reply is known. It **has
signal** when both hold:

1. the lower 95% limit of its accuracy exceeds 1/2 (clustered by topic where there are topics, else
   Wilson);
2. so does that of its accuracy **balanced over length**: the mean of its accuracy where the good
   reply is the longer one and where it is the shorter one. A voter that only counts words is at
   exactly 1/2 there, whatever its accuracy, and one that merely follows the length a little cannot
   hide behind a lopsided set. The limit combines the Wilson limits of the two halves (MOVER, Zou
   and Donner 2008); where one half is empty, knowing cannot be told from counting, and the answer
   is no.

An exact tie scores 1/2, so a voter that looks only at the position is at exactly 1/2 as well. Also
found, and reported, not judged: the paired difference to "pick the longer one", how often the
longer reply is picked, how often the first one, and how often both orders give the same pick. A
refused voter stops the run, or its votes are dropped and its finding says so: never used in
silence.

Left out on purpose: correcting a weak judge's votes for its known errors; a vote without signal has
nothing to correct.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from alignwright.core.records import Comparison, Example, Finding, content_id
from alignwright.feedback.label_voter import BAD, GOOD
from alignwright.feedback.votes import Answer, ModelVoter, cast_votes, principles_for
from alignwright.stats.intervals import Interval, paired, share_interval, wilson
from alignwright.stats.scalars import mean


@dataclass(frozen=True)
class VoterCheck:
    """What was found out about a voter. `reason` is the verdict in words, with the numbers."""

    voter: str
    signal: bool
    reason: str
    findings: tuple[Finding, ...]


class JudgeAtChance(RuntimeError):
    """A voter was refused, and the run was told to stop then."""

    def __init__(self, check: VoterCheck) -> None:
        self.check = check
        advice = "Use a stronger judge, rules or written pairs, or set 'no_signal: skip' to go on without its votes"
        super().__init__(f"the voter {check.voter!r} was refused: {check.reason}. {advice}")


@dataclass(frozen=True)
class CheckedPair:
    """One written pair and what the voter said: `p`, the probability it gave to the good reply,
    and its raw answers."""

    pair: Comparison
    p: float
    answers: tuple[Answer, ...]

    @property
    def credit(self) -> float:
        return _pick(self.p)

    @property
    def longer(self) -> float:
        """What picking the longer reply would score: 1, 0, or 1/2 for equal lengths. Lengths are
        in characters."""
        good, bad = _good_bad(self.pair)
        lengths = len(self.pair.replies[good].text), len(self.pair.replies[bad].text)
        return 0.5 if lengths[0] == lengths[1] else float(lengths[0] > lengths[1])


def checked_votes(
    voter: ModelVoter,
    comparisons: Sequence[Comparison],
    pairs: Sequence[Comparison],
    *,
    stage: str,
    no_signal: Literal["stop", "skip"],
    limit: int | None = None,
    seed: int = 0,
) -> tuple[list[Comparison], tuple[Finding, ...]]:
    """Check the voter on written `pairs`, then let it vote on `comparisons`; refused, it raises
    JudgeAtChance or casts no vote."""
    check = check_voter(voter, pairs, stage=stage, limit=limit, seed=seed)
    if check.signal:
        return cast_votes(voter, comparisons), check.findings
    if no_signal == "stop":
        raise JudgeAtChance(check)
    return list(comparisons), check.findings


def check_voter(
    voter: ModelVoter, pairs: Sequence[Comparison], *, stage: str, limit: int | None = None, seed: int = 0
) -> VoterCheck:
    """Ask the voter about written pairs (at most `limit`, drawn by `seed`) and say whether it
    has signal."""
    # 1. Pairs that some principle of the voter is about, ordered by hash: a limit does not depend on the file's order.
    concerned = sorted(
        (pair for pair in pairs if principles_for(pair.prompt, voter.principles)),
        key=lambda pair: content_id(seed, pair.key),
    )[:limit]
    # 2. What could not be read is counted and shown, and scores neither for nor against the voter.
    every = voter.answers(concerned)
    unreadable = [text for answers in every for answer in answers for text in answer.unreadable]
    scored_pairs = [
        scored
        for pair, answers in zip(concerned, every, strict=True)
        if (scored := _checked_pair(pair, answers)) is not None
    ]
    if not scored_pairs:
        return _unanswered(voter.name, stage, len(concerned), unreadable)
    # 3. The verdict, from those that could be.
    signal, reason = _verdict(scored_pairs)
    reason += f"; {len(unreadable)} answers could not be read, such as {_short(unreadable[-1])}" if unreadable else ""
    return VoterCheck(
        voter.name,
        signal,
        reason,
        _findings(voter.name, stage, scored_pairs, len(concerned) - len(scored_pairs), signal, reason),
    )


def _unanswered(voter: str, stage: str, pairs: int, unreadable: Sequence[str]) -> VoterCheck:
    excerpt = f"; instead came {_short(unreadable[-1])}" if unreadable and unreadable[-1] else ""
    reason = (
        f"none of {pairs} written pairs got a readable answer{excerpt}"
        if pairs
        else "there is no written pair of its principles to check it on"
    )
    finding = Finding(
        claim=f"feedback.{voter}.accuracy",
        stage=stage,
        axis="feedback",
        value=None,
        n=0,
        method="no scored pairs",
        unscored=pairs,
        note=_note(False, reason),
        detail={"refused": True, "reason": reason},
    )
    return VoterCheck(voter, False, reason, (finding,))


def _verdict(pairs: Sequence[CheckedPair]) -> tuple[bool, str]:
    credits, longer = [pair.credit for pair in pairs], [pair.longer for pair in pairs]
    accuracy, balanced = _interval(credits, pairs), _balanced(pairs)
    summary = (
        f"right on {mean(credits):.1%} of {len(pairs)} written pairs (picking the longer reply: {mean(longer):.1%})"
    )
    if accuracy.low is None or accuracy.low <= 0.5:
        why = accuracy.method if accuracy.low is None else f"its lower 95% limit is {accuracy.low:.1%}"
        return False, f"{summary}; no better than chance: {why}"
    if balanced is None:
        return (
            False,
            (
                f"{summary}; the good replies are all longer, or all shorter, than the bad ones, so knowing cannot be"
                " told from measuring length"
            ),
        )
    if balanced[1] <= 0.5:
        why = f"balanced over length it is right on {balanced[0]:.1%}, lower 95% limit {balanced[1]:.1%}"
        return False, f"{summary}; {why}: no better than length alone"
    return True, f"{summary}; lower 95% limits {accuracy.low:.1%}, and {balanced[1]:.1%} balanced over length"


def _findings(
    voter: str, stage: str, pairs: Sequence[CheckedPair], unscored: int, signal: bool, reason: str
) -> tuple[Finding, ...]:
    credits, longer = [pair.credit for pair in pairs], [pair.longer for pair in pairs]
    clusters = _clusters(pairs)
    difference = paired(credits, longer, clusters)
    examples = tuple(_exhibit(pair) for pair in sorted(pairs, key=lambda pair: pair.p)[:6] if pair.credit < 1.0)

    def finding(name: str, values: Sequence[float], **more: object) -> Finding:
        interval = _interval(values, pairs)
        fields = {
            "value": mean(values),
            "low": interval.low,
            "high": interval.high,
            "method": interval.method,
            "better": None,
            "note": "",
        } | more
        groups = len(set(clusters)) if clusters else None
        head = {"claim": f"feedback.{voter}.{name}", "stage": stage, "axis": "feedback"}
        return Finding.model_validate(head | {"n": len(values), "clusters": groups, "unscored": unscored} | fields)

    against_length = {
        "value": difference.value,
        "low": difference.interval.low,
        "high": difference.interval.high,
        "method": difference.interval.method,
        "p": difference.p(),
        "against": "pick the longer reply",
    }
    verdict = {"note": _note(signal, reason), "detail": {} if signal else {"refused": True, "reason": reason}}
    same = [mean([_same_pick(answer) for answer in pair.answers]) for pair in pairs]
    agrees = [1.0 - abs(pair.credit - pair.longer) for pair in pairs]
    first = [mean([mean([_pick(a.forward or 0.0), _pick(a.backward or 0.0)]) for a in pair.answers]) for pair in pairs]
    sure = mean([mean([((a.forward or 0.0) + (a.backward or 0.0)) / 2 for a in pair.answers]) for pair in pairs])
    return (
        finding("accuracy", credits, better="higher", exhibits=examples, **verdict),
        finding("accuracy", credits, better="higher", **against_length),
        finding(
            "longer", agrees, note=f"picks the longer reply so often; picking it always is right on {mean(longer):.1%}"
        ),
        finding(
            "position", first, note=f"picks the reply shown first so often; mean probability given to it {sure:.2f}"
        ),
        finding("consistency", same, better="higher", note="the same pick in both orders"),
    )


def _checked_pair(pair: Comparison, answers: Sequence[Answer]) -> CheckedPair | None:
    """The readable answers on a pair's good and bad reply, or None when there is none."""
    good, bad = _good_bad(pair)
    readable = tuple(answer for answer in answers if {answer.a, answer.b} == {good, bad} and answer.p is not None)
    chances = [p if answer.a == good else 1.0 - p for answer in readable if (p := answer.p) is not None]
    return CheckedPair(pair, mean(chances), readable) if readable else None


def _good_bad(pair: Comparison) -> tuple[int, int]:
    speakers = [reply.speaker for reply in pair.replies]
    if sorted(speakers) != [BAD, GOOD]:
        raise ValueError(f"a voter is checked on written pairs of one {GOOD!r} and one {BAD!r} reply; seen {speakers}")
    return speakers.index(GOOD), speakers.index(BAD)


def _balanced(pairs: Sequence[CheckedPair]) -> tuple[float, float] | None:
    """Accuracy balanced over length, with its lower limit; ties within a half are rounded
    against the voter in the limit."""
    halves = [[pair.credit for pair in pairs if pair.longer == side] for side in (1.0, 0.0)]
    if not all(halves):
        return None
    means = [mean(half) for half in halves]
    lows = [wilson(math.floor(sum(half)), len(half)).low or 0.0 for half in halves]
    spread = math.hypot(*(share - low for share, low in zip(means, lows, strict=True)))
    return mean(means), mean(means) - spread / 2


def _interval(values: Sequence[float], pairs: Sequence[CheckedPair]) -> Interval:
    clusters = _clusters(pairs)
    return share_interval(values, clusters).interval


def _clusters(pairs: Sequence[CheckedPair]) -> list[str] | None:
    """The pairs' topics, where there are several and some has more than one pair. A pair without
    a topic stands alone."""
    topics = [pair.pair.prompt.topic or pair.pair.key for pair in pairs]
    return topics if 1 < len(set(topics)) < len(topics) else None


def _exhibit(pair: CheckedPair) -> Example:
    _, bad = _good_bad(pair.pair)
    reason = f"gave the written good reply a probability of {pair.p:.2f}"
    return Example(
        item=pair.pair.key,
        prompt=pair.pair.prompt.conversation,
        reply=pair.pair.replies[bad].text,
        status="fail",
        reason=reason,
    )


def _pick(p: float) -> float:
    return 0.5 if p == 0.5 else float(p > 0.5)


def _same_pick(answer: Answer) -> float:
    """1 when the two orders pick the same reply: the first of one order is the second of the other."""
    return float(_pick(answer.forward or 0.0) + _pick(answer.backward or 0.0) == 1.0 and answer.forward != 0.5)


def _short(text: str) -> str:
    return text if len(text) <= 400 else f"{text[:397]}..."


def _note(signal: bool, reason: str) -> str:
    return f"{'has signal' if signal else 'REFUSED, its votes are not used'}: {reason}"
