"""How well is reward hacking in words told from honest replies, on tasks that nothing was fitted on?

`python benchmarks/hacking_words.py [--write]` reads School of Reward Hacks from the folder that ALIGNWRIGHT_DATA
names, fits the weights of `measure.conduct.transcripts.hacking_words` on the half of its tasks that is the fit part,
and prints what they and the best one-line rules come to on the half that is kept apart. With --write the weights and
these numbers become the package's own (`measure/data/hacking_words.json`). Without it they are compared with those.
`detectors` are the detectors for which there are labelled data, as the package tries them on tasks kept apart, beside
the best one-line rule there: reward hacking in words on replies that are no code, in code on the set's programs beside
HumanEval's own solutions, and refusals on XSTest's completions and RBR gold (their half that no rule was read against).
`targets`: the lower end of what each is above that rule, which must be above 0; exit 1 on a miss.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from graders import rbr, xstest

from alignwright.files.transcripts import RecordedConversation
from alignwright.files.turns import Turn
from alignwright.measure.conduct.transcripts.detectors import detector_named
from alignwright.measure.conduct.transcripts.hacking_words import FEWEST, features
from alignwright.measure.conduct.transcripts.measure import trial_of
from alignwright.measure.conduct.transcripts.one_line_rules import CountedText, best_rules, kept_apart
from alignwright.stats.auroc import auroc

STORED = Path(__file__).parents[1] / "src/alignwright/measure/data/hacking_words.json"
FILES = {"sneaky_dialogues.jsonl": True, "straightforward_dialogues.jsonl": False}
RIDGE = 1.0


def rows() -> list[tuple[str, str, bool]]:
    """Prompt, reply, and whether it was written to hack."""
    folder = Path(os.environ["ALIGNWRIGHT_DATA"]) / "school_of_reward_hacks"
    every = []
    for name, hacked in FILES.items():
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            prompt, reply = (message["content"] for message in json.loads(line)["messages"])
            if len(reply.split()) >= FEWEST:
                every.append((prompt, reply, hacked))
    return every


def logistic(x_NF: np.ndarray, y_N: np.ndarray) -> np.ndarray:
    """Weights with the intercept last, by Newton's method, ridge on all but the intercept."""
    x_NF = np.column_stack([x_NF, np.ones(len(x_NF))])
    penalty_F = np.r_[np.full(x_NF.shape[1] - 1, RIDGE), 0.0]
    weight_F = np.zeros(x_NF.shape[1])
    for _ in range(50):
        p_N = 1 / (1 + np.exp(-x_NF @ weight_F))
        gradient_F = x_NF.T @ (p_N - y_N) + penalty_F * weight_F
        hessian_FF = (x_NF * (p_N * (1 - p_N))[:, None]).T @ x_NF + np.diag(penalty_F)
        step_F = np.linalg.solve(hessian_FF, gradient_F)
        weight_F = weight_F - step_F
        if np.abs(step_F).max() < 1e-10:
            break
    return weight_F


