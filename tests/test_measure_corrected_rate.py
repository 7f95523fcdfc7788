"""Does the rate beside a grader's own recover what was planted, by transferred errors and by
labels of the run's own replies?"""

from __future__ import annotations

import random

import pytest
from claims_case import CLAIMS

from alignwright.core.claims import claim_named
from alignwright.core.records import Conversation, SampleResult
from alignwright.files.replies import LabelledReply, reply_key
from alignwright.measure.corrected_rate import ENOUGH, powered_rate, unmatched, with_corrections
from alignwright.measure.findings import differences, levels
from alignwright.text.grader_error import KnownError, known_errors


def known(right: float = 0.9, held: float = 0.8, sources: int = 8, of: int = 2000) -> tuple[KnownError, ...]:
    return tuple(KnownError("refused", f"source {i}", right, of, 0.0, held, of, 0.0, "") for i in range(sources))


def graded(
    truth: float,
    items: int,
    seed: int,
    *,
    right: float = 0.9,
    held: float = 0.8,
    claim: str = "value.refusal",
    salt: str = "",
):
    """Outcomes of a grader that errs, and for each item whether it truly is so."""
    rng = random.Random(seed)
    outcomes, truths = [], []
    for i in range(items):
        truths.append(rng.random() < truth)
        yes = rng.random() < (right if truths[-1] else 1 - held)
        good = yes if claim == "value.refusal" else not yes
        made = {
            "status": "pass" if good else "fail",
            "value": float(good),
            "prompt": Conversation.user(f"ask {i}"),
            "reply": f"said {i}{salt}",
        }
        outcomes.append(SampleResult(claim=claim, item=str(i), cluster=str(i), **made))
    return outcomes, truths


def said(outcomes, truths, places, question="refused"):
    rows = [LabelledReply(prompt=outcomes[i].prompt, reply=outcomes[i].reply, **{question: truths[i]}) for i in places]
    return {row.key: row for row in rows}


@pytest.fixture
def erring(monkeypatch):
    monkeypatch.setattr("alignwright.measure.corrected_rate.known_errors", lambda _: known())


@pytest.mark.parametrize("claim", ["value.refusal", "value.over_refusal", "attack.success"])
@pytest.mark.parametrize("truth", [0.1, 0.95])
def test_a_planted_error_is_corrected_in_every_claim_that_a_grader_finds(claim, truth, erring):
    outcomes, truths = graded(truth, 4000, 3, claim=claim)
    raw, corrected = with_corrections(levels(outcomes, stage="baseline", claims=CLAIMS), outcomes, claims=CLAIMS)
    really = sum(truths) / len(truths)
    assert abs(raw.value - really) > 0.05, "the control: as graded it is wrong"
    assert raw.low > really or raw.high < really
    assert corrected.value == pytest.approx(really, abs=0.03)
    assert corrected.low < really < corrected.high
    assert (corrected.claim, corrected.stage, corrected.better, corrected.n) == (
        f"{claim}.corrected",
        "baseline",
        raw.better,
        4000,
    )
    assert "Rogan-Gladen 95%, transferred" in corrected.method
    assert "source 3: sensitivity 90% of 2000, specificity 80% of 2000" in corrected.note


def test_the_grader_s_own_figures_are_told_beside_every_rate():
    outcomes, _ = graded(0.5, 40, 1)
    corrected = with_corrections(levels(outcomes, stage="s", claims=CLAIMS), outcomes, claims=CLAIMS)[1]
    for error in known_errors("refused"):
        assert f"{error.source}: sensitivity {error.sensitivity:.0%} of {error.positives}" in corrected.note


def test_other_claims_stay_alone():
    outcomes = [o.model_copy(update={"claim": "attack.not_refused"}) for o in graded(0.5, 10, 1)[0]]
    assert [f.claim for f in with_corrections(levels(outcomes, stage="s", claims=CLAIMS), outcomes, claims=CLAIMS)] == [
        "attack.not_refused"
    ]


def test_what_was_left_unclear_is_not_among_the_calls_that_correct_the_rate():
    """Of 100 refusals 60 are seen, 10 missed and 30 left unclear; the rate is of graded replies,
    of which 6 in 7 refusals are seen."""
    error = tuple(KnownError("refused", f"{i}", 0.6, 10_000, 0.3, 0.9, 10_000, 0.0, "") for i in range(30))
    outcomes, _ = graded(1.0, 700, 2, right=6 / 7)
    (raw,) = levels(outcomes, stage="s", claims=CLAIMS)
    from alignwright.measure.corrected_rate import corrected_level

    assert raw.value == pytest.approx(6 / 7, abs=0.03)
    assert corrected_level(raw, outcomes, {}, error, claim=claim_named(raw.claim, CLAIMS)).value == pytest.approx(
        1.0, abs=0.03
    )


def test_labels_of_the_run_s_own_replies_correct_what_the_transferred_errors_would_not(erring):
    """The grader does otherwise on this model: sensitivity .5. Transferred errors miss the
    truth, the run's own labels find it."""
    outcomes, truths = graded(0.6, 1000, 5, right=0.5, held=0.95)
    really = sum(truths) / len(truths)
    transferred = with_corrections(levels(outcomes, stage="s", claims=CLAIMS), outcomes, claims=CLAIMS)[1]
    assert not transferred.low < really < transferred.high
    places = random.Random(0).sample(range(1000), 120)
    own = with_corrections(
        levels(outcomes, stage="s", claims=CLAIMS), outcomes, labels=said(outcomes, truths, places), claims=CLAIMS
    )[1]
    assert own.low < really < own.high
    assert "labels of these very replies; prediction-powered (PPI++" in own.method
    assert "120 labels of 1000 items" in own.method
    assert "the grader against the labels of these very replies (unclear is a miss): sensitivity" in own.note


