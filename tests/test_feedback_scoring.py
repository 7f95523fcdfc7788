"""Is a reply's score the share of siblings it beats, and silent exactly where the voters are?"""

from __future__ import annotations

import itertools
import random

import pytest
from feedback_doubles import HONEST, KIND, Judge
from tiny import make_tiny

from alignwright.aggregate.pooled import utilities
from alignwright.core.protocols import RewardFn
from alignwright.core.records import CheckCall, Comparison, Conversation, Prompt, Reply, Vote
from alignwright.feedback.contrast import ContrastVoter
from alignwright.feedback.judge import JudgeVoter
from alignwright.feedback.rules import RuleError, RuleVoter, rules
from alignwright.feedback.scoring import RuleScorer, VoterScorer, rule_scorer
from alignwright.model.load import load

PROMPT = Prompt(conversation=Conversation.user("Hi"))
COMMA = "- {check: punctuation:no_comma}\n"
SHORT = "- {check: 'length_constraints:number_words', args: {relation: less than, num_words: 5}, weight: 3}\n"


class Table:
    """A voter whose chances are a function of two texts; None: no vote."""

    name = "table"

    def __init__(self, chance, reason: str = "") -> None:
        self.chance, self.reason = chance, reason
        self.seen: list[Comparison] = []

    def __call__(self, comparisons):
        self.seen += comparisons
        return [tuple(self._votes([reply.text for reply in c.replies])) for c in comparisons]

    def _votes(self, texts):
        for i, j in itertools.combinations(range(len(texts)), 2):
            if (p := self.chance(texts[i], texts[j])) is not None:
                yield Vote(voter=self.name, prefers=i, over=j, strength=p, reason=self.reason)


def values(scorer: RewardFn, *texts: str, prompt: Prompt = PROMPT) -> list[float | None]:
    [scores] = scorer([prompt], [texts])
    return [None if score is None else score.value for score in scores]


def test_a_score_is_the_mean_chance_to_beat_a_sibling_less_one_half():
    chance = {("a", "b"): 0.9, ("a", "c"): 0.6, ("b", "c"): 0.3}
    assert values(VoterScorer([Table(lambda x, y: chance[x, y])]), "a", "b", "c") == pytest.approx([0.25, -0.3, 0.05])


def test_scores_sum_to_zero_ignore_the_order_of_replies_and_a_tie_is_zero():
    rng = random.Random(0)
    drawn = {}

    def chance(x, y):
        return drawn.setdefault((x, y), 1 - drawn[y, x] if (y, x) in drawn else rng.random())

    scorer = VoterScorer([Table(chance)])
    texts = list("abcdef")
    scores = dict(zip(texts, values(scorer, *texts), strict=True))
    assert sum(scores.values()) == pytest.approx(0.0, abs=1e-12)
    assert max(map(abs, scores.values())) <= 0.5
    assert dict(zip(texts[::-1], values(scorer, *texts[::-1]), strict=True)) == pytest.approx(scores)
    assert values(VoterScorer([Table(lambda x, y: 0.5)]), "a", "b", "c") == [0.0, 0.0, 0.0]


def test_where_all_pairs_get_equally_many_votes_win_rates_rank_as_bradley_terry_does():
    rng = random.Random(1)
    for _ in range(25):
        strengths = {pair: [rng.random() for _ in range(3)] for pair in itertools.combinations("abcde", 2)}
        voters = [Table(lambda x, y, n=n, held=strengths: held[x, y][n]) for n in range(3)]
        ours = values(VoterScorer(voters), *"abcde")
        comparison = Comparison(prompt=PROMPT, replies=tuple(Reply(text=text, parent="") for text in "abcde"))
        for voter in voters:
            comparison = comparison.with_votes(voter([comparison])[0])
        theirs = utilities(comparison)
        assert sorted(range(5), key=lambda i: ours[i] or 0.0) == sorted(range(5), key=lambda i: theirs[i])
        assert values(VoterScorer(voters[:1]), "a", "b")[0] == pytest.approx(strengths["a", "b"][0] - 0.5)


def test_the_same_text_said_again_ties_with_itself_and_is_asked_about_once():
    voter = Table(lambda x, y: 1.0 if x < y else 0.0)
    assert values(VoterScorer([voter]), "b", "a", "b", "a") == pytest.approx([-1 / 3, 1 / 3, -1 / 3, 1 / 3])
    [asked] = voter.seen
    assert [reply.text for reply in asked.replies] == ["b", "a"]
    assert values(VoterScorer([voter]), "a", "a", "a") == [0.0, 0.0, 0.0]
    assert len(voter.seen) == 1  # nothing to ask


def test_who_is_not_heard_has_no_score_and_who_is_alone_has_none():
    voter = Table(lambda x, y: None if "mute" in (x, y) else 1.0 if x < y else 0.0)
    assert values(VoterScorer([voter]), "b", "mute", "a") == [-0.5, None, 0.5]
    assert values(VoterScorer([Table(lambda x, y: None)]), "a", "b") == [None, None]
    assert values(VoterScorer([voter]), "a") == [None]
    # no vote between two that were both heard is a tie
    star = Table(lambda x, y: None if "hub" not in (x, y) else float(x == "hub"))
    assert values(VoterScorer([star]), "hub", "x", "y") == pytest.approx([0.5, -0.25, -0.25])


