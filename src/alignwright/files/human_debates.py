"""What did people who judged recorded debates believe, turn by turn, and were they right? Files as the debate
platform of NYU writes them (Michael et al. 2023, arXiv 2311.08702).

A file is one debate about a question on a story that the judge could not read: two debaters, or one, a
consultant; people, or a model (GPT-4). After each round the judge spreads 1 over both answers. The last
belief of a debate that its judge ended is the judgement. Debates without one (unfinished, or judged
offline alone) are counted and left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from alignwright.files.safe_read import data

Protocol = Literal["human debate", "human consultancy", "AI debate", "AI consultancy"]
_MODEL = re.compile(r"GPT|Claude", re.IGNORECASE)


@dataclass(frozen=True)
class RecordedJudgement:
    """A debate that its judge ended: the probability given to the right answer after each round, and who spoke."""

    file: str
    protocol: Protocol
    story: str
    question: str
    beliefs: tuple[float, ...]

    @property
    def right(self) -> bool:
        """Whether the right answer had more than half at the end."""
        return self.beliefs[-1] > 0.5


def recorded_judgements(folder: Path) -> tuple[list[RecordedJudgement], int]:
    """The judgements of all files of a folder, in the order of their names, and how many files hold none. Raises
    ValueError with the file where one is no such debate."""
    judgements: list[RecordedJudgement] = []
    paths = sorted(folder.glob("*.json"))
    for path in paths:
        judgement = _judgement(path)
        if judgement is not None:
            judgements.append(judgement)
    if not paths:
        raise ValueError(f"{folder}: no file *.json in it; name the folder that holds one debate a file")
    return judgements, len(paths) - len(judgements)


def _judgement(path: Path) -> RecordedJudgement | None:
    try:
        debate = json.loads(data(path))
        setup, rounds = debate["setup"], debate["rounds"]
        roles, right = setup["roles"], int(setup["correctAnswerIndex"])
        material = next(iter(setup["sourceMaterial"].values()))
        feedback = [each["JudgeFeedback"] for each in rounds if "JudgeFeedback" in each]
        beliefs = tuple(_belief(each["distribution"], right) for each in feedback)
        speakers = [str(name) for role, name in roles.items() if role.startswith("Debater")]
        ended = bool(feedback) and bool(feedback[-1]["endDebate"])
        story, question = str(material["title"]), str(setup["question"])
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration, IndexError) as error:
        raise ValueError(
            f"{path}: not a debate as the NYU platform writes it ({type(error).__name__}: {error}); each file holds"
            " 'setup' and 'rounds'"
        ) from None
    if not ended or not speakers:
        return None
    by = "AI" if any(_MODEL.search(name) for name in speakers) else "human"
    kind = "debate" if len(speakers) > 1 else "consultancy"
    return RecordedJudgement(path.name, cast("Protocol", f"{by} {kind}"), story, question, beliefs)


def _belief(distribution: Any, right: int) -> float:
    shares = [float(each) for each in distribution]
    if any(not 0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-3:
        raise ValueError(f"the judge's distribution {shares} is none")
    return shares[right]


def reliability(judgements: Sequence[RecordedJudgement], bins: int = 5) -> Iterator[tuple[float, float, int]]:
    """How sure the judges were of the answer they chose, how often they were right, and of how many, by bins of
    sureness from one half to 1; a judgement of exactly one half chose nothing."""
    groups: dict[int, list[tuple[float, bool]]] = {}
    for judgement in judgements:
        belief = judgement.beliefs[-1]
        sure = max(belief, 1 - belief)
        if sure > 0.5:
            place = min(int((sure - 0.5) * 2 * bins), bins - 1)
            groups.setdefault(place, []).append((sure, judgement.right))
    for _, group in sorted(groups.items()):
        yield sum(sure for sure, _ in group) / len(group), sum(right for _, right in group) / len(group), len(group)
