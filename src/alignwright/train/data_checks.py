"""Which traps lie in these training rows (loss masks, end-of-turn tokens, chat templates,
duplicates)?

Each function looks for one or two of them, in rows or in the texts they came from, and yields a
`DataIssue` with its name. What they share and when an issue is refused is said in `data_report`.
The traps are those that users of other trainers met: threads of TRL, verl, open-instruct, NeMo-RL.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from alignwright.core.records import Conversation, Labelled, Preference
from alignwright.job.data import subsample_evenly
from alignwright.model.limits import Limit
from alignwright.model.tokens import Chat, TokenRow
from alignwright.train.knobs_loop import Source

_SAMPLE = 200


@dataclass(frozen=True)
class DataIssue:
    """A trap by its name, in how many of how many places, and what it means. Refused, or told as
    a warning."""

    name: str
    count: int
    of: int
    refused: bool
    message: str


def rows_lost(
    rows: Sequence[TokenRow],
    fitting_rows: Sequence[TokenRow],
    max_tokens: int | None,
    new_tokens: int,
    allowed: float,
    bound: Limit | None = None,
) -> Iterator[DataIssue]:
    """Rows that are too long. A few may go; a large part may not, unless the user said so.
    `bound`: the limit is the model's own."""
    num_lost = len(rows) - len(fitting_rows)
    if num_lost:
        lengths = sorted(len(row) + new_tokens for row in rows)
        most = lengths[math.ceil(0.95 * len(lengths)) - 1]
        limit = str(bound) if bound else f"max_tokens = {max_tokens}"
        observation = (
            f"{share_of(num_lost, len(rows))} rows have more than {limit} and are left out whole (none is cut)"
        )
        hint = f"raise max_tokens to {lengths[-1]} to keep all, or to {most} to keep 95%"
        if bound:
            hint = f"the longest has {lengths[-1]:,}; {bound.help}"
        refused = num_lost > allowed * len(rows)
        if refused:
            share = math.ceil(100 * num_lost / len(rows)) / 100
            hint += (
                f"; a set that lost more than {allowed:.0%} is another set. To allow it, set intent.bad_rows to {share}"
            )
        yield DataIssue("rows_lost", num_lost, len(rows), refused, f"{observation}: {hint}")


def vocabulary_lacks(rows: Sequence[TokenRow], chat: Chat, vocabulary: int | None) -> Iterator[DataIssue]:
    """Tokens for which the model has no embedding."""
    if vocabulary is None:
        return
    beyond = sum(max(map(max, filter(None, (row.prompt, *row.replies))), default=0) >= vocabulary for row in rows)
    ends = [i for i in (*chat.end_ids, *chat.stop_ids) if i >= vocabulary]
    if beyond or ends:
        observation = (
            f"{share_of(beyond, len(rows))} rows hold tokens"
            if beyond
            else f"the end-of-turn token {chat.end_text!r} (id {ends[0]}) is one"
        )
        why = (
            f"{observation} for which the model has no embedding: the tokenizer is not this model's, or tokens were"
            " added to it and not to the model"
        )
        yield DataIssue(
            "vocabulary",
            beyond or len(ends),
            len(rows),
            True,
            f"{why} ({vocabulary} rows); use the model's own tokenizer files",
        )
    elif len(chat.tokenizer) > vocabulary:
        observation = (
            f"the tokenizer has {len(chat.tokenizer)} tokens, the model's embedding {vocabulary} rows; no row here uses"
            " one of the others"
        )
        yield DataIssue("vocabulary", len(chat.tokenizer) - vocabulary, len(chat.tokenizer), False, observation)


def masks(rows: Sequence[TokenRow], chat: Chat) -> Iterator[DataIssue]:
    """A trained control token that ends nothing opens somebody's turn, and what is trained after
    an end is another turn's."""
    foreign = chat.control_ids - chat.stop_ids - set(chat.end_ids)
    wrong = sum(
        any(_other_voice(ids, foreign, chat) for ids in _stretches(*both)) for row in rows for both in replies_of(row)
    )
    total = sum(len(row.replies) for row in rows)
    if wrong:
        observation = (
            f"{share_of(wrong, total)} replies have another turn among their trained tokens, so the system's or user's"
            " words are trained"
        )
        yield DataIssue(
            "prompt_trained",
            wrong,
            total,
            True,
            f"{observation}; make rows with Chat.row or Chat.conversation, which score the assistant alone",
        )
    silent = sum(not any(mask) for row in rows for mask in masks_of(row))
    if silent:
        yield DataIssue(
            "nothing_trained",
            silent,
            total,
            True,
            f"{share_of(silent, total)} replies have no trained token: their mask is all zero",
        )


def _other_voice(stretch: Sequence[int], foreign: frozenset[int], chat: Chat) -> bool:
    return not foreign.isdisjoint(stretch) or not chat.stop_ids.isdisjoint(stretch[: -len(chat.end_ids)])


def ends(rows: Sequence[TokenRow], chat: Chat) -> Iterator[DataIssue]:
    """Replies that do not close with a trained end of turn."""
    endless = sum(not has_end(reply, mask, chat) for row in rows for reply, mask in replies_of(row) if any(mask))
    total = sum(len(row.replies) for row in rows)
    if endless:
        observation = (
            f"{share_of(endless, total)} replies do not close with a trained end-of-turn token ({chat.end_text!r}):"
            " they were cut, or it is masked"
        )
        yield DataIssue(
            "end_untrained",
            endless,
            total,
            True,
            f"{observation}. Such a model never stops; leave rows that are too long out, whole",
        )


