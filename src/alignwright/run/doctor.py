"""Data doctor before a run: would the training data of each stage teach what was meant?

`examine` looks at a whole spec before its run, at the rows that are known by then: written pairs
and people's votes, files of conversations and of text, prompts to be answered. What a voter or the
model itself has still to say is examined when its stage begins (`train.doctor`), where the diagnosis
is kept as `doctor.json`. Both use the model's own tokenizer, and `train.data_report` for what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from alignwright.aggregate.pooled import pooled
from alignwright.core.records import Labelled, Preference
from alignwright.experiment.experiment import Experiment, resolve_effort
from alignwright.feedback.knobs import Written
from alignwright.feedback.label_voter import LabelVoter
from alignwright.files.errors import SpecError
from alignwright.files.items import TextItem
from alignwright.files.models import resolve
from alignwright.job.preferences import undefeated_replies
from alignwright.model.tokenizer import TokenizerInfo, TokenizerMissing, load_tokenizer
from alignwright.report.text import visible
from alignwright.train.data_checks import Source
from alignwright.train.data_report import BadTrainingData, DataReport, diagnose
from alignwright.train.doctor import counts, row_pictures, rows_of, stage_limits, warning_lines
from alignwright.train.knobs import Average, Pretrain, Sft
from alignwright.train.knobs_loop import Training
from alignwright.train.knobs_pairs import Kto
from alignwright.train.knobs_rollouts import Sampling
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
        if not isinstance(stage, Average)
    ]
    if not stages:
        return []
    try:
        tokenizer = load_tokenizer(resolve(experiment.model, experiment.folder), experiment.date)
    except TokenizerMissing as reason:
        return [Examination(name, None, f"not examined: {reason}") for name, _ in stages]
    return [_examine_stage(name, stage, experiment, tokenizer) for name, stage in stages]


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


def _examine_stage(name: str, stage: Training, experiment: Experiment, tokenizer: TokenizerInfo) -> Examination:
    sources, note = sources_before(stage, experiment)
    if not sources:
        return Examination(name, None, note or "nothing that it learns from is known before the run")
    labels = {source.good if isinstance(source, Labelled) else None for source in sources}
    if isinstance(stage, Kto) and not note and len(labels) == 1 and None not in labels:
        raise SpecError([f"{name}: intent.pairs: {one_sided(len(sources), good=labels == {True})}"])
    sample = sources if len(sources) <= MOST else [sources[i * len(sources) // MOST] for i in range(MOST)]
    if len(sample) < len(sources):
        note = f"{len(sample):,} of {len(sources):,} rows looked at; {note}".removesuffix("; ")
    if tokenizer.limit and tokenizer.limit.window:
        limit = tokenizer.limit
        window = f"rows may have as many tokens as {limit}, less than its context of {limit.context}"
        note = f"{note}; {window}" if note else window
    rows, kind = rows_of(stage, sample, tokenizer.chat)
    limits = stage_limits(stage, kind, tokenizer.limit, experiment.intent.bad_rows)
    diagnosis = diagnose(rows, tokenizer.chat, sources=sample, kind=kind, vocabulary=tokenizer.vocabulary, **limits)
    return Examination(name, diagnosis, note, row_pictures(rows, tokenizer.chat))


def sources_before(stage: Training, experiment: Experiment) -> tuple[list[Source], str]:
    """What a stage is known to learn from before the run, and what is still to come."""
    match stage:
        case Pretrain():
            return [item.text for item in experiment.data.items(stage.text, TextItem, stage.limit)], ""
        case Sft():
            return _demonstrated(stage, experiment)
        case Sampling():
            return (
                list(experiment.data.prompts(experiment.intent.prompts)),
                "prompts; the replies are still to be sampled",
            )
        case Kto():
            pairs, note = _preferred(experiment)
            return [*pairs, *experiment.data.labelled_alone()], note
        case _:
            pairs, note = _preferred(experiment)
            return list(pairs), note


def _demonstrated(stage: Sft, experiment: Experiment) -> tuple[list[Source], str]:
    """What fine-tuning is shown, as far as it is known."""
    conversations = experiment.data.conversations(stage.conversations, stage.limit)
    notes = ["revisions are still to be written; examined when the stage begins"] if "revisions" in stage.data else []
    if "chosen" in stage.data:
        pairs, note = _preferred(experiment)
        conversations += [chosen.only_last() for chosen in undefeated_replies(pairs)]
        notes += [note] if note else []
    return list(conversations), "; ".join(notes)


def _preferred(experiment: Experiment) -> tuple[list[Preference], str]:
    """The preferences of those who have already voted."""
    comparisons = experiment.data.comparisons()
    if any(isinstance(voter, Written) for voter in experiment.feedback):
        comparisons = [c.with_votes(votes) for c, votes in zip(comparisons, LabelVoter()(comparisons), strict=True)]
    how = experiment.aggregate
    grouped = how.by_group and any(
        vote.group for comparison in comparisons for vote in comparison.votes
    )  # groups may be named by later votes alone
    pairs = pooled(comparisons, prior=how.prior, min_strength=how.min_strength, by_group=grouped)
    later = [voter.by for voter in experiment.feedback if not isinstance(voter, Written)]
    note = (
        f"without the votes of {', '.join(later)}, which are still to be cast; examined again when the stage begins"
        if later
        else ""
    )
    return list(pairs), note
