"""Early warning: which signs of over-optimisation show without a gold label?

Alarms are set and checked on the start model's own replies (`stats.warning_signals`). They are early and
cheap, and measure strangeness, not harm: a model that learnt what was meant is strange, too. So
each finding carries the measured rate of false alarms, and none has a better side. That rate was
measured on the start model's replies to these very prompts: of other prompts, on which replies
differ, it says nothing.

- `outliers`, `length`, `repetition`: replies outside the start model's cloud of visible features
  (`text.reply_features`), and two of them alone.
- `states`: the share of replies outside the cloud of the *start* model's own states, which reads
  the replies of both. The published MOP reads a reward model's; the reader stays the same in both,
  or a model that moved would be an outlier whatever it said.
- `disagreement`: where the proxy is an ensemble, how much more its members part over these replies
  than over the start's.
- `acceleration`: whether divergence grew faster at the last checkpoint than at the one before.

A sign that cannot be computed is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from alignwright.core.records import Finding
from alignwright.measure.goodhart.scaling_law import Trajectory
from alignwright.measure.goodhart.scored_replies import ScoredReplies
from alignwright.stats.arrays import Floats
from alignwright.stats.warning_signals import (
    Statistic,
    WarningSignal,
    acceleration,
    disagreement,
    outliers,
    shift,
    shrunk_outliers,
    warning_signal,
)
from alignwright.text.reply_features import features

Rows = Sequence[Floats]  # of each sheet [replies, D]
PARTS = 3  # to fit, to set the alarm, to measure how often it is false
LEAST_PROMPTS = 4
_NOTE = (
    "label-free: how unlike the start model's the replies are, not whether they are worse; the rate of false alarms was"
    " measured on these prompts, and says nothing of other prompts"
)
_UNITS = {"outliers": "share", "states": "share", "disagreement": "x start", "acceleration": "nats"}


def signs(
    model: str,
    start: Sequence[ScoredReplies],
    now: Sequence[ScoredReplies],
    *,
    members: tuple[Rows, Rows] | None = None,
    states: tuple[Rows, Rows] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
) -> list[Finding]:
    """The signs of a trained model; one that the start model's replies are too few or too alike for
    is left out.

    `members` and `states` are of the start's and of this model's replies, sheet by sheet: the
    scores of an ensemble's members, and states.
    """
    there, names, findings = (
        [i for i, sheet in enumerate(start) if not sheet.is_shifted],
        list(features("", "")),
        list[Finding](),
    )
    feature_rows = [[_rows(sheets[i]) for i in there] for sheets in (start, now)]

    def add(name: str, rows: Sequence[Rows], fitted: Callable[[Floats, Floats], Statistic]) -> None:
        parts = _parts(*rows)
        if parts is None:
            return
        try:
            statistic = fitted(np.concatenate(parts[0]), np.concatenate(parts[1]))
        except ValueError:
            return  # all alike, or too few for a cloud: there is no such sign
        findings.append(
            _finding(
                name,
                model,
                warning_signal(name, statistic, *parts[1:], alpha=alpha, seed=seed),
                sum(map(len, parts[3])),
            )
        )

    add("outliers", feature_rows, lambda fit, _: outliers(fit, alpha))
    for name, column in (("length", "words"), ("repetition", "repetition")):
        add(name, [[rows[:, names.index(column)] for rows in part] for part in feature_rows], lambda fit, _: shift(fit))
    if states:
        add(
            "states",
            [[part[i] for i in there] for part in states],
            lambda fit, others: shrunk_outliers(fit, others, alpha),
        )
    if members:
        add("disagreement", [[_whole(part[i]) for i in there] for part in members], lambda fit, _: disagreement(fit))
    return findings


def accelerating(model: str, way: Trajectory, *, alpha: float = 0.05, seed: int = 0) -> list[Finding]:
    """The sign `acceleration`; empty with fewer than three checkpoints, the start among them, or
    with fewer than four prompts."""
    if len(way.kl_TP) < 3 or way.kl_TP.shape[1] < LEAST_PROMPTS:
        return []
    signal = acceleration(way.kl_TP, alpha=alpha, seed=seed)
    return [
        _finding(
            "acceleration",
            model,
            signal,
            way.kl_TP.shape[1],
            f"; over the last three of {way.of}, taken as evenly spaced",
        )
    ]


def _parts(start: Rows, now: Rows) -> tuple[list[Floats], list[Floats], list[Floats], list[Floats]] | None:
    """The start's replies to each prompt dealt in three, and this model's; None where too few
    prompts have enough."""
    inside = [(first, mine) for first, mine in zip(start, now, strict=True) if len(first) >= PARTS and len(mine)]
    if len(inside) < LEAST_PROMPTS:
        return None
    fit, calibrate, test = ([first[k::PARTS] for first, _ in inside] for k in range(PARTS))
    return fit, calibrate, test, [mine for _, mine in inside]


def _whole(rows: Floats) -> Floats:
    """Without replies that the members could not score."""
    return rows[np.isfinite(rows).all(axis=1)]


def _rows(sheet: ScoredReplies) -> Floats:
    question = sheet.prompt.conversation.last.content
    return np.array([list(features(question, reply).values()) for reply in sheet.replies], dtype=np.float64)


def _finding(name: str, model: str, signal: WarningSignal, n: int, more: str = "") -> Finding:
    fields = {
        "claim": f"goodhart.sign.{name}",
        "stage": model,
        "axis": "goodhart",
        "value": signal.value,
        "n": n,
        "method": signal.summary,
    }
    return Finding.model_validate(fields | {"unit": _UNITS.get(name, "SD"), "better": None, "note": _NOTE + more})
