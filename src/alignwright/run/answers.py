"""Where are a judge's answers kept between runs?

In `answers/` of the run's folder, a file for each judge by the fingerprint of its weights, and outside the folders of jobs, which are
emptied when a job is done anew. So after one principle was edited only the questions that it is part of are asked again.
"""

from __future__ import annotations

from alignwright.core.records import content_id
from alignwright.feedback.answers import AnswerStore
from alignwright.run.plan import code_version, model_fingerprint
from alignwright.run.work import Work
from alignwright.spec.models import resolve


def store(judge: str, work: Work) -> AnswerStore:
    """The answers of the judge that a stage names: self, another model, or a server."""
    experiment = work.experiment
    local = experiment.model if judge == "self" else judge
    name = judge if "://" in judge else model_fingerprint(resolve(local, experiment.folder))
    folder = work.ledger.run / "answers"
    folder.mkdir(exist_ok=True)
    return AnswerStore(folder / f"{content_id(name)}.jsonl", content_id(name, code_version()))
