"""Is nothing lost when a model replies, and when it revises what it said?"""

from __future__ import annotations

import pytest
from feedback_doubles import HONEST, KIND, Talker

from alignwright.core.records import Conversation, Prompt, Reply
from alignwright.feedback.collect import collect
from alignwright.feedback.critique import CRITIQUE, REVISION, critique


def prompts(*texts: str, principle: str = "") -> list[Prompt]:
    return [Prompt(conversation=Conversation.user(text), principle=principle) for text in texts]


def test_equal_replies_are_merged_and_every_prompt_is_accounted_for():
    said = {"varied": ["a", "b", " a ", "c"], "same": ["a"] * 4, "mute": ["", " ", "x", ""]}
    asked = prompts("varied", "same", "mute")
    got = collect(Talker(lambda c, k: said[c.last.content][k]), asked, samples=4, max_new_tokens=8, temperature=1.0, seed=0)
    [comparison] = got.comparisons
    assert [reply.text for reply in comparison.replies] == ["a", "b", "c"]
    assert {reply.parent for reply in comparison.replies} == {asked[0].id}
    assert got.skipped == (asked[1], asked[2])
    assert (got.merged, got.empty) == (1 + 3, 3)


@pytest.mark.parametrize(("samples", "temperature"), [(1, 1.0), (4, 0.0)])
def test_what_cannot_give_two_replies_is_refused(samples, temperature):
    with pytest.raises(ValueError, match="cannot give two different replies"):
        collect(Talker(lambda c, k: "a"), prompts("x"), samples=samples, max_new_tokens=8, temperature=temperature, seed=0)


def reviser(revision):
    """Replies "draft", finds fault, and revises as told: `revision` gets the reply that is to be revised."""

    def says(conversation: Conversation, k: int) -> str | Reply:
        last = conversation.last.content
        if last == REVISION:
            return revision(conversation.messages[-4].content)
        return "It should be better." if last.startswith(CRITIQUE[:20]) else "draft"

    return Talker(says)


def test_the_revision_beats_the_original_and_the_line_of_parents_is_whole():
    [asked] = prompts("Q")
    done = critique(reviser(lambda text: text + "+"), [asked], [HONEST], rounds=3)
    [comparison] = done.comparisons
    revised, original = comparison.replies
    assert (revised.text, original.text) == ("draft+++", "draft")
    assert original.parent == asked.id
    assert done.skipped == {}
    [vote] = comparison.votes
    assert (vote.voter, vote.prefers, vote.over, vote.reason) == ("critique", 0, 1, "honest")
    [one] = critique(reviser(lambda text: text + "+"), [asked], [HONEST], rounds=1).comparisons
    assert one.replies[0].parent == one.replies[1].id


@pytest.mark.parametrize(
    ("revision", "reason"),
    [
        (lambda text: " ", "empty revision"),
        (lambda text: f" {text}\n", "identical revision"),
        (lambda text: Reply(text="cut o", parent="", finished=False), "truncated revision"),
    ],
)
def test_a_revision_that_is_none_is_skipped_and_counted(revision, reason):
    done = critique(reviser(revision), prompts("Q", "R"), [HONEST], rounds=2)
    assert done.comparisons == ()
    assert done.skipped == {reason: 4}


def test_a_revision_that_comes_back_to_the_original_is_no_comparison():
    flip = {"draft": "other", "other": "draft"}
    assert critique(reviser(flip.__getitem__), prompts("Q"), [HONEST], rounds=2).comparisons == ()


def test_the_draw_depends_on_prompt_and_seed_alone_and_a_prompts_own_principle_wins():
    def drawn(asked, seed=0):
        done = critique(reviser(lambda text: text + "+"), asked, [HONEST, KIND], seed=seed)
        return {c.prompt.conversation.last.content: c.votes[0].reason for c in done.comparisons}

    many = prompts(*(f"Q{i}" for i in range(40)))
    whole = drawn(many)
    assert set(whole.values()) == {"honest", "kind"}
    assert drawn(many[::-1][:7]) == {name: slug for name, slug in whole.items() if int(name[1:]) > 32}
    assert drawn(many, seed=1) != whole
    assert set(drawn(prompts("a", "b", "c", principle="kind")).values()) == {"kind"}
