"""How is a model asked for one greedy reply to each prompt, and what stands where there is none?

A model behind a server may give no reply where its server withholds it. What stands there is no
text, so that nothing takes it for a refusal, but a `NoReply` that says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from alignwright.core.protocols import ChatModel
from alignwright.core.records import Conversation, Reply, Status


@dataclass(frozen=True)
class NoReply:
    """That there is no reply, and why; it counts as no text. `withheld`: by the server behind which
    the model is, and not for want of one."""

    why: str = "the model gave no reply"
    withheld: bool = False

    @property
    def status(self) -> Status:
        """What the item came to that it would have answered."""
        return "unscored" if self.withheld else "error"

    def __bool__(self) -> Literal[False]:
        return False


@runtime_checkable
class Withholding(Protocol):
    """A speaker that may give fewer replies than were asked for, and says why."""

    def why_withheld(self, prompt: Conversation) -> str:
        """Of a prompt with fewer replies; "" of every other."""
        ...


def no_reply(speaker: ChatModel, prompt: Conversation) -> NoReply:
    """Why a speaker gave no reply to a prompt, as far as it says so."""
    why = speaker.why_withheld(prompt) if isinstance(speaker, Withholding) else ""
    return NoReply(f"withheld: {why}", withheld=True) if why else NoReply()


def greedy(
    speaker: ChatModel, prompts: Sequence[Conversation], *, max_new_tokens: int, seed: int
) -> list[Reply | NoReply]:
    """One greedy reply to each prompt, or why there is none."""
    groups = (
        speaker.generate(prompts, n=1, max_new_tokens=max_new_tokens, temperature=0.0, seed=seed) if prompts else []
    )
    if len(groups) != len(prompts):
        raise ValueError(
            f"{speaker.name} was asked {len(prompts)} prompts and answered {len(groups)}; a speaker answers each prompt"
            " once, in order"
        )
    return [group[0] if group else no_reply(speaker, prompt) for prompt, group in zip(prompts, groups, strict=True)]
