"""Is every promise answered by its interval, the right way round, and never guessed?"""

from __future__ import annotations

import pytest

from alignwright.core.promises import Verdict, answer, exit_code, parse
from alignwright.core.records import Finding


def finding(claim="value.refusal", stage="train.1.dpo", value=0.5, low=0.4, high=0.6, **more) -> Finding:
    axis = more.pop("axis", claim.split(".")[0])
    return Finding(
        claim=claim,
        stage=stage,
        axis=axis,
        value=value,
        low=low,
        high=high,
        n=more.pop("n", 50),
        method="Wilson 95%",
        **more,
    )


def verdict(text: str, *findings: Finding) -> Verdict:
    return answer(parse(text), findings)


def test_the_grammar():
    promise = parse("  value.pairs.do_not-lie.gain >= 12.5 % ")
    assert (promise.claim, promise.gain, promise.op, promise.bound) == ("value.pairs.do_not-lie", True, ">=", 0.125)
    assert parse("tax.bits_per_byte<2e-2").bound == 0.02
    assert parse("tax.choice.gain > -.5").bound == -0.5
    assert not parse("value.refusal > 0").gain


@pytest.mark.parametrize(
    ("text", "pointed"),
    [
        ("", "empty promise"),
        ("refusal > 1", "column 1: 'refusal' is not a claim's name"),
        ("value.refusal => 0.3", r"column 15: '=>' is not a comparison; write one of < <= > >="),
        ("value.refusal == 0.3", "'==' is not a comparison"),
        ("value.refusal is 0.3", "column 15: 'is 0.3' is not a comparison"),
        ("value.refusal", "column 14: '' is not a comparison"),
        ("value.refusal > many", "column 17: 'many' is not a number"),
        ("value.refusal > 0.3 or so", "'0.3 or so' is not a number"),
        ("value.refusal > nan", "'nan' is not a number"),
        ("value.gain > 0.1", "names no claim before .gain"),
        ("x" * 5_000, r"^promise .x{60}. goes on for 5,000 characters; write for example: value.refusal > 0.3$"),
    ],
)
def test_malformed_promises_point_at_the_fault(text, pointed):
    with pytest.raises(ValueError, match=pointed):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("value.refusal > 0.39", "kept"),
        ("value.refusal > 0.4", "untested"),
        ("value.refusal >= 40%", "kept"),
        ("value.refusal > 0.5", "untested"),
        ("value.refusal > 0.6", "broken"),
        ("value.refusal >= 0.6", "untested"),
        ("value.refusal < 0.61", "kept"),
        ("value.refusal <= 0.6", "kept"),
        ("value.refusal < 0.4", "broken"),
    ],
)
def test_the_whole_interval_decides(text, expected):
    seen = finding()
    assert verdict(text, seen).answer == expected
    assert verdict(text, seen).finding == seen.id


def test_a_promise_and_its_contrary_are_never_both_kept():
    seen = finding()
    flip = {"kept": "broken", "broken": "kept", "untested": "untested"}
    for bound in (0.3, 0.4, 0.45, 0.6, 0.7):
        assert (
            verdict(f"value.refusal < {bound}", seen).answer == flip[verdict(f"value.refusal >= {bound}", seen).answer]
        )


def test_the_last_stage_is_judged_and_not_a_difference():
    levels = [finding(stage="baseline", value=0.1, low=0.0, high=0.2), finding()]
    change = finding(value=0.4, low=0.3, high=0.5, against="baseline")
    assert verdict("value.refusal > 0.35", *levels, change).answer == "kept"
    assert "50% [40%, 60%] at train.1.dpo, 50 items" in verdict("value.refusal > 0.35", *levels, change).reason


def test_a_claim_left_unmeasured_at_the_last_stage_is_untested():
    other = finding(claim="intent.pushback", stage="train.2.dpo")
    assert "at the last stage, train.2.dpo" in verdict("value.refusal > 0.1", finding(), other).reason
    assert verdict("value.refusal > 0.1", finding(), other).answer == "untested"


