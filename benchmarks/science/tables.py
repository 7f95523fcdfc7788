"""What do the lines come to? Markdown tables: a mean over seeds with Student's t interval for
everything that has two seeds or more."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from alignwright.stats.intervals import wilson
from science.log import over_seeds, read

Row = dict[str, Any]
NOISE_LOSSES = ("dpo", "cdpo", "robust_dpo", "ipo", "hinge", "oracle")
EARLY = 8
"""The step at which a point is measured besides the last."""
Value = Callable[[Row], float | None]


def markdown(path: Path) -> dict[str, str]:
    """All tables by name."""
    rows: list[Row] = [dict(line) for line in read(path) if not line["quick"]]
    return {
        "tabular_frontier": tabular(rows), "flips_planted": planted(rows), "sentiment_frontier": sentiment(rows),
        "equal_divergence": ahead(rows), "hh": hh(rows), "noise": noise(rows), "noise_cells": cells(rows),
        "noise_again": again(rows),
        "cost": cost(rows),
    }  # fmt: skip


def fill(path: Path, page: Path) -> None:
    """Put the tables of the results at `path` into a page, each between its marks; the text
    around them is written by hand."""
    text = page.read_text(encoding="utf-8")
    for name, made in markdown(path).items():
        start, end = f"<!-- table: {name} -->", f"<!-- end: {name} -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{page} has no place for the table {name}: it should hold the lines {start} and {end}")
        text = f"{before}{start}\n{made}\n{end}{after}"
    page.write_text(text, encoding="utf-8")


def grouped(rows: Sequence[Row], prefix: str, *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows of a family by name and some facts, one row a seed."""
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["name"].startswith(prefix):
            found[(row["name"], *(row["facts"].get(key) for key in keys))].append(row)
    return found


def told(rows: Sequence[Row], value: Value, form: str = "{:.3f}") -> str:
    """Mean [interval] over seeds."""
    values = [v for v in map(value, rows) if v is not None]
    if not values:
        return "-"
    mean, low, high = over_seeds(values)
    return (
        form.format(mean)
        if low is None or high is None
        else f"{form.format(mean)} [{form.format(low)}, {form.format(high)}]"
    )


def fact(name: str) -> Value:
    return lambda row: row["facts"].get(name)


def level(row: Row) -> float:
    return row["value"]