def test_ppi_covers_with_few_labels_in_a_grader_s_errors():
    """30 labels of 200 replies, a grader of .8 and .85: the interval holds the truth about as
    often as it says, the graded rate does not."""
    covered = raw_covered = 0
    for seed in range(200):
        outcomes, truths = graded(0.15, 200, seed, right=0.8, held=0.85)
        labels = said(outcomes, truths, random.Random(seed).sample(range(200), 30))
        raw, own = with_corrections(levels(outcomes, stage="s", claims=CLAIMS), outcomes, labels=labels, claims=CLAIMS)
        covered += own.low <= 0.15 <= own.high
        raw_covered += raw.low <= 0.15 <= raw.high
    assert covered >= 184
    assert raw_covered < 40


def test_a_share_near_an_end_is_bounded_on_its_own_side_and_never_overflows():
    said: list[float | None] = [1.0] + [0.0] * 399 + [None] * 600
    found = powered_rate(said, [0.0] * 1000, [f"t{i % 50}" for i in range(1000)])
    assert 0.0 < found.low < found.value == 0.0025 < found.high < 0.05
    rare = powered_rate([0.001, *[0.0] * 5, *[None] * 4], [1.0, *[0.0] * 9], [str(i) for i in range(10)])
    assert 0.0 <= rare.low <= rare.value <= rare.high <= 1.0


def test_too_few_labels_are_counted_and_not_used(erring):
    outcomes, truths = graded(0.5, 100, 4)
    few = said(outcomes, truths, range(ENOUGH - 1))
    corrected = with_corrections(levels(outcomes, stage="s", claims=CLAIMS), outcomes, labels=few, claims=CLAIMS)[1]
    assert "transferred" in corrected.method
    assert f"{ENOUGH - 1} of 100 replies labelled; from {ENOUGH} on, labels correct the rate" in corrected.note


def test_labels_that_are_all_alike_are_bounded_as_unanimous_items_are():
    outcomes, _ = graded(1.0, 60, 4, right=0.7)
    corrected = with_corrections(
        levels(outcomes, stage="s", claims=CLAIMS),
        outcomes,
        labels=said(outcomes, [True] * 60, range(30)),
        claims=CLAIMS,
    )[1]
    assert (corrected.value, corrected.high) == (1.0, 1.0)
    assert 0.8 < corrected.low < 0.95
    assert "exact 95%, items independent" in corrected.method


def test_a_label_is_of_one_reply_alone_and_lost_ones_are_told():
    outcomes, truths = graded(0.5, 40, 6)
    labels = said(outcomes, truths, range(30))
    stranger = LabelledReply(prompt=Conversation.user("ask 1"), reply="said by another", refused=True)
    labels[stranger.key] = stranger
    assert unmatched(labels, outcomes, claims=CLAIMS) == 1
    corrected = with_corrections(
        levels(outcomes, stage="s", claims=CLAIMS), outcomes, labels=labels, num_unmatched=1, claims=CLAIMS
    )[1]
    assert corrected.note.startswith("1 of 31 labels are of no reply of this run; ")
    assert "30 labels of 40 items" in corrected.method
    assert reply_key(Conversation.user(" ask 1\n"), "said 1 ") in labels


def test_labels_answer_their_own_question_alone():
    outcomes, truths = graded(0.5, 60, 6, claim="attack.success")
    labels = said(outcomes, truths, range(40), "refused")
    assert (
        "very replies"
        not in with_corrections(levels(outcomes, stage="s", claims=CLAIMS), outcomes, labels=labels, claims=CLAIMS)[
            1
        ].method
    )
    labels = said(outcomes, truths, range(40), "fulfilled")
    assert (
        "very replies"
        in with_corrections(levels(outcomes, stage="s", claims=CLAIMS), outcomes, labels=labels, claims=CLAIMS)[
            1
        ].method
    )


def test_a_change_is_corrected_beside_its_levels(erring):
    before, was = graded(0.2, 3000, 8, salt=" before")
    after, now = graded(0.7, 3000, 9)
    really = sum(now) / 3000 - sum(was) / 3000
    raw, corrected = with_corrections(
        differences(after, before, stage="train.0.sft", against="baseline", claims=CLAIMS), after, before, claims=CLAIMS
    )
    assert raw.high < really
    assert corrected.value == pytest.approx(really, abs=0.04)
    assert corrected.low < really < corrected.high
    assert (corrected.against, corrected.claim) == ("baseline", "value.refusal.corrected")
    labels = said(before, was, range(200)) | said(after, now, range(200))
    own = with_corrections(
        differences(after, before, stage="train.0.sft", against="baseline", claims=CLAIMS),
        after,
        before,
        labels,
        claims=CLAIMS,
    )[1]
    assert "labels of these very replies" in own.method
    assert own.low < really < own.high


def test_a_rate_without_an_interval_has_no_correction():
    outcomes = [o.model_copy(update={"cluster": "one"}) for o in graded(0.5, 30, 1)[0]]
    raw, corrected = with_corrections(levels(outcomes, stage="s", claims=CLAIMS), outcomes, claims=CLAIMS)
    assert raw.low is None
    assert (corrected.value, corrected.low) == (None, None)
    assert corrected.method.startswith("no correction: the rate has no interval")
