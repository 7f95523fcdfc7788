"""What is in a data file, without a spec: format, bad rows, loss mask, token lengths, personal data?

`check_file` takes the file for what its columns say (`files.format_guess`), reads every row, and
looks through all texts of all columns for personal data and secrets, by line. With a model it makes
the rows that training on the file would make, and shows them as the doctor of a spec does: what is
trained, how long they are, what would not teach what was meant. Values that were found are masked:
what this prints may end in a log.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from alignwright.core.amount import amount
from alignwright.core.records import Comparison, Conversation, Labelled, Preference, Prompt
from alignwright.files.data_file import DataFile
from alignwright.files.errors import SpecError, bad_row_lines
from alignwright.files.format_guess import KINDS, SAMPLE, FormatGuess, guess_format, read_as
from alignwright.files.items import Item, TextItem
from alignwright.files.reading import FileRows, duplicates
from alignwright.files.replies import LabelledReply
from alignwright.files.rows import BadRow, Raw, raw_rows
from alignwright.job.data import subsample_evenly
from alignwright.model.tokenizer import TokenizerInfo
from alignwright.model.tokens import Chat, TokenRow
from alignwright.report.text import visible
from alignwright.text.personal_data import PersonalData, personal_data
from alignwright.train.data_report import DataReport, Kind, diagnose
from alignwright.train.doctor import counts, row_pictures, warning_lines
from alignwright.train.knobs_loop import Source
from alignwright.train.loss_mask import LEGEND
from alignwright.train.rows import demonstration_rows, labelled_rows, pair_rows, prompt_rows

MOST = 2_000
"""Rows that are made into tokens, spread evenly over the file."""
_LINES = 8
"""Lines of one kind of personal data that are named on the screen; the record has all."""


@dataclass(frozen=True)
class PersonalLine:
    """One find, in a line of the file."""

    line: int
    data: PersonalData


@dataclass(frozen=True)
class TokenLengths:
    """How long the rows of a file are as a model's tokenizer writes them, of those looked at."""

    rows: int
    median: int
    most: int
    """95 of 100 rows are at most as long."""
    longest: int
    context: int | None


