"""Is a voter that knows kept, and is one that only looks at position or length refused?"""

from __future__ import annotations

import random

import pytest
from feedback_doubles import HONEST, KIND, Judge, Talker, pair, pairs, truth

from alignwright.aggregate.kappa import agreement
from alignwright.core.promises import answer, parse
from alignwright.core.records import Vote
from alignwright.feedback.agreement import JudgeAtChance, check_voter, checked_votes
from alignwright.feedback.judge import JudgeVoter

STAGE = "feedback.1.judge"


def asked(p_first, n: int = 100, longer: float = 0.5, **more):
    return check_voter(JudgeVoter(Judge(p_first), (HONEST,)), pairs(n, longer=longer), stage=STAGE, **more)


def by_claim(check):
    return {(f.claim.rsplit(".", 1)[1], f.against is not None): f for f in check.findings}


def test_a_perfect_judge_is_kept_and_measured_right():
    check = asked(lambda a, b: 0.9 if truth(a, b) else 0.1)
    found = by_claim(check)
    assert check.signal
    assert found["accuracy", False].value == 1.0
    assert found["accuracy", False].low > 0.95
    assert found["accuracy", True].value == pytest.approx(0.5)  # half of the pairs have the longer reply right
    assert found["consistency", False].value == 1.0
    assert found["position", False].value == pytest.approx(0.5)
    assert {f.stage for f in check.findings} == {STAGE}


@pytest.mark.parametrize("p_first", [0.0, 0.3, 0.5, 0.71, 0.945, 1.0])
def test_a_judge_of_position_is_at_exactly_one_half_on_every_pair_and_refused(p_first):
    voter = JudgeVoter(Judge(lambda a, b: p_first), (HONEST,))
    assert {answer.p for answers in voter.answers(pairs(20)) for answer in answers} == {0.5}
    check = check_voter(voter, pairs(100), stage=STAGE)
    assert not check.signal
    assert by_claim(check)["accuracy", False].value == 0.5
    assert by_claim(check)["consistency", False].value == 0.0
    assert by_claim(check)["position", False].value == (0.5 if p_first == 0.5 else float(p_first > 0.5))


@pytest.mark.parametrize("longer", [0.5, 0.57, 0.9])
def test_a_judge_of_length_is_refused_however_often_the_longer_reply_is_right(longer):
    check = asked(lambda a, b: 0.99 if len(a) > len(b) else 0.01, longer=longer)
    found = by_claim(check)
    assert not check.signal
    assert found["accuracy", False].value == pytest.approx(longer)
    assert found["longer", False].value == 1.0
    assert found["accuracy", True].value == 0.0


def test_a_perfect_judge_cannot_be_told_from_a_ruler_where_good_is_always_longer():
    check = asked(lambda a, b: 0.9 if truth(a, b) else 0.1, longer=1.0)
    assert not check.signal
    assert "length" in check.reason


def noisy(accuracy: float, seed: int):
    """Right with a fixed chance per pair, the same in both orders."""
    coins = random.Random(seed)
    right: dict[str, bool] = {}

    def p_first(a: str, b: str) -> float:
        good = a if truth(a, b) else b
        right.setdefault(good, coins.random() < accuracy)
        return 0.8 if truth(a, b) == right[good] else 0.2

    return p_first


def test_a_judge_right_three_times_in_four_is_kept_and_a_coin_is_refused():
    kept = [asked(noisy(0.75, seed), 100).signal for seed in range(40)]
    coins = [asked(noisy(0.5, seed), 100).signal for seed in range(200)]
    assert sum(kept) >= 39
    assert sum(coins) <= 0.05 * 200  # both one-sided limits at 2.5% must be passed, so far fewer than that


def test_a_good_judge_is_kept_though_length_would_do_better():
    assert asked(noisy(0.75, 3), 200, longer=0.8).signal


def test_topics_make_the_interval_honest():
    """The same answers, ten pairs to a topic and all alike within it, are ten items, not a hundred."""
    free = pairs(100)
    tied = [
        c.model_copy(update={"prompt": c.prompt.model_copy(update={"topic": f"t{i % 10}"})}) for i, c in enumerate(free)
    ]

    def p_first(a: str, b: str) -> float:
        right = int((a if truth(a, b) else b).split()[1]) % 10 < 7
        return 0.9 if truth(a, b) == right else 0.1

    voter = JudgeVoter(Judge(p_first), (HONEST,))
    one, ten = (check_voter(voter, given, stage=STAGE) for given in (free, tied))
    assert one.findings[0].value == ten.findings[0].value == pytest.approx(0.7)
    assert one.signal
    assert not ten.signal
    assert ten.findings[0].clusters == 10


def test_refusal_stops_or_skips_but_never_passes_in_silence():
    voter, given = JudgeVoter(Judge(lambda a, b: 0.9), (HONEST,)), pairs(30)
    with pytest.raises(JudgeAtChance, match=r"refused: right on 50\.0% of 30 written pairs.*no_signal: skip"):
        checked_votes(voter, given, given, stage=STAGE, no_signal="stop")
    after, findings = checked_votes(voter, given, given, stage=STAGE, no_signal="skip")
    assert after == given
    assert findings[0].detail["refused"] is True
    assert str(findings[0].detail["reason"]).startswith("right on 50.0%")
    assert not any(finding.detail for finding in findings[1:])
    assert findings[0].note.startswith("REFUSED, its votes are not used: right on 50.0%")
    after, findings = checked_votes(
        JudgeVoter(Judge(lambda a, b: 0.9 if truth(a, b) else 0.1), (HONEST,)),
        given,
        given,
        stage=STAGE,
        no_signal="stop",
    )
    assert all(len(comparison.votes) == 1 for comparison in after)
    assert findings[0].note.startswith("has signal")


def test_nothing_to_check_on_is_a_refusal_with_the_reason():
    voter = JudgeVoter(Judge(lambda a, b: 0.9), (KIND,))
    assert "no written pair of its principles" in check_voter(voter, pairs(30), stage=STAGE).reason
    mute = JudgeVoter(Talker(lambda c, k: "Well, it depends."), (HONEST,))
    check = check_voter(mute, pairs(30), stage=STAGE)
    assert not check.signal
    assert check.findings[0].unscored == 30
    assert check.findings[0].value is None


def test_the_draw_is_repeatable_and_takes_no_notice_of_order():
    p_first, given = noisy(0.75, 5), pairs(60)
    voter = JudgeVoter(Judge(p_first), (HONEST,))
    assert check_voter(voter, given, stage=STAGE, limit=20, seed=1) == check_voter(
        voter, given[::-1], stage=STAGE, limit=20, seed=1
    )
    assert check_voter(voter, given, stage=STAGE, limit=20).findings[0].n == 20


def test_its_findings_answer_a_promise():
    findings = list(asked(lambda a, b: 0.9 if truth(a, b) else 0.1).findings)
    assert answer(parse("feedback.judge.accuracy > 0.6"), findings).answer == "kept"


def test_kappa_of_equals_opposites_and_strangers():
    def comparisons(second):
        return [
            pair(f"good {i}", f"bad {i}").with_votes(
                (Vote(voter="one", prefers=0, over=1), Vote(voter="two", prefers=second(i), over=1 - second(i)))
            )
            for i in range(40)
        ]

    values = {name: agreement(comparisons(rule), stage="feedback")[0].value for name, rule in SECOND.items()}
    assert values == {"same": 1.0, "opposite": -1.0, "unrelated": 0.0}


SECOND = {"same": lambda i: 0, "opposite": lambda i: 1, "unrelated": lambda i: i % 2}
