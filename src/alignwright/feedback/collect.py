"""Which replies are compared? Several samples of the model's own to each prompt, as pairs for
preference data.

Several replies to each prompt, sampled; equal replies are merged, because a reply cannot be
compared with itself. A prompt that is left with fewer than two different replies gives no
comparison: it is handed back among those skipped, never lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.protocols import ChatModel
from alignwright.core.records import Comparison, Prompt, Reply


@dataclass(frozen=True)
class CollectResult:
    """The comparisons, and what was left out: prompts without two different replies, replies
    merged, replies that were empty."""

    comparisons: tuple[Comparison, ...]
    skipped: tuple[Prompt, ...]
    merged: int
    empty: int


def collect(
    speaker: ChatModel, prompts: Sequence[Prompt], *, samples: int, max_new_tokens: int, temperature: float, seed: int
) -> CollectResult:
    """Sample `samples` replies to each prompt. Deterministic given the speaker and the seed."""
    if samples < 2 or temperature <= 0:
        settings = f"{samples} samples at temperature {temperature}"
        raise ValueError(
            f"collect: {settings} cannot give two different replies; take at least 2 samples and a temperature above 0"
        )
    groups = speaker.generate(
        [p.conversation for p in prompts], n=samples, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
    )
    comparisons: list[Comparison] = []
    skipped: list[Prompt] = []
    merged = empty = 0
    for prompt, replies in zip(prompts, groups, strict=True):
        texts = [reply for reply in replies if reply.text.strip()]
        distinct = _distinct(texts)
        empty += len(replies) - len(texts)
        merged += len(texts) - len(distinct)
        if len(distinct) < 2:
            skipped.append(prompt)
        else:
            comparisons.append(
                Comparison(
                    prompt=prompt, replies=tuple(reply.model_copy(update={"parent": prompt.id}) for reply in distinct)
                )
            )
    return CollectResult(tuple(comparisons), tuple(skipped), merged, empty)


def _distinct(replies: Sequence[Reply]) -> list[Reply]:
    """The first of each text, in order; spaces around a text make no difference."""
    first: dict[str, Reply] = {}
    for reply in replies:
        first.setdefault(reply.text.strip(), reply)
    return list(first.values())
