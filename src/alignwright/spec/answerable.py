"""Which promises could no run ever answer?

A promise is judged by one finding at the last stage (`core.promises`): a level, or with `.gain`, and for a tax, the paired change from the
start model. Not every claim has both. Some are of the start model alone, some of trained ones, some are checked once, some have no
better side, some are no mean of items that could be paired. A promise on what will not be there is refused before the run.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from alignwright.core.promises import Promise

OF_THE_START = ("goodhart.peak", "goodhart.*.best_of_*", "trilemma.*.best_of_*")
OF_THE_TRAINED = ("goodhart.kl", "reward.kl", "hacking.rate", "hacking.excess", "trilemma.*")
VOTERS = ("feedback.*",)
JUDGES = ("reward.accuracy", "reward.accuracy.*", "reward.longer", "reward.calibration_error", "reward.brier")
NO_SIDE = (
    *("goodhart.proxy", "goodhart.kl", "hacking.proxy", "reward.kl", "emergent.choice", "emergent.choice.*", "world.*.proxy"),
    "tax.generation.length",
)
UNPAIRED = ("goodhart.covariance", *OF_THE_START, *OF_THE_TRAINED)


def unanswerable(promise: Promise, trained: bool) -> str | None:
    """Why no run answers this promise on a claim that it measures; `trained`: some stage changes the model. None where one can."""
    claim, tax = promise.claim, promise.claim.startswith("tax.")
    if promise.gain and _among(claim, VOTERS):
        return "a voter is checked once, so it has no gain: promise its level"
    if promise.gain and _among(claim, JUDGES):
        return "a reward model is checked once, so it has no gain: promise its level"
    if (promise.gain or tax) and _among(claim, NO_SIDE):
        return f"neither more nor less of {claim} counts as better, so it has no {'cost' if tax else 'gain'}{'' if tax else ': promise its level'}"
    if (promise.gain or tax) and not trained:
        return "compares the trained model with the start model, but there is no train stage"
    if trained and _among(claim, OF_THE_START):
        return f"{claim} is measured of the start model alone, and a promise is about the last stage"
    if not trained and _among(claim, OF_THE_TRAINED) and not _among(claim, OF_THE_START):
        return f"{claim} is measured of a trained model, but there is no train stage"
    if promise.gain and _among(claim, UNPAIRED):
        return f"{claim} is not compared with the start model item by item, so it has no gain: promise its level"
    return None


def _among(claim: str, names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(claim, name) for name in names)
