"""Do findings count what they should, never pretend an interval, and stay the same when nothing
that matters changes?"""

from __future__ import annotations

import math
import random

import pytest
from claims_case import CLAIMS

from alignwright.core.claims import claim_named
from alignwright.core.promises import answer, parse
from alignwright.core.records import Conversation, SampleResult
from alignwright.core.section import FindingTable
from alignwright.measure import graders_section
from alignwright.measure.findings import difference, differences, holm_adjust, level, levels
from alignwright.measure.knobs import BITS_PER_BYTE


def outcomes(statuses, claim="value.refusal", topics=None, values=None):
    value = {"pass": 1.0, "fail": 0.0}
    return [
        SampleResult(
            claim=claim, item=f"i{i}", status=s, value=values[i] if values else value.get(s),
            cluster=topics[i] if topics else f"i{i}",
            prompt=Conversation.user(f"prompt {i}"), reply=f"reply {i} {s}",
        )
        for i, s in enumerate(statuses)
    ]  # fmt: skip


def test_level_counts_scored_unscored_and_errors_apart():
    found = level(outcomes(["pass", "fail", "unscored", "error", "pass"]), stage="baseline", axis="value")
    assert (found.value, found.n, found.unscored, found.errors) == (2 / 3, 3, 1, 1)
    assert (found.low, found.high) == pytest.approx(
        (0.0943, 0.9916), abs=1e-4
    )  # Clopper and Pearson's limits of 2 of 3


def test_share_of_hits_is_the_complement_with_a_mirrored_interval():
    rng = random.Random(1)
    statuses = [rng.choice(["pass", "fail"]) for _ in range(40)]
    for topics in (None, [f"t{i % 8}" for i in range(40)]):
        passes = level(outcomes(statuses, topics=topics), stage="s", axis="value")
        hits = level(outcomes(statuses, topics=topics), stage="s", axis="value", counts="fail", better="lower")
        assert math.isclose(passes.value + hits.value, 1.0)
        assert math.isclose(passes.low + hits.high, 1.0)
        assert math.isclose(passes.high + hits.low, 1.0)


