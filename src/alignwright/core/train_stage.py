"""What is every stage of `train:` asked, besides what every stage is?

The sections do not import one another, and a stage of training need not be one of the section `train`:
what is asked of all of them stands here.
"""

from __future__ import annotations

from typing import ClassVar

from alignwright.core.records import Conversation
from alignwright.core.stage import Stage


class TrainStage(Stage):
    """A stage that trains, or makes a model of trained ones."""

    changes_model: ClassVar[bool] = True
    """Whether the model that is measured is another one after this stage."""
    makes_reward: ClassVar[bool] = False
    """Whether it leaves what scores replies."""
    title: ClassVar[str]
    """What a report calls the method."""

    @property
    def learns_from_votes(self) -> bool:
        """Whether it reads the preferences that votes were pooled to."""
        return False

    @property
    def other_model(self) -> str | None:
        """A training stage whose model it needs beside the one before it."""
        return None

    @property
    def weights_left(self) -> float:
        """How many weights it leaves at most, as a multiple of the model's."""
        return 1.0

    @property
    def single_model(self) -> bool:
        """Whether what it leaves is one model, which can be saved for others to open."""
        return True

    @property
    def skips_refused(self) -> bool:
        """Whether what it would judge is left out where its own findings speak against it."""
        return False

    def learnt(self, conversation: Conversation) -> Conversation | None:  # noqa: ARG002 - of methods that read some
        """What of a file's conversation is learnt; None where it is only asked."""
        return None
