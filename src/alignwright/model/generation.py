"""What is asked of the batch that decodes for a server, and what does it tell meanwhile?

A `Generation` is submitted to `continuous_batching` by whoever waits for it, and events come back
through its `tell`. Nobody may wait any more: then its choices are among its `leavers`, and the
batch gives their rows, or their places in the line, to others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from alignwright.model.prompt_logprobs import TokenChoice


@dataclass(frozen=True)
class Drawn:
    """What a choice has come to: its next tokens, and `finish` with the last of them ("stop",
    "length"). `error`: why there will be none."""

    choice: int
    tokens: tuple[TokenChoice, ...] = ()
    finish: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class PromptRead:
    """The log-probabilities of a prompt's own tokens; the first has none."""

    prompt: int
    tokens: tuple[TokenChoice, ...]


Event = Drawn | PromptRead


@dataclass(frozen=True)
class Generation:
    """`n` replies to one prompt of token ids, told of to `tell` (called in the model's thread).

    `place` is the prompt's place in its request, `top` how many of the likeliest tokens are told
    with each, `each`: every token is told at once, not all at the end.
    """

    prompt: tuple[int, ...]
    tell: Callable[[Event], None]
    n: int = 1
    max_new_tokens: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    place: int = 0
    stop_ids: frozenset[int] = frozenset()
    top: int = 0
    each: bool = False
    scores_prompt: bool = False
    """Whether the log-probabilities of the prompt are asked for."""
    leavers: set[int] = field(default_factory=set[int])
    """Choices that nobody waits for any more; whoever submitted adds to it."""

    def leave(self) -> None:
        """Nobody waits for any of it."""
        self.leavers.update(range(self.place * self.n, (self.place + 1) * self.n))

    @property
    def is_left(self) -> bool:
        return len(self.leavers) >= self.n
