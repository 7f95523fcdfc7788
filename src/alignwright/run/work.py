"""What may a job touch while it works?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alignwright.core.protocols import ChatModel
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.plan import Job
from alignwright.model.local_model import LocalModel
from alignwright.run.ledger import Ledger
from alignwright.run.progress import Bar
from alignwright.run.shelf import ModelStore


@dataclass(frozen=True)
class JobContext:
    """A job at work: everything it may touch."""

    job: Job
    experiment: Experiment
    shelf: ModelStore
    ledger: Ledger
    folder: Path
    bar: Bar

    def watched(self, policy: LocalModel) -> LocalModel:
        """The policy, reporting its progress to this job's bar."""
        policy.progress = self.bar
        return policy

    def seen(self, speaker: ChatModel) -> ChatModel:
        """The speaker, reporting its progress where it can."""
        return self.watched(speaker) if isinstance(speaker, LocalModel) else speaker
