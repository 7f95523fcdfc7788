"""Is the start model's half a half for everybody, is a best reply without regret, and is the worst-off group said?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from rankings import ranked

from alignwright.core.records import Conversation, Finding, LogProb
from alignwright.core.section import FindingTable, Intervals
from alignwright.measure.worst_off.knobs import WorstOffMeasure
from alignwright.measure.worst_off.section import section
from alignwright.measure.worst_off.welfare import draws, price_of_fairness, welfare, worst


class Speaker:
    """A policy whose log-probability of a reply is given by its text."""

    name = "speaker"

    def __init__(self, totals: dict[str, float]) -> None:
        self.totals = totals

    def logprobs(
        self, prompts: Sequence[Conversation], replies: Sequence[Sequence[str]], *, prefix: str = "", end: bool = True
    ) -> list[list[LogProb]]:
        assert not prefix
        assert end
        assert len(prompts) == len(replies)
        return [[LogProb(total=self.totals[text], tokens=1, bytes=1) for text in texts] for texts in replies]


BALLOTS = [ranked(f"Q{k}", (3, "ABCD", "many"), (1, "CBAD", "few")) for k in range(6)]


def values(outcomes: Sequence) -> dict[str, list[float]]:
    by_claim: dict[str, list[float]] = {}
    for outcome in outcomes:
        by_claim.setdefault(outcome.claim, []).append(outcome.value)
    return by_claim


def test_a_model_that_has_not_moved_wins_half_whatever_its_taste():
    start = Speaker({"A": -50.0, "B": -2.0, "C": -9.0, "D": -0.1})
    chances = draws(start, start, BALLOTS)  # type: ignore[arg-type]
    outcomes = values(welfare(BALLOTS, chances))
    for claim in ("values.win_rate", "values.win_rate.many", "values.win_rate.few"):
        assert outcomes[claim] == pytest.approx([0.5] * 6)
    moved = Speaker({"A": -48.0, "B": -2.0, "C": -9.0, "D": -0.1})
    assert draws(moved, start, BALLOTS)[0] == pytest.approx(np.exp([2, 0, 0, 0]) / (np.exp(2) + 3))  # type: ignore[arg-type]


def test_whom_a_choice_serves_and_what_it_costs():
    for reply, many, few in ((0, 0.875, 0.375), (1, 0.625, 0.625), (2, 0.375, 0.875), (3, 0.125, 0.125)):
        chances = [np.eye(4)[reply]] * len(BALLOTS)
        outcomes = values(welfare(BALLOTS, chances))
        assert outcomes["values.win_rate.many"] == pytest.approx([many] * 6)
        assert outcomes["values.win_rate.few"] == pytest.approx([few] * 6)
        assert outcomes["values.win_rate"] == pytest.approx([0.75 * many + 0.25 * few] * 6)
        assert outcomes["values.regret.many"] == pytest.approx([0.875 - many] * 6)
        assert outcomes["values.regret"] == pytest.approx([0.75 - (0.75 * many + 0.25 * few)] * 6)


def test_the_worst_group_is_named_and_its_interval_pays_for_the_choice():
    draw = np.random.default_rng(0)
    chances = [draw.dirichlet([6.0, 2.0, 1.0, 1.0]) for _ in range(24)]
    ballots = [ranked(f"Q{k}", (3, "ABCD", "many"), (1, "CBAD", "few")) for k in range(24)]
    outcomes = welfare(ballots, chances)
    win, regret = worst(outcomes, "train.0.dpo")
    few = values(outcomes)["values.win_rate.few"]
    assert (win.claim, win.detail["group"], win.value) == ("values.worst_win_rate", "few", pytest.approx(np.mean(few)))
    assert (regret.claim, regret.detail["group"]) == ("values.worst_regret", "few")
    own = 1.96 * np.std(few, ddof=1) / np.sqrt(24)
    assert win.low is not None
    assert win.high is not None
    assert win.high - win.low > 2.2 * own  # wider than one group's own
    assert "0.05 / 2" in win.method
    single = worst([o for o in outcomes if o.claim == "values.win_rate.few"], "m")
    assert single == []  # of one group there is no worst


def test_coverage_of_the_worst_of_equals():
    """Ten groups that are truly alike: the least of them is too low, and the interval still holds the truth."""
    draw, covered, too_low = np.random.default_rng(1), 0, 0
    names = [f"g{k}" for k in range(10)]
    for _ in range(60):
        outcomes = [
            o.model_copy(update={"value": float(np.clip(draw.normal(0.5, 0.15), 0, 1))})
            for k in range(20)
            for o in welfare([ranked(f"Q{k}", *((1, "AB", name) for name in names))], [np.array([0.5, 0.5])])
        ]
        finding = worst(outcomes, "m")[0]
        assert finding.low is not None
        assert finding.high is not None
        covered += finding.low <= 0.5 <= finding.high
        too_low += finding.value is not None and finding.value < 0.5
    assert too_low == 60  # the control: the number alone is always too low
    assert covered >= 55


def test_a_group_that_did_not_vote_on_every_pair_is_unscored_and_fairness_has_its_price():
    whole = BALLOTS[0]
    part = whole.model_copy(
        update={"votes": tuple(v for v in whole.votes if v.group == "many" or (v.prefers, v.over) != (2, 1))}
    )
    by_claim = values(welfare([part], [np.eye(4)[0]]))
    assert by_claim["values.win_rate.few"] == [None]
    assert by_claim["values.win_rate"] == pytest.approx([0.875])  # of those who were heard
    assert price_of_fairness([part], "baseline") == []
    (price,) = price_of_fairness(BALLOTS, "baseline")
    # the best for all is A with 3/4; of the lotteries that give both 5/8 the compromise is one
    assert price.value == pytest.approx(0.125)
    assert price.detail["gain"] == pytest.approx(0.25)


def test_the_section_tells_the_worst_off_first():
    chances = [np.random.default_rng(k).dirichlet([6.0, 2.0, 1.0, 1.0]) for k in range(6)]
    outcomes = welfare(BALLOTS, chances)
    findings = [
        Finding(claim=claim, stage="train.0.dpo", axis="value", value=float(np.mean(items)), low=0.1, high=0.9, n=6,
                method="t")
        for claim, items in values(outcomes).items()
    ] + [*worst(outcomes, "train.0.dpo"), *price_of_fairness(BALLOTS, "baseline")]  # fmt: skip
    shown = section(FindingTable(findings, ("baseline", "train.0.dpo")))
    assert shown is not None
    (figure,) = [block for block in shown.blocks if isinstance(block, Intervals)]
    assert [panel.claim for panel in figure.panels] == ["values.win_rate.few", "values.win_rate.many"]
    assert section(FindingTable([], ("baseline",))) is None


def test_votes_of_one_group_are_refused():
    from alignwright.core.stage import KnobRows

    stage = WorstOffMeasure(by="worst_off", people=("v.jsonl",))
    rows = [ranked("Q", (3, "AB", ""))]
    (fault,) = stage.row_faults([KnobRows(("people", 0), "v.jsonl", rows, [1])])
    assert "fewer than two groups (none of them names a group)" in fault[1]
    assert not list(stage.row_faults([KnobRows(("people", 0), "v.jsonl", BALLOTS, [1])]))