def has_end(reply: Sequence[int], mask: Sequence[bool], chat: Chat) -> bool:
    """Whether every trained stretch of the reply closes with a token at which the model stops."""
    stretches = _stretches(reply, mask)
    return bool(stretches) and all(ids[-1] in chat.stop_ids for ids in stretches)


def empty(rows: Sequence[TokenRow], chat: Chat) -> Iterator[DataIssue]:
    """Only short stretches are decoded: spaces are few tokens."""
    stretches = [ids for row in rows for both in replies_of(row) for ids in _stretches(*both)]
    empty = sum(len(ids) <= len(chat.end_ids) + 16 and not chat.decode(ids).strip() for ids in stretches)
    if empty:
        why = "a model trained on them learns to say nothing, or that saying nothing is worse than anything"
        yield DataIssue(
            "empty_reply",
            empty,
            len(stretches),
            True,
            f"{share_of(empty, len(stretches))} replies are empty: {why}; remove these rows",
        )


def unlike_template(rows: Sequence[TokenRow], sources: Sequence[Source], chat: Chat) -> Iterator[DataIssue]:
    """A sample of the conversations, written whole by the template, must each begin with a row, up
    to the last end of a turn.

    Left aside are replies with spaces at their ends, which a tokenizer may join to the header or a
    template may trim, and texts that spell control tokens, whose letters are split elsewhere: there
    the row is right, being what the model is sampled with.
    """
    row_hashes = {hash((*row.prompt, *reply)) for row in rows for reply in row.replies}
    conversations = [
        c for source in subsample_evenly(sources, _SAMPLE) for c in finished_conversations(source) if _plain(c, chat)
    ]
    mismatches = sum(
        hash(_to_last_end(chat.whole(conversation), chat)) not in row_hashes for conversation in conversations
    )
    if mismatches:
        observation = (
            f"{share_of(mismatches, len(conversations))} conversations looked at do not begin as their row does"
            " when the chat template writes them whole"
        )
        yield DataIssue(
            "template",
            mismatches,
            len(conversations),
            True,
            f"{observation}: the model would be trained on tokens it never sees; make rows with Chat.row",
        )


def _plain(conversation: Conversation, chat: Chat) -> bool:
    return conversation.last.content == conversation.last.content.strip() != "" and not any(
        chat.control_tokens_in(m.content) for m in conversation.messages
    )


def _to_last_end(ids: Sequence[int], chat: Chat) -> tuple[int, ...]:
    last = max((place for place, i in enumerate(ids) if i == chat.end_ids[-1]), default=len(ids) - 1)
    return tuple(ids[: last + 1])


def identical(rows: Sequence[TokenRow]) -> Iterator[DataIssue]:
    """Pairs that compare a reply with itself."""
    paired = [row for row in rows if len(row.replies) > 1]
    same = sum(len(set(row.replies)) < len(row.replies) for row in paired)
    if same:
        observation = f"{share_of(same, len(paired))} pairs compare a reply with itself, from which nothing is learnt"
        yield DataIssue("identical_pair", same, len(paired), True, f"{observation}; remove these rows")


def duplicates(rows: Sequence[TokenRow]) -> Iterator[DataIssue]:
    """Rows that say what an earlier row said."""
    num_copies = len(rows) - len({hash((row.prompt, row.replies)) for row in rows})
    if num_copies:
        observation = f"{share_of(num_copies, len(rows))} rows say what an earlier one said, and count that much more"
        yield DataIssue("duplicate", num_copies, len(rows), False, observation)


# ---- small helpers -------------------------------------------------------------------------------
def masks_of(row: TokenRow) -> tuple[tuple[bool, ...], ...]:
    """Which tokens of each reply are trained."""
    return row.masks if row.masks is not None else tuple((True,) * len(reply) for reply in row.replies)


def replies_of(row: TokenRow) -> Iterator[tuple[tuple[int, ...], tuple[bool, ...]]]:
    """Each reply with its mask."""
    return zip(row.replies, masks_of(row), strict=True)


def trained_turns(row: TokenRow) -> int:
    """The unbroken runs of trained tokens: each is a turn of the assistant."""
    return sum(len(_stretches(*both)) for both in replies_of(row))


def _stretches(reply: Sequence[int], mask: Sequence[bool]) -> list[list[int]]:
    """The trained tokens, each unbroken run by itself."""
    if all(mask):
        return [list(reply)] if reply else []
    return [
        [i for i, _ in run] for trained, run in groupby(zip(reply, mask, strict=True), key=itemgetter(1)) if trained
    ]


def finished_conversations(source: Source) -> list[Conversation]:
    """The source as finished conversations, the one to be learnt first; none where nobody has
    replied yet."""
    match source:
        case Preference():
            return [source.prompt.conversation.then("assistant", text) for text in (source.chosen, source.rejected)]
        case Labelled():
            return [source.prompt.conversation.then("assistant", source.reply)]
        case Conversation():
            return [source]
        case _:
            return []


def share_of(count: int, total: int) -> str:
    """3 of 12 (25.0%)."""
    return f"{count:,} of {total:,}" + (f" ({count / total:.1%})" if total else "")
