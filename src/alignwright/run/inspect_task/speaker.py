# pyright: reportMissingImports=false
"""How does a model of Inspect answer as a speaker of ours?

Ours is asked and waited for; Inspect's is awaited on its event loop. An item is therefore worked on in a
thread of its own, and each question goes back to the loop, where Inspect counts, limits, caches, retries
and logs it as any other. A reply that was cut by a filter is withheld: no text, and never safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import anyio.from_thread
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
)

from alignwright.core.records import Conversation, Message, Reply

MESSAGES: dict[str, Any] = {
    "system": ChatMessageSystem, "developer": ChatMessageSystem, "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}  # fmt: skip


class InspectSpeaker:
    """A ChatModel that asks a model of Inspect. It is called in a worker thread of Inspect's loop."""

    def __init__(self, model: Model) -> None:
        self.model, self.name = model, str(model)
        self._why: dict[str, str] = {}

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        n: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[Reply]]:
        """As any ChatModel's: all questions at once, as many at a time as Inspect lets through."""
        config = GenerateConfig(max_tokens=max_new_tokens, temperature=temperature)
        return anyio.from_thread.run(self._all, list(prompts), n, config, seed)

    def why_withheld(self, prompt: Conversation) -> str:
        """Why there are fewer replies to a prompt than were asked for; empty of every other."""
        return self._why.get(prompt.id, "")

    async def _all(
        self, prompts: Sequence[Conversation], n: int, config: GenerateConfig, seed: int
    ) -> list[list[Reply]]:
        replies: list[list[Reply | None]] = [[None] * n for _ in prompts]

        async def ask(place: int, draw: int) -> None:
            own = config.model_copy(update={"seed": seed + draw})
            replies[place][draw] = await self._one(prompts[place], own)

        async with anyio.create_task_group() as group:
            for place in range(len(prompts)):
                for draw in range(n):
                    group.start_soon(ask, place, draw)
        return [[reply for reply in each if reply is not None] for each in replies]

    async def _one(self, prompt: Conversation, config: GenerateConfig) -> Reply | None:
        output = await self.model.generate([message(each) for each in prompt.messages], config=config)
        if not output.choices or output.stop_reason == "content_filter":
            self._why[prompt.id] = "by a filter of its server" if output.choices else "its server gave no choice"
            return None
        return Reply(
            text=output.completion, parent=prompt.id, speaker=self.name,
            tokens=output.usage.output_tokens if output.usage else None, finished=output.stop_reason != "max_tokens",
        )  # fmt: skip


def message(turn: Message) -> Any:
    """A message as Inspect has it; a developer's is the system's there."""
    return MESSAGES[turn.role](content=turn.content)
