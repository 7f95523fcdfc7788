"""Where are a judge's answers kept between runs?

In `answers/` of the run's folder, a file for each judge by the fingerprint of its weights, and
outside the folders of jobs, which are emptied when a job is done anew. So after one principle was
edited only the questions that it is part of are asked again, and after a knob was changed, which
makes another run's folder, none: what the runs beside this one know of the same judge is taken
over.
"""

from __future__ import annotations

from alignwright.core.records import content_id
from alignwright.experiment.plan import code_version, model_fingerprint
from alignwright.feedback.judge import JudgeVoter
from alignwright.feedback.judge_cache import JudgeCache
from alignwright.files.models import resolve
from alignwright.files.server import is_server
from alignwright.measure.emergent.measure import LLMGrader
from alignwright.model.endpoint import Endpoint
from alignwright.model.server_errors import clipped
from alignwright.run.work import JobContext


def store(judge: str, work: JobContext) -> JudgeCache:
    """The answers of the judge that a stage names: self, another model, or a server."""
    experiment = work.experiment
    local = experiment.model if judge == "self" else judge
    name = judge if is_server(judge) else model_fingerprint(resolve(local, experiment.folder))
    folder = work.ledger.run / "answers"
    folder.mkdir(exist_ok=True)
    # what a local model answers is computed by our code; a server's answers are its own, and paid for
    by = "server" if is_server(judge) else code_version()
    file = f"{content_id(name)}.jsonl"
    siblings = [path for path in sorted(folder.parent.parent.glob(f"*/answers/{file}")) if path.parent != folder]
    return JudgeCache(folder / file, content_id(name, by), siblings)


def unread_answers(judge: JudgeVoter | LLMGrader) -> str:
    """What is said of a judge's answers that could not be read, and of what its server does not
    take; "" where there is nothing to say."""
    count, lines = judge.num_unreadable, list[str]()
    if count:
        line = f"{count} answers could not be read, count for nothing and will be asked for again, the last of them"
        lines.append(f"{line} {clipped(judge.example, 400)}")
    if isinstance(judge.speaker, Endpoint) and (missing := judge.speaker.parameters.left_out):
        lines.append(f"the server takes no {', '.join(missing)}")
    return "".join(f"; {line}" for line in lines)
