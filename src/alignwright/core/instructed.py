"""Where does an instruction stand in a conversation that it is put before? In its system message, or in
front of what the user says: not every chat template knows a system message."""

from __future__ import annotations

from typing import Literal

from alignwright.core.records import Conversation, Message

Place = Literal["system", "user"]


def instructed(conversation: Conversation, instruction: str, place: Place) -> Conversation:
    """The conversation under an instruction: at the head of its system message (a new one where it has
    none), or of the user's first message. Raises ValueError where no user speaks."""
    messages = list(conversation.messages)
    at = next((i for i, message in enumerate(messages) if message.role == place), None)
    if at is None and place == "user":
        roles = ", ".join(message.role for message in messages)
        raise ValueError(
            f"an instruction is put before what the user says, and conversation {conversation.id} has only {roles}"
        )
    if at is None:
        messages.insert(0, Message(role="system", content=instruction))
    else:
        messages[at] = Message(role=place, content=f"{instruction}\n\n{messages[at].content}")
    return Conversation(messages=tuple(messages))
