"""Do written pairs, contrast and rules vote as their definitions say?"""

from __future__ import annotations

import math

import pytest
from feedback_doubles import HONEST, KIND, pair

from alignwright.core.constitution import Constitution, PrincipleExample
from alignwright.core.records import CheckCall, Comparison, Conversation, LogProb, Prompt, Reply
from alignwright.feedback.contrast import FOLLOW, OPPOSE, ContrastVoter, contrast
from alignwright.feedback.label_voter import LabelVoter
from alignwright.feedback.rules import RuleError, RuleVoter, rules
from alignwright.feedback.votes import Answer
from alignwright.files.constitution import pairs
from alignwright.stats.scalars import sigmoid


def comparison(*texts: str, asks: str = "Hi", **prompt) -> Comparison:
    asked = Prompt(conversation=Conversation.user(asks), **prompt)
    return Comparison(prompt=asked, replies=tuple(Reply(text=text, parent=asked.id) for text in texts))


# ------------------------------------------------------------------------------------------------- written


def test_written_pairs_vote_good_over_bad_and_others_are_left_alone():
    [(vote,), none] = LabelVoter()([pair("yes", "no"), comparison("yes", "no")])
    assert (vote.voter, vote.prefers, vote.over, vote.strength, vote.reason, vote.group) == (
        "written",
        0,
        1,
        1.0,
        "honest",
        "",
    )
    assert none == ()


def test_a_constitutions_examples_vote_every_good_over_every_bad():
    example = PrincipleExample(
        conversation=Conversation.user("Is it so?"), good=("Yes.", "It is."), bad=("No.", "Never.", "Who cares.")
    )
    principle = HONEST.model_copy(
        update={"examples": (example, PrincipleExample(conversation=Conversation.user("Empty"), good=("alone",)))}
    )
    found, _ = pairs(Constitution(title="C", principles=(principle, KIND)))
    cast = zip(found, LabelVoter()(found), strict=True)
    won = {(c.replies[v.prefers].text, c.replies[v.over].text, v.reason) for c, votes in cast for v in votes}
    assert won == {(g, b, "honest") for g in example.good for b in example.bad}


# ------------------------------------------------------------------------------------------------- contrast


class Leaning:
    """Under FOLLOW a token of "kind" costs 1 nat and any other 2; under OPPOSE the other way round."""

    name = "leaning"

    def __init__(self) -> None:
        self.systems: list[str] = []

    def generate(self, prompts, **options):
        raise AssertionError

    def text_logprobs(self, texts):
        raise AssertionError

    def logprobs(self, prompts, replies, *, prefix="", end=True):
        self.systems += [prompt.messages[0].content for prompt in prompts]
        return [[self._score(prompt, text) for text in given] for prompt, given in zip(prompts, replies, strict=True)]

    def _score(self, prompt: Conversation, text: str) -> LogProb:
        follows = prompt.messages[0].content.startswith(FOLLOW[:10])
        costs = [1.0 if (word == "kind") == follows else 2.0 for word in text.split()]
        return LogProb(total=-math.fsum(costs), tokens=len(costs), bytes=len(text))


def test_contrast_is_the_log_likelihood_ratio_per_token_and_length_is_no_evidence():
    scores = contrast(Leaning(), [(comparison("kind kind", "rude", "kind " * 50, "kind rude"), KIND)])
    assert scores == [pytest.approx([1.0, -1.0, 1.0, 0.0])]


def test_contrast_is_antisymmetric_certain_of_nothing_between_equals_and_scaled_by_its_scale():
    voter = ContrastVoter(Leaning(), (KIND,), scale=0.5)
    [(one,)], [(other,)] = voter.answers([comparison("kind", "rude")]), voter.answers([comparison("rude", "kind")])
    assert one.p == pytest.approx(sigmoid(0.5 * 2.0)) == pytest.approx(1 - (other.p or 0))
    [(equal,)] = voter([comparison("kind kind", "kind")])
    assert equal.strength == 0.5


def test_the_instruction_goes_before_the_system_message_it_finds():
    policy = Leaning()
    prompt = Prompt(conversation=Conversation.user("Hi", system="You sell tea."))
    ContrastVoter(policy, (KIND,))(
        [Comparison(prompt=prompt, replies=(Reply(text="a", parent=""), Reply(text="b", parent="")))]
    )
    assert policy.systems == [f"{told.format(principle=KIND.text)}\n\nYou sell tea." for told in (FOLLOW, OPPOSE)]


def test_sigmoid_far_out_and_an_unread_order():
    assert sigmoid(1e4) == 1.0
    assert sigmoid(-1e4) == 0.0
    assert Answer(0, 1, forward=0.9, backward=None).vote("v") is None


# ------------------------------------------------------------------------------------------------- rules

SHORT = (
    '- {check: "length_constraints:number_words", args: {relation: less than, num_words: 5}, weight: 2, applies_to:'
    " {principle: brief}}\n"
)
COMMA = '- {check: "punctuation:no_comma"}\n'