def test_principles_are_averaged_and_named_in_the_reason():
    honest, kind = (
        Table(lambda x, y: 0.9 if x < y else 0.1, "honest"),
        Table(lambda x, y: 0.4 if x < y else 0.6, "kind"),
    )
    [[a, b]] = VoterScorer([honest, kind])([PROMPT], [["a", "b"]])
    assert a is not None
    assert b is not None
    assert (a.value, b.value) == pytest.approx((0.15, -0.15))
    assert (a.reason, b.reason) == ("honest 0.90, kind 0.40", "honest 0.10, kind 0.60")


def test_a_judge_of_pure_position_bias_pays_nobody():
    scorer = VoterScorer([JudgeVoter(Judge(lambda a, b: 0.97), (HONEST, KIND), draw=1)])
    assert values(scorer, "a", "bb", "ccc", "dddd") == [0.0] * 4


def test_prompts_are_put_together_and_scored_apart():
    voter = Table(lambda x, y: 0.5 + (len(x) > len(y)) / 2 - (len(x) < len(y)) / 2)
    other = Prompt(conversation=Conversation.user("Else"))
    scores = VoterScorer([voter])([PROMPT, other, PROMPT], [["a", "bb"], ["c"], ["dd", "ee", "f"]])
    found = [[None if score is None else score.value for score in row] for row in scores]
    assert found == [[-0.5, 0.5], [None], pytest.approx([0.25, 0.25, -0.5])]
    assert len(voter.seen) == 2
    with pytest.raises(ValueError, match="no voter that could judge"):
        VoterScorer([])


def test_rules_as_voters_a_tie_is_a_verdict_here_and_silence_elsewhere(tmp_path):
    (tmp_path / "rules.yaml").write_text(COMMA)
    voter = rules("rules.yaml", tmp_path)
    assert values(VoterScorer([voter]), "no", "yes") == [0.0, 0.0]
    assert values(VoterScorer([voter]), "no", "well, yes", "yes") == pytest.approx([0.25, -0.5, 0.25])
    assert voter([Comparison(prompt=PROMPT, replies=(Reply(text="no", parent=""), Reply(text="yes", parent="")))]) == [
        ()
    ]
    assert values(VoterScorer([RuleVoter()]), "no", "yes") == [None, None]  # no check applies


# ------------------------------------------------------------------------------------------------- rules by themselves


def test_the_share_of_checks_passed_by_weight_and_what_failed(tmp_path):
    (tmp_path / "rules.yaml").write_text(COMMA + SHORT)
    scorer = rule_scorer("rules.yaml", tmp_path)
    [scores] = scorer([PROMPT], [["yes", "well, yes", "one two three four five", "one, two three four five"]])
    assert [(s.value, s.reason) for s in scores if s] == [
        (1.0, "passed every check"),
        (0.75, "failed punctuation:no_comma"),
        (0.25, "failed length_constraints:number_words"),
        (0.0, "failed punctuation:no_comma, length_constraints:number_words"),
    ]
    assert values(scorer, "yes") == [1.0]  # a rule needs no sibling


def test_a_prompts_own_checks_are_scored_and_what_cannot_be_told_has_no_score():
    own = Prompt(
        conversation=Conversation.user("Hi"), checks=(CheckCall(name="change_case:english_lowercase", args={}),)
    )
    assert values(RuleScorer(RuleVoter()), "quiet", "LOUD", prompt=own) == [1.0, 0.0]
    assert values(RuleScorer(RuleVoter()), "quiet", "LOUD") == [None, None]
    unsure = Prompt(
        conversation=Conversation.user("Hi"),
        checks=(*own.checks, CheckCall(name="language:response_language", args={"language": "fr"})),
    )
    assert values(RuleScorer(RuleVoter()), "12 34", prompt=unsure) == [None]


def test_a_python_function_scores_on_its_own_scale(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def f(prompt, reply):\n    return {'?': None, 'abc': 6}[reply] if reply != 'x' else 1 / 0\n"
    )
    scorer = rule_scorer("mine.py:f", tmp_path)
    assert scorer.name == "mine.py:f"
    assert values(scorer, "abc", "?") == [6.0, None]
    with pytest.raises(RuleError, match=rf"rule mine.py:f at prompt {PROMPT.id} \('Hi'\) failed: ZeroDivisionError"):
        values(scorer, "x")


def test_a_real_models_probabilities_as_a_reward(tmp_path):
    policy = load(str(make_tiny(tmp_path / "tiny")))
    for voter in (ContrastVoter(policy, (HONEST, KIND)), JudgeVoter(policy, (HONEST, KIND))):
        scores = values(VoterScorer([voter]), "one", "two words", "three of them", "one")
        assert scores[0] == scores[3]
        assert sum(score or 0.0 for score in scores) == pytest.approx(0.0, abs=1e-9)
        assert max(abs(score or 0.0) for score in scores) > 0
