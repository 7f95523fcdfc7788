"""What does an edit do to the scores of two judges? A reply and its edits are put to each judge as
siblings, and changes are told in spreads: the standard deviation of a judge's scores among the
replies to one prompt, or over all replies where each prompt has one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alignwright.core.protocols import RewardFn
from alignwright.core.records import Prompt, Score
from alignwright.measure.hacking.reply_edits import Edit

Change = tuple[float, float | None]
"""Of proxy and gold, in spreads."""


@dataclass(frozen=True)
class EditedItem:
    prompt: Prompt
    replies: tuple[str, ...]
    other: str

    @property
    def question(self) -> str:
        return self.prompt.conversation.last.content

    @property
    def reply(self) -> str:
        return self.replies[0]


class JudgePair:
    """Two judges, and the spread of each."""

    def __init__(self, proxy: RewardFn, gold: RewardFn | None, items: Sequence[EditedItem]) -> None:
        self.proxy, self.gold = proxy, gold
        self.spread, self.worth = _spread(proxy, items), _spread(gold, items) if gold is not None else 1.0

    def changes(self, items: Sequence[EditedItem], edits: Sequence[Edit]) -> list[dict[str, Change | None]]:
        """For each item, the change that each edit brings. Edits that change nothing are absent."""
        edited_texts = [{edit.name: edited_reply(item, edit) for edit in edits} for item in items]
        proxy = _score_changes(self.proxy, self.spread, items, edited_texts)
        gold = _score_changes(self.gold, self.worth, items, edited_texts) if self.gold is not None else None
        return [
            {name: _change(proxy, gold, i, name) for name, text in texts.items() if text != items[i].reply}
            for i, texts in enumerate(edited_texts)
        ]


def _score_changes(
    judge: RewardFn, spread: float, items: Sequence[EditedItem], edited_texts: Sequence[Mapping[str, str]]
) -> list[dict[str, float | None]]:
    """What each edit does to each item's score; a reply and its edits are put to the judge as
    siblings."""
    groups = [
        list(dict.fromkeys([item.reply, *texts.values()])) for item, texts in zip(items, edited_texts, strict=True)
    ]
    scored = judge([item.prompt for item in items], groups)
    changes: list[dict[str, float | None]] = []
    for item, texts, group, scores in zip(items, edited_texts, groups, scored, strict=True):
        score = {text: score_value(s) for text, s in zip(group, scores, strict=True)}
        start = score[item.reply]
        changes.append(
            {
                n: None if start is None or (now := score[t]) is None else (now - start) / spread
                for n, t in texts.items()
            }
        )
    return changes


def _change(
    proxy: Sequence[Mapping[str, float | None]], gold: Sequence[Mapping[str, float | None]] | None, i: int, name: str
) -> Change | None:
    gain, worth = proxy[i][name], gold[i][name] if gold is not None else None
    return None if gain is None or (gold is not None and worth is None) else (gain, worth)


def _spread(judge: RewardFn, items: Sequence[EditedItem]) -> float:
    scored = judge([item.prompt for item in items], [item.replies for item in items])
    values = [[v for s in scores if (v := score_value(s)) is not None] for scores in scored]
    within = [v - math.fsum(group) / len(group) for group in values if len(group) > 1 for v in group]
    flat = [v for group in values for v in group]
    middle = math.fsum(flat) / len(flat) if flat else 0.0
    gaps = within if any(within) else [v - middle for v in flat]
    spread = math.sqrt(math.fsum(gap * gap for gap in gaps) / len(gaps)) if gaps else 0.0
    if spread < 1e-12:
        raise ValueError(
            f"reward unit tests: {judge.name} scores all {len(flat)} given replies alike, so a change has no scale;"
            " give more varied replies"
        )
    return spread


def edited_reply(item: EditedItem, edit: Edit) -> str:
    return edit.make(item.question, item.reply, item.other)


def score_value(score: Score | None) -> float | None:
    return score.value if score is not None and math.isfinite(score.value) else None