def table(heads: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def tabular(rows: Sequence[Row]) -> str:
    body: list[list[object]] = []
    for (name, beta, step, best), found in grouped(rows, "tabular_frontier.", "beta", "step", "best_of").items():
        short = name.split(".")[1]
        if short == "zero_reward":
            began = max(row["facts"]["began"] for row in found)
            body.append(
                [
                    short,
                    f"from KL {began:.2f}",
                    len(found),
                    f"at most {max(row['value'] for row in found):.0e}",
                    "-",
                    "-",
                    "-",
                ]
            )
            continue
        knob = f"beta {beta:g}" if beta else f"step {step:.0f}" if step else f"n {best:.0f}" if best else "beta 1"
        worst = max(row["value"] for row in found)
        short_by = told(found, fact("gap_sd")) if worst > 1e-4 else "< 0.001"
        body.append(
            [
                short,
                knob,
                len(found),
                told(found, fact("kl"), "{:.2f}"),
                told(found, fact("reward"), "{:.2f}"),
                f"{worst:.1e}",
                short_by,
            ]
        )
    return table(["method", "knob", "seeds", "KL", "reward", "worst gap (share of the gain)", "gap (reward SD)"], body)


def planted(rows: Sequence[Row]) -> str:
    body = []
    for (name,), found in grouped(rows, "flips_planted.").items():
        _, kind, votes, labels, loss = name.split(".")
        if labels != "flipped" and loss not in ("dpo", "robust_dpo"):
            continue
        less = "-" if loss == "dpo" else told(found, fact("accuracy_less_dpo"))
        columns = [told(found, level), less, told(found, fact("clean_loss")), told(found, fact("error"), "{:.2f}")]
        body.append([kind, votes, labels, loss, len(found), *columns])
    return table(
        ["features", "votes", "labels", "loss", "seeds", "accuracy", "less DPO's", "loss on clean votes", "error of w"],
        body,
    )


def sentiment(rows: Sequence[Row]) -> str:
    body = []
    for (name, knob), found in points(rows).items():
        kl = told(found, fact("kl"), "{:.2f}")
        body.append(
            [name.split(".")[1], knob, len(found), kl, told(found, level), told(found, fact("different"), "{:.2f}")]
        )
    return table(["method", "at", "seeds", "KL (nats a reply)", "reward", "different replies"], body)


def points(rows: Sequence[Row]) -> dict[tuple[Any, ...], list[Row]]:
    """Points of the sentiment frontier. Numbers of steps differ between seeds, so a last step is
    called so; one may be the eighth as well."""
    named: list[Row] = []
    for row in rows:
        facts = row["facts"]
        if row["name"].startswith("sentiment_frontier."):
            step, best = facts.get("step"), facts.get("best_of")
            here = (
                [f"n {best}"]
                if best and best > 1
                else [f"step {step}"]
                if step and step != facts["steps"]
                else ["last step"]
                if step
                else [""]
            )
            here += [f"step {step}"] if step == EARLY and here == ["last step"] else []
            named += [{**row, "facts": {**facts, "at": at}} for at in here]
    found = grouped(named, "sentiment_frontier.", "at")
    ends = [
        key
        for key, group in found.items()
        if key[1] == f"step {EARLY}" and all(row["facts"]["steps"] == EARLY for row in group)
    ]
    return {key: group for key, group in found.items() if key not in ends}


def ahead(rows: Sequence[Row]) -> str:
    """Each method against SFT at equal divergence, the largest that both reach: reward on the
    lines through the start and a method's points."""
    seeds: dict[int, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["name"].startswith("sentiment_frontier."):
            seeds[row["seed"]][row["name"].split(".")[1]].append((row["facts"]["kl"], row["value"]))
    gaps: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for curves in seeds.values():
        start = curves.pop("start", [])
        for method in curves.keys() - {"sft"}:
            lines = [[*start, *curves[name]] for name in (method, "sft")]
            kl = min(max(x for x, _ in line) for line in lines)
            there = [between(line, kl) for line in lines]
            if start and curves.get("sft") and there[0] is not None and there[1] is not None:
                gaps[method].append((kl, there[0] - there[1]))
    body = [
        [
            method,
            len(found),
            told([{"value": kl} for kl, _ in found], level, "{:.2f}"),
            told([{"value": gap} for _, gap in found], level),
        ]
        for method, found in sorted(gaps.items())
    ]
    return table(["method", "seeds", "at KL", "reward less SFT's"], body)


def between(curve: Sequence[tuple[float, float]], kl: float) -> float | None:
    """Reward at `kl` on the broken line through the points; None beyond its ends."""
    ordered = sorted(curve)
    for (left, low), (right, high) in pairwise(ordered):
        if left <= kl <= right and right > left:
            return low + (high - low) * (kl - left) / (right - left)
    return None


def hh(rows: Sequence[Row]) -> str:
    """Judges beside the better rule of length: the longer reply on helpful, the shorter one on
    harmless."""
    body = []
    for (name,), found in grouped(rows, "hh.").items():
        _, which, method = name.split(".")
        if method == "length":
            longer = found[0]
            body.append(
                [
                    which,
                    "longer, whole file",
                    "-",
                    longer["n"],
                    limited(longer["value"], longer["low"], longer["high"]),
                    "-",
                    "-",
                    "-",
                ]
            )
        else:
            body.append([which, method, *(judged if method.startswith("reward") else resplit)(found, which)])
    return table(
        [
            "set",
            "judge",
            "training pairs",
            "held-out pairs",
            "accuracy",
            "each fold",
            "rule of length, same pairs",
            "difference",
        ],
        body,
    )


def judged(found: Sequence[Row], which: str) -> list[object]:
    """Folds: every pair was held out once, so they are pooled; the interval of a difference is
    over pairs."""
    n, right = sum(row["n"] for row in found), sum(row["facts"]["right"] for row in found)
    over, squares = (sum(row["facts"][name] for row in found) for name in ("over_sum", "over_squares"))
    share = wilson(round(right), n)
    half = 1.96 * math.sqrt((squares / n - (over / n) ** 2) / (n - 1))
    rule = (
        sum(
            row["n"] * (row["facts"]["longer_heldout"] if which == "helpful" else 1 - row["facts"]["longer_heldout"])
            for row in found
        )
        / n
    )
    each = ", ".join(f"{row['value']:.3f}" for row in found)
    beyond = limited(over / n, over / n - half, over / n + half)
    return [found[0]["facts"]["train_pairs"], n, limited(right / n, share.low, share.high), each, f"{rule:.3f}", beyond]


def resplit(found: Sequence[Row], which: str) -> list[object]:
    """Splits of one pool that overlap: t intervals over seeds."""
    rule: Value = (
        (lambda row: row["facts"]["length_heldout"])
        if which == "helpful"
        else (lambda row: 1 - row["facts"]["length_heldout"])
    )
    over: Value = lambda row: row["value"] - (rule(row) or 0.0)  # noqa: E731 - named by its use
    pairs = [found[0]["facts"]["train_pairs"], f"{found[0]['n']} x {len(found)} splits"]
    return [*pairs, told(found, level), "-", told(found, rule), told(found, over)]


def noise(rows: Sequence[Row]) -> str:
    """Each loss where its own choice fell."""
    body = []
    for kind in ("all", "few"):
        here = {
            key[0]: found[0] for key, found in grouped(rows, f"noise.{kind}.").items() if key[0].endswith(".chosen")
        }
        for rate in ("0", "0.1", "0.2", "0.3", "0.4", "0.5"):
            for loss in NOISE_LOSSES:
                row = here.get(f"noise.{kind}.{rate}.{loss}.chosen")
                if row and (loss in ("dpo", "robust_dpo", "oracle") or rate in ("0", "0.3")):
                    body.append([kind, f"{float(rate):.0%}", loss, *chosen(row)])
    heads = [
        "features",
        "flips",
        "loss",
        "accuracy",
        "less DPO's",
        "(corrected t)",
        "loss on clean labels",
        "less DPO's",
        "miscalibrated",
        "learnt",
    ]
    return table(heads, body)


def chosen(row: Row) -> list[object]:
    facts = row["facts"]
    less = [within(facts, "accuracy_less_dpo"), within(facts, "accuracy_less_dpo", "_corrected", alone=True)]
    cost = [f"{facts['clean_loss']:.3f}", within(facts, "loss_less_dpo")]
    return [
        limited(row["value"], row["low"], row["high"]),
        *less,
        *cost,
        f"{facts['miscalibrated']:.3f}",
        f"{facts['learnt']:.2f}",
    ]


def cells(rows: Sequence[Row]) -> str:
    """Every beta and number of steps: what is ahead of DPO there, in accuracy."""
    body = []
    for kind in ("all", "few"):
        here: dict[tuple[float, float], dict[str, Row]] = defaultdict(dict)
        for row in rows:
            parts = row["name"].split(".")
            if parts[:2] == ["noise", kind] and parts[-1] in ("cell", "gain_cell"):
                here[row["facts"]["beta"], row["facts"]["steps"]][".".join(parts[2:-1]) or "gain"] = row
        for (beta, steps), at in sorted(here.items()):
            dpo, robust = at["0.3.dpo"], at["0.3.robust_dpo"]
            least = within(robust["facts"], "accuracy_less_dpo", "_low_of_all", "_high_of_all", alone=True)
            ahead = [within(robust["facts"], "accuracy_less_dpo"), least]
            others = [f"{at[f'0.3.{loss}']['facts']['accuracy_less_dpo']:+.3f}" for loss in ("cdpo", "ipo", "hinge")]
            oracle, none = (within(at[name]["facts"], "accuracy_less_dpo") for name in ("0.3.oracle", "0.robust_dpo"))
            gain = limited(at["gain"]["value"], at["gain"]["low"], at["gain"]["high"])
            where = [kind, f"{beta:g}", f"{steps:.0f}", f"{dpo['facts']['learnt']:.2f}", f"{dpo['value']:.3f}"]
            body.append([*where, *ahead, *others, oracle, none, gain])
    heads = [
        "features",
        "beta",
        "steps",
        "learnt by DPO",
        "DPO",
        "robust DPO",
        "at .05/32",
        "cDPO",
        "IPO",
        "hinge",
        "oracle",
    ]
    return table([*heads, "robust DPO, no flips", "gain by flips"], body)


def again(rows: Sequence[Row]) -> str:
    """The second run: accuracy less DPO's."""
    body = []
    for row in (row for row in rows if row["job"] == "noise.again"):
        *_, rate, loss, where = row["name"].replace("0.3", "30 %").replace(".0.", ".0 %.").split(".")
        key = {"by_heart": "ahead", "gain_chosen": "gain"}.get(where, "accuracy_less_dpo")
        if key in row["facts"]:
            said = [within(row["facts"], key), within(row["facts"], key, "_corrected", alone=True)]
            what = "robust_dpo, 30 % less 0 %" if "gain" in (loss, key) else f"{loss}, {rate} flipped"
            body.append(["learnt by heart, mean" if where == "by_heart" else "chosen", what, *said])
    return table(["cells", "loss", "less DPO's", "(corrected t)"], body)


def within(facts: Row, name: str, low: str = "", high: str | None = None, *, alone: bool = False) -> str:
    """A fact with its limits, or the limits alone; `low` says which limits, all of one stem or
    by both their tails."""
    if name not in facts:
        return "-"
    ends = (f"{name}{low}_low", f"{name}{low}_high") if high is None else (f"{name}{low}", f"{name}{high}")
    said = f"[{facts[ends[0]]:.3f}, {facts[ends[1]]:.3f}]"
    return said if alone else f"{facts[name]:.3f} {said}"


def limited(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def cost(rows: Sequence[Row]) -> str:
    """Processor time of each experiment."""
    spent: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    for row in rows:
        spent[row["name"].split(".")[0]][row["job"], row["seed"]] = row["seconds"]
    return table(
        ["experiment", "jobs", "processor minutes"],
        [[name, len(jobs), f"{sum(jobs.values()) / 60:.1f}"] for name, jobs in spent.items()],
    )
