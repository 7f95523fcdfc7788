"""How many answers of a judge could not be read? The note that says so."""

from __future__ import annotations

from typing import Protocol

from alignwright.core.protocols import ChatModel
from alignwright.model.endpoint import Endpoint
from alignwright.model.server_errors import clipped


class Questioner(Protocol):
    """Who asks a judge questions and counts the answers that could not be read."""

    @property
    def num_unreadable(self) -> int: ...
    @property
    def example(self) -> str: ...
    @property
    def speaker(self) -> ChatModel: ...


def unreadable_answers(judge: Questioner) -> str:
    """What is said of a judge's answers that could not be read, and of what its server does not
    take; "" where there is nothing to say."""
    count, lines = judge.num_unreadable, list[str]()
    if count:
        line = f"{count} answers could not be read, count for nothing and will be asked for again, the last of them"
        lines.append(f"{line} {clipped(judge.example, 400)}")
    if isinstance(judge.speaker, Endpoint) and (missing := judge.speaker.parameters.left_out):
        lines.append(f"the server takes no {', '.join(missing)}")
    return "".join(f"; {line}" for line in lines)
