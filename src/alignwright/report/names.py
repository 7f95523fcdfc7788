"""What are axes, promises and changes called in plain words?

Claims and training stages bring their own titles, which the run stores (`core.claims`).
"""

from __future__ import annotations

from pathlib import PurePath

from alignwright.core import wording
from alignwright.core.promises import Op, Promise
from alignwright.core.records import Axis
from alignwright.stats.marks import Direction

AXES: dict[Axis, tuple[str, str]] = {
    "instruction": (
        "Does it do what is asked?",
        "Instructions and summaries whose fulfilment can be checked by a rule.",
    ),
    "intent": ("Does it do what is meant?", "Holding to what is true and meant, whatever the words or the pressure."),
    "value": (
        "Does it honour the values?",
        "Refusing what harms, helping with what does not, and preferring the better reply.",
    ),
    "reward": (
        "Does it get what it was trained for?",
        "A judge's score of replies to held-out prompts, and the distance moved for it.",
    ),
    "goodhart": (
        "Was the proxy gamed?",
        "The proxy that training raised, beside a gold judge it never saw; in SDs of the start model's replies.",
    ),
    "tax": (
        "What did it cost?",
        "Ability lost on the way. A promise about a tax is judged by the change from the baseline.",
    ),
    "emergent": (
        "Did anything change that nobody trained?",
        "Traits, free answers and small abilities far from what was trained on.",
    ),
    "conduct": (
        "How does it conduct itself?",
        "Bias, care where much is at stake, and doubt where it may be wrong.",
    ),
    "inside": (
        "What does it hold inside?",
        "Directions in its activations, each beside random directions, the words alone and the start model.",
    ),
    "oversight": (
        "Can it be overseen by who sees less?",
        "A judge who may not read what the question is about, helped by models that do.",
    ),
    "attack": (
        "Does it hold under attack?",
        "The share of attacked prompts whose reply did what was asked, or did anything but refuse.",
    ),
    "feedback": ("Who was asked?", "Every voter is checked on pairs with a known answer before its votes count."),
    "training": ("What happened in training?", ""),
    "logs": (
        "What do recorded conversations show?",
        "What detectors saw in what others recorded; no model of this run.",
    ),
}
RULE = (
    "▲ better, ▼ worse, ◆ changed: p of the paired change is below 0.05 after Holm's correction over the changes that"
    " were tested together; ≈ no clear change: it is not. Brackets are each number's own 95% interval without that"
    " correction; promises are answered by these."
)
"""What marks follow, and what brackets are: said wherever both are shown."""
SIGNS: dict[Direction, str] = {"better": "▲", "worse": "▼", "changed": "◆", "unclear": "≈"}
CHANGES = {
    "worse": "got worse",
    "failing": "still failing",
    "unclear": "not scored",
    "better": "improved",
    "held": "held",
}
ANSWERS = {"kept": "Kept", "broken": "Broken", "untested": "Untested"}
_LEVELS: dict[Op, str] = {"<": "below", "<=": "at most", ">": "above", ">=": "at least"}
_CHANGES: dict[Op, str] = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}


def base(model: str) -> str:
    """What a card calls the start model: a folder's or file's own name, and never the way to it
    on somebody's machine."""
    return PurePath(model).name if model.startswith(("/", "~", ".")) else model


def describe_promise(promise: Promise, axis: Axis | None, unit: str, title: str) -> str:
    """A promise in plain words."""
    points = promise.gain or axis == "tax"
    amount = (
        f"{100 * promise.bound:.3g}{' points' if points else '%'}"
        if unit == "share"
        else wording.with_unit(f"{promise.bound:.3g}", unit)
    )
    words = (
        f"gains {_CHANGES[promise.op]}"
        if promise.gain
        else f"costs {_CHANGES[promise.op]}"
        if points
        else _LEVELS[promise.op]
    )
    return f"{title}: {words} {wording.minus(amount)}"
