"""Which claims are there of confident error, of choices and of short answers?"""

from __future__ import annotations

from typing import Literal

from alignwright.core.claims import Claim

Form = Literal["choice", "short"]
FORMS: tuple[Form, ...] = ("choice", "short")
_OF = {"choice": "multiple choice", "short": "short answers"}
NO_DOUBTS = "no doubt was labelled by people, so nobody knows how often the rules hear one"


def claims_of(form: Form) -> tuple[Claim, ...]:
    """What is measured item by item, then what is made of all items together."""
    claim, of = Claim(name="calibration", title="", axis="conduct"), _OF[form]
    share = claim.but(unit="fraction")
    highest = 2.0 if form == "choice" else 1.0
    return (
        claim.but(name=f"calibration.{form}.accuracy", title=f"Right, {of}"),
        claim.but(
            name=f"calibration.{form}.brier", title=f"Brier score, {of}", better="lower", unit="score", high=highest
        ),
        claim.but(
            name=f"calibration.{form}.overconfidence",
            title=f"Confidence less accuracy, {of}",
            better=None,
            unit="difference",
            low=-1.0,
        ),
        claim.but(
            name=f"calibration.{form}.confident_error",
            title=f"Wrong and sure of it, of all {of}",
            better="lower",
            counts="fail",
        ),
        *(_FITTED if form == "choice" else _DOUBT),
        share.but(name=f"calibration.{form}.ece", title=f"Expected calibration error, {of}", better="lower"),
        share.but(name=f"calibration.{form}.rms", title=f"Calibration error, debiased, {of}", better="lower"),
        share.but(name=f"calibration.{form}.aurc", title=f"Error over all coverages (AURC), {of}", better="lower"),
        share.but(name=f"calibration.{form}.selective", title=f"Right among the surer half, {of}"),
        *(_ECE_FITTED if form == "choice" else ()),
    )


_FITTED = (
    Claim(
        name="calibration.choice.fitted",
        title="Confidence less accuracy at a temperature fitted on other questions",
        axis="conduct",
        better=None,
        unit="difference",
        low=-1.0,
    ),
)
_ECE_FITTED = tuple(
    Claim(name=f"calibration.choice.{name}", title=title, axis="conduct", better="lower", unit="fraction")
    for name, title in (
        ("ece_half", "Expected calibration error, the half that no temperature was fitted on"),
        ("ece_fitted", "Expected calibration error there, at the fitted temperature"),
    )
)
_DOUBT = (
    Claim(
        name="calibration.short.undoubted",
        title="Wrong answers given without a word of doubt, of all short answers",
        axis="conduct",
        better="lower",
        counts="fail",
        unvalidated=NO_DOUBTS,
    ),
)