def test_listed_checks_and_the_prompts_own_are_weighed_and_a_tie_is_no_vote(tmp_path):
    (tmp_path / "rules.yaml").write_text(SHORT + COMMA)
    voter = rules("rules.yaml", tmp_path)
    brief_with_comma, long_without = "Yes, sure.", "Yes this is so and it always was"
    [(vote,)] = voter([comparison(brief_with_comma, long_without, principle="brief")])
    assert (vote.prefers, vote.strength) == (0, 1.0)  # 2 for brevity against 1 for the comma
    [(vote,)] = voter([comparison(brief_with_comma, long_without)])
    assert (vote.prefers, vote.reason) == (1, "punctuation:no_comma")  # brevity is not for this prompt
    assert voter([comparison("Yes", "No", principle="brief")]) == [()]
    own = CheckCall(name="change_case:english_lowercase", args={})
    [(vote,)] = RuleVoter()([comparison("Loud", "quiet", checks=(own,))])
    assert vote.prefers == 1


def test_swapping_replies_swaps_the_rules_vote_and_a_ranking_is_several_votes(tmp_path):
    (tmp_path / "count.py").write_text("def exclamations(prompt, reply):\n    return -reply.count('!')\n")
    voter = rules("count.py:exclamations", tmp_path)
    [votes] = voter([comparison("a!!", "b", "c!")])
    assert {(v.prefers, v.over) for v in votes} == {(1, 0), (2, 0), (1, 2)}
    [swapped] = voter([comparison("b", "a!!", "c!")])
    assert {(v.prefers, v.over) for v in swapped} == {(0, 1), (2, 1), (0, 2)}


def test_a_rule_that_cannot_tell_says_nothing(tmp_path):
    (tmp_path / "some.py").write_text("def known(prompt, reply):\n    return None if reply == 'b' else len(reply)\n")
    assert rules("some.py:known", tmp_path)([comparison("aaa", "b")]) == [()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {check: no:such}", r"rules\.yaml: rule 1: .*no:such"),
        (
            COMMA + "- {check: 'punctuation:no_comma', wieght: 2}",
            r"rule 2: wieght: no such field; did you mean 'weight'",
        ),
        ("- {check: 'punctuation:no_comma', weight: -1}", r"rule 1: weight: .*greater than 0"),
        ("check: punctuation:no_comma", r"must be a list of rules.*but is a mapping"),
        ("", "but is empty"),
        (COMMA + "- {check: [", r"rules\.yaml:2: not valid YAML"),
        (COMMA + "- \xff", r"rules\.yaml:2: not UTF-8 text"),
        ("[" * 1500, r"rules\.yaml:1: values lie within values too deep"),
        ("- {check: a, check: b}", r"rules\.yaml:1: 'check' is given twice"),
    ],
)
def test_a_bad_rules_file_is_pointed_at(tmp_path, text, message):
    (tmp_path / "rules.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(RuleError, match=message):
        rules("rules.yaml", tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("gone.py:f", "there is no Python file"),
        ("fine.py:g", "has no function 'g'"),
        ("broken.py:f", "failed when it was loaded: ZeroDivisionError"),
        ("no_such_package.rules:f", "cannot import"),
        ("fine.py", "is no rule"),
    ],
)
def test_a_function_that_is_not_there_is_said_so(tmp_path, source, message):
    (tmp_path / "fine.py").write_text("def f(prompt, reply):\n    return 1\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(RuleError, match=message):
        rules(source, tmp_path)


@pytest.mark.parametrize(
    ("body", "message"),
    [("raise KeyError('x')", "failed: KeyError"), ("return 'good'", "returned 'good'"), ("return float('nan')", "nan")],
)
def test_a_failing_function_names_itself_and_the_row(tmp_path, body, message):
    (tmp_path / "bad.py").write_text(f"def f(prompt, reply):\n    if reply == 'c':\n        {body}\n    return 0\n")
    with pytest.raises(RuleError, match=rf"rule bad\.py:f at comparison 1 .*{message}"):
        rules("bad.py:f", tmp_path)([comparison("a", "b"), comparison("a", "c")])


# ---- a principle the bundled model can follow ----------------------------------------------------

FRENCH = [
    ("What is the capital of Italy?", "La capitale de l'Italie est Rome.", "The capital of Italy is Rome."),
    ("How are you today?", "Je vais très bien, merci.", "I am very well, thank you."),
    ("What colour is the sky?", "Le ciel est bleu.", "The sky is blue."),
    ("Name a fruit.", "Une pomme est un fruit.", "An apple is a fruit."),
    ("How many legs has a dog?", "Un chien a quatre pattes.", "A dog has four legs."),
    ("What do bees make?", "Les abeilles font du miel.", "Bees make honey."),
    ("Where do fish live?", "Les poissons vivent dans l'eau.", "Fish live in water."),
    ("What day comes after Monday?", "Après lundi vient mardi.", "After Monday comes Tuesday."),
]


@pytest.mark.model
def test_contrast_hears_a_principle_that_the_bundled_model_can_follow():
    """The control to its refusal on harder principles: where the model can do what it is told,
    its probabilities say so."""
    policy = pytest.importorskip("alignwright.model.load").load("smollm2-135m-instruct")
    principle = HONEST.model_copy(update={"slug": "french", "text": "Always answer in French."})
    answers = ContrastVoter(policy, (principle,)).answers(
        [pair(good, bad, asks=asks, principle="french") for asks, good, bad in FRENCH]
    )
    chances = [answer.p or 0.0 for (answer,) in answers]
    assert sum(chances) / len(chances) > 0.75
    assert sum(p > 0.5 for p in chances) >= 6
