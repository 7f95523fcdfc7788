"""Do the signs see replies that are unlike the start's, stay still for replies that are like
them, and always tell their false alarms?"""

from __future__ import annotations

import random

import numpy as np

from alignwright.core.records import Conversation, Prompt
from alignwright.measure.goodhart.early_warning import accelerating, signs
from alignwright.measure.goodhart.scaling_law import Trajectory
from alignwright.measure.goodhart.scored_replies import ScoredReplies

SAID = "the model says that this is what it was and a thing of some kind which we may or may not have seen before"


def sheets(
    seed: int, *, longer: float = 1.0, loops: bool = False, shout: bool = False, prompts: int = 24, replies: int = 12
) -> list[ScoredReplies]:
    rng, made = random.Random(seed), []
    for i in range(prompts):
        said = []
        for _ in range(replies):
            words = [rng.choice(SAID.split()) for _ in range(int(longer * rng.randint(6, 16)))]
            text = (
                " ".join(words[:3] * 5 if loops else words)
                + rng.choice([".", "!", "?", ""])
                + (" GREAT!!! 100" if shout else "")
            )
            said.append(text)
        prompt = Prompt(conversation=Conversation.user(f"what is thing {i}?"))
        made.append(
            ScoredReplies(
                prompt=prompt,
                is_shifted=False,
                replies=tuple(said),
                proxy=(0.0,) * replies,
                gold=(0.0,) * replies,
                labels=replies,
            )
        )
    return made


def is_raised(**change: object) -> dict[str, bool]:
    found = signs("train.0.dpo", sheets(1), sheets(2, **change))  # type: ignore[arg-type]
    assert all("of 400 resamples of the start model's own replies raise it" in f.method for f in found)
    assert all(f.better is None and "not whether they are worse" in f.note for f in found)
    assert all("measured on these prompts, and says nothing of other prompts" in f.note for f in found)
    return {f.claim.removeprefix("goodhart.sign."): f.method.startswith("raised") for f in found}


def test_what_was_planted_is_seen_and_nothing_else() -> None:
    assert is_raised() == {"outliers": False, "length": False, "repetition": False}
    assert is_raised(longer=2.5)["length"]
    assert is_raised(loops=True)["repetition"]
    assert is_raised(shout=True)["outliers"]
    assert not is_raised(shout=True)["repetition"]


def test_without_enough_replies_there_is_no_sign() -> None:
    assert signs("m", sheets(1, replies=2), sheets(2)) == []
    assert signs("m", sheets(1, prompts=3), sheets(2, prompts=3)) == []
    few = signs("m", sheets(1, prompts=4, replies=3), sheets(2, prompts=4, replies=3))
    assert "goodhart.sign.outliers" not in {f.claim for f in few}  # more features than replies: no cloud


def heard(seed: int, *, noise: float = 0.5, move: float = 0.0, size: int = 5) -> list[np.ndarray]:
    """Of each sheet rows that are a common part and noise of their own."""
    generator = np.random.default_rng(seed)
    return [
        generator.normal(size=(12, 1)) + noise * generator.normal(size=(12, size)) + move * np.eye(size)[0]
        for _ in range(24)
    ]


def test_members_that_part_and_states_that_move_are_seen() -> None:
    def told(**change: float) -> dict[str, bool]:
        found = signs(
            "m", sheets(1), sheets(2), members=(heard(1), heard(2, **change)), states=(heard(3), heard(4, **change))
        )  # type: ignore[arg-type]
        assert all("of 400 resamples of the start model's own replies raise it" in f.method for f in found)
        return {
            f.claim.removeprefix("goodhart.sign."): f.method.startswith("raised")
            for f in found
            if "states" in f.claim or "dis" in f.claim
        }

    assert told() == {"states": False, "disagreement": False}
    assert told(noise=1.0)["disagreement"]
    assert told(move=2.0)["states"]
    lost = [rows.copy() for rows in heard(2)]
    for rows in lost:
        rows[0] = np.nan  # one reply of each was too long for the members
    assert [f.n for f in signs("m", sheets(1), sheets(2), members=(heard(1), lost)) if "dis" in f.claim] == [24 * 11]
    assert not [
        f for f in signs("m", sheets(1), sheets(2), members=(heard(1, size=1), heard(2, size=1))) if "dis" in f.claim
    ]  # no ensemble


def test_divergence_that_grows_faster_is_a_sign_where_there_are_checkpoints() -> None:
    generator = np.random.default_rng(0)

    def found(power: float, checkpoints: int = 5) -> list[str]:
        kl_TP = np.arange(checkpoints)[:, None] ** power + 0.05 * generator.normal(size=(checkpoints, 12))
        return [f.method.split(" (")[0] for f in accelerating("m", Trajectory(kl_TP, kl_TP, "looks of m"))]

    assert found(2.0) == ["raised"]
    assert found(0.8) == ["not raised"]
    assert found(2.0, checkpoints=2) == []
