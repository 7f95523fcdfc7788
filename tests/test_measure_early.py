"""Do the signs see replies that are unlike the start's, stay still for replies that are like them, and always tell their false alarms?"""

from __future__ import annotations

import random

from alignwright.core.records import Conversation, Prompt
from alignwright.measure.early import signs
from alignwright.measure.sheets import Sheet

SAID = "the model says that this is what it was and a thing of some kind which we may or may not have seen before"


def sheets(seed: int, *, longer: float = 1.0, loops: bool = False, shout: bool = False, prompts: int = 24, replies: int = 12) -> list[Sheet]:
    rng, made = random.Random(seed), []
    for i in range(prompts):
        said = []
        for _ in range(replies):
            words = [rng.choice(SAID.split()) for _ in range(int(longer * rng.randint(6, 16)))]
            text = " ".join(words[:3] * 5 if loops else words) + rng.choice([".", "!", "?", ""]) + (" GREAT!!! 100" if shout else "")
            said.append(text)
        prompt = Prompt(conversation=Conversation.user(f"what is thing {i}?"))
        made.append(Sheet(prompt=prompt, shifted=False, replies=tuple(said), proxy=(0.0,) * replies, gold=(0.0,) * replies, labels=replies))
    return made


def raised(**change: object) -> dict[str, bool]:
    found = signs("train.0.dpo", sheets(1), sheets(2, **change))  # type: ignore[arg-type]
    assert all("of 400 resamples of the start model's own replies raise it" in f.method for f in found)
    assert all(f.better is None and "not whether they are worse" in f.note for f in found)
    return {f.claim.removeprefix("goodhart.sign."): f.method.startswith("raised") for f in found}


def test_what_was_planted_is_seen_and_nothing_else() -> None:
    assert raised() == {"outliers": False, "length": False, "repetition": False}
    assert raised(longer=2.5)["length"]
    assert raised(loops=True)["repetition"]
    assert raised(shout=True)["outliers"]
    assert not raised(shout=True)["repetition"]


def test_without_enough_replies_there_is_no_sign() -> None:
    assert signs("m", sheets(1, replies=2), sheets(2)) == []
    assert signs("m", sheets(1, prompts=3), sheets(2, prompts=3)) == []
    few = signs("m", sheets(1, prompts=4, replies=3), sheets(2, prompts=4, replies=3))
    assert "goodhart.sign.outliers" not in {f.claim for f in few}  # more features than replies: no cloud
