"""Would the rows of a training stage teach what was meant? The data doctor's word before the first
step: counts of tokens, the loss mask of three rows, and what is wrong (`train.data_report`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

from rich.text import Text

from alignwright.core.amount import amount
from alignwright.core.records import Conversation, Labelled, Preference, Prompt
from alignwright.core.stage import resolved
from alignwright.job.ledger import write_json, write_text
from alignwright.model.limits import Limit
from alignwright.model.tokens import Chat, TokenRow
from alignwright.report.text import visible
from alignwright.train.data_report import ALLOWED, DataReport, Kind, LengthBias, diagnose, refuse
from alignwright.train.knobs import Pretrain
from alignwright.train.knobs_loop import FineTuning, Source, Training
from alignwright.train.knobs_rollouts import Sampling
from alignwright.train.loss_mask import LEGEND, colour_loss_mask, sample_rows
from alignwright.train.rows import demonstration_rows, labelled_rows, pair_rows, prompt_rows


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

    Raises SickData, after the diagnosis was kept, when something is refused.
    """
    limits = RowLimits(bound=bound, max_tokens=max_tokens, new_tokens=new_tokens, allowed=allowed)
    diagnosis = diagnose(rows, chat, sources=sources, kind=kind, vocabulary=vocabulary, **limits)
    if folder is not None:
        write_json(
            folder / "doctor.json", {"stage": stage, "max_tokens": max_tokens, "allowed": allowed, **asdict(diagnosis)}
        )
    refuse(stage, diagnosis)
    if folder is not None:
        shown = [f"{name}\n{text.plain}\n" for name, text in row_pictures(rows, chat)]
        write_text(folder / "rows.txt", "\n".join([*shown, LEGEND]) + "\n")
    return [
        *(Text(line, style="dim") for line in counts(diagnosis)),
        *(Text(line, style="yellow") for line in warning_lines(diagnosis)),
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
    limits = stage_limits(stage, kind, limit, bad_rows)
    told = first_lines(name, rows, chat, sources=sources, kind=kind, vocabulary=vocabulary, folder=folder, **limits)
    return told + (
        [line for name, text in row_pictures(rows, chat) for line in (Text(name, style="dim"), text)]
        if pictures
        else []
    )


def rows_of(stage: Training, sources: Sequence[Source], chat: Chat) -> tuple[list[TokenRow], Kind]:
    """The rows that a stage makes of its data, one for each, and what kind they are."""
    match stage:
        case Pretrain():
            return [chat.text(text) for text in sources if isinstance(text, str)], "text"
        case Sampling():
            return prompt_rows(chat, [prompt for prompt in sources if isinstance(prompt, Prompt)]), "prompts"
        case FineTuning():
            said = [conversation for conversation in sources if isinstance(conversation, Conversation)]
            return demonstration_rows(chat, said, stage.learnt_turns), "replies"
        case _:
            pairs = pair_rows(chat, [pair for pair in sources if isinstance(pair, Preference)])
            return pairs + labelled_rows(chat, [one for one in sources if isinstance(one, Labelled)]), "replies"


def counts(diagnosis: DataReport) -> list[str]:
    """The counts, in a line or two."""
    d, total = diagnosis, diagnosis.rows + diagnosis.left_out
    parts = [amount(d.rows, "row"), amount(d.prompt_tokens, "prompt token")]
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


def longest_row(stage: Training, kind: Kind, longest: int | None) -> int | None:
    """The most tokens of a row that a stage keeps. None: text is cut into rows without loss, so
    none of it is too long."""
    limit = resolved(stage.max_tokens)
    return None if kind == "text" else min(limit, longest or limit)


class RowLimits(TypedDict):
    bound: Limit | None
    max_tokens: int | None
    new_tokens: int
    allowed: float


def stage_limits(stage: Training, kind: Kind, bound: Limit | None, bad_rows: float) -> RowLimits:
    """The limits that the doctor holds a stage's rows to; a prompt must leave room for the reply."""
    new_tokens = resolved(stage.max_new_tokens) if isinstance(stage, Sampling) else 0
    most = longest_row(stage, kind, bound.tokens if bound else None)
    binds = bound if bound and most == bound.tokens < resolved(stage.max_tokens) else None
    return {"max_tokens": most, "new_tokens": new_tokens, "allowed": max(ALLOWED, bad_rows), "bound": binds}


def row_pictures(rows: Sequence[TokenRow], chat: Chat) -> tuple[tuple[str, Text], ...]:
    return tuple(
        (f"row {place} ({which}, {len(rows[place]):,} tokens)", colour_loss_mask(rows[place], chat))
        for which, place in sample_rows(rows)
    )


def warning_lines(diagnosis: DataReport, *, besides: Collection[str] = ()) -> list[str]:
    """What is warned of; `besides`: the names of issues that are told elsewhere."""
    issues = [issue for issue in diagnosis.issues if not issue.refused and issue.name not in besides]
    return [visible(f"warning: {issue.name}: {issue.message}") for issue in issues]
