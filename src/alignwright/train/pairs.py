"""Which replies meet which? Preference pairs packed into rows with a shared prompt.

Preferences on one prompt become one row: the prompt once, each distinct reply once, and the pairs
between them. A comparison of K replies has K (K - 1) / 2 pairs, so that a row each would compute a
reply K - 1 times. Values and gradients are those of separate rows (a reply never sees its
siblings); weights, strengths, groups and voters stay with their pair. A prompt whose replies do not
fit in one row together is spread over several, by pairs. A reward model takes the pairs of one
comparison together instead, and lets them weigh as one between them (Ouyang et al. 2022: the mean
over their K (K - 1) / 2 pairs).

Pairs that can teach nothing are refused: an empty reply, or two replies that are the same to the
model. Pairs of weight 0 are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from alignwright.core.records import Conversation, Labelled, Preference
from alignwright.model.tokens import Chat, TokenRow
from alignwright.train.rows import fit_rows, labelled_rows


@dataclass(frozen=True)
class Pair:
    """Reply `chosen` of a row is preferred to reply `rejected`."""

    chosen: int
    rejected: int
    preference: Preference
    share: float = 1.0  # of its preference's weight: one over the pairs of its comparison, where these weigh as one

    @property
    def weight(self) -> float:
        return self.preference.weight * self.share


@dataclass(frozen=True)
class PreferenceRow:
    """A prompt with the distinct replies to it, and the pairs between them; or the replies' own
    labels where they stand alone."""

    row: TokenRow
    pairs: tuple[Pair, ...]
    labelled: tuple[Labelled, ...] = ()

    def shown(self) -> dict[str, object]:
        """As a person would want to see it."""
        if not self.pairs:
            return {"labelled": [one.row() for one in self.labelled]}
        pairs = [
            {"chosen": p.preference.chosen, "rejected": p.preference.rejected, "weight": p.preference.weight}
            for p in self.pairs
        ]
        return {
            "prompt": [m.model_dump() for m in self.pairs[0].preference.prompt.conversation.messages],
            "pairs": pairs,
        }


def preference_rows(
    preferences: Sequence[Preference], chat: Chat, max_tokens: int, folder: Path, labelled: Sequence[Labelled] = ()
) -> list[PreferenceRow]:
    """The rows of a preference stage, and behind them one for each reply that is labelled by
    itself. Longer ones go to `too_long.jsonl`.

    Raises ValueError on an empty reply, on a pair of equal replies, and when no pair with a weight
    is left, nor any label.
    """
    rows, sources = _fitting(preferences, chat, max_tokens, folder, labelled)
    pairs = [(row, one) for row, one in zip(rows, sources, strict=True) if isinstance(one, Preference)]
    paired_rows = _together(
        [row for row, _ in pairs], [Pair(0, 1, one) for _, one in pairs], [row.prompt for row, _ in pairs], max_tokens
    )
    return paired_rows + [
        PreferenceRow(row, (), (one,)) for row, one in zip(rows, sources, strict=True) if isinstance(one, Labelled)
    ]


def usable(preferences: Sequence[Preference], chat: Chat, max_tokens: int, folder: Path) -> list[Preference]:
    """The pairs that `preference_rows` would make rows of."""
    return [one for one in _fitting(preferences, chat, max_tokens, folder)[1] if isinstance(one, Preference)]


def comparisons(preferences: Sequence[Preference], chat: Chat, max_tokens: int) -> list[PreferenceRow]:
    """The rows of a reward model: pairs that share a prompt and a parent, which weigh as one
    between them; pairs without a parent stay alone."""
    names = [(p.prompt.conversation.id, p.parent or f"alone {i}") for i, p in enumerate(preferences)]
    count = Counter(names)
    pairs = [Pair(0, 1, p, 1 / count[name]) for p, name in zip(preferences, names, strict=True)]
    return _together(_rows(preferences, chat), pairs, names, max_tokens)


def places(preference_rows: Sequence[PreferenceRow], device: torch.device) -> tuple[Tensor, Tensor]:
    """Where the chosen and the rejected reply of each pair are among all replies of these rows,
    in order. Both [P]."""
    starts = accumulate((len(preference_row.row.replies) for preference_row in preference_rows[:-1]), initial=0)
    positions = [
        (start + pair.chosen, start + pair.rejected)
        for start, preference_row in zip(starts, preference_rows, strict=True)
        for pair in preference_row.pairs
    ]
    chosen_P, rejected_P = torch.tensor(positions, device=device).T
    return chosen_P, rejected_P


def _fitting(
    preferences: Sequence[Preference], chat: Chat, max_tokens: int, folder: Path, labelled: Sequence[Labelled] = ()
) -> tuple[list[TokenRow], list[Preference | Labelled]]:
    for preference in preferences:
        _check(preference)
    for one in labelled:
        if not one.reply.strip():
            prompt = one.prompt.conversation.last.content[:60]
            raise ValueError(
                f"a labelled reply is empty, which no training can tell from silence; leave it out: {prompt!r}"
            )
    weighted = [preference for preference in preferences if preference.weight > 0]
    if not weighted and not labelled:
        raise ValueError(f"none of {len(preferences)} preferences has a weight above 0, so there is nothing to learn")
    rows, sources = _rows(weighted, chat) + labelled_rows(chat, labelled), [*weighted, *labelled]
    fitting = fit_rows(rows, max_tokens, folder, [one.row() for one in sources])
    return [rows[i] for i in fitting], [sources[i] for i in fitting]


def _check(preference: Preference) -> None:
    if not (preference.chosen.strip() and preference.rejected.strip()):
        which = "chosen" if not preference.chosen.strip() else "rejected"
        raise ValueError(
            f"a preference has an empty {which} reply, which no training can tell from silence; leave it out:"
            f" {_name(preference)}"
        )
    if preference.chosen.strip() == preference.rejected.strip():
        raise ValueError(
            f"a preference is between two equal replies, so neither can be preferred; leave it out: {_name(preference)}"
        )


def _name(preference: Preference) -> str:
    return (
        f"{preference.prompt.conversation.last.content[:60]!r} -> {preference.chosen[:60]!r} against"
        f" {preference.rejected[:60]!r}"
    )


def _rows(preferences: Sequence[Preference], chat: Chat) -> list[TokenRow]:
    """One row a pair; a prompt and a reply that come up in many are made into tokens once."""
    prompts: dict[Conversation, tuple[int, ...]] = {}
    replies: dict[str, tuple[int, ...]] = {}
    rows: list[TokenRow] = []
    for preference in preferences:
        conversation = preference.prompt.conversation
        if conversation not in prompts:
            prompts[conversation] = tuple(chat.prompt(conversation))
        for text in (preference.chosen, preference.rejected):
            if text not in replies:
                replies[text] = tuple(chat.reply(text))
        rows.append(TokenRow(prompts[conversation], (replies[preference.chosen], replies[preference.rejected])))
    return rows


def _together(
    rows: Sequence[TokenRow], pairs: Sequence[Pair], names: Sequence[Hashable], max_tokens: int
) -> list[PreferenceRow]:
    """Pairs of one name, in the order of their first, as few rows of distinct replies, each
    within `max_tokens`."""
    by_name: dict[Hashable, list[int]] = {}
    for i, name in enumerate(names):
        by_name.setdefault(name, []).append(i)
    return [
        preference_row
        for own in by_name.values()
        for preference_row in _share([rows[i] for i in own], [pairs[i] for i in own], max_tokens)
    ]


def _share(rows: Sequence[TokenRow], pairs: Sequence[Pair], max_tokens: int) -> list[PreferenceRow]:
    shared_rows: list[PreferenceRow] = []
    places: dict[tuple[int, ...], int] = {}
    row_pairs: list[Pair] = []

    def close() -> None:
        shared_rows.append(PreferenceRow(TokenRow(rows[0].prompt, tuple(places)), tuple(row_pairs)))
        places.clear()
        row_pairs.clear()

    for row, pair in zip(rows, pairs, strict=True):
        together = dict.fromkeys((*places, *row.replies))
        if row_pairs and len(row.prompt) + sum(map(len, together)) > max_tokens:
            close()
        chosen, rejected = (places.setdefault(reply, len(places)) for reply in row.replies)
        row_pairs.append(replace(pair, chosen=chosen, rejected=rejected))
    close()
    return shared_rows
