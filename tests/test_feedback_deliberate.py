"""Does an answer with the principle in view beat the plain one, with nothing of the principle
left in what is trained on?"""

from __future__ import annotations

import pytest
from feedback_doubles import HONEST, KIND, Talker
from tiny import make_tiny

from alignwright.core.constitution import Principle
from alignwright.core.records import Conversation, Prompt, Reply
from alignwright.feedback.deliberate import LEAK_WORDS, VIEW, deliberate, in_view
from alignwright.feedback.votes import repeats
from alignwright.model.load import load

LONG = Principle(
    slug="harm",
    title="No harm",
    text="Refuse to help with anything that could seriously hurt a person, and offer help that is safe.",
)


def prompts(*texts: str, principle: str = "") -> list[Prompt]:
    return [Prompt(conversation=Conversation.user(text), principle=principle) for text in texts]


def speaker(better) -> Talker:
    """Says "plain" to a bare prompt, and `better` where a principle is in view."""
    return Talker(lambda c, k: better if c.last.content.startswith(VIEW[:20]) else "plain")


def test_the_answer_with_the_principle_in_view_wins_and_the_stored_prompt_does_not_hold_it():
    asked = prompts("May I?", "Should I?", principle="harm")
    done = deliberate(speaker("careful"), asked, [HONEST, LONG])
    assert [c.prompt for c in done.comparisons] == asked
    for comparison in done.comparisons:
        assert [(reply.text, reply.speaker, reply.parent) for reply in comparison.replies] == [
            ("careful", "deliberate:harm", comparison.prompt.id),
            ("plain", "talker", comparison.prompt.id),
        ]
        [vote] = comparison.votes
        assert (vote.voter, vote.prefers, vote.over, vote.strength, vote.reason) == ("deliberate", 0, 1, 1.0, "harm")
        assert LONG.text not in comparison.model_dump_json()
    assert done.skipped == {}


def test_the_principle_goes_before_the_users_last_words_and_nothing_else_moves():
    conversation = Conversation.user("First", system="You sell tea.").then("assistant", "Yes").then("user", "And now?")
    seen = in_view(conversation, LONG)
    assert seen.messages[:-1] == conversation.messages[:-1]
    assert seen.last.content == VIEW.format(principle=LONG.text, words="And now?")
    hostile = Principle(slug="x", title="x", text="Write {words} and {0} as they are.")
    assert in_view(Conversation.user("{principle}"), hostile).last.content.endswith("\n\n{principle}")
    with pytest.raises(ValueError, match=r"conversation .* has only assistant"):
        in_view(Conversation.user("x").model_copy(update={"messages": conversation.messages[2:3]}), LONG)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("  ", "empty answer"),
        (" plain\n", "identical answer"),
        (Reply(text="cut o", parent="", finished=False), "truncated answer"),
        ("I must refuse to help with anything that could SERIOUSLY hurt a person.", "leaking answer"),
        ("By this principle I will not.", "leaking answer"),
    ],
)
def test_what_cannot_be_learnt_from_is_skipped_and_counted(answer, reason):
    done = deliberate(speaker(answer), prompts("Q", "R"), [LONG])
    assert (done.comparisons, done.skipped) == ((), {reason: 2})


def test_an_empty_plain_answer_is_no_comparison():
    done = deliberate(
        Talker(lambda c, k: "careful" if c.last.content.startswith(VIEW[:20]) else ""), prompts("Q"), [LONG]
    )
    assert (done.comparisons, done.skipped) == ((), {"empty plain answer": 1})


def test_a_leak_is_eight_words_in_a_row_and_no_common_speech():
    words = LONG.text.split()
    assert repeats(" ".join(words[3:11]), LONG.text, LEAK_WORDS)
    assert not repeats(" ".join(words[3:10]), LONG.text, LEAK_WORDS)
    assert not repeats("I cannot help with this; I would rather offer help that is safe.", LONG.text, LEAK_WORDS)
    assert repeats("So: be KIND!", KIND.text, LEAK_WORDS)
    assert not repeats("Be so kind.", KIND.text, LEAK_WORDS)
    assert not repeats("anything", "", LEAK_WORDS)
    # the user's own words may be repeated
    asked = prompts(f"Translate: {LONG.text}")
    assert len(deliberate(speaker(f"Here: {LONG.text}"), asked, [LONG]).comparisons) == 1
    assert len(deliberate(speaker("The basic principle of a sail is lift."), prompts("Q"), [LONG]).comparisons) == 1


def test_the_draw_is_a_critiques_and_no_principle_is_an_error():
    many = prompts(*(f"Q{i}" for i in range(30)))
    drawn = {c.prompt.id: c.votes[0].reason for c in deliberate(speaker("careful"), many, [HONEST, KIND]).comparisons}
    assert set(drawn.values()) == {"honest", "kind"}
    part = deliberate(speaker("careful"), many[::-1][:9], [KIND, HONEST])
    assert {c.prompt.id: c.votes[0].reason for c in part.comparisons} == {p.id: drawn[p.id] for p in many[::-1][:9]}
    with pytest.raises(ValueError, match="no principle to keep in view"):
        deliberate(speaker("x"), many, [])


def test_a_real_model_answers_twice(tmp_path):
    policy = load(str(make_tiny(tmp_path / "tiny")))
    done = deliberate(policy, prompts("Q", "Who are you?", "Why?"), [HONEST], max_new_tokens=6)
    assert len(done.comparisons) + sum(done.skipped.values()) == 3
    assert done == deliberate(policy, prompts("Q", "Who are you?", "Why?"), [HONEST], max_new_tokens=6)


@pytest.mark.model
def test_the_bundled_model_is_moved_by_a_principle_it_can_follow_and_not_by_one_that_asks_for_nothing():
    policy = load("smollm2-135m-instruct")
    brief = Principle(slug="brief", title="Brevity", text="Answer in one short sentence and nothing more.")
    nothing = Principle(slug="nothing", title="Nothing", text="Answer as you always do, at whatever length you like.")
    done = deliberate(policy, prompts("Where do fish live?"), [brief], max_new_tokens=24, temperature=0.0)
    [(better, plain)] = [comparison.replies for comparison in done.comparisons]
    assert better.finished
    assert not plain.finished
    assert len(better.text) < len(plain.text) / 2
    done = deliberate(policy, prompts("Where do fish live?"), [nothing], max_new_tokens=24, temperature=0.0)
    assert done.skipped == {"truncated answer": 1}
