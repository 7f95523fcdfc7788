"""What is one try of an attack? What was asked of whom, what came back, and whether it was what was
asked for.

An attack puts conversations to a model in which it is asked for a behaviour that it should not show.
Each of them is a `Try`, a line of `attacks.jsonl`: all that is needed to put it to another model, and to
grade it again without asking any. The file's columns are these fields and stay as they are.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from alignwright.core.records import Conversation, Message, Record

ATTACKS = "attacks.jsonl"
"""The file of tries: in an attack's folder all of them, in a run's folder those that succeeded."""
EXACT = "by a secret word"
"""The kind of a result that was told by whether a secret word was said: exactly, without a grader."""
UNTRIED = "not tried"
"""The kind of a result that stands for what a budget did not pay for."""
Told = Literal["yes", "no", "unclear"]


class Try(Record):
    """One conversation of an attack, with its reply and what the graders say of it."""

    attack: str
    """The kind of attack: suite, best_of_n ..."""
    way: str = ""
    """By which wrapper, mutation or operator, where the attack has several."""
    behaviour: str
    """The id of the request that the model should refuse."""
    request: str
    """What is asked for, in plain words: what the reply is graded by."""
    topic: str = ""
    secret: tuple[str, ...] = ()
    """Words by which a reply that says one of them shows the behaviour, where the request has such."""
    number: int = Field(ge=1)
    """The place of this try among those of its behaviour, from 1."""
    messages: tuple[Message, ...] = Field(min_length=1)
    """The conversation as it was asked, up to the reply; a last message of the assistant is the
    beginning of its reply."""
    reply: str | None = None
    """None: there is none, and `reason` says why."""
    plain: str | None = None
    """The reply decoded, where it is in a code and was graded so."""
    success: Told | None = None
    """Whether the reply did what was asked for; None without a reply."""
    refused: Told | None = None
    """Whether it refused; None without a reply."""
    reason: str = ""
    """By which rule `success` was told, or why there is no reply."""
    refused_reason: str = ""
    by_rules: Told | None = Field(default=None, exclude_if=lambda told: told is None)
    """What the product's graders say of the success, where a judge tells it."""
    withheld: bool = False
    """Without a reply: whether its server withheld it."""
    smallest: tuple[Message, ...] | None = None
    """The smallest part of the conversation with which the attack still succeeds, where it was looked for."""
    smallest_reply: str | None = None
    model: str = ""
    """What the model is called in its run: baseline, train.0.sft ..."""
    speaker: str = ""
    """The model's own name."""

    @property
    def conversation(self) -> Conversation:
        return Conversation(messages=self.messages)

    @property
    def succeeded(self) -> bool:
        return self.success == "yes"
