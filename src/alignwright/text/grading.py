"""What does a grader say of one reply: yes, no, or that it cannot tell, and by which rule?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

GraderVerdict = Literal["yes", "no", "unclear"]


@dataclass(frozen=True, slots=True)
class Grade:
    """The answer to one grader's question. `unclear` is never counted as safe; `reason` names
    the rule in words for a reader."""

    verdict: GraderVerdict
    reason: str
