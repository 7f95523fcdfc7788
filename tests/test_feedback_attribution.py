"""Is a reply traced to the principle that taught it, and to none where no lesson is near?"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest
from real_data import real

from alignwright.core.records import Conversation, Example, Finding, Preference, Prompt
from alignwright.feedback.attribution import NEAREST, Attribution, attribution_note, trace_refusals, user_text

NO, YES = "I'm sorry, but I can't help with that.", "Of course. It is done in three short steps."
# three subjects, each with things and what is asked about them; no thing is in two subjects
SUBJECTS = {
    "no_weapons": (("rifle", "grenade", "pistol", "bomb", "shell", "fuse"), ("build", "hide", "smuggle", "fire")),
    "no_poison": (("arsenic", "cyanide", "venom", "ricin", "toxin", "nerve gas"), ("brew", "buy", "mix", "distil")),
    "no_fraud": (
        ("cheque", "invoice", "passport", "receipt", "loan", "tax form"),
        ("forge", "fake", "alter", "backdate"),
    ),
}
WAYS = (
    "How do I {verb} a {thing}?",
    "Please tell me how to {verb} the {thing} at home.",
    "What is the best way to {verb} a {thing} quickly?",
)


TRAINED = ("train.0.sft", "train.1.dpo")


def preference(
    prompt: str, chosen: str = NO, *principles: str, voters: tuple[str, ...] = (), names: str = ""
) -> Preference:
    asks = Prompt(conversation=Conversation.user(prompt), principle=names)
    return Preference(prompt=asks, chosen=chosen, rejected="x", principles=principles, voters=voters)


def planted(seed: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(prompt, principle) taught, and held out: in each subject a third of the pairs of verb and
    thing."""
    rng = random.Random(seed)
    taught, held = list[tuple[str, str]](), list[tuple[str, str]]()
    for slug, (things, verbs) in SUBJECTS.items():
        asks = [rng.choice(WAYS).format(verb=verb, thing=thing) for verb, thing in itertools.product(verbs, things)]
        rng.shuffle(asks)
        taught += [(ask, slug) for ask in asks[:16]]
        held += [(ask, slug) for ask in asks[16:]]
    return taught, held


def right(taught: list[tuple[str, str]], held: list[tuple[str, str]]) -> float:
    lessons = Attribution(preference(ask, NO, slug) for ask, slug in taught)
    traced = [(lessons.trace(ask, NO), slug) for ask, slug in held]
    return sum(bool(found) and found[0].principle == slug for found, slug in traced) / len(held)


@pytest.mark.parametrize("seed", range(4))
def test_planted_principles_are_named_and_a_shuffled_assignment_is_not(seed):
    taught, held = planted(seed)
    assert right(taught, held) >= 0.9
    rng = random.Random(seed)
    shares = []
    for _ in range(20):
        slugs = [slug for _, slug in taught]
        rng.shuffle(slugs)
        shares.append(right([(ask, slug) for (ask, _), slug in zip(taught, slugs, strict=True)], held))
    assert sum(shares) / len(shares) == pytest.approx(1 / 3, abs=0.1)


def test_what_lies_near_no_lesson_is_not_traced_and_small_talk_is_not_nearness():
    taught, _ = planted(0)
    lessons = Attribution(preference(ask, NO, slug) for ask, slug in taught)
    loaf, talk, roses = (
        "How do I bake a sourdough loaf?",
        "Please tell me how to learn Portuguese at home.",
        "What is the best way to prune a rose?",
    )
    for far in (loaf, talk, roses, "", "?!"):
        assert lessons.trace(far, NO) == (), far
        assert attribution_note(lessons, far, NO) == ""
    assert lessons.trace("How do I hide a grenade?", NO) != ()
    assert Attribution([]).trace("How do I hide a grenade?", NO) == ()


def test_a_refusal_is_traced_to_refusals_and_an_answer_to_answers():
    lessons = Attribution(
        [preference("How do I kill a weed?", YES, "help"), preference("How do I kill a man?", NO, "no_harm")]
    )
    asks = "How do I kill a weed man?"
    assert [t.principle for t in lessons.trace(asks, NO)] == ["no_harm"]
    assert [t.principle for t in lessons.trace(asks, YES)] == ["help"]
    assert lessons.of_kind(refuses=True) == [("no_harm", 1)]
    assert Attribution([preference("How do I kill a weed?", YES, "help")]).trace("How do I kill a weed?", NO) == ()


def test_weights_are_shares_of_the_nearest_and_several_principles_share_a_lesson():
    same = "Where is the red fox den?"
    rows = [
        preference(same, f"{NO} {i}", *slugs)
        for i, slugs in enumerate([("a",), ("a", "b"), ("b",), ("a",), ("c",), ("c",), ("c",)])
    ]
    others = [preference(f"Unlike {word} thing", NO, "z") for word in ("one", "two", "three", "four")]
    traced = Attribution(rows + others).trace(same, NO)
    assert [(t.principle, round(t.weight, 6), t.lessons, t.of) for t in traced] == [
        ("a", 0.5, 3, 5),
        ("b", 0.3, 2, 5),
        ("c", 0.2, 1, 5),
    ]
    assert NEAREST == 5
    assert traced[0].example.reply == f"{NO} 0"


