"""What does a training job learn from? The data of the spec, and the preferences that its votes were
pooled to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alignwright.core.records import Conversation, Labelled, Preference, Prompt
from alignwright.files.items import TextItem
from alignwright.job.context import JobContext
from alignwright.job.preferences import preferences, revisions, undefeated_replies


@dataclass(frozen=True)
class JobData:
    """The `TrainingData` of a job."""

    job: JobContext

    def texts(self, files: Sequence[str], limit: int | None) -> list[str]:
        return [item.text for item in self.job.data.items(files, TextItem, limit)]

    def conversations(self, files: Sequence[str], limit: int | None) -> list[Conversation]:
        return self.job.data.conversations(files, limit)

    def prompts(self) -> list[Prompt]:
        return self.job.data.prompts(self.job.data.intent.prompts)

    def preferences(self, *, required: bool = True) -> list[Preference]:
        return preferences(self.job, required=required)

    def labelled(self) -> list[Labelled]:
        return self.job.data.labelled_alone()

    def chosen(self) -> list[Conversation]:
        return [winner.only_last() for winner in undefeated_replies(self.preferences())]

    def revisions(self) -> list[Conversation]:
        """Raises ValueError where there is none."""
        made = revisions(self.job)
        winners = [
            winner
            for winner in undefeated_replies(self.preferences())
            if (Conversation(messages=winner.messages[:-1]).id, winner.last.content) in made
        ]
        if not winners:
            raise ValueError(
                "train by sft on revisions: no revision was preferred to its original, so there is nothing to learn"
            )
        return [winner.only_last() for winner in winners]