@dataclass(frozen=True)
class DataCheck:
    """What was found in one data file. `personal` are finds that may belong to somebody, `reserved`
    the number of those that belong to nobody; `report` and `tokens` are there with a model."""

    file: str
    format: FormatGuess
    rows: int
    rejected: tuple[BadRow, ...]
    notes: tuple[str, ...]
    duplicates: int
    personal: tuple[PersonalLine, ...]
    reserved: int
    tokens: TokenLengths | None = None
    report: DataReport | None = None
    pictures: tuple[tuple[str, Text], ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """What a run would refuse, a line each: rows that cannot be used, rows that would not teach
        what was meant."""
        bad, total = len(self.rejected), self.rows + len(self.rejected)
        lines = [f"{self.file}: {bad:,} of {amount(total, 'row')} cannot be used ({bad / total:.1%})"] if bad else []
        refused = self.report.refused if self.report is not None else ()
        return (*lines, *(f"{self.file}: {issue.name}: {issue.message}" for issue in refused))


def check_file(file: DataFile, tokenizer: TokenizerInfo | None = None, kind: str | None = None) -> DataCheck:
    """Look at one file. `kind`: what it is to be read as. Raises SpecError where it cannot be read."""
    if kind is not None and kind not in KINDS:
        raise SpecError([f"there is no kind of data {kind!r}; choose from {', '.join(KINDS)}"])
    beginning: list[Raw] = []
    personal: list[PersonalLine] = []
    reserved = 0
    for raw in raw_rows(file.file):
        if len(beginning) < SAMPLE:
            beginning.append(raw)
        for one in _personal(raw):
            reserved += one.reserved
            personal += [] if one.reserved else [PersonalLine(raw.number, one)]
    if not beginning:
        raise SpecError([f"{file.file}: has no rows"])
    guess = FormatGuess(kind, "sure", "as was said") if kind else guess_format(file, beginning)
    rows = read_as(guess.kind, file)
    check = DataCheck(
        file.file, guess, len(rows.rows), rows.rejected, rows.notes, duplicates(rows.rows), tuple(personal), reserved
    )
    return check if tokenizer is None else _with_tokens(check, rows, tokenizer)


def _personal(raw: Raw) -> Iterator[PersonalData]:
    """What a row holds, a value once, however many columns repeat it."""
    texts = [raw.text] if raw.columns is None else list(_texts(raw.columns))
    yield from dict.fromkeys(one for text in texts for one in personal_data(text))


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for part in cast("Mapping[str, Any]", value).values():
                yield from _texts(part)
        case list():
            for part in cast("list[Any]", value):
                yield from _texts(part)
        case _:
            pass


# ---- as a model reads it ---------------------------------------------------------------------------
def _with_tokens(check: DataCheck, file_rows: FileRows[Any], tokenizer: TokenizerInfo) -> DataCheck:
    records = subsample_evenly(file_rows.rows, MOST)
    rows, sources, kind = _token_rows(records, tokenizer.chat)
    lengths = sorted(map(len, rows))
    tokens = TokenLengths(
        len(rows),
        lengths[len(lengths) // 2],
        lengths[math.ceil(0.95 * len(lengths)) - 1],
        lengths[-1],
        tokenizer.longest,
    )
    report = None
    if kind is not None:
        limit, words = tokenizer.longest, tokenizer.vocabulary
        most = None if kind == "text" else limit
        report = diagnose(
            rows, tokenizer.chat, sources=sources, kind=kind, vocabulary=words, max_tokens=most, bound=tokenizer.limit
        )
    pictures = row_pictures(rows, tokenizer.chat) if kind is not None else ()
    return DataCheck(
        **{name: getattr(check, name) for name in DataCheck.__dataclass_fields__}
        | {"tokens": tokens, "report": report, "pictures": pictures}
    )


def _token_rows(records: Sequence[Any], chat: Chat) -> tuple[list[TokenRow], list[Source], Kind | None]:
    """The rows that training would make; of what is no training data those that would be asked."""
    first = records[0]
    if isinstance(first, Conversation):
        return demonstration_rows(chat, records), list(records), "replies"
    if isinstance(first, Comparison | Labelled) and not any(
        isinstance(one, Comparison) and one.votes for one in records
    ):
        pairs = [_preference(one) for one in records if isinstance(one, Comparison)]
        alone = [one for one in records if isinstance(one, Labelled)]
        return pair_rows(chat, pairs) + labelled_rows(chat, alone), [*pairs, *alone], "replies"
    if isinstance(first, Prompt):
        return prompt_rows(chat, records), list(records), "prompts"
    if isinstance(first, TextItem):
        texts = [one.text for one in records]
        return [chat.text(text) for text in texts], list(texts), "text"
    return [_asked(one, chat) for one in records], [], None


def _preference(pair: Comparison) -> Preference:
    return Preference(prompt=pair.prompt, chosen=pair.replies[0].text, rejected=pair.replies[1].text)


def _asked(record: object, chat: Chat) -> TokenRow:
    match record:
        case Comparison():
            return chat.row(record.prompt.conversation, [reply.text for reply in record.replies])
        case LabelledReply():
            return chat.row(record.prompt, [record.reply])
        case Item():
            return TokenRow(tuple(chat.prompt(Conversation.user(record.shown))), ())
        case _:
            raise TypeError(f"a {type(record).__name__} is asked of no model by itself")


# ---- in words --------------------------------------------------------------------------------------
def lines(check: DataCheck) -> Iterator[tuple[str, str]]:
    """What is said of a file, each line with its style."""
    guess = check.format
    others = f"; it could also be read as {', '.join(guess.others)}" if guess.others else ""
    yield f"{check.file}: {guess.kind} ({guess.sureness}: {guess.reason}{others})", "bold"
    number = [amount(check.rows, "row")]
    number += [amount(check.duplicates, "duplicate")] if check.duplicates else []
    number += [f"{len(check.rejected):,} that cannot be used"] if check.rejected else []
    yield "; ".join([", ".join(number), *check.notes]), ""
    for line in bad_row_lines(check.file, [(row.row, row.reason) for row in check.rejected]):
        yield line, "red"
    yield from _about_personal(check)
    if check.tokens is not None:
        yield _about_tokens(check.tokens, check.rows), ""
    if check.report is not None:
        for line in counts(check.report):
            yield line, ""
        for line in warning_lines(check.report, besides=("personal_data",)):  # its lines were named above
            yield line, "yellow"


def _about_personal(check: DataCheck) -> Iterator[tuple[str, str]]:
    kinds: dict[str, list[PersonalLine]] = {}
    for one in check.personal:
        kinds.setdefault(one.data.kind, []).append(one)
    for kind, finds in kinds.items():
        numbers = len({one.line for one in finds})
        exact = Counter(one.data.issuer for one in finds if one.data.kind in ("key", "card number"))
        what = f" ({', '.join(f'{issuer} {count:,}' for issuer, count in exact.most_common())})" if exact else ""
        first = "; ".join(f"line {one.line}: {one.data.masked}" for one in finds[:_LINES])
        more = f"; and {len(finds) - _LINES:,} more" if len(finds) > _LINES else ""
        yield f"warning: {kind}: {len(finds):,} in {amount(numbers, 'row')}{what}: {first}{more}", "yellow"
    nobody = f"; {check.reserved:,} more belong to nobody (example.com, 555 numbers, toll-free lines, test cards)"
    if not check.personal:
        yield f"no personal data or secrets of the kinds looked for{nobody if check.reserved else ''}", ""
    elif check.reserved:
        yield nobody.removeprefix("; "), ""


def _about_tokens(tokens: TokenLengths, rows: int) -> str:
    sample = f" (of {amount(tokens.rows, 'row')} looked at)" if tokens.rows < rows else ""
    context = f"; the model's context is {tokens.context:,}" if tokens.context else ""
    return (
        f"tokens of a row: median {tokens.median:,}, 95% have at most {tokens.most:,}, the longest"
        f" {tokens.longest:,}{sample}{context}"
    )


def tell(checks: Sequence[DataCheck], console: Console) -> None:
    """Print the checks, with the loss mask of three rows of each."""
    for place, check in enumerate(checks):
        if place:
            console.print()
        for line, style in lines(check):
            console.print(Text(visible(line), style=style), soft_wrap=True)
        for name, text in check.pictures:
            console.print(Text(name, style="dim"))
            console.print(Padding(text, (0, 0, 0, 2), expand=False))
    if any(check.pictures for check in checks):
        console.print(Text(LEGEND, style="dim"), soft_wrap=True)
