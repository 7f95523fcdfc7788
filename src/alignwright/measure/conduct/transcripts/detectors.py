"""Which detectors can be pointed at a recorded conversation, what does each look for, and which label of
people's says that it was there?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alignwright.files.transcripts import Label, RecordedConversation
from alignwright.measure.conduct.transcripts import deception, hacking_code, hacking_words, leaking, sycophancy
from alignwright.measure.conduct.transcripts.detection import Detection
from alignwright.measure.conduct.transcripts.detector_names import DetectorName
from alignwright.text.refusal.grader import grade_refusal


@dataclass(frozen=True)
class Detector:
    """A detector; `label`: the column of people's word on the same question. `tried_on`: labelled data
    that it was not fitted on and was tried on, and what came of it; empty where there are none."""

    name: DetectorName
    label: Label
    detect: Callable[[RecordedConversation], Detection]
    tried_on: str = ""

    @property
    def untried(self) -> str:
        """Why its word is not validated where no conversation is labelled; "" where it was tried before."""
        return (
            "" if self.tried_on else f"no labelled conversations to try it on: write true or false under {self.label!r}"
        )


def detector_named(name: str) -> Detector:
    return next(detector for detector in DETECTORS if detector.name == name)


def _refusal(transcript: RecordedConversation) -> Detection:
    grade = grade_refusal(transcript.question, transcript.reply)
    return Detection(None if grade.verdict == "unclear" else float(grade.verdict == "yes"), grade.reason)


def _in_words(transcript: RecordedConversation) -> Detection:
    if hacking_code.code_of(transcript):
        return Detection(None, "the reply is code")
    return hacking_words.detect(transcript.question, transcript.reply)


def _known_of_words() -> str:
    error = hacking_words.known_error()
    return (
        f"{error['source']}: AUROC {error['auroc']:.2f} [{error['low']:.2f}, {error['high']:.2f}], sensitivity"
        f" {error['sensitivity']:.0%} of {error['positives']}, specificity {error['specificity']:.0%} of"
        f" {error['negatives']}"
    )


DETECTORS: tuple[Detector, ...] = (
    Detector("refusal", "refused", _refusal, "people's labels of other models' replies (docs/numbers.md)"),
    Detector("sycophancy", "sycophantic", sycophancy.detect),
    Detector("hacking_words", "hacked", _in_words, _known_of_words()),
    Detector("hacking_code", "hacked", hacking_code.detect),
    Detector("deception", "deceptive", deception.detect),
    Detector("leaking", "leaked", leaking.detect),
)
