"""Is B worse than A on the same items, and by more than a margin?

Two runs, two logs of Inspect or two of lm-eval are paired item by item, so that what all items share
cancels out (Miller, arXiv 2411.00640). An item that stands there several times (epochs, duplicates)
is averaged first and counts once. Intervals are those of every difference here
(`stats.intervals.paired`): clustered by topic where the log has one; p is adjusted by Holm over the
claims, parts of claims by themselves.

The margin is answered in `margin`. A claim of A that B lacks is then unanswered, which is said and counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from alignwright.core.amount import amount
from alignwright.core.claims import Better, Range
from alignwright.files.garak_report import is_garak_report
from alignwright.files.jailbreak_artifact import is_artifact
from alignwright.files.score_log import ItemScore, Kind, ScoredClaim, ScoreLog
from alignwright.run.comparison.log_comparison import Answer, ClaimChange, LogComparison, Regression
from alignwright.run.comparison.margin import MarginTest
from alignwright.stats.intervals import Difference, Interval, paired
from alignwright.stats.significance import holm

TEXT = 2_000
"""Characters that the record keeps of a prompt or a reply."""


class _Item(NamedTuple):
    value: float | None
    first: ItemScore


class _Pairing(NamedTuple):
    pairs: list[tuple[_Item, _Item]]
    unscored: int
    only_a: int
    only_b: int
    missing_in_b: list[float]
    """A's values on the items that have no score in B."""
    other_prompts: int
    repeated: int


def compare_logs(
    a: ScoreLog,
    b: ScoreLog,
    *,
    margin: float | None = None,
    claims: Sequence[str] = (),
    lower: Sequence[str] = (),
    regressions: int = 10,
) -> LogComparison:
    """Both logs claim by claim; `claims` keeps these alone, of `lower` less is better. ValueError
    where nothing is paired."""
    margin = margin_of(margin)
    if a.kind != b.kind:
        raise ValueError(
            f"{a.path} is of kind {a.kind} and {b.path} of {b.kind}: only the same kind has the same items"
        )
    of_a, of_b = ({claim.name: claim for claim in log.claims} for log in (a, b))
    shared = [name for name in of_a if name in of_b]
    _check_names(shared, (*claims, *lower), a, b)
    chosen = [name for name in shared if not claims or name in claims]
    pairings = {name: _pair(of_a[name], of_b[name]) for name in chosen}
    if not any(pairing.pairs for pairing in pairings.values()):
        raise ValueError(
            f"no item scored in {a.path} is scored in {b.path} too: the questions differ, so nothing can be paired"
        )
    better: dict[str, Better] = {name: "lower" if name in lower else of_a[name].better for name in chosen}
    differences = {name: _difference(pairings[name].pairs) for name in chosen}
    families = [[name for name in chosen if of_a[name].part == part] for part in (False, True)]
    adjusted, answers = dict[str, float | None](), dict[str, tuple[Answer, str]]()
    for family in families:
        adjusted |= zip(family, holm([differences[name].p() for name in family]), strict=True)
    if margin is not None:
        tests = {
            name: MarginTest(
                differences[name], margin, better[name] == "lower", pairings[name].missing_in_b,
                _within(of_a[name], of_b[name]),
            )
            for name in families[0]
            if better[name]
        }  # fmt: skip
        falls = holm([test.p_no_fall() for test in tests.values()])
        answers = {
            name: test.answer(p_fall, len(tests)) for (name, test), p_fall in zip(tests.items(), falls, strict=True)
        }
    changes = tuple(
        _change(name, a, b, of_a[name], better[name], pairings[name], differences[name], adjusted[name],
                answers.get(name), regressions)
        for name in chosen
    )  # fmt: skip
    only_in_a = tuple(name for name in of_a if name not in of_b)
    return LogComparison(
        a=a.path, b=b.path, kind=a.kind, margin=margin, changes=changes, only_in_a=only_in_a,
        unanswered=tuple(
            name for name in only_in_a
            if margin is not None and not claims and of_a[name].better and not of_a[name].part
        ),
        only_in_b=tuple(name for name in of_b if name not in of_a),
        notes=(*a.notes, *(note for note in b.notes if note not in a.notes), *_pair_notes(pairings)),
    )  # fmt: skip


def margin_of(margin: float | None) -> float | None:
    """The margin; ValueError where it is none."""
    if margin is not None and not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"a margin is above 0, in the claim's own unit (0.02 of a share is 2 points), seen {margin}")
    return margin


def _check_names(shared: Sequence[str], named: Sequence[str], a: ScoreLog, b: ScoreLog) -> None:
    if empty := [log.path for log in (a, b) if not log.claims]:
        raise ValueError(f"nothing is scored in {' and in '.join(map(str, empty))}: there is nothing to compare")
    if not shared:
        raise ValueError(f"no claim is in both: {a.path} has {_names(a)}; {b.path} has {_names(b)}")
    if missing := [name for name in named if name not in shared]:
        raise ValueError(f"no claim {missing[0]!r} in both logs; in both are {', '.join(shared)}")


def _names(log: ScoreLog) -> str:
    return ", ".join(claim.name for claim in log.claims) or "none"


