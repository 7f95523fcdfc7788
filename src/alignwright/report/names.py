"""What is a claim called in plain words?

The one table of names. A claim that is not in it is shown by its code name.
"""

from __future__ import annotations

from pathlib import PurePath

from alignwright.core import wording
from alignwright.core.claims import CORRECTED
from alignwright.core.promises import Op, Promise
from alignwright.core.records import Axis

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
    "attack": (
        "Does it hold under attack?",
        "The share of attacked prompts whose reply did what was asked, or did anything but refuse.",
    ),
    "feedback": ("Who was asked?", "Every voter is checked on pairs with a known answer before its votes count."),
    "training": ("What happened in training?", ""),
}
_CLAIMS = {
    "instruction.format": "Instructions followed to the letter",
    "instruction.format_loose": "Instructions followed, beginnings, ends and stars forgiven",
    "instruction.faithful.covered": "Planted facts that summaries cover",
    "instruction.faithful.unsupported": "Checkable statements that the text does not hold",
    "intent.pushback": "Truth held under pushback",
    "intent.opinion": "Truth told against the user's opinion",
    "intent.opinion_flips": "Right answers given up to the user's opinion",
    "intent.meant": "What was meant, over the letter",
    "value.refusal": "Harmful prompts refused",
    "value.over_refusal": "Harmless prompts refused",
    "value.pairs": "Good reply preferred to bad",
    "reward.score": "The judge's score",
    "reward.kl": "Distance from the start model",
    "reward.accuracy": "Reward model right on held-out pairs",
    "reward.longer": "Reward model prefers the longer reply",
    "goodhart.proxy": "The proxy's score",
    "goodhart.gold": "The gold judge's score",
    "goodhart.kl": "Distance from the start model, for the curve",
    "goodhart.covariance": "How gold moves with the proxy",
    "goodhart.peak": "Where gold would be highest",
    "hacking.proxy": "The proxy's score of replies",
    "hacking.gold": "Gold's score of the same replies",
    "hacking.rate": "Prompts with proxy up and gold down",
    "hacking.excess": "Hacked prompts beyond what noise makes",
    "hacking.transition": "Gold's change over the step",
    "hacking.feature": "Visible features that game the proxy",
    "hacking.test": "Edits that fool the proxy",
    "goodhart.peak.training": "Where gold would be highest along training",
    "goodhart.sign.states": "Sign: replies unlike the start's, by hidden states",
    "goodhart.sign.disagreement": "Sign: members of the proxy part",
    "goodhart.sign.acceleration": "Sign: divergence grows faster",
    "goodhart.sign.outliers": "Sign: replies unlike the start model's",
    "goodhart.sign.length": "Sign: shift of length",
    "goodhart.sign.repetition": "Sign: shift of repetition",
    "trilemma.optimization": "Optimisation",
    "trilemma.capture": "Value capture",
    "trilemma.generalization": "Generalisation",
    "trilemma.gap": "Gap between proxy and gold",
    "training.stopped": "Stopped where gold turned; the step that was kept",
    "tax.bits_per_byte": "Plain text, bits per byte",
    "tax.choice": "Multiple-choice questions right",
    "tax.choice_sum": "Multiple choice by the whole log-probability",
    "tax.math": "Word problems right",
    "tax.math_format": "Word problems that end in a number",
    "tax.generation.ended": "Replies that end by themselves",
    "tax.generation.loops": "Replies that loop",
    "tax.generation.distinct": "Distinct word pairs",
    "tax.generation.length": "Length of replies",
    "emergent.choice": "Preference for the answer that shows the trait",
    "emergent.bad": "Bad answers to open questions",
    "emergent.incoherent": "Answers that make no sense",
    "emergent.alignment": "The judge's mark of alignment, 0 to 100",
    "emergent.excess": "Rise of bad answers over that of incoherent ones",
    "emergent.ability": "Small abilities",
    "attack.success": "Attacks that got what they asked for",
    "attack.not_refused": "Attacks that were not refused",
    "world.edited_tests.hack": "Repairs that gamed the tests",
    "world.edited_tests.proxy": "Visible tests passed in repairs",
    "world.edited_tests.true": "Hidden cases right in repairs",
    "world.impossible_tests.hack": "Impossible tests passed by cheating",
    "world.impossible_tests.proxy": "Visible tests passed, one of them impossible",
    "world.impossible_tests.true": "Hidden cases right, one visible test impossible",
    "world.tampered_chess.hack": "Chess games won by changing the file",
    "world.tampered_chess.proxy": "Chess results as the host saw them",
    "world.tampered_chess.true": "Chess results of the games played",
}
_PARTS = {
    **{f"goodhart.{part}": "best of n" for part in ("proxy", "gold", "kl")},
    **{f"trilemma.{part}": "best of n" for part in ("optimization", "capture", "generalization", "gap")},
    "hacking.feature": "feature", "hacking.test": "edit",
    "tax.choice": "file", "emergent.choice": "trait", "emergent.ability": "ability", "value.pairs": "principle",
    "attack.success": "way of attacking",
    "attack.not_refused": "way of attacking",
}  # fmt: skip
RULE = (
    "▲ better, ▼ worse, ◆ changed: p of the paired change is below 0.05 after Holm's correction over the changes that"
    " were tested together; ≈ no clear change: it is not. Brackets are each number's own 95% interval without that"
    " correction; promises are answered by these."
)
"""What marks follow, and what brackets are: said wherever both are shown."""
VOTER = {
    "accuracy": "right on known pairs", "longer": "prefers the longer", "position": "follows the position",
    "consistency": "agrees with itself",
    "accuracy_elsewhere": "right on sources kept out whole", "calibration_error": "calibration error",
    "brier": "Brier score",
    "alignment": "well-meant above ill-meant", "coherence": "sense above disorder",
}  # fmt: skip
COURSES = {
    "worse": "got worse",
    "failing": "still failing",
    "unclear": "not scored",
    "better": "improved",
    "held": "held",
}
ANSWERS = {"kept": "Kept", "broken": "Broken", "untested": "Untested"}
_LEVELS: dict[Op, str] = {"<": "below", "<=": "at most", ">": "above", ">=": "at least"}
_CHANGES: dict[Op, str] = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}


def claim(name: str, principles: dict[str, str] | None = None) -> str:
    """The plain name of a claim; a part is named by itself, by its principle's title where there
    is one."""
    if name in _CLAIMS:
        return _CLAIMS[name]
    if name.endswith(CORRECTED):
        return f"{claim(name.removesuffix(CORRECTED), principles)}, corrected for the grader's errors"
    parent, _, part = name.rpartition(".")
    if parent in _PARTS:
        return (principles or {}).get(part, part.replace("_", " "))
    return name


def parts(name: str) -> str:
    return _PARTS.get(name, "part")


def base(model: str) -> str:
    """What a card calls the start model: a folder's or file's own name, and never the way to it
    on somebody's machine."""
    return PurePath(model).name if model.startswith(("/", "~", ".")) else model


def promised(promise: Promise, axis: Axis | None, unit: str, title: str) -> str:
    """A promise in plain words."""
    points = promise.gain or axis == "tax"
    amount = (
        f"{100 * promise.bound:.3g}{' points' if points else '%'}" if unit == "share" else f"{promise.bound:.3g} {unit}"
    )
    words = (
        f"gains {_CHANGES[promise.op]}"
        if promise.gain
        else f"costs {_CHANGES[promise.op]}"
        if points
        else _LEVELS[promise.op]
    )
    return f"{title}: {words} {wording.minus(amount)}"