def test_an_earlier_model_never_answers_for_the_last_one_of_the_plan():
    """Where the last model was not measured at all, the newest findings are those of another model."""
    models = ("baseline", "train.0.sft", "train.1.dpo")
    start = finding(claim="tax.bits_per_byte", stage="baseline", value=1.2, low=1.1, high=1.3, axis="tax")
    for text in ("value.refusal > 0.35", "value.refusal < 0.35", "value.refusal.gain > 0"):
        for found in ([finding(stage="baseline")], [finding(stage="baseline"), start], [finding(stage="train.0.sft")]):
            told = answer(parse(text), found, models)
            assert told.answer == "untested"
            assert "at the last stage, train.1.dpo" in told.reason
    assert (
        answer(parse("value.refusal > 0.35"), [finding(stage="baseline"), finding()], models).answer == "kept"
    )  # control
    vote = finding(claim="feedback.judge.accuracy", stage="feedback.1.judge", axis="feedback")
    assert answer(parse("feedback.judge.accuracy > 0.35"), [vote], models).answer == "kept"  # a voter is no model


def test_gain_is_turned_so_that_more_is_better():
    refusals = finding(value=0.3, low=0.2, high=0.4, against="baseline")
    attacks = finding(claim="attack.success", value=-0.3, low=-0.4, high=-0.2, against="baseline", better="lower")
    for claim, change in (("value.refusal", refusals), ("attack.success", attacks)):
        kept = verdict(f"{claim}.gain > 0.1", change)
        assert (kept.answer, "gains 30 pts [20, 40]" in kept.reason) == ("kept", True)
        assert verdict(f"{claim}.gain < 0.1", change).answer == "broken"


def test_tax_is_a_cost_whichever_way_is_better():
    bits = finding(
        claim="tax.bits_per_byte",
        value=0.01,
        low=0.005,
        high=0.015,
        against="baseline",
        better="lower",
        unit="bits/byte",
    )
    choice = finding(claim="tax.choice", value=-0.03, low=-0.04, high=-0.02, against="baseline")
    level = finding(claim="tax.bits_per_byte", value=1.1, low=1.0, high=1.2, better="lower", unit="bits/byte")
    assert verdict("tax.bits_per_byte < 0.02", level, bits).answer == "kept"
    assert verdict("tax.bits_per_byte < 0.004", level, bits).answer == "broken"
    assert verdict("tax.choice < 5%", choice).answer == "kept"
    assert "costs 3 pts [2, 4]" in verdict("tax.choice < 5%", choice).reason
    assert verdict("tax.choice < 1%", choice).answer == "broken"
    assert verdict("tax.choice.gain > -5%", choice).answer == "kept"
    assert verdict("tax.bits_per_byte < 0.02", level).answer == "untested"  # a level alone is no tax


def test_a_voter_is_judged_at_its_own_stage():
    voter = finding(claim="feedback.contrast.accuracy", stage="feedback", value=0.7, low=0.6, high=0.8)
    assert verdict("feedback.contrast.accuracy > 0.5", voter, finding()).answer == "kept"


def test_what_is_missing_is_said():
    assert "no findings" in verdict("value.refusal > 0.1").reason
    assert verdict("value.refusl > 0.1", finding()).reason == "nothing measured value.refusl; near it are value.refusal"
    assert "none of the 1 claims" in verdict("world.peace > 0.9", finding()).reason
    assert "without an interval" in verdict("value.refusal > 0.1", finding(low=None, high=None)).reason
    assert "without an interval" in verdict("value.refusal > 0.1", finding(value=None, low=None, high=None, n=0)).reason
    assert "3 more items could not be scored" in verdict("value.refusal > 0.1", finding(unscored=1, errors=2)).reason
    assert (
        "counts as better"
        in verdict("value.length.gain > 0", finding(claim="value.length", against="baseline", better=None)).reason
    )
    assert verdict("value.refusal > 0.5", finding()).reason == "undecided: the interval [40%, 60%] contains 50%"
    change = verdict("value.refusal.gain > 0.02", finding(value=0.1, low=-0.05, high=0.25, against="baseline"))
    assert change.reason == "undecided: the interval [-5, 25] contains 2 pts"
    bits = finding("tax.bits_per_byte", value=0.03, low=0.01, high=0.05, unit="bits/byte", against="baseline")
    assert "undecided: the interval [0.01, 0.05] contains 0.02" in verdict("tax.bits_per_byte.gain > 0.02", bits).reason


