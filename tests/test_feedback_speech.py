"""Is nothing lost when a model replies, and when it revises what it said?"""

from __future__ import annotations

import json

import pytest
from feedback_doubles import HONEST, KIND, Talker
from real_data import real

from alignwright.core.records import Conversation, Prompt, Reply
from alignwright.feedback.collect import collect
from alignwright.feedback.critique import ASK_ALONE, CRITIQUE, REVISE_ALONE, REVISION, critique
from alignwright.files.errors import SpecError
from alignwright.files.few_shot import FewShotExample, principle_text, read_few_shot


def prompts(*texts: str, principle: str = "") -> list[Prompt]:
    return [Prompt(conversation=Conversation.user(text), principle=principle) for text in texts]


def test_equal_replies_are_merged_and_every_prompt_is_accounted_for():
    said = {"varied": ["a", "b", " a ", "c"], "same": ["a"] * 4, "mute": ["", " ", "x", ""]}
    asked = prompts("varied", "same", "mute")
    got = collect(
        Talker(lambda c, k: said[c.last.content][k]), asked, samples=4, max_new_tokens=8, temperature=1.0, seed=0
    )
    [comparison] = got.comparisons
    assert [reply.text for reply in comparison.replies] == ["a", "b", "c"]
    assert {reply.parent for reply in comparison.replies} == {asked[0].id}
    assert got.skipped == (asked[1], asked[2])
    assert (got.merged, got.empty) == (1 + 3, 3)


@pytest.mark.parametrize(("samples", "temperature"), [(1, 1.0), (4, 0.0)])
def test_what_cannot_give_two_replies_is_refused(samples, temperature):
    with pytest.raises(ValueError, match="cannot give two different replies"):
        collect(
            Talker(lambda c, k: "a"), prompts("x"), samples=samples, max_new_tokens=8, temperature=temperature, seed=0
        )


def reviser(revision):
    """Replies "draft", finds fault, and revises as told: `revision` gets the reply that is to be
    revised."""

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


def test_every_revision_on_the_way_is_kept_with_its_critique_and_its_parent():
    n = iter(range(100))
    done = critique(reviser(lambda text: f"{text}+{next(n)}"), prompts("Q", "R"), [HONEST, KIND], rounds=4)
    assert [life.prompt for life in done.chains] == [c.prompt for c in done.comparisons]
    for life, comparison in zip(done.chains, done.comparisons, strict=True):
        assert (life.replies[-1], life.replies[0]) == comparison.replies
        assert [reply.parent for reply in life.replies] == [life.prompt.id, *(reply.id for reply in life.replies[:-1])]
        assert [reply.speaker for reply in life.replies[1:]] == [f"critique:{slug}" for slug in life.principles]
        assert len(life.critiques) == len(life.principles) == len(life.replies) - 1 == 4


def test_a_skipped_round_is_no_part_of_a_life():
    done = critique(reviser(lambda text: text + "+" if text == "draft" else " "), prompts("Q"), [HONEST], rounds=3)
    [life] = done.chains
    assert [reply.text for reply in life.replies] == ["draft", "draft+"]
    assert done.skipped == {"empty revision": 2}


# ------------------------------------------------------------------------------------------------- worked examples

PLAIN = FewShotExample(prompt="P", reply="R", critique="C", revision="V")
NAMED = FewShotExample(prompt="P2", reply="R2", critique="C2", revision="V2", principle="kind")


def test_worked_examples_are_turns_before_the_conversation_and_after_its_system_message():
    speaker = reviser(lambda text: text + "+")
    asked = Prompt(conversation=Conversation.user("Q", system="You sell tea."))
    critique(speaker, [asked], [HONEST, KIND], few_shot=(PLAIN, NAMED), seed=3)
    first, asks, revises = speaker.asked
    assert first == asked.conversation  # the reply itself is not led by examples of other conversations
    shown = [
        "P",
        "R",
        ASK_ALONE,
        "C",
        REVISE_ALONE,
        "V",
        "P2",
        "R2",
        CRITIQUE.format(principle="Be kind."),
        "C2",
        REVISION,
        "V2",
    ]
    assert [message.content for message in asks.messages][:-1] == ["You sell tea.", *shown, "Q", "draft"]
    assert [message.role for message in asks.messages] == ["system", *["user", "assistant"] * 7, "user"]
    assert revises.messages[: len(asks.messages)] == asks.messages


