"""What does `compare` say of two logs, claim by claim? B minus A with its interval, the answer to the
margin, and the items on which B is worse."""

from __future__ import annotations

from typing import Literal

from alignwright.core.claims import Better
from alignwright.core.records import Record
from alignwright.files.score_log import Kind

Answer = Literal["kept", "broken", "untested"]


class Regression(Record):
    """An item on which B is worse than A."""

    item: str
    cluster: str
    prompt: str
    value_a: float
    value_b: float
    reply_a: str
    reply_b: str


class ClaimChange(Record):
    """One claim in both logs: B minus A over the items scored in both. `a` and `b` are their means."""

    claim: str
    unit: str
    better: Better
    part: bool
    n: int
    clusters: int | None
    a: float | None
    b: float | None
    value: float | None
    low: float | None
    high: float | None
    method: str
    p: float | None
    p_adjusted: float | None
    coverage: float | None
    worse: int
    improved: int
    unscored: int
    """Items in both, but scored in one at most."""
    only_a: int
    only_b: int
    missing_in_b: int
    """Items scored in A that have no score in B, whether B lacks the item or its score."""
    answer: Answer | None
    """Whether a fall beyond the margin is ruled out; None where no margin was named or it does not apply."""
    reason: str
    regressions: tuple[Regression, ...]


class LogComparison(Record):
    """What `compare` says of two logs. `version` changes when a field's meaning does."""

    version: Literal[2] = 2
    a: str
    b: str
    kind: Kind
    margin: float | None
    changes: tuple[ClaimChange, ...]
    only_in_a: tuple[str, ...]
    """Claims that are in A alone."""
    unanswered: tuple[str, ...]
    """Those of them that the margin asks for: whether B falls there is not known. Empty without a margin."""
    only_in_b: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """1 where a margin is broken, 3 where one is untested or a claim of A unanswered and none
        broken, else 0."""
        answers = {change.answer for change in self.changes}
        return 1 if "broken" in answers else 3 if "untested" in answers or self.unanswered else 0