def _pair(a: ScoredClaim, b: ScoredClaim) -> _Pairing:
    of_a, repeated_a = _averaged(a.scores)
    of_b, repeated_b = _averaged(b.scores)
    both = [(one, of_b[item]) for item, one in of_a.items() if item in of_b]
    scored = [(one, two) for one, two in both if one.value is not None and two.value is not None]
    other = sum(one.first.prompt != two.first.prompt for one, two in scored)
    alone_a, alone_b = len(of_a) - len(both), len(of_b) - len(both)
    missing_in_b = [one.value for item, one in of_a.items() if one.value is not None and not _scored(of_b.get(item))]
    return _Pairing(scored, len(both) - len(scored), alone_a, alone_b, missing_in_b, other, repeated_a + repeated_b)


def _scored(item: _Item | None) -> bool:
    return item is not None and item.value is not None


def _within(a: ScoredClaim, b: ScoredClaim) -> Range:
    """Between which limits scores of both logs lie."""
    return min(a.within[0], b.within[0]), max(a.within[1], b.within[1])


def _averaged(scores: Sequence[ItemScore]) -> tuple[dict[str, _Item], int]:
    """Each item once, with the mean of its scores that there are, and how many stood there again."""
    groups: dict[str, list[ItemScore]] = {}
    for score in scores:
        groups.setdefault(score.item, []).append(score)
    return {item: _mean(group) for item, group in groups.items()}, len(scores) - len(groups)


def _mean(group: list[ItemScore]) -> _Item:
    values = [score.value for score in group if score.value is not None]
    return _Item(math.fsum(values) / len(values) if values else None, group[0])


def _difference(pairs: Sequence[tuple[_Item, _Item]]) -> Difference:
    before, after = [one.value or 0.0 for one, _ in pairs], [two.value or 0.0 for _, two in pairs]
    names = [one.first.cluster or two.first.cluster for one, two in pairs]
    grouped = any(names) and len(set(names)) < len(names)
    clusters = [name or f"item {place}" for place, name in enumerate(names)] if grouped else None
    change = paired(after, before, clusters)
    return _unchanged(change, before, clusters) if change.interval.low is None and before == after else change


def _unchanged(change: Difference, values: Sequence[float], clusters: Sequence[str] | None) -> Difference:
    """No item of other values than passes and fails changed: how many could have, times the range seen."""
    spread = max(values, default=0.0) - min(values, default=0.0)
    if not spread or len(values) < 2:
        return change
    none = paired([0.0] * len(values), [0.0] * len(values), clusters)
    low, high = none.interval.low, none.interval.high
    if low is None or high is None:
        return change
    method = f"no item changed: limits of the share that changes, times the range of the values seen ({spread:.3g})"
    return Difference(0.0, None, None, Interval(spread * low, spread * high, method), len(values), none.clusters)


def _change(
    name: str, a: ScoreLog, b: ScoreLog, claim: ScoredClaim, better: Better,
    pairing: _Pairing, change: Difference, p_adjusted: float | None, verdict: tuple[Answer, str] | None,
    regressions: int,
) -> ClaimChange:  # fmt: skip
    pairs, sign = pairing.pairs, -1 if better == "lower" else 1
    deltas = [sign * ((two.value or 0.0) - (one.value or 0.0)) for one, two in pairs]
    worst = sorted((delta, place) for place, delta in enumerate(deltas) if delta < 0)[:regressions] if better else []
    answer, reason = verdict or (None, "")
    n = len(pairs)
    return ClaimChange(
        claim=name, unit=claim.unit, better=better, part=claim.part, n=n, clusters=change.clusters,
        a=math.fsum(one.value or 0.0 for one, _ in pairs) / n if n else None,
        b=math.fsum(two.value or 0.0 for _, two in pairs) / n if n else None,
        value=change.value, low=change.interval.low, high=change.interval.high, method=change.interval.method,
        p=change.p(), p_adjusted=p_adjusted, coverage=change.coverage,
        worse=sum(delta < 0 for delta in deltas), improved=sum(delta > 0 for delta in deltas),
        unscored=pairing.unscored, only_a=pairing.only_a, only_b=pairing.only_b,
        missing_in_b=len(pairing.missing_in_b), answer=answer, reason=reason,
        regressions=tuple(_regression(*pairs[place], a, b) for _, place in worst),
    )  # fmt: skip


def _regression(one: _Item, two: _Item, a: ScoreLog, b: ScoreLog) -> Regression:
    return Regression(
        item=one.first.name, cluster=one.first.cluster or two.first.cluster, prompt=one.first.prompt[:TEXT],
        value_a=one.value or 0.0, value_b=two.value or 0.0,
        reply_a=a.reply(one.first)[:TEXT], reply_b=b.reply(two.first)[:TEXT],
    )  # fmt: skip


def _pair_notes(pairings: dict[str, _Pairing]) -> list[str]:
    notes: list[str] = []
    for name, pairing in pairings.items():
        if pairing.other_prompts:
            notes.append(
                f"{name}: {pairing.other_prompts} of {amount(len(pairing.pairs), 'item')} were asked with another"
                " prompt (examples before the question, or a chat template)"
            )
        if pairing.repeated:
            notes.append(f"{name}: {pairing.repeated} repeated scores were averaged with the same item's others")
    return notes


def kind_of(path: Path) -> Kind | None:
    """What kind of log lies there, by its name and how it begins; None for none that is known."""
    if path.is_dir():
        if (path / "findings.jsonl").is_file() or (path / "spec").is_dir():
            return "run"
        return "lm_eval" if next(path.glob("samples_*.jsonl*"), None) else None
    if path.suffix in (".eval", ".json"):
        return "jailbreakbench" if is_artifact(path) else "inspect"
    if is_garak_report(path):
        return "garak"
    return "lm_eval" if path.name.endswith((".jsonl", ".jsonl.gz")) else None
