"""Before anything is trained: would the data of each stage teach what was meant?

`examine` looks at a whole spec before its run, at the rows that are known by then: written pairs
and people's votes, files of conversations and of text, prompts to be answered. What a voter or the
model itself has still to say is examined when its stage begins (`first_lines`), where the diagnosis
is kept as `doctor.json`. Both use the model's own tokenizer, and `train.data_report` for what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from alignwright.aggregate.pooled import pooled
from alignwright.core.records import Conversation, Labelled, Preference, Prompt
from alignwright.core.stage import resolved
from alignwright.experiment.experiment import Experiment, resolve_effort
from alignwright.feedback.knobs import Written
from alignwright.feedback.label_voter import LabelVoter
from alignwright.files.errors import SpecError
from alignwright.files.items import TextItem
from alignwright.files.models import resolve
from alignwright.model.limits import Limit
from alignwright.model.tokenizer import TokenizerInfo, TokenizerMissing, load_tokenizer
from alignwright.model.tokens import Chat, TokenRow
from alignwright.report.text import visible
from alignwright.run import inputs
from alignwright.run.ledger import write_json, write_text
from alignwright.run.mask import LEGEND, painted, three
from alignwright.train.data_checks import Source
from alignwright.train.data_report import ALLOWED, BadTrainingData, DataReport, Kind, LengthBias, diagnose, refuse
from alignwright.train.knobs import Average, Pretrain, Sft
from alignwright.train.knobs_loop import Training
from alignwright.train.knobs_pairs import Kto
from alignwright.train.knobs_rollouts import Sampling
from alignwright.train.rows import demonstration_rows, labelled_rows, one_sided, pair_rows, prompt_rows

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
        found = load_tokenizer(resolve(experiment.model, experiment.folder), experiment.date)
    except TokenizerMissing as reason:
        return [Examination(name, None, f"not examined: {reason}") for name, _ in stages]
    return [_examined(name, stage, experiment, found) for name, stage in stages]


def first_lines(
    stage: str,
    rows: Sequence[TokenRow],
    chat: Chat,
    *,
    sources: Sequence[Source] = (),
    kind: Kind = "replies",
    max_tokens: int | None = None,
    new_tokens: int = 0,
    vocabulary: int | None = None,
    allowed: float = ALLOWED,
    bound: Limit | None = None,
    folder: Path | None = None,
) -> list[Text]:
    """What a training stage says of its rows before its first step, kept as `doctor.json` in
    `folder`, with three of them in `rows.txt`.

    Raises BadTrainingData, after the diagnosis was kept, when something is refused.
    """
    limits = _Limits(bound=bound, max_tokens=max_tokens, new_tokens=new_tokens, allowed=allowed)
    diagnosis = diagnose(rows, chat, sources=sources, kind=kind, vocabulary=vocabulary, **limits)
    if folder is not None:
        write_json(
            folder / "doctor.json", {"stage": stage, "max_tokens": max_tokens, "allowed": allowed, **asdict(diagnosis)}
        )
    refuse(stage, diagnosis)
    if folder is not None:
        shown = [f"{name}\n{text.plain}\n" for name, text in _pictures(rows, chat)]
        write_text(folder / "rows.txt", "\n".join([*shown, LEGEND]) + "\n")
    return [
        *(Text(line, style="dim") for line in counts(diagnosis)),
        *(Text(line, style="yellow") for line in _warnings(diagnosis)),
    ]


def stage_lines(
    name: str,
    stage: Training,
    sources: Sequence[Source],
    chat: Chat,
    *,
    limit: Limit,
    vocabulary: int | None,
    bad_rows: float,
    folder: Path,
    pictures: bool = False,
) -> list[Text]:
    """`first_lines` of the rows that a stage makes of its data. `limit` is what bounds the rows
    that the model can read."""
    rows, kind = rows_of(stage, sources, chat)
    limits = _limits(stage, kind, limit, bad_rows)
    told = first_lines(name, rows, chat, sources=sources, kind=kind, vocabulary=vocabulary, folder=folder, **limits)
    return told + (
        [line for name, text in _pictures(rows, chat) for line in (Text(name, style="dim"), text)] if pictures else []
    )


def rows_of(stage: Training, sources: Sequence[Source], chat: Chat) -> tuple[list[TokenRow], Kind]:
    """The rows that a stage makes of its data, one for each, and what kind they are."""
    match stage:
        case Pretrain():
            return [chat.text(text) for text in sources if isinstance(text, str)], "text"
        case Sampling():
            return prompt_rows(chat, [prompt for prompt in sources if isinstance(prompt, Prompt)]), "prompts"
        case Sft():
            return (
                demonstration_rows(chat, [said for said in sources if isinstance(said, Conversation)], stage.turns),
                "replies",
            )
        case _:
            pairs = pair_rows(chat, [pair for pair in sources if isinstance(pair, Preference)])
            return pairs + labelled_rows(chat, [one for one in sources if isinstance(one, Labelled)]), "replies"


def counts(diagnosis: DataReport) -> list[str]:
    """The counts, in a line or two."""
    d, total = diagnosis, diagnosis.rows + diagnosis.left_out
    parts = [f"{d.rows:,} rows", f"{d.prompt_tokens:,} prompt tokens"]
    if d.kind != "prompts":
        parts += [f"{d.trained_tokens:,} trained", f"{d.masked_tokens:,} masked"]
    if d.turns > d.rows + d.left_out:
        parts += [f"{d.trained_turns:,} of {d.turns:,} assistant turns trained"]
    if d.kind == "replies":
        parts += [f"{d.ended:,} of {d.replies:,} replies end in a trained end of turn", f"{d.replies - d.ended:,} cut"]
    parts += (
        [f"{d.left_out:,} too long and left out ({d.left_out / total:.1%}, {d.left_out_tokens:,} tokens)"]
        if d.left_out
        else ["none too long"]
    )
    return [", ".join(parts), *([] if d.length is None else [_told_length(d.length)])]


def _told_length(length: LengthBias) -> str:
    span = f" [{length.low:.1%}, {length.high:.1%}]" if length.low is not None and length.high is not None else ""
    chosen, rejected = f"{length.mean_chosen:,.0f}", f"{length.mean_rejected:,.0f}"
    longer = (
        f"the chosen reply is the longer in {length.longer:.1%} of {length.pairs:,} pairs ({chosen} against {rejected}"
        " characters)"
    )
    return (
        f"{longer}; picking the longer is right in {length.accuracy:.1%}{span} (HH-RLHF: 59.5% helpful, 44.3% harmless)"
    )


def tell(found: Sequence[Examination], console: Console) -> None:
    """Print the examinations. Raises BadTrainingData when something in them is refused."""
    for examination in found:
        console.print(Text(f"\n{examination.stage}", style="bold"), Text(examination.note), soft_wrap=True)
        if examination.diagnosis is not None:
            for line in counts(examination.diagnosis):
                console.print(Text(line), soft_wrap=True)
            for line in _warnings(examination.diagnosis):
                console.print(Text(line, style="yellow"), soft_wrap=True)
        for name, text in examination.pictures:
            console.print(Text(name, style="dim"))
            console.print(Padding(text, (0, 0, 0, 2), expand=False))
    if any(examination.pictures for examination in found):
        console.print(Text(LEGEND, style="dim"), soft_wrap=True)
    sick = [(e.stage, e.diagnosis) for e in found if e.diagnosis is not None and e.diagnosis.refused]
    reasons = [f"{stage}: {issue.name}: {issue.message}" for stage, diagnosis in sick for issue in diagnosis.refused]
    if reasons:
        raise BadTrainingData("the data would not teach what was meant\n" + "\n".join(map(visible, reasons)))


def _examined(name: str, stage: Training, experiment: Experiment, found: TokenizerInfo) -> Examination:
    sources, note = sources_before(stage, experiment)
    if not sources:
        return Examination(name, None, note or "nothing that it learns from is known before the run")
    labels = {source.good if isinstance(source, Labelled) else None for source in sources}
    if isinstance(stage, Kto) and not note and len(labels) == 1 and None not in labels:
        raise SpecError([f"{name}: intent.pairs: {one_sided(len(sources), good=labels == {True})}"])
    seen = sources if len(sources) <= MOST else [sources[i * len(sources) // MOST] for i in range(MOST)]
    if len(seen) < len(sources):
        note = f"{len(seen):,} of {len(sources):,} rows looked at; {note}".removesuffix("; ")
    if found.limit and found.limit.window:
        window = f"rows may have as many tokens as {found.limit}, less than its context of {found.limit.context}"
        note = f"{note}; {window}" if note else window
    rows, kind = rows_of(stage, seen, found.chat)
    limits = _limits(stage, kind, found.limit, experiment.intent.bad_rows)
    diagnosis = diagnose(rows, found.chat, sources=seen, kind=kind, vocabulary=found.vocabulary, **limits)
    return Examination(name, diagnosis, note, _pictures(rows, found.chat))


def longest_row(stage: Training, kind: Kind, longest: int | None) -> int | None:
    """The most tokens of a row that a stage keeps. None: text is cut into rows without loss, so
    none of it is too long."""
    limit = resolved(stage.max_tokens)
    return None if kind == "text" else min(limit, longest or limit)


class _Limits(TypedDict):
    bound: Limit | None
    max_tokens: int | None
    new_tokens: int
    allowed: float


def _limits(stage: Training, kind: Kind, bound: Limit | None, bad_rows: float) -> _Limits:
    """The limits that the doctor holds a stage's rows to; a prompt must leave room for the reply."""
    new_tokens = resolved(stage.max_new_tokens) if isinstance(stage, Sampling) else 0
    most = longest_row(stage, kind, bound.tokens if bound else None)
    binds = bound if bound and most == bound.tokens < resolved(stage.max_tokens) else None
    return {"max_tokens": most, "new_tokens": new_tokens, "allowed": max(ALLOWED, bad_rows), "bound": binds}


