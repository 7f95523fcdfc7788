"""What may a job touch while it works?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alignwright.core.protocols import Speaker
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.plan import Job
from alignwright.model.local_model import LocalPolicy
from alignwright.run.ledger import Ledger
from alignwright.run.progress import Bar
from alignwright.run.shelf import Shelf


@dataclass(frozen=True)
class Work:
    """A job at work: everything it may touch."""

    job: Job
    experiment: Experiment
    shelf: Shelf
    ledger: Ledger
    folder: Path
    bar: Bar

    def watched(self, policy: LocalPolicy) -> LocalPolicy:
        """The policy, reporting its progress to this job's bar."""
        policy.progress = self.bar
        return policy

    def seen(self, speaker: Speaker) -> Speaker:
        """The speaker, reporting its progress where it can."""
        return self.watched(speaker) if isinstance(speaker, LocalPolicy) else speaker
