"""Are the graders' known errors readable, possible, and there for each grader?"""

from __future__ import annotations

import pytest

from alignwright.text.grader_error import known_errors


@pytest.mark.parametrize("grader", ["refused", "fulfilled", "deferred", "handed_over", "needless"])
def test_each_grader_has_measured_errors(grader):
    errors = known_errors(grader)
    assert errors
    for error in errors:
        assert error.grader == grader
        assert error.positives > 0
        assert error.negatives > 0
        assert 0 <= error.sensitivity <= 1 - error.unclear_positives + 1e-9
        assert 0 <= error.specificity <= 1 - error.unclear_negatives + 1e-9
        assert error.source
        assert error.note


def test_an_unknown_grader_is_an_error():
    with pytest.raises(ValueError, match="no grader 'kindness': refused, fulfilled"):
        known_errors("kindness")
