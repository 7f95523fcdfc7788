"""What is said of a protocol of oversight? One list of claims, under the protocol's name."""

from __future__ import annotations

from alignwright.core.claims import Claim

LABELS = {"debate": "debate", "consultancy": "consultancy"}


def claims_of(protocol: str) -> tuple[Claim, ...]:
    """How often the judge is right, with what, and how much of the gap that is."""
    accuracy = Claim(name=protocol, title=f"Judge right after the {LABELS.get(protocol, protocol)}", axis="oversight")
    gain = accuracy.but(
        name=f"{protocol}.over_unaided", title="The same, beyond the judge unaided", unit="difference", low=-1.0
    )
    alone = (accuracy.but(name=f"{protocol}.deceived", title="Judge who believes a consultant of the wrong answer",
                          better="lower", counts="fail"),) if protocol == "consultancy" else ()  # fmt: skip
    return (
        accuracy,
        gain,
        accuracy.but(name=f"{protocol}.unaided", title="Judge right without passage or arguments", better=None),
        accuracy.but(name=f"{protocol}.quoted", title="Judge right with the sentence that settles it", better=None),
        accuracy.but(name=f"{protocol}.ceiling", title="Judge right with the whole passage", better=None),
        accuracy.but(
            name=f"{protocol}.gap", title="Performance gap recovered", unit="share of the gap", low=None, high=None,
            paired=False,
        ),
        accuracy.but(name=f"{protocol}.quotes", title="Quotations that stand in the passage", better=None),
        *alone,
    )  # fmt: skip
