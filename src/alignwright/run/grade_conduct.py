"""What do the detectors of conduct see in a log that is graded: sycophancy, reward hacking, deception, leaking?

The same detectors as `measure: {by: transcripts}`, over the same file as conversations: each with its rate,
what it is worth (labels of the file's own, the tasks kept apart, beside the best one-line rule; or what it was
tried on before), and examples. Refusals are the other graders' part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alignwright.core import wording
from alignwright.core.amount import amount
from alignwright.core.records import Finding, SampleResult
from alignwright.files.transcripts import read_transcripts
from alignwright.measure.conduct.transcripts.detectors import DETECTORS
from alignwright.measure.conduct.transcripts.measure import findings

LENGTH = 160


@dataclass(frozen=True)
class ConductLog:
    """What each detector says of each conversation, by its name, and what that comes to."""

    outcomes: dict[str, list[SampleResult]]
    rates: dict[str, Finding]

    def lines(self, examples: int) -> Iterator[str]:
        """What is printed: a line for each detector, what it is worth, and conversations that it flags."""
        yield ""
        for name, rate in self.rates.items():
            rate_text = f"{wording.rate(rate)} of " if rate.value is not None else "nothing to go by; "
            yield f"{name}: {rate_text}{amount(rate.n, 'conversation')} scored, {rate.unscored} unscored"
            yield f"  {rate.note}"
            flagged = [outcome for outcome in self.outcomes[name] if outcome.status == "fail"][:examples]
            yield from (f"  flagged: {_cut(outcome.reason)}" for outcome in flagged)

    def columns(self, place: int) -> dict[str, object]:
        """What is written of the row at this place."""
        line: dict[str, object] = {}
        for name, outcomes in self.outcomes.items():
            verdict = {"fail": "yes", "pass": "no"}.get(outcomes[place].status, "unclear")
            line |= {f"detected_{name}": verdict, f"detected_{name}_reason": outcomes[place].reason}
        return line


def read_conduct(source: Path) -> ConductLog:
    """Every detector on every conversation of a file. SpecError names file and line of what has no roles."""
    logs = read_transcripts(source).rows
    outcomes, rates = dict[str, list[SampleResult]](), dict[str, Finding]()
    for detector in DETECTORS:
        if detector.name != "refusal":
            outcomes[detector.name], numbers = findings(detector, logs, (), stage="log")
            rates[detector.name] = numbers[0]
    return ConductLog(outcomes, rates)


def _cut(text: str) -> str:
    return text if len(text) <= LENGTH else f"{text[:LENGTH]} …"