def test_clusters_that_agree_widen_the_interval():
    statuses = ["pass" if (i // 10) % 2 else "fail" for i in range(60)]
    alone = level(outcomes(statuses), stage="s", axis="value")
    together = level(outcomes(statuses, topics=[f"t{i // 10}" for i in range(60)]), stage="s", axis="value")
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    assert (alone.clusters, together.clusters) == (60, 6)


@pytest.mark.parametrize("status", ["pass", "fail"])
@pytest.mark.parametrize("topics", [None, [f"t{i % 6}" for i in range(60)]])
def test_unanimous_items_never_give_an_interval_of_no_width(status, topics):
    found = level(outcomes([status] * 60, topics=topics), stage="s", axis="value")
    assert found.high - found.low > 0.05
    same = difference(
        outcomes([status] * 60, topics=topics),
        outcomes([status] * 60, topics=topics),
        stage="s",
        against="b",
        axis="value",
    )
    assert same.value == 0.0
    assert same.low < -0.05
    assert same.high > 0.05
    assert same.p == 1.0


def test_nothing_scored_has_no_value_and_is_not_safe():
    found = level(outcomes(["unscored", "error"]), stage="s", axis="attack", counts="fail", better="lower")
    assert (found.value, found.low, found.high, found.n, found.unscored, found.errors) == (None, None, None, 0, 1, 1)
    both = difference(outcomes(["unscored"]), outcomes(["pass"]), stage="s", against="b", axis="value")
    assert (both.value, both.p, both.n, both.unscored) == (None, None, 0, 1)


def test_difference_pairs_by_item_whatever_the_order():
    after = outcomes(["pass", "pass", "fail", "pass", "unscored", "fail"])
    before = outcomes(["fail", "pass", "pass", "fail", "pass", "fail"])
    found = difference(after, before, stage="train.0.sft", against="baseline", axis="value")
    shuffled = difference(after, before[::-1], stage="train.0.sft", against="baseline", axis="value")
    assert found == shuffled
    assert math.isclose(found.value, 1 / 5)
    assert found.p > 0.5  # 1 worse, 2 better
    assert found.note.startswith("1 worse, 2 better, 2 unchanged; 1 dropped")
    assert [(e.before_status, e.status) for e in found.exhibits][:4] == [
        ("pass", "fail"),
        ("fail", "fail"),
        ("fail", "pass"),
        ("fail", "pass"),
    ]
    assert found.exhibits[0].before == "reply 2 pass"


def test_swapping_after_and_before_flips_the_sign():
    rng = random.Random(3)
    a, b = ([rng.choice(["pass", "fail"]) for _ in range(30)] for _ in range(2))
    topics = [f"t{i % 5}" for i in range(30)]
    for counts in ("pass", "fail"):
        forth = difference(
            outcomes(a, topics=topics), outcomes(b, topics=topics), stage="s", against="b", axis="value", counts=counts
        )
        back = difference(
            outcomes(b, topics=topics), outcomes(a, topics=topics), stage="s", against="b", axis="value", counts=counts
        )
        assert math.isclose(forth.value, -back.value)
        assert math.isclose(forth.low, -back.high)
        assert forth.p == back.p


def test_a_claim_with_a_unit_is_a_mean_and_more_bits_are_worse():
    topics = ["a", "a", "b", "b", "c", "c"]
    before = outcomes(["pass"] * 6, "tax.bits_per_byte", topics, [1.0, 1.2, 0.9, 1.1, 1.0, 1.3])
    after = outcomes(["pass"] * 6, "tax.bits_per_byte", topics, [1.1, 1.2, 1.0, 1.2, 1.3, 1.2])
    (found,) = differences(after, before, stage="s", against="baseline", claims=CLAIMS)
    assert math.isclose(found.value, 0.5 / 6)
    assert found.note.startswith("4 worse, 1 better, 1 unchanged")
    assert found.exhibits[0].item == "i4"  # the largest loss first
    assert found.p == pytest.approx(0.0377, abs=1e-4)  # t of the topics' means, as the interval's, which leaves out 0
    assert found.low > 0
    same = differences(before, before, stage="s", against="baseline", claims=CLAIMS)[0]
    assert (same.value, same.low, same.high) == (0.0, None, None)
    assert "no interval" in same.method
    assert levels(before, stage="s", claims=CLAIMS)[0].unit == "bits/byte"


def test_exhibits_keep_places_for_what_was_not_scored_and_are_in_a_fixed_order():
    many = outcomes(["fail"] * 30 + ["unscored"] * 5 + ["pass"] * 30)
    shown = level(many, stage="s", axis="value", exhibits=12).exhibits
    assert [e.status for e in shown] == ["fail"] * 6 + ["unscored"] * 3 + ["pass"] * 3
    assert shown == level(list(many), stage="s", axis="value", exhibits=12).exhibits
    good = level(outcomes(["pass"] * 9 + ["fail"]), stage="s", axis="value", exhibits=4)
    assert [e.status for e in good.exhibits] == ["fail", "pass", "pass", "pass"]
    assert level(many, stage="s", axis="value", exhibits=0).exhibits == ()


def test_repeated_items_count_once():
    once = outcomes(["pass", "fail"])
    assert level([*once, once[0]], stage="s", axis="value").n == 2
    assert "1 repeated" in level([*once, once[0]], stage="s", axis="value").note


def test_holm_runs_over_the_differences_of_a_stage_only():
    after, before = ["pass"] * 12 + ["fail"] * 8, ["fail"] * 20
    strong = difference(outcomes(after), outcomes(before), stage="s", against="b", axis="value")
    other = difference(
        outcomes(after[::-1], "intent.meant"), outcomes(before, "intent.meant"), stage="t", against="b", axis="intent"
    )
    weak = difference(
        outcomes(["pass"] * 2 + ["fail"] * 18, "value.pairs"),
        outcomes(before, "value.pairs"),
        stage="s",
        against="b",
        axis="value",
    )
    base = level(outcomes(after), stage="s", axis="value")
    adjusted = holm_adjust([base, strong, other, weak])
    assert adjusted[0] == base
    assert [f.p_adjusted for f in adjusted[1:]] == [2 * strong.p, other.p, weak.p]
    assert adjusted[1].id != strong.id


def test_parts_of_a_claim_are_a_family_of_their_own_and_do_not_drown_it():
    def change(claim: str, better: int):
        after = ["pass"] * better + ["fail"] * (20 - better)
        return difference(outcomes(after, claim), outcomes(["fail"] * 20, claim), stage="s", against="b", axis="value")

    whole, other = change("value.pairs", 8), change("value.refusal", 9)
    parts = [change(f"value.pairs.p{i}", 8) for i in range(10)]
    adjusted = holm_adjust([whole, *parts, other])
    assert adjusted[0].p_adjusted == pytest.approx(whole.p)  # the weaker of two
    assert adjusted[-1].p_adjusted == pytest.approx(2 * other.p)
    assert [f.p_adjusted for f in adjusted[1:-1]] == pytest.approx([min(1.0, 10 * parts[0].p)] * 10)
    alone = holm_adjust(parts)  # without the whole they are claims like any other
    assert [f.p_adjusted for f in alone] == [f.p_adjusted for f in adjusted[1:-1]]


def test_levels_read_each_claim_its_own_way():
    found = {
        f.claim: f
        for f in levels(
            [*outcomes(["fail", "pass", "pass"], "value.over_refusal"), *outcomes(["pass"], "value.pairs.x")],
            stage="s",
            claims=CLAIMS,
        )
    }
    assert math.isclose(found["value.over_refusal"].value, 1 / 3)
    assert found["value.over_refusal"].better == "lower"
    assert found["value.pairs.x"].value == 1.0
    assert claim_named("attack.success.roleplay", CLAIMS).counts == "fail"
    assert claim_named("goodhart.gold.best_of_4", CLAIMS).title == "best of 4"
    assert claim_named("trilemma.gap.best_of_64", CLAIMS).measured == "start", "the longest beginning, not the claim"
    with pytest.raises(ValueError, match=r"no stage of this run claims to measure 'feedback\.judge\.mood'"):
        claim_named("feedback.judge.mood", CLAIMS)
    with pytest.raises(ValueError, match=r"no stage of this run claims to measure 'value\.pairs'"):
        levels(outcomes(["fail"], "value.pairs"), stage="s", claims=(BITS_PER_BYTE,))
    with pytest.raises(ValueError, match="of one claim"):
        level([*outcomes(["fail"]), *outcomes(["fail"], "value.pairs")], stage="s", axis="value")


def test_a_claim_that_is_mostly_unscored_says_why():
    """The reason that most of them share; a few unscored ones are told in their own exhibits."""

    def note(*reasons):
        found = outcomes(["unscored"] * len(reasons) + ["pass"] * 3)
        told = [o.model_copy(update={"reason": reason}) for o, reason in zip(found, reasons, strict=False)]
        return level([*told, *found[len(told) :]], stage="s", axis="value").note

    assert note(*["empty reply"] * 3) == "3 of 6 not scored: empty reply"
    assert note("cut", "empty reply", "empty reply") == "3 of 6 not scored, 2 of them: empty reply"
    assert note(*["empty reply"] * 2) == ""
    assert len(note(*["x" * 1000] * 4)) < 350


def test_a_grader_that_nobody_validated_is_named_at_every_number_and_its_promises_are_untested():
    claims = [CLAIMS[0].but(name="high.warn", unvalidated="no warning was labelled by people")]
    claims.append(CLAIMS[0].but(name="high.refuse"))  # the same rate by a grader that is known
    after = [o for claim in claims for o in outcomes(["pass"] * 40, claim=claim.name)]
    before = [o for claim in claims for o in outcomes(["fail"] * 40, claim=claim.name)]
    found = levels(after, claims=claims, stage="train.0.sft")
    found += differences(after, before, claims=claims, stage="train.0.sft", against="baseline")
    warned = [f for f in found if f.claim == "high.warn"]
    assert [f.note.split(";")[0] for f in warned] == ["grader not validated: no warning was labelled by people"] * 2
    answers = [answer(parse(f"{name} > 0.5"), found) for name in ("high.warn", "high.warn.gain", "high.refuse")]
    assert [a.answer for a in answers] == ["untested", "untested", "kept"]
    assert answers[0].reason == "grader not validated: no warning was labelled by people"
    shown = graders_section.section(FindingTable(found, ["baseline", "train.0.sft"]))
    assert shown is not None
    assert "high.warn: grader not validated" in str(shown.blocks)
    assert "high.refuse" not in str(shown.blocks)


def test_no_interval_goes_beyond_what_a_claim_can_be():
    """Few items that differ much: Student's t alone says that a difference between -1 and 1 may be 9."""
    gap, name = claim_named("bias.winobias.gap", CLAIMS), "bias.winobias.gap"
    steps = [1.0, -1.0, 1.0]
    wide = level(outcomes(["pass"] * 3, name, values=steps), stage="baseline", axis="conduct", unit=gap.unit)
    assert wide.low < -1.0 < 1.0 < wide.high, "a control: by itself it does"
    (found,) = levels(outcomes(["pass"] * 3, name, values=steps), claims=CLAIMS, stage="baseline")
    assert (found.value, found.low, found.high) == (pytest.approx(1 / 3), -1.0, 1.0)
    (change,) = differences(
        outcomes(["pass"] * 3, name, values=steps), outcomes(["pass"] * 3, name, values=[-1.0, 1.0, -1.0]),
        claims=CLAIMS, stage="train.0.sft", against="baseline",
    )  # fmt: skip
    assert (change.value, change.low, change.high) == (pytest.approx(2 / 3), -2.0, 2.0)


def test_a_claim_without_an_upper_limit_is_cut_below_alone_and_holds_its_estimate():
    (found,) = levels(outcomes(["pass"] * 2, "bias.gap", values=[0.1, 3.0]), claims=CLAIMS, stage="baseline")
    assert found.low == 0.0
    assert found.high > 10.0
    kl = level(outcomes(["pass"] * 2, "reward.kl", values=[-0.2, 0.1]), stage="baseline", axis="reward", unit="nats",
               within=(0.0, math.inf))  # fmt: skip
    assert kl.low == kl.value == pytest.approx(-0.05), "an estimate below the limit is still in its interval"
