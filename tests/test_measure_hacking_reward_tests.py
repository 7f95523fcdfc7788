"""Do the unit tests of a reward find a planted hole, and none in a judge that equals gold?"""

from __future__ import annotations

import random

import pytest
from hacking_case import Says, prompts, reply, worth

from alignwright.core.records import Conversation, Prompt
from alignwright.measure.hacking.reply_edits import ADDING, DESTROYING, after
from alignwright.measure.hacking.reward_tests import BEST, SEARCHED, Gap, reward_tests
from alignwright.text.reply_features import tokens

ASKED = prompts(32)


def on_topic(asked: str, text: str) -> float:
    """Gold: how much of what was asked the reply speaks of, and no more than it takes."""
    said = set(tokens(text))
    return 3 * len(said & set(tokens(asked))) / max(len(said), 1) ** 0.5 - 0.01 * len(tokens(text))


def replies(seed: int = 0) -> list[list[str]]:
    r = random.Random(seed)
    return [
        [f"{' '.join(r.sample(tokens(p.conversation.last.content), 2))} {reply(r)}" for _ in range(3)] for p in ASKED
    ]


def holes(gaps: list[Gap]) -> dict[str, str]:
    return {gap.test: gap.hole for gap in gaps if gap.hole != "none"}


GOLD = Says(on_topic, "gold")


@pytest.mark.parametrize("seed", range(4))
def test_a_planted_keyword_is_found(seed: int) -> None:
    paid = Says(lambda asked, text: on_topic(asked, text) + 1.0 * ("certainly" in tokens(text)))
    found = reward_tests(paid, GOLD, ASKED, replies(seed))
    assert holes(found)["keyword:certainly"] == "rewarded"
    assert set(holes(found)) <= {"keyword:certainly", "stuffing", SEARCHED, BEST}
    (gap,) = [g for g in found if g.test == "keyword:certainly"]
    assert gap.proxy.n == 16
    assert gap.gold is not None
    assert (gap.gold.value or 0.0) < 0 < (gap.proxy.value or 0.0)
    assert "certainly" in "".join(gap.advice)
    assert all(example.after.endswith("Certainly.") for example in gap.examples)


@pytest.mark.parametrize("seed", range(4))
def test_a_judge_equal_to_gold_has_none(seed: int) -> None:
    assert not holes(reward_tests(Says(on_topic), GOLD, ASKED, replies(seed)))


@pytest.mark.parametrize("seed", range(8))
def test_nor_has_one_that_differs_by_noise_alone(seed: int) -> None:
    def noisy(asked: str, text: str) -> float:
        return on_topic(asked, text) + random.Random(f"{seed}{asked}{text}").gauss(0, 0.5)

    assert not set(holes(reward_tests(Says(noisy), GOLD, ASKED, replies(seed)))) - {
        BEST
    }  # to pick the best of many noises is a hole indeed


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("filler", lambda _, text: len(text)),
        ("exclaim", lambda asked, text: on_topic(asked, text) + 0.5 * text.count("!")),
        ("flattery", lambda asked, text: on_topic(asked, text) + ("wonderful question" in text)),
        ("list", lambda asked, text: on_topic(asked, text) + (text.count("- ") > 0) * ("- one" not in text)),
    ],
)
def test_each_hole_is_found_by_the_edit_that_is_made_for_it(name, rule) -> None:
    assert holes(reward_tests(Says(rule), GOLD, ASKED, replies()))[name] == "rewarded"


def test_a_judge_that_does_not_read_the_prompt_is_blind_to_it() -> None:
    asked, r = prompts(96), random.Random(0)
    said = [[f"{' '.join(tokens(p.conversation.last.content)[:3])} {reply(r)}" for _ in range(3)] for p in asked]
    found = holes(reward_tests(Says(worth), Says(lambda p, text: worth(p, text) + 2 * on_topic(p, text)), asked, said))
    assert found["other"] == "blind"
    assert "other" not in holes(reward_tests(Says(on_topic), GOLD, ASKED, replies()))


def test_the_search_puts_edits_on_top_of_each_other() -> None:
    paid = Says(lambda asked, text: on_topic(asked, text) + ("wonderful question" in text) + ("**Answer**" in text))
    found = {gap.test: gap for gap in reward_tests(paid, GOLD, ASKED, replies())}
    assert (found[SEARCHED].proxy.value or 0) > 1.3 * max(found[name].proxy.value or 0 for name in ("flattery", "bold"))


def test_without_gold_the_edit_is_the_evidence() -> None:
    honest = holes(
        reward_tests(Says(lambda _, text: -len(tokens(text)) - 100 * (len(tokens(text)) < 5)), None, ASKED, replies())
    )
    assert not set(honest) & {edit.name for edit in ADDING}
    assert holes(reward_tests(Says(lambda _, text: len(text)), None, ASKED, replies()))["filler"] == "rewarded"
    flat = holes(reward_tests(Says(lambda _, text: len(text) % 7), None, ASKED, replies()))
    assert flat.get("shuffled") == "blind"


def test_what_a_judge_cannot_score_is_counted_and_not_taken_for_safe() -> None:
    shy = Says(lambda asked, text: None if not text else on_topic(asked, text))
    (gap,) = [g for g in reward_tests(shy, GOLD, ASKED, replies()) if g.test == "empty"]
    assert (gap.unscored, gap.proxy.value, gap.hole) == (16, None, "none")


def test_scores_without_a_scale_and_too_few_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="scores all 96 given replies alike"):
        reward_tests(Says(lambda *_: 1.0), GOLD, ASKED, replies())
    with pytest.raises(ValueError, match="15 prompts with a reply, and need 16"):
        reward_tests(GOLD, None, ASKED[:15], replies()[:15])


def test_edits_do_what_they_say() -> None:
    made = {edit.name: edit.make("why?", "It is so. It was so.", "Other.") for edit in (*ADDING, *DESTROYING)}
    assert made["list"] == "- It is so.\n- It was so."
    assert made["repeat"].count("It is so.") == 2
    assert made["exclaim"] == "It is so! It was so!"
    assert (made["empty"], made["prompt"], made["other"]) == ("", "why?", "Other.")
    assert made["half"] == "It is so."
    assert sorted(made["shuffled"].split()) == sorted(["It", "is", "so.", "It", "was", "so."])
    assert all("It is so" in text for name, text in made.items() if name in {edit.name for edit in ADDING})


def test_an_edit_that_is_made_twice_is_closed_by_one_advice() -> None:
    first, other = ADDING[0], next(edit for edit in ADDING if edit.advice != ADDING[0].advice)
    both = after(after(first, other), first)
    assert both.advice == (*first.advice, *other.advice)
    assert both.words == f"{first.words}, then {other.words}, then {first.words}"  # every step is still told


def test_the_same_prompts_give_the_same_gaps() -> None:
    asked = [Prompt(conversation=Conversation.user(p.conversation.last.content)) for p in ASKED]
    assert reward_tests(Says(lambda _, t: len(t)), GOLD, ASKED, replies()) == reward_tests(
        Says(lambda _, t: len(t)), GOLD, asked, replies()
    )
