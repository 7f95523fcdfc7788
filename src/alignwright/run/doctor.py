"""Data doctor before a run: would the training data of each stage teach what was meant?

`examine` looks at a whole spec before its run, at the rows that are known by then: written pairs
and people's votes, files of conversations and of text, prompts to be answered. What a voter or the
model itself has still to say is examined when its stage begins (`train.doctor`), where the diagnosis
is kept as `doctor.json`. Both use the model's own tokenizer, and `train.data_report` for what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from alignwright.aggregate.preferred import preferred_so_far
from alignwright.core.amount import amount
from alignwright.core.records import Conversation, Labelled, Preference, Prompt
from alignwright.experiment.experiment import Experiment, resolve_effort
from alignwright.feedback.label_voter import LabelVoter
from alignwright.files.errors import SpecError
from alignwright.files.items import TextItem
from alignwright.files.models import resolve
from alignwright.job.preferences import undefeated_replies
from alignwright.model.tokenizer import TokenizerInfo, TokenizerMissing, load_tokenizer
from alignwright.report.text import visible
from alignwright.train.data_report import BadTrainingData, DataReport, diagnose
from alignwright.train.doctor import counts, row_pictures, rows_of, stage_limits, warning_lines
from alignwright.train.knobs_loop import Source, Training
from alignwright.train.loss_mask import LEGEND
from alignwright.train.rows import one_sided

MOST = 2_000
"""Rows of a stage that are looked at before a run, spread evenly over its data; when the stage
begins, all are."""


@dataclass(frozen=True)
class Examination:
    """What was found for one training stage. `note` says what was not looked at, and why;
    `pictures` are three of its rows."""

    stage: str
    diagnosis: DataReport | None
    note: str = ""
    pictures: tuple[tuple[str, Text], ...] = ()


def examine(experiment: Experiment) -> list[Examination]:
    """Examine the data of every training stage, as far as they are known before the run.

    Raises ValueError where the model's tokenizer has no chat template, or one that cannot be
    trained with.
    """
    experiment = resolve_effort(experiment)
    stages = [
        (f"train.{place}.{stage.by}", stage)
        for place, stage in enumerate(experiment.train)
        if isinstance(stage, Training)
    ]
    if not stages:
        return []
    try:
        tokenizer = load_tokenizer(
            resolve(experiment.model, experiment.folder), experiment.date, experiment.chat_format
        )
    except TokenizerMissing as reason:
        return [Examination(name, None, f"not examined: {reason}") for name, _ in stages]
    known = KnownData(experiment)
    return [_examine_stage(name, stage, known, tokenizer) for name, stage in stages]


def tell(examinations: Sequence[Examination], console: Console) -> None:
    """Print the examinations. Raises BadTrainingData when something in them is refused."""
    for examination in examinations:
        console.print(Text(f"\n{examination.stage}", style="bold"), Text(examination.note), soft_wrap=True)
        if examination.diagnosis is not None:
            for line in counts(examination.diagnosis):
                console.print(Text(line), soft_wrap=True)
            for line in warning_lines(examination.diagnosis):
                console.print(Text(line, style="yellow"), soft_wrap=True)
        for name, text in examination.pictures:
            console.print(Text(name, style="dim"))
            console.print(Padding(text, (0, 0, 0, 2), expand=False))
    if any(examination.pictures for examination in examinations):
        console.print(Text(LEGEND, style="dim"), soft_wrap=True)
    sick = [(e.stage, e.diagnosis) for e in examinations if e.diagnosis is not None and e.diagnosis.refused]
    reasons = [f"{stage}: {issue.name}: {issue.message}" for stage, diagnosis in sick for issue in diagnosis.refused]
    if reasons:
        raise BadTrainingData("the data would not teach what was meant\n" + "\n".join(map(visible, reasons)))


def _examine_stage(name: str, stage: Training, known: KnownData, tokenizer: TokenizerInfo) -> Examination:
    sources, note = known.sources(stage)
    if not sources:
        return Examination(name, None, note or "nothing that it learns from is known before the run")
    labels = {source.good if isinstance(source, Labelled) else None for source in sources}
    if not note and len(labels) == 1 and None not in labels:
        raise SpecError([f"{name}: intent.pairs: {one_sided(len(sources), good=labels == {True})}"])
    sample = sources if len(sources) <= MOST else [sources[i * len(sources) // MOST] for i in range(MOST)]
    if len(sample) < len(sources):
        note = f"{len(sample):,} of {amount(len(sources), 'row')} looked at; {note}".removesuffix("; ")
    rows, kind = rows_of(stage, sample, tokenizer.chat)
    limits = stage_limits(stage, kind, tokenizer.limit, known.experiment.intent.bad_rows)
    diagnosis = diagnose(rows, tokenizer.chat, sources=sample, kind=kind, vocabulary=tokenizer.vocabulary, **limits)
    return Examination(name, diagnosis, note, row_pictures(rows, tokenizer.chat))


class KnownData:
    """The `TrainingData` that is known before a run: what files hold. `notes`: what of that which was
    asked for is still to come."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment, self.data = experiment, experiment.data
        self.notes: list[str] = []

    def sources(self, stage: Training) -> tuple[Sequence[Source], str]:
        """What a stage is known to learn from, and what is still to come."""
        self.notes = []
        sources = stage.sources(self)
        return sources, "; ".join(dict.fromkeys(self.notes))

    def texts(self, files: Sequence[str], limit: int | None) -> list[str]:
        return [item.text for item in self.data.items(files, TextItem, limit)]

    def conversations(self, files: Sequence[str], limit: int | None) -> list[Conversation]:
        return self.data.conversations(files, limit)

    def prompts(self) -> list[Prompt]:
        self.notes.append("prompts; the replies are still to be sampled")
        return self.data.prompts(self.experiment.intent.prompts)

    def preferences(self, *, required: bool = True) -> list[Preference]:  # noqa: ARG002 - there may be none yet
        later = [voter.by for voter in self.experiment.feedback if not voter.hears_pairs]
        if later:
            votes = f"without the votes of {', '.join(later)}, which are still to be cast"
            self.notes.append(f"{votes}; examined again when the stage begins")
        return self._preferences

    def labelled(self) -> list[Labelled]:
        return self.data.labelled_alone()

    def chosen(self) -> list[Conversation]:
        return [winner.only_last() for winner in undefeated_replies(self.preferences())]

    def revisions(self) -> list[Conversation]:
        self.notes.append("revisions are still to be written; examined when the stage begins")
        return []

    @cached_property
    def _preferences(self) -> list[Preference]:
        """The preferences of those who have already voted, pooled once for all stages."""
        comparisons = self.data.comparisons()
        if self.data.hears_pairs:
            comparisons = [c.with_votes(votes) for c, votes in zip(comparisons, LabelVoter()(comparisons), strict=True)]
        try:
            return preferred_so_far(self.experiment.aggregate, comparisons)
        except ValueError as why:
            if all(voter.hears_pairs for voter in self.experiment.feedback):
                raise
            self.notes.append(f"nothing is known before the other votes are cast: {why}")
            return []
