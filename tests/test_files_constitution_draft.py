"""Does a draft hold what every group agrees on, nothing that divides them, and is it read back?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alignwright.files.constitution import parse, render
from alignwright.files.constitution_draft import draft_constitution


def votes(shared: float) -> np.ndarray:
    """60 and 30 voters on ten statements that divide them and five that a share of both agrees with."""
    rng = np.random.default_rng(0)
    camp_V = np.repeat([0, 1], [60, 30])
    agree_GS = np.array([[0.9] * 10 + [shared] * 5, [0.1] * 10 + [shared] * 5])
    return np.where(rng.random((90, 15)) < agree_GS[camp_V], 1.0, -1.0)


def test_a_draft_holds_what_groups_share_and_is_read_back():
    statements = [f"Statement about {k}." for k in range(15)]
    draft = draft_constitution("Ours", statements, votes(0.9))
    assert {principle.slug for principle in draft.principles} == {f"statement_{k}" for k in range(11, 16)}
    assert " of 59 in group 1, " in draft.principles[0].text
    assert parse(render(draft), Path("draft.md")) == draft
    with pytest.raises(ValueError, match="no group surely agrees"):
        draft_constitution("Ours", statements, votes(0.1))
    with pytest.raises(ValueError, match="14 statements, but votes on 15"):
        draft_constitution("Ours", statements[1:], votes(0.9))
