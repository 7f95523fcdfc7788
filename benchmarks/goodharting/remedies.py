"""Of several ways to press less, or to press more wisely, what does each keep of gold for the proxy
that it gains?

Every remedy is an exact distribution over a prompt's held replies, so that its proxy, gold, KL and
chi^2 are known without sampling error:

- `best_of_32`: the control, as hard as these replies allow. `hedged`: the best of the n at which
  gold is highest on the *other* half of the replies (HedgeTune), from which the proxy has learnt,
  so that n is chosen without looking at what is judged here.
- `quantile_Q`: a draw from the best share Q (`train: {by: best_of_n, quantile: Q}`).
- `kl` and `chi2`: the best policies under a price on KL (`kl_form: reward:k1`) and on chi^2
  (`reward:chi2`), at the strength at which they have the quantilizer's KL (`_at_kl_Q`), or its
  proxy (`_at_gain_Q`): the same pressure by one measure or by the other.
- `stop`: the KL tilt, raised step by step and ended by the covariance test, as the case `monitor`
  has it.

All but the stop and the hedge need no gold label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, pstdev

import numpy as np

from alignwright.stats.arrays import Floats
from alignwright.stats.best_of_n import bon_pmf, hedge_best_of_n, quantilizer_pmf
from alignwright.stats.tilting import chi2_tilted, chi_squared, kl, tilted
from goodharting.pool import ScoredReplies

SHARES = (0.25, 0.1)
Weights = list[Floats]
Row = dict[str, float]


def compared(taught: ScoredReplies, held: ScoredReplies, stop: float | None) -> dict[str, Row]:
    """Each remedy's mean over prompts. `stop` is the strength at which the monitor ended the
    tilt; None where it never did."""
    most = len(held[0][1])
    n = max(1, round(hedge_best_of_n([(p.tolist(), g.tolist()) for _, _, p, g in taught], most).at))
    even = [np.full(len(p), 1 / len(p)) for _, _, p, _ in held]
    found: dict[str, Weights] = {"start": even, f"best_of_{most}": chosen(held, lambda p: bon_pmf(p, most))}
    found["hedged"] = chosen(held, lambda p: bon_pmf(p, n))
    for share in SHARES:
        kept = chosen(held, lambda p, share=share: quantilizer_pmf(p, share))
        found[f"quantile_{share:g}"] = kept
        for name, tilt in (("kl", tilted), ("chi2", chi2_tilted)):
            found[f"{name}_at_kl_{share:g}"] = at(held, tilt, lambda w: told(held, w)["kl"], told(held, kept)["kl"])
            found[f"{name}_at_gain_{share:g}"] = at(
                held, tilt, lambda w: told(held, w)["proxy"], told(held, kept)["proxy"]
            )
    if stop is not None:
        found["stop"] = [tilted(w.tolist(), p.tolist(), stop) for w, (_, _, p, _) in zip(even, held, strict=True)]
    rows = {name: told(held, weights) for name, weights in found.items()}
    rows["hedged"]["n"] = n
    return rows


def chosen(sheet: ScoredReplies, choice: Callable[[Sequence[float]], Floats]) -> Weights:
    """A choice by rank: `choice` gives the distribution over replies from the lowest proxy to
    the highest."""
    made = Weights()
    for _, _, proxy, _ in sheet:
        weight = np.empty(len(proxy))
        weight[np.argsort(proxy, kind="stable")] = choice([1 / len(proxy)] * len(proxy))
        made.append(weight)
    return made


def at(
    sheet: ScoredReplies, tilt: Callable[..., Floats], measured: Callable[[Weights], float], wanted: float
) -> Weights:
    """The tilt, by one strength for all prompts, at which what is measured is what is wanted. It
    rises with strength; bisected."""

    def tilts(strength: float) -> Weights:
        return [tilt([1 / len(p)] * len(p), p, strength) for _, _, p, _ in sheet]

    low, high = 0.0, 1.0
    while measured(tilts(high)) < wanted:
        low, high = high, 2 * high
        if high > 1e6:
            raise ValueError(f"no strength reaches {wanted:g}: at {low:g} it is {measured(tilts(low)):g}")
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if measured(tilts(middle)) < wanted else (low, middle)
    return tilts(high)


def told(sheet: ScoredReplies, weights: Weights) -> Row:
    """Means over prompts: nats and chi^2 from the start, proxy in its SDs above the start, gold
    as it is."""
    even = [np.full(len(w), 1 / len(w)) for w in weights]
    return {
        "kl": fmean(kl(w, e) for w, e in zip(weights, even, strict=True)),
        "chi2": fmean(chi_squared(w, e) for w, e in zip(weights, even, strict=True)),
        "proxy": fmean(float((w - e) @ p) for w, e, (_, _, p, _) in zip(weights, even, sheet, strict=True)),
        "gold": fmean(float(w @ g) for w, (_, _, _, g) in zip(weights, sheet, strict=True)),
    }


def summary(cases: Sequence[dict[str, Row]]) -> dict[str, dict[str, list[float]]]:
    """Mean and SD over seeds of every remedy, of gold also less the start's. A stop that did not
    come on some seed counts those on which it did."""
    made: dict[str, dict[str, list[float]]] = {}
    for name in dict.fromkeys(name for case in cases for name in case):
        rows = [case[name] | {"gain": case[name]["gold"] - case["start"]["gold"]} for case in cases if name in case]
        made[name] = {of: [round(spread([row[of] for row in rows]), 3) for spread in (fmean, pstdev)] for of in rows[0]}
        made[name]["seeds"] = [len(rows)]
    return made
