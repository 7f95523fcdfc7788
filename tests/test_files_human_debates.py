"""Recorded debates with human judges: the reader, and the recount of the published ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from real_data import real

from alignwright.files.human_debates import Protocol, RecordedJudgement, recorded_judgements, reliability
from alignwright.stats.intervals import wilson

PUBLISHED: dict[Protocol, float] = {
    "human debate": 0.844, "human consultancy": 0.740, "AI debate": 0.782, "AI consultancy": 0.803,
}  # fmt: skip


def debate(beliefs: list[float], *, right: int = 0, ends: bool = True, speakers: tuple[str, ...] = ("Ann", "Bob")):
    rounds: list[dict[str, Any]] = [
        {"JudgeFeedback": {"distribution": [b, 1 - b], "endDebate": ends and b == beliefs[-1]}} for b in beliefs
    ]
    roles = {f"Debater {'AB'[place]}": name for place, name in enumerate(speakers)} | {"Judge": "Cat"}
    material = {"QuALITYSourceMaterial": {"title": "A story"}}
    setup = {"roles": roles, "correctAnswerIndex": right, "question": "Who?", "sourceMaterial": material}
    return {"setup": setup, "rounds": rounds}


def write(folder: Path, **debates: object) -> Path:
    for name, content in debates.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_judgements_are_read_by_who_spoke_and_how_it_ended(tmp_path: Path) -> None:
    write(
        tmp_path, a=debate([0.5, 0.9]), b=debate([0.5, 0.3], right=1, speakers=("GPT-4",)), c=debate([0.8], ends=False),
        d=debate([0.5, 0.2], speakers=("Ann",)),
    )  # fmt: skip
    judgements, without = recorded_judgements(tmp_path)
    assert without == 1
    assert [(each.file, each.protocol, each.right) for each in judgements] == [
        ("a.json", "human debate", True), ("b.json", "AI consultancy", True), ("d.json", "human consultancy", False),
    ]  # fmt: skip
    assert judgements[0].beliefs == (0.5, 0.9)


@pytest.mark.parametrize(
    "content", [[], {"setup": {}}, debate([0.5, 1.4]), debate([0.5, 0.9]) | {"rounds": [{"JudgeFeedback": {}}]}]
)
def test_what_is_no_debate_is_named_with_its_file(tmp_path: Path, content: object) -> None:
    write(tmp_path, bad=content)
    with pytest.raises(ValueError, match=r"bad\.json: not a debate as the NYU platform writes it"):
        recorded_judgements(tmp_path)


def test_an_empty_folder_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one debate a file"):
        recorded_judgements(tmp_path)


def test_reliability_is_of_the_answer_that_was_chosen() -> None:
    def judged(belief: float) -> RecordedJudgement:
        return RecordedJudgement("f", "human debate", "s", "q", (belief,))

    bins = list(reliability([judged(0.95)] * 3 + [judged(0.05)] + [judged(0.6), judged(0.4), judged(0.5)], bins=2))
    assert bins == [(pytest.approx(0.6), 0.5, 2), (pytest.approx(0.95), 0.75, 4)]


@pytest.mark.data
def test_the_published_debates_recounted() -> None:
    """The set at hand has 428 of the 631 files and not the list of the 413 that the paper counts, so the recount is of
    those that their judges ended, and each published rate must lie in its interval."""
    folder = real("nyu_debates_2023/README.md").parent / "pub" / "debates" / "official"
    judgements, without = recorded_judgements(folder)
    assert (len(judgements), without) == (353, 75)
    rates: dict[str, float] = {}
    for protocol, published in PUBLISHED.items():
        own = [each.right for each in judgements if each.protocol == protocol]
        limits = wilson(sum(own), len(own))
        rates[protocol] = sum(own) / len(own)
        assert limits.low is not None
        assert limits.high is not None
        assert limits.low < published < limits.high
    # and the paper's own result: a debate of people is judged better than a consultancy
    debates, alone = (
        [e.right for e in judgements if e.protocol == f"human {kind}"] for kind in ("debate", "consultancy")
    )
    assert (wilson(sum(debates), len(debates)).low or 0) > sum(alone) / len(alone)
    assert rates == {
        "human debate": pytest.approx(0.865, abs=5e-4), "human consultancy": pytest.approx(0.726, abs=5e-4),
        "AI debate": pytest.approx(0.796, abs=5e-4), "AI consultancy": pytest.approx(0.772, abs=5e-4),
    }  # fmt: skip
