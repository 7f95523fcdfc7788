"""Would these rows teach what their author meant? Data validation before training.

Most training that goes wrong goes wrong before the first step, and silently: the user's words are
trained, the end of the turn is not, rows vanish, answers are cut, the score is read one token too
early. Each such trap is looked for by name in the very rows that training will use, and in the
texts they came from; the counts are kept either way (`DataReport`).

What a program got wrong (masks, ends, templates) is refused at the first row. What data may hold in
places (a repeated prompt, a row too long) is a warning until it is found in more than a share of
the rows, `ALLOWED`, and then refused: a broken conversion breaks every row. What is nobody's
mistake (duplicates, voters who disagree, a bias of length) is only told.

The traps are those that users of other trainers met: issues of TRL, verl, open-instruct and
NeMo-RL, looked for in `data_checks` and `text_checks`. Two traps are looked for where they would spring: a score that
is read before the end of its reply (`model.reward_head`), and a reward that is the same for every
reply (`rollout.count_constant_rounds`). Left out on purpose: judging what the data say. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from alignwright.core.records import Conversation, Preference
from alignwright.model.limits import Limit
from alignwright.model.tokens import Chat, TokenRow
from alignwright.stats.intervals import wilson
from alignwright.train import data_checks, text_checks
from alignwright.train.data_checks import DataIssue, has_end, masks_of, replies_of
from alignwright.train.knobs_loop import Source

Kind = Literal["replies", "prompts", "text"]
ALLOWED = 0.2
"""The share of rows that may be lost, or hold a fault of data, before training is refused;
`intent.bad_rows` allows more."""
_BIASED = (0.35, 0.65)


@dataclass(frozen=True)
class LengthBias:
    """How far "the longer reply is the better one" goes. `accuracy` is what picking the longer
    scores, equal lengths counting one half."""

    pairs: int
    longer: float
    accuracy: float
    low: float | None
    high: float | None
    mean_chosen: float
    mean_rejected: float


@dataclass(frozen=True)
class DataReport:
    """Counts of the rows that are kept, of those left out, and what troubles them. Tokens are
    those of kept rows."""

    rows: int
    left_out: int
    left_out_tokens: int
    prompt_tokens: int
    trained_tokens: int
    masked_tokens: int
    replies: int
    ended: int
    """Replies whose every trained stretch closes with a trained end-of-turn token; the others
    were cut or would never end."""
    kind: Kind
    issues: tuple[DataIssue, ...]
    length: LengthBias | None = None
    turns: int = 0
    """The assistant's turns in conversations to learn from, those of rows left out among them,
    and how many of them are trained."""
    trained_turns: int = 0

    @property
    def refused(self) -> tuple[DataIssue, ...]:
        return tuple(issue for issue in self.issues if issue.refused)


class BadTrainingData(ValueError):
    """Training rows that would teach something else than was meant."""


def diagnose(
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
) -> DataReport:
    """Look at all `rows`, those over `max_tokens` among them, and at the `sources` they came from,
    in any order.

    `new_tokens` are to be added to each row (the replies to prompts); `vocabulary` is the number of
    rows of the model's embedding; `bound` is the model's own limit, where `max_tokens` is that and
    no knob.
    """
    limit = math.inf if max_tokens is None else max_tokens - new_tokens
    fitting_rows = [row for row in rows if len(row) <= limit]
    issues = [
        *data_checks.rows_lost(rows, fitting_rows, max_tokens, new_tokens, allowed, bound),
        *data_checks.vocabulary_lacks(fitting_rows, chat, vocabulary),
    ]
    if kind == "replies":
        issues += [
            *data_checks.masks(fitting_rows, chat),
            *data_checks.ends(fitting_rows, chat),
            *data_checks.empty(fitting_rows, chat),
            *data_checks.unlike_template(rows, sources, chat),
        ]
    issues += [
        *data_checks.identical(fitting_rows),
        *data_checks.duplicates(fitting_rows),
        *text_checks.texts(sources, chat, allowed),
    ]
    pairs = [source for source in sources if isinstance(source, Preference)]
    length = _length(pairs) if pairs else None
    long_rows = [row for row in rows if len(row) > limit]
    trained = sum(sum(mask) for row in fitting_rows for mask in masks_of(row))
    replies = sum(len(reply) for row in fitting_rows for reply in row.replies)
    return DataReport(
        rows=len(fitting_rows),
        left_out=len(long_rows),
        left_out_tokens=sum(map(len, long_rows)),
        prompt_tokens=sum(len(row.prompt) for row in fitting_rows),
        trained_tokens=trained,
        masked_tokens=replies - trained,
        replies=sum(len(row.replies) for row in fitting_rows),
        ended=sum(has_end(reply, mask, chat) for row in fitting_rows for reply, mask in replies_of(row)),
        kind=kind,
        issues=(*issues, *_bias(length)),
        length=length,
        turns=sum(
            m.role == "assistant" for source in sources if isinstance(source, Conversation) for m in source.messages
        ),
        trained_turns=sum(data_checks.trained_turns(row) for row in rows) if kind == "replies" else 0,
    )


def refuse(stage: str, diagnosis: DataReport) -> None:
    """Raises BadTrainingData with everything that is refused."""
    if diagnosis.refused:
        raise BadTrainingData("\n".join(f"{stage}: {issue.name}: {issue.message}" for issue in diagnosis.refused))


# ---- how long replies are ------------------------------------------------------------------------
def _length(pairs: Sequence[Preference]) -> LengthBias:
    lengths = [(len(p.chosen), len(p.rejected)) for p in pairs]
    longer, ties, n = sum(a > b for a, b in lengths), sum(a == b for a, b in lengths), len(lengths)
    interval = wilson(longer + ties // 2, n)
    means = [sum(both[side] for both in lengths) / n for side in (0, 1)]
    return LengthBias(n, longer / n, (longer + ties / 2) / n, interval.low, interval.high, *means)


def _bias(length: LengthBias | None) -> Iterator[DataIssue]:
    if length is None or length.low is None or length.high is None:
        return
    if length.low > _BIASED[1] or length.high < _BIASED[0]:
        way, right = ("longer", length.accuracy) if length.accuracy > 0.5 else ("shorter", 1 - length.accuracy)
        observation = (
            f"picking the {way} reply is right in {right:.0%} of {length.pairs} pairs, so a judge that counts letters"
            " does as well"
        )
        hint = "balance the pairs by length, or compare what is learnt with that rule"
        yield DataIssue(
            "length_bias", round(length.longer * length.pairs), length.pairs, False, f"{observation}; {hint}"
        )