def test_a_revision_that_copies_an_example_is_skipped_unless_its_words_are_the_conversations_own():
    salt = "Rivers carry salt from the rocks down into the sea."
    taught = FewShotExample(prompt="Why is the sea salty?", reply="R", critique="It never says why.", revision=salt)
    for copied in (taught.revision, "Well: rivers carry salt, from the rocks, down into it", "It never says why."):
        done = critique(
            reviser(lambda text, copied=copied: copied), prompts("What colour is the sky?"), [HONEST], few_shot=[taught]
        )
        assert (done.comparisons, done.skipped) == ((), {"copied revision": 1})
        assert (
            critique(reviser(lambda text, copied=copied: copied), prompts("Q"), [HONEST]).skipped == {}
        )  # the control: nothing was shown
    for fine in ("It never says why the sky is blue.", "Rivers carry salt."):
        assert critique(reviser(lambda text, fine=fine: fine), prompts("Q"), [HONEST], few_shot=[taught]).skipped == {}
    own = prompts(f"Shorten: {taught.revision}")
    assert critique(reviser(lambda text: taught.revision), own, [HONEST], few_shot=[taught]).skipped == {}


def test_an_examples_principle_is_a_slug_of_the_stage_or_a_text():
    assert principle_text(NAMED, [HONEST, KIND]) == "Be kind."
    assert (
        principle_text(NAMED.model_copy(update={"principle": "Say less, and mean it."}), [KIND])
        == "Say less, and mean it."
    )
    with pytest.raises(ValueError, match="'kindd', which is none of this stage's; did you mean 'kind'"):
        principle_text(NAMED.model_copy(update={"principle": "kindd"}), [HONEST, KIND])


def test_a_file_of_worked_examples_is_read_and_every_bad_row_is_pointed_at(tmp_path):
    row = {"prompt": "P", "reply": "R", "critique": "C", "revision": "V"}
    good = tmp_path / "good.jsonl"
    good.write_text("".join(json.dumps(r) + "\n" for r in (row, row | {"principle": "kind"})))
    assert read_few_shot(good) == (PLAIN, PLAIN.model_copy(update={"principle": "kind"}))
    bad = tmp_path / "bad.jsonl"
    rows = [
        row,
        {**row, "critic": "C"},
        {k: row[k] for k in ("prompt", "reply", "critique")},
        row | {"reply": ""},
        row | {"revision": 3},
    ]
    bad.write_text("".join(json.dumps(r) + "\n" for r in rows) + "{torn\n")
    with pytest.raises(SpecError) as caught:
        read_few_shot(bad)
    told = caught.value.problems
    assert [problem.split(": ")[0].removeprefix(str(tmp_path)) for problem in told] == [
        f"/bad.jsonl:{n}" for n in (2, 3, 4, 5, 6)
    ]
    expected = (
        "critic: no such field; did you mean 'critique'?",
        "revision: required",
        "reply: is empty",
        "revision: ",
        "not valid JSON",
    )
    assert all(said in problem for problem, said in zip(told, expected, strict=True))
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(SpecError, match="has no rows"):
        read_few_shot(tmp_path / "empty.jsonl")


@pytest.mark.data
def test_the_papers_own_few_shot_prompts_fit_our_form(tmp_path):
    """Each published prompt ends in one critique and one revision after a conversation; cut at
    its markers it makes a row."""
    file = real("anthropic_cai/CritiqueRevisionFewShotPrompts.json")
    rows = []
    for text in json.loads(file.read_text(encoding="utf-8")):
        talk, asks = text.split("\n\nCritiqueRequest:")[:2]
        prompt, reply = talk.rsplit("\n\nAssistant:", 1)
        critique_of, revision = asks.split("\n\nRevisionRequest:")[:2]
        principle, said = critique_of.split("\n\nCritique:")
        rows.append(
            {
                "prompt": prompt,
                "reply": reply,
                "critique": said,
                "revision": revision.split("\n\nRevision:")[1],
                "principle": principle,
            }
        )
    path = tmp_path / "worked.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    speaker = reviser(lambda text: text + "+")
    done = critique(speaker, prompts("Q"), [HONEST], few_shot=read_few_shot(path))
    assert len(done.comparisons) == 1
    assert len(speaker.asked[1].messages) == 6 * len(rows) + 3