def sources_before(stage: Training, experiment: Experiment) -> tuple[list[Source], str]:
    """What a stage is known to learn from before the run, and what is still to come."""
    match stage:
        case Pretrain():
            return [item.text for item in inputs.items(experiment, stage.text, TextItem, stage.limit)], ""
        case Sft():
            return _demonstrated(stage, experiment)
        case Sampling():
            return (
                list(inputs.prompts(experiment, experiment.intent.prompts)),
                "prompts; the replies are still to be sampled",
            )
        case Kto():
            pairs, note = _preferred(experiment)
            return [*pairs, *inputs.alone(experiment)], note
        case _:
            pairs, note = _preferred(experiment)
            return list(pairs), note


def _demonstrated(stage: Sft, experiment: Experiment) -> tuple[list[Source], str]:
    """What fine-tuning is shown, as far as it is known."""
    said = inputs.demonstrated(experiment, stage)
    notes = ["revisions are still to be written; examined when the stage begins"] if "revisions" in stage.data else []
    if "chosen" in stage.data:
        pairs, note = _preferred(experiment)
        said += [chosen.only_last() for chosen in inputs.unbeaten(pairs)]
        notes += [note] if note else []
    return list(said), "; ".join(notes)


def _preferred(experiment: Experiment) -> tuple[list[Preference], str]:
    """The preferences of those who have already voted."""
    compared = inputs.known_comparisons(experiment)
    if any(isinstance(voter, Written) for voter in experiment.feedback):
        compared = [c.with_votes(votes) for c, votes in zip(compared, LabelVoter()(compared), strict=True)]
    how = experiment.aggregate
    grouped = how.by_group and any(
        vote.group for comparison in compared for vote in comparison.votes
    )  # groups may be named by later votes alone
    pairs = pooled(compared, prior=how.prior, min_strength=how.min_strength, by_group=grouped)
    later = [voter.by for voter in experiment.feedback if not isinstance(voter, Written)]
    note = (
        f"without the votes of {', '.join(later)}, which are still to be cast; examined again when the stage begins"
        if later
        else ""
    )
    return list(pairs), note


def _pictures(rows: Sequence[TokenRow], chat: Chat) -> tuple[tuple[str, Text], ...]:
    return tuple(
        (f"row {place} ({which}, {len(rows[place]):,} tokens)", painted(rows[place], chat))
        for which, place in three(rows)
    )


def _warnings(diagnosis: DataReport) -> list[str]:
    return [visible(f"warning: {issue.name}: {issue.message}") for issue in diagnosis.issues if not issue.refused]
