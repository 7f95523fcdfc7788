"""Which replies is a model to be trained on, beside what else, and which of them are known to show a trait?"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator, model_validator

from alignwright.core.records import Conversation, Message
from alignwright.files import chat
from alignwright.files.formats import Kind
from alignwright.files.items import Item


class TrainingReply(Item):
    """A `prompt` and the `reply` to it, or `messages` that end with the assistant's turn: a row of training data.
    `other` is a reply that it is held beside, by default the model's own; `label` says where it is known whether the
    reply shows the trait (true, 1) or not (false, 0)."""

    reads: ClassVar[Kind] = "training_reply"
    prompt: str = Field(default="", exclude_if=lambda prompt: not prompt)
    reply: str = Field(default="", exclude_if=lambda reply: not reply)
    messages: tuple[Message, ...] = Field(default=(), exclude_if=lambda messages: not messages)
    other: str = Field(default="", exclude_if=lambda other: not other)
    label: bool | None = Field(default=None, exclude_if=lambda label: label is None)

    @field_validator("label", mode="before")
    @classmethod
    def _as_truth(cls, label: object) -> object:
        words: dict[object, bool | None] = {"1": True, "true": True, "0": False, "false": False, "": None}
        if isinstance(label, str):
            return words.get(label.strip().lower(), label)
        return bool(label) if isinstance(label, int | float) and label in (0, 1) else label

    @field_validator("messages", mode="before")
    @classmethod
    def _turns(cls, value: object) -> object:
        return chat.messages(value, "messages") if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_reply(self) -> TrainingReply:
        if self.messages:
            if self.prompt or self.reply:
                raise ValueError("give 'messages' or 'prompt' and 'reply', not both")
            if len(self.messages) < 2 or self.messages[-1].role != "assistant":
                raise ValueError("'messages' must end with the assistant's turn, after another's")
        elif not (self.prompt.strip() and self.reply.strip()):
            raise ValueError("a row needs 'prompt' and 'reply', or 'messages' that end with the assistant's turn")
        if not self.text.strip():
            raise ValueError("the reply is empty")
        return self

    @property
    def text(self) -> str:
        """The reply."""
        return self.messages[-1].content if self.messages else self.reply

    @property
    def asks(self) -> tuple[str, ...]:
        return tuple(message.content for message in self.dialogue.messages)

    @property
    def dialogue(self) -> Conversation:
        """What it replies to."""
        return Conversation(messages=self.messages[:-1]) if self.messages else Conversation.user(self.prompt)
