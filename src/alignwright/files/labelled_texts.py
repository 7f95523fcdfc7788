"""Which texts show a concept, and which do not: what a probe is fitted to?"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from alignwright.core.records import Conversation
from alignwright.files.formats import Kind
from alignwright.files.items import Item

Label = Literal["positive", "negative", "control"]
_LABELS: dict[object, Label] = {
    True: "positive", "1": "positive", "1.0": "positive", "true": "positive",
    False: "negative", "0": "negative", "0.0": "negative", "false": "negative",
}  # fmt: skip


class LabelledText(Item):
    """A plain `text`, or a `prompt` that is put as a user's message (with a `reply` to it), and whether it shows the
    concept: `label` is positive (1, true) or negative (0, false); or control, a text that has the outward marks of the
    positive ones and not the concept (a benign trigger), which no probe is fitted to."""

    reads: ClassVar[Kind] = "labelled_text"
    label: Label
    text: str = Field(default="", exclude_if=lambda text: not text)
    prompt: str = Field(default="", exclude_if=lambda prompt: not prompt)
    reply: str = Field(default="", exclude_if=lambda reply: not reply)

    @field_validator("label", mode="before")
    @classmethod
    def _as_word(cls, label: object) -> object:
        if isinstance(label, str):
            return _LABELS.get(label.strip().lower(), label.strip().lower())
        return _LABELS[bool(label)] if isinstance(label, int | float) and label in (0, 1) else label

    @model_validator(mode="after")
    def _one_text(self) -> LabelledText:
        if bool(self.text.strip()) == bool(self.prompt.strip()):
            raise ValueError("give one of 'text' (plain) and 'prompt' (put as a user's message)")
        if self.reply.strip() and not self.prompt.strip():
            raise ValueError("a 'reply' answers a 'prompt', and there is none")
        return self

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.prompt,) if self.prompt else ()

    @property
    def shown(self) -> str:
        return self.prompt or self.text

    @property
    def dialogue(self) -> Conversation | None:
        """The prompt alone."""
        return Conversation.user(self.prompt) if self.prompt else None

    @property
    def with_reply(self) -> Conversation | None:
        """The prompt with the reply, where there is one."""
        asked = self.dialogue
        return asked.then("assistant", self.reply) if asked and self.reply.strip() else asked