def test_exit_codes():
    kept, broken, untested = (verdict(f"value.refusal > {bound}", finding()) for bound in (0.1, 0.9, 0.5))
    assert [exit_code(v) for v in ([], [kept], [kept, untested], [untested, broken, kept])] == [0, 0, 3, 1]


# ---- a rate that a grader found ------------------------------------------------------------------


def corrected(low, high, claim="value.refusal.corrected", **more) -> Finding:
    value = None if low is None else (low + high) / 2
    method = (
        "Rogan-Gladen, transferred"
        if low is not None
        else "no correction: the grader is not known to be better than chance"
    )
    return finding(claim, value=value, low=low, high=high, axis="value", **more).model_copy(update={"method": method})


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.35, 0.7, "kept"), (0.25, 0.7, "untested"), (0.1, 0.25, "untested"), (None, None, "untested")],
)
def test_a_verdict_that_the_correction_would_change_is_untested(low, high, expected):
    raw = finding()
    assert verdict("value.refusal > 30%", raw).answer == "kept"
    said = verdict("value.refusal > 30%", raw, corrected(low, high))
    assert said.answer == expected
    assert said.finding == raw.id
    if expected == "untested":
        assert "kept by the rate as graded, 50%, but not once it is corrected for the grader's errors" in said.reason
        assert ("better than chance" if low is None else f"[{100 * low:.3g}%, {100 * high:.3g}%]") in said.reason
    else:
        assert said == verdict("value.refusal > 30%", raw)


def test_a_broken_promise_needs_the_correction_too_and_an_undecided_one_is_not_decided_by_it():
    assert verdict("value.refusal > 70%", finding(), corrected(0.2, 0.69)).answer == "broken"
    assert verdict("value.refusal > 70%", finding(), corrected(0.2, 0.8)).answer == "untested"
    undecided = verdict("value.refusal > 50%", finding(), corrected(0.8, 0.9))
    assert (undecided.answer, "undecided" in undecided.reason) == ("untested", True)


def test_the_correction_of_another_stage_or_of_the_level_is_not_held_against_a_gain():
    level = [
        finding(stage="baseline", value=0.1, low=0.05, high=0.15),
        finding(),
        corrected(0.0, 0.1),
        corrected(0.0, 0.1, stage="baseline"),
    ]
    change = finding(value=0.4, low=0.3, high=0.5, against="baseline")
    assert verdict("value.refusal.gain > 0.2", *level, change).answer == "kept"
    assert (
        verdict("value.refusal.gain > 0.2", *level, change, corrected(0.1, 0.5, against="baseline")).answer
        == "untested"
    )
    assert verdict("value.refusal.corrected < 0.2", *level).answer == "kept", "the corrected rate is a claim of its own"


def test_a_gain_in_what_should_fall_is_turned_before_it_is_compared():
    change = finding("attack.success", value=-0.4, low=-0.5, high=-0.3, against="baseline", better="lower")
    after = corrected(-0.6, -0.1, "attack.success.corrected", against="baseline", better="lower")
    said = verdict("attack.success.gain > 0.2", change, after)
    assert (said.answer, "[10, 60]" in said.reason) == ("untested", True)
    assert verdict("attack.success.gain > 0.05", change, after).answer == "kept"


def test_a_gain_where_nothing_was_trained_says_so_and_what_can_be_promised():
    level = finding("value.pairs", stage="baseline")
    gain = answer(parse("value.pairs.gain > 0"), [level], ["baseline"])
    assert gain.answer == "untested"
    assert gain.reason.startswith("no stage was trained")
    assert "value.pairs > ..." in gain.reason
    cost = answer(parse("tax.bits_per_byte < 0.05"), [finding("tax.bits_per_byte", stage="baseline")], ["baseline"])
    assert (cost.answer, ".gain" in cost.reason) == ("untested", False)
    trained = answer(parse("value.pairs.gain > 0"), [level], ["baseline", "train.0.sft"])
    assert "no stage was trained" not in trained.reason


def test_a_gain_of_what_could_not_be_measured_has_that_reason():
    why = {"untested": "a server gives no log-probabilities"}
    level = finding("value.pairs", stage="baseline", value=None, low=None, high=None, n=0, detail=why)
    verdict = answer(parse("value.pairs.gain > 0"), [level], ["baseline"])
    assert verdict.reason == "value.pairs was not measured: a server gives no log-probabilities"