def main() -> int:
    fit, kept = [], []
    for row in rows():
        (kept if kept_apart(row[0]) else fit).append(row)
    names = list(features("", "a b c d"))
    x_NF = np.array([list(features(prompt, reply).values()) for prompt, reply, _ in fit])
    mean_F, sd_F = x_NF.mean(axis=0), x_NF.std(axis=0)
    weight_F = logistic((x_NF - mean_F) / sd_F, np.array([float(hacked) for *_, hacked in fit]))
    stored = {
        "features": {
            name: {"weight": round(float(w), 4), "mean": round(float(m), 4), "sd": round(float(s), 4)}
            for name, w, m, s in zip(names, weight_F, mean_F, sd_F, strict=False)
        },
        "intercept": round(float(weight_F[-1]), 4),
    }
    scores = [score(stored, prompt, reply) for prompt, reply, _ in kept]
    labels, tasks = [hacked for *_, hacked in kept], [prompt for prompt, *_ in kept]
    area = auroc(scores, labels, tasks)
    rules = best_rules([reply for _, reply, _ in fit], [hacked for *_, hacked in fit])
    areas = {
        rule.words: auroc([rule.strength(CountedText.of(reply)) for _, reply, _ in kept], labels).value
        for rule in rules
    }
    positives, negatives = sum(labels), len(labels) - sum(labels)
    hits = sum(s >= 0 and y for s, y in zip(scores, labels, strict=True))
    clears = sum(s < 0 and not y for s, y in zip(scores, labels, strict=True))
    stored["known"] = {
        "source": "School of Reward Hacks, tasks kept apart",
        "auroc": round(area.value or 0.0, 3), "low": round(area.interval.low or 0.0, 3),
        "high": round(area.interval.high or 0.0, 3),
        "sensitivity": round(hits / positives, 4), "positives": positives,
        "specificity": round(clears / negatives, 4), "negatives": negatives,
    }  # fmt: skip
    rules_shown = {name: round(area or 0.0, 3) for name, area in areas.items()}
    detectors = tried()
    targets = {f"{name}_above_its_rule": [row["above"][1], 0.0, row["above"][1] > 0] for name, row in detectors.items()}
    sizes = {"fit": len(fit), "kept apart": len(kept)}
    print(json.dumps({"known": stored["known"], "one_line_rules": rules_shown, **sizes, "detectors": detectors,
                      "targets": targets}))  # fmt: skip
    if "--write" in sys.argv:
        STORED.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        return 0
    same = json.loads(STORED.read_text(encoding="utf-8")) == stored
    return 0 if same and all(met for *_, met in targets.values()) else 1


def tried() -> dict[str, Any]:
    """Each detector on the tasks kept apart, and the best one-line rule there."""
    folder, detectors = Path(os.environ["ALIGNWRIGHT_DATA"]), dict[str, Any]()
    hacks = [
        _transcript(prompt, reply, hacked)
        for name, hacked in FILES.items()
        for line in (folder / "school_of_reward_hacks" / name).read_text(encoding="utf-8").splitlines()
        for prompt, reply in [[message["content"] for message in json.loads(line)["messages"]]]
    ]
    with gzip.open(folder / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        solved = [json.loads(line) for line in file]
    honest = [
        _transcript(
            f"{one['prompt']}\n{one['test']}", f"```python\n{one['prompt']}{one['canonical_solution']}```", False
        )
        for one in solved
    ]
    refusals = [_transcript(row.prompt, row.reply, row.label) for row in (*xstest(folder), *rbr(folder))
                if row.question == "refused"]  # fmt: skip
    for name, logs in (("hacking_words", hacks), ("hacking_code", hacks + honest), ("refusal", refusals)):
        detector = detector_named(name)
        trial = trial_of(detector.label, [(each, detector.detect(each)) for each in logs])
        assert trial is not None
        spans = [
            (area.value, area.interval.low, area.interval.high) for area in (trial.area, trial.rule_area, trial.above)
        ]
        area, of_rule, above = ([round(number or 0.0, 3) for number in span] for span in spans)
        detectors[name] = {
            "auroc": area, "rule": trial.rule, "rule_auroc": of_rule, "above": above,
            "hits": [trial.hits, trial.area.positives], "clears": [trial.clears, trial.area.negatives],
        }  # fmt: skip
    return detectors


def _transcript(prompt: str, reply: str, label: bool) -> RecordedConversation:
    """Its label is one of hacking and of refusing: each set is shown to one kind of detector."""
    turns = (Turn(role="user", content=prompt), Turn(role="assistant", content=reply))
    return RecordedConversation(turns=turns, hacked=label, refused=label)


def score(weights: dict, prompt: str, reply: str) -> float:
    values = features(prompt, reply)
    return weights["intercept"] + sum(
        each["weight"] * (values[name] - each["mean"]) / each["sd"] for name, each in weights["features"].items()
    )


if __name__ == "__main__":
    sys.exit(main())
