"""How often does a corrected rate's 95 % interval hold the truth?

`python benchmarks/corrected.py` plants a true share, a grader whose sensitivity and specificity
differ from source to source, labels of some sources, and a run that is one more source: 160 replies
in 20 topics. For each setting it prints one JSON line: coverage and mean width of the interval by
transferred errors, the share of runs without one, and, as a control, coverage where the pooled
errors are taken as exact. Then the same for labels of the run's own replies (PPI++). First of all,
for each real source of the graders' labels, whether its labelled share lies in the interval that
the other sources' errors give. `--runs 400` simulated runs a setting; about a CPU-minute.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from typing import get_args

import numpy as np

from alignwright.measure.corrected_rate import known_calls, powered_rate
from alignwright.stats.intervals import clustered, wilson
from alignwright.stats.rogan_gladen import BinomialCount, corrected_rate
from alignwright.text.grader_error import GraderName, known_errors

TOPICS, EACH, LABELS = 20, 8, 80
CENTRE = 2.2  # a logit: sensitivity and specificity of .90 in the middle
NAMES = [f"topic {i}" for i in range(TOPICS) for _ in range(EACH)]


def transferred(truth: float, sources: int, spread: float, runs: int, rng: np.random.Generator) -> dict[str, object]:
    """Coverage on a source that nobody labelled."""
    held, naive, widths = 0, 0, list[float]()
    for _ in range(runs):
        own = 1 / (1 + np.exp(-(CENTRE + spread * rng.standard_normal((2, sources + 1)))))
        calls = [[BinomialCount(int(rng.binomial(LABELS, right)), LABELS) for right in side[1:]] for side in own]
        estimate = clustered(_graded(truth, own[0, 0], own[1, 0], rng)[0].tolist(), NAMES, bounds=(0.0, 1.0))
        if estimate.value is None or estimate.interval.low is None or estimate.interval.high is None:
            continue
        found = corrected_rate((estimate.value, estimate.interval.low, estimate.interval.high), *calls)
        if found.low is None or found.high is None:
            continue
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        right, no = (sum(c.right for c in side) / sum(c.of for c in side) for side in calls)
        naive += (
            (estimate.interval.low + no - 1) / (right + no - 1)
            <= truth
            <= (estimate.interval.high + no - 1) / (right + no - 1)
        )
    made = len(widths)
    told = {
        "by": "transferred",
        "truth": truth,
        "sources": sources,
        "spread": spread,
        "absent": round(1 - made / runs, 3),
    }
    return told | (
        {"coverage": round(held / made, 3), "width": round(sum(widths) / made, 3), "exact": round(naive / made, 3)}
        if made
        else {}
    )


def left_out(grader: GraderName) -> list[dict[str, object]]:
    """Each source of the real grader's labels, its graded share corrected by the errors on the
    other sources alone."""
    known, told = known_errors(grader), list[dict[str, object]]()
    for one in known if len(known) > 1 else ():
        yes, no = one.positives * (1 - one.unclear_positives), one.negatives * (1 - one.unclear_negatives)
        right, wrong = one.sensitivity * one.positives, (1 - one.specificity - one.unclear_negatives) * one.negatives
        graded = round(right + wrong), round(yes + no)
        limits = wilson(*graded)
        if limits.low is None or limits.high is None:
            continue
        found = corrected_rate(
            (graded[0] / graded[1], limits.low, limits.high),
            *known_calls([other for other in known if other is not one]),
        )
        held = None if found.low is None or found.high is None else found.low <= yes / (yes + no) <= found.high
        line = {
            "by": "other sources",
            "grader": grader,
            "source": one.source,
            "labelled": yes / (yes + no),
            "graded": graded[0] / graded[1],
        }
        told.append(line | {"corrected": found.value, "low": found.low, "high": found.high, "held": held})
    return told


def labelled(truth: float, labels: int, runs: int, rng: np.random.Generator) -> dict[str, object]:
    """Coverage of the run's own truth-generating share by labels of some of its replies."""
    held, widths = 0, list[float]()
    for _ in range(runs):
        graded, truths = _graded(truth, 0.8, 0.85, rng)
        seen = set(rng.choice(len(truths), labels, replace=False).tolist())
        found = powered_rate([float(t) if i in seen else None for i, t in enumerate(truths)], graded.tolist(), NAMES)
        if found.low is None or found.high is None:
            continue
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    made = max(1, len(widths))
    told = {"by": "labels", "truth": truth, "labels": labels, "absent": round(1 - len(widths) / runs, 3)}
    return told | {"coverage": round(held / made, 3), "width": round(sum(widths) / made, 3)}


def _graded(truth: float, right: float, no: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What the grader said of each reply, and what it truly is; topics differ."""
    shares = np.repeat(rng.beta(9 * truth, 9 * (1 - truth), size=TOPICS), EACH)
    truths = rng.random(TOPICS * EACH) < shares
    return np.where(truths, rng.random(len(truths)) < right, rng.random(len(truths)) >= no).astype(float), truths


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    for grader in get_args(GraderName):
        for line in left_out(grader):
            print(
                json.dumps(
                    {name: round(value, 3) if isinstance(value, float) else value for name, value in line.items()}
                ),
                flush=True,
            )
    runs, rng = parser.parse_args().runs, np.random.default_rng(0)
    for truth, sources, spread in product((0.05, 0.2, 0.5, 0.85), (1, 2, 4), (0.0, 0.5, 1.0)):
        print(json.dumps(transferred(truth, sources, spread, runs, rng)), flush=True)
    for truth, labels in product((0.05, 0.2, 0.5, 0.85), (20, 40, 80)):
        print(json.dumps(labelled(truth, labels, runs, rng)), flush=True)


if __name__ == "__main__":
    main()
