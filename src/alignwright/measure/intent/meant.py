"""Does it serve what was meant, beyond the letter of the instruction?

`intent.meant`: forced choice of a reply that serves what was meant against one that keeps to the
letter.
"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.protocols import Policy
from alignwright.core.records import Conversation, SampleResult
from alignwright.files.items import MeantItem
from alignwright.measure.ask import choose, scored


def prefer_the_meant(policy: Policy, items: Sequence[MeantItem]) -> list[SampleResult]:
    """Outcomes of `intent.meant`: is what was meant preferred over the letter?"""
    prompts = [Conversation.user(item.prompt) for item in items]
    choices = choose(policy, prompts, [(item.meant, item.literal) for item in items])
    return [
        scored(
            "intent.meant",
            item.id,
            item.topic,
            choice.status,
            prompt=prompt,
            reply=choice.preferred,
            reason=choice.reason,
        )
        for item, prompt, choice in zip(items, prompts, choices, strict=True)
    ]
