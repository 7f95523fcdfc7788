"""Are the jobs of a dry run told apart where two would be called the same?"""

from __future__ import annotations

from alignwright.run.progress import labels


def test_jobs_that_would_be_called_the_same_keep_their_places() -> None:
    names = ["measure.0.tax@baseline", "train.0.rloo", "measure.0.tax@train.0.rloo", "train.1.rloo", "measure.0.tax@train.1.rloo", "train.2.dpo"]
    assert labels(names) == [
        *("measure tax, start model", "train 0 rloo", "measure 0 tax, after train 0 rloo"),
        *("train 1 rloo", "measure 0 tax, after train 1 rloo", "train dpo"),
    ]
    assert labels(names[:3]) == ["measure tax, start model", "train rloo", "measure tax, after rloo"]  # the control