def test_one_reply_is_one_lesson_whatever_it_was_chosen_over_and_someone_always_taught_it():
    twice = [preference("Say it", NO, "a"), preference("Say it", NO, "b")]
    rows = [*twice, preference("Tell me", YES, voters=("rules",)), preference("Go on", YES, names="own")]
    told = {lesson.prompt: lesson.principles for lesson in Attribution(rows).all}
    assert told == {"Say it": ("a", "b"), "Tell me": ("voter rules",), "Go on": ("own",)}


def test_neither_order_nor_case_nor_an_ending_moves_a_trace():
    taught, held = planted(1)
    rows = [preference(ask, NO, slug) for ask, slug in taught]
    forth, back = Attribution(rows), Attribution(rows[::-1])
    for ask, _ in held:
        one, other = forth.near(ask, refuses=True), back.near(ask, refuses=True)
        assert [value for value, _ in one] == pytest.approx([value for value, _ in other])
        assert forth.near(ask.upper() + "!!", refuses=True) == one
    assert forth.trace("Hiding grenades", NO)[0].principle == "no_weapons"


def test_a_lesson_is_found_by_all_that_the_user_said():
    conversation = (
        Conversation.user("Capital of Peru?", system="Be terse.").then("assistant", "Lima.").then("user", "Sure?")
    )
    assert user_text(conversation) == "Capital of Peru?\nSure?"
    lessons = Attribution(
        [Preference(prompt=Prompt(conversation=conversation), chosen="Yes, Lima.", rejected="No", principles=("firm",))]
    )
    assert lessons.all[0].prompt == user_text(conversation)


def test_the_reason_is_short_and_one_line():
    long = "How do I\nhide a grenade " + "in the garden " * 20
    lessons = Attribution([preference(long, NO, "no_weapons"), preference("How do I prune roses?", NO, "odd")])
    told = attribution_note(lessons, "How do I hide a grenade in the garden?", NO)
    assert told.startswith('taught by no_weapons (1 of 1 nearest lessons), e.g. "How do I hide a grenade in the garden')
    assert told.endswith('..."')
    assert len(told) < 140
    assert "\n" not in told


def exhibit(reply: str, before: str | None = None) -> Example:
    return Example(
        item="i",
        prompt=Conversation.user("How do I hide a grenade?"),
        reply=reply,
        status="pass",
        reason="refused",
        before=before,
    )


def test_refusals_among_the_exhibits_of_trained_models_say_who_taught_them_and_nothing_else_changes():
    lessons = Attribution(
        [
            preference("How do I hide a rifle or a grenade?", NO, "no_weapons"),
            preference("How do I prune roses?", YES, "help"),
        ]
    )

    def finding(stage: str, *exhibits: Example) -> Finding:
        return Finding(claim="value.refusal", stage=stage, axis="value", value=1.0, n=1, method="m", exhibits=exhibits)

    shown = (exhibit(NO), exhibit(YES), exhibit(NO, NO), exhibit(NO, YES))
    found = [finding("train.0.sft", *shown), finding("baseline", exhibit(NO)), finding("train.1.dpo")]
    identity = [f.id for f in found]
    traced = trace_refusals(found, lessons, TRAINED)
    reasons = [e.reason for e in traced[0].exhibits]
    told = 'taught by no_weapons (1 of 1 nearest lessons), e.g. "How do I hide a rifle or a grenade?"'
    assert reasons == [
        f"refused; {told}",
        "refused",
        f"refused; refused before training, too; {told}",
        f"refused; {told}",
    ]
    assert traced[1:] == found[1:]  # what the start model said, no lesson taught
    assert [f.id == before for f, before in zip(traced, identity, strict=True)] == [False, True, True]
    far = Attribution([preference("May I borrow your ladder to climb over their wall?", NO, "no_theft")])
    untraced = "refused; no lesson is near; of the run's 1 refusing lessons 1 are of no_theft"
    assert trace_refusals(found, far, TRAINED)[0].exhibits[0].reason == untraced
    assert (
        trace_refusals(found, Attribution([]), TRAINED)[0].exhibits[0].reason
        == "refused; no refusing lesson was taught in this run"
    )


@pytest.mark.data
def test_unrelated_prompts_are_seldom_traced_to_the_quickstarts_lessons():
    """Where the threshold comes from: school sums have nothing to do with the lessons, which are
    near to one another."""
    data = real("gsm8k/test.jsonl")
    files = sorted((Path(__file__).parents[1] / "examples/quickstart/train").glob("*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in lines if {"prompt", "chosen"} <= row.keys()]
    lessons = Attribution(preference(row["prompt"], row["chosen"], row["principle"]) for row in rows)
    sums = [json.loads(line)["question"] for line in data.read_text(encoding="utf-8").splitlines()[:150]]
    assert sum(bool(lessons.trace(ask, reply)) for ask in sums for reply in (NO, YES)) <= 0.06 * 300
    near = [len(lessons.near(lesson.prompt, refuses=lesson.refuses)) > 1 for lesson in lessons.all]
    assert sum(near) / len(near) > 0.4
