"""Does every prompt of the data fit the model: its chat template, and its context with room for the
reply?

Before a run, with the model's tokenizer alone: whether its chat template writes each conversation
of the data files, and whether what a measure asks leaves room for the reply in the longest row that
the model reads. Both would stop a run halfway; here they are told with file and row, how many there
are, and what helps. And whether an adapter can be put over the model at all.

Every row with roles in an order not met before is rendered, and of the others `MOST`, spread
evenly; only a row with more bytes than the model reads tokens can be too long, so only those are
encoded. Not looked at are questions that judges and critics are asked about replies still to come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from alignwright.core.records import Comparison, Conversation, Labelled, Prompt
from alignwright.core.train_stage import TrainStage
from alignwright.experiment.experiment import Experiment, first_rank, resolve_effort, stages
from alignwright.files.errors import Loc, SpecError, dotted
from alignwright.files.items import Item
from alignwright.files.models import resolve
from alignwright.files.quantization import NO_WHOLE
from alignwright.files.reading import FileRows
from alignwright.job.data import subsample_evenly
from alignwright.job.job import PROBES
from alignwright.model.limits import ADAPTERS
from alignwright.model.template_errors import NoTemplate, TemplateStopped, UnrenderedMessage
from alignwright.model.tokenizer import TokenizerInfo, TokenizerMissing, load_tokenizer

MOST = 2_000
"""Rows of one place in the spec that are rendered, beside those whose roles follow each other in
a new way."""
_AROUND = 200  # bytes that a template may well write around a message, as tokens


@dataclass(frozen=True)
class _Row:
    """A row of a file: what it asks, and the replies to it that are given."""

    file: str
    number: int
    conversations: tuple[Conversation, ...]
    replies: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"

    @property
    def size(self) -> int:
        """More than its tokens: no token is less than a byte."""
        prompt_bytes = max(
            sum(len(m.content.encode()) + _AROUND for m in conversation.messages) for conversation in self.conversations
        )
        return prompt_bytes + max((len(text.encode()) for text in self.replies), default=0)


def check_fit(experiment: Experiment, files: Sequence[tuple[Loc, FileRows[Any]]]) -> str:
    """Raises SpecError with all that does not fit; returns what there is to tell, if
    anything."""
    experiment = resolve_effort(experiment)
    try:
        tokenizer = load_tokenizer(
            resolve(experiment.model, experiment.folder), experiment.date, experiment.chat_format
        )
    except TokenizerMissing as reason:  # a model that is still to be fetched, or one behind a server
        return f"not looked at by the model's chat template: {reason}"
    problems, about = [*_adapter(experiment, tokenizer)], _about(experiment, tokenizer)
    if not tokenizer.chat.writes:
        if experiment.chat is None and (needs := [*_conversing(experiment)]):
            raise SpecError([*problems, f"{', '.join(needs)}: {NoTemplate()}"])
        if problems:
            raise SpecError(problems)
        return about
    problems += _contrast(experiment, tokenizer)
    fields: dict[Loc, list[_Row]] = {}
    for loc, file in (each for each in files if _is_asked(experiment, each[0])):
        rows = [_row(file.file, number, row) for row, number in zip(file.rows, file.numbers, strict=True)]
        fields.setdefault(loc[:-1], []).extend(row for row in rows if row.conversations)
    for loc, rows in fields.items():
        stage = _stage(experiment, loc)
        lines = list(_template_problems(rows, tokenizer, stage)) or _too_long(rows, tokenizer, stage, loc)
        problems += [f"{dotted(loc)}: {line}" for line in lines]
    if problems:
        raise SpecError(problems)
    return about


def _about(experiment: Experiment, tokenizer: TokenizerInfo) -> str:
    """What of the model is to be known before it is used; empty where there is nothing."""
    rows = f"replies are read in rows of their own, each with its prompt: {tokenizer.unshared} (docs/models.md)"
    return "\n".join(filter(None, (_about_chat(experiment, tokenizer), rows if tokenizer.unshared else "")))


def _about_chat(experiment: Experiment, tokenizer: TokenizerInfo) -> str:
    """What the template that the spec gives the model changes; empty where it gives none."""
    given = tokenizer.given
    if given is None:
        return ""
    place = "in place of the model's own chat template" if given.overrides else "to a model without a chat template"
    line = f"chat: {experiment.chat} is given {place}"
    if names := given.new_names:
        then = "are trained" if experiment.train else "are trained by nothing here"
        line += f"; new tokens, whose embeddings begin as the mean and {then}: {', '.join(names)}"
    return line


def _adapter(experiment: Experiment, tokenizer: TokenizerInfo) -> Iterator[str]:
    if tokenizer.no_adapter and (rank := first_rank(experiment)):
        advice = ADAPTERS if experiment.quantization is None else f"{NO_WHOLE}: use another model"
        yield f"train: an adapter of rank {rank} cannot be put over this model: {tokenizer.no_adapter}; {advice}"


def _contrast(experiment: Experiment, tokenizer: TokenizerInfo) -> Iterator[str]:
    """A contrast tells the model its principle as the system does."""
    for at, stage in enumerate(experiment.feedback):
        if stage.instructs_model:
            try:
                tokenizer.chat.prompt(Conversation.user("Which of these?", system="Follow this principle."))
            except UnrenderedMessage as error:
                why = f"it puts the principle into a system message, and {error.what}"
                yield f"feedback.{at}.contrast: {why}; use {{by: judge}}, or a model whose template has a place for it"


def _conversing(experiment: Experiment) -> Iterator[str]:
    """The stages that write conversations."""
    return (dotted(loc) for loc, stage in stages(experiment) if stage.converses)


def _is_asked(experiment: Experiment, loc: Loc) -> bool:
    """Whether the files of this place reach the model: an audit of another model reads those of
    its measures alone."""
    if loc[0] == "intent":
        return bool(experiment.collect or experiment.feedback or experiment.train)
    return loc[0] in PROBES or (loc[0] == "train" and int(loc[1]) < len(experiment.train))


def _stage(experiment: Experiment, loc: Loc) -> Any:
    """The stage that asks what the files of this place hold."""
    if loc[0] == "intent":
        return experiment.collect if loc[1] == "prompts" else None
    stage: Any = getattr(experiment, str(loc[0]))[int(loc[1])]
    return stage.stop if loc[3:4] == ("stop",) else stage


# ---- does the template write it? -----------------------------------------------------------------
def _template_problems(rows: Sequence[_Row], tokenizer: TokenizerInfo, stage: Any) -> Iterator[str]:
    """A line for each file and each way in which the template fails, with the first row."""
    fails = dict[tuple[str, ...], bool]()  # of each order of roles that was met: has a row failed?
    sample = {id(row) for row in subsample_evenly(rows, MOST)}
    failed: dict[tuple[str, str], list[tuple[_Row, str]]] = {}
    for row in rows:
        roles = tuple(message.role for conversation in row.conversations for message in conversation.messages)
        if fails.get(roles, True) or id(row) in sample:
            failure = _template_failure(row, tokenizer, stage)
            fails[roles] = fails.get(roles, False) or failure is not None
            if failure:
                failed.setdefault((row.file, failure[0]), []).append((row, failure[1]))
            if failure and failure[0] == TemplateStopped.__name__:
                break  # each would take as long
    for (file, _), those in failed.items():
        total = sum(row.file == file for row in rows)
        yield f"{those[0][0].where}: {those[0][1]} ({len(those):,} of {total:,} rows)"


def _template_failure(row: _Row, tokenizer: TokenizerInfo, stage: Any) -> tuple[str, str] | None:
    """How the template fails on a row: a name for the way, and the words. None where it writes it."""
    try:
        for conversation in row.conversations:
            if isinstance(stage, TrainStage) and (learnt := stage.learnt(conversation)):
                tokenizer.chat.conversation(learnt)
            else:
                tokenizer.chat.prompt(conversation)
    except UnrenderedMessage as error:
        return error.role, str(error)
    except ValueError as error:
        return type(error).__name__, str(error)
    return None


# ---- does the reply fit behind it? ---------------------------------------------------------------
def _too_long(rows: Sequence[_Row], tokenizer: TokenizerInfo, stage: Any, loc: Loc) -> Iterator[str]:
    """Of what a measure or a watch asks; rows to train on are the doctor's, and are left out whole."""
    if tokenizer.limit is None or stage is None or (loc[0] == "train" and loc[3:4] != ("stop",)):
        return
    limit, room = tokenizer.limit, int(getattr(stage, "max_new_tokens", None) or 0)
    long: dict[str, list[tuple[_Row, int]]] = {}
    for row in subsample_evenly(rows, getattr(stage, "limit", None) if loc[0] != "attack" else None):
        if row.size + room > limit.tokens and (tokens := _tokens(row, tokenizer, room)) > limit.tokens:
            long.setdefault(row.file, []).append((row, tokens))
    for file, those in long.items():
        total = sum(row.file == file for row in rows)
        reply = f" with its reply of up to {room}" if not those[0][0].replies else ""
        excess = f"its prompt{reply} has {those[0][1]:,} tokens, more than {limit}"
        yield f"{those[0][0].where}: {excess} ({len(those):,} of {total:,} rows); {limit.help}"


def _tokens(row: _Row, tokenizer: TokenizerInfo, room: int) -> int:
    prompt_tokens = max(len(tokenizer.chat.prompt(conversation)) for conversation in row.conversations)
    return prompt_tokens + (max(len(tokenizer.chat.reply(text)) for text in row.replies) if row.replies else room)


# ---- what a row asks -----------------------------------------------------------------------------
def _row(file: str, number: int, row: object) -> _Row:
    match row:
        case Conversation():
            return _Row(file, number, (row,))
        case Prompt():
            return _Row(file, number, (row.conversation,))
        case Labelled():
            return _Row(file, number, (row.prompt.conversation,), (row.reply,))
        case Comparison():
            return _Row(file, number, (row.prompt.conversation,), tuple(reply.text for reply in row.replies))
        case Item() if (dialogue := row.dialogue) is not None:
            return _Row(file, number, (dialogue,), row.offers)
        case _:
            return _Row(file, number, ())  # plain text, which no template writes and which is read in windows
