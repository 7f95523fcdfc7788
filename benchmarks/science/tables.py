"""What do the lines come to? Markdown tables: a mean over seeds with Student's t interval for everything that has two seeds or more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from science.log import over_seeds, read

Row = dict[str, Any]
Value = Callable[[Row], float | None]


def markdown(path: Path) -> str:
    """All tables, each under its name; the text between them is written by hand in docs/results.md."""
    rows: list[Row] = [dict(line) for line in read(path) if not line["quick"]]
    made = {
        "tabular_frontier": tabular(rows), "flips_planted": planted(rows), "sentiment_frontier": sentiment(rows),
        "dpo_over_sft": ahead(rows), "hh": hh(rows), "flips": flips(rows), "cost": cost(rows),
    }  # fmt: skip
    return "\n".join(f"<!-- table: {name} -->\n{table}\n" for name, table in made.items())


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
    return form.format(mean) if low is None or high is None else f"{form.format(mean)} [{form.format(low)}, {form.format(high)}]"


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
            body.append([short, f"from KL {began:.2f}", len(found), f"at most {max(row['value'] for row in found):.0e}", "-", "-", "-"])
            continue
        knob = f"beta {beta:g}" if beta else f"step {step:.0f}" if step else f"n {best:.0f}" if best else "beta 1"
        worst = max(row["value"] for row in found)
        short_by = told(found, fact("gap_sd")) if worst > 1e-4 else "< 0.001"
        body.append([short, knob, len(found), told(found, fact("kl"), "{:.2f}"), told(found, fact("reward"), "{:.2f}"), f"{worst:.1e}", short_by])
    return table(["method", "knob", "seeds", "KL", "reward", "worst gap (share of the gain)", "gap (reward SD)"], body)


def planted(rows: Sequence[Row]) -> str:
    body = []
    for (name,), found in grouped(rows, "flips_planted.").items():
        _, kind, votes, labels, loss = name.split(".")
        less = "-" if loss == "dpo" else told(found, fact("accuracy_less_dpo"))
        columns = [told(found, level), less, told(found, fact("clean_loss")), told(found, fact("error"), "{:.2f}")]
        body.append([kind, votes, labels, loss, len(found), *columns])
    return table(["features", "votes", "labels", "loss", "seeds", "accuracy", "less DPO's", "loss on clean votes", "error of w"], body)


def sentiment(rows: Sequence[Row]) -> str:
    body = []
    for (name, last, best), found in points(rows).items():
        knob = f"n {best}" if best else "last step" if last == "last" else f"step {last}" if last else ""
        kl = told(found, fact("kl"), "{:.2f}")
        body.append([name.split(".")[1], knob, len(found), kl, told(found, level), told(found, fact("different"), "{:.2f}")])
    return table(["method", "at", "seeds", "KL (nats a reply)", "reward", "different replies"], body)


def points(rows: Sequence[Row]) -> dict[tuple[Any, ...], list[Row]]:
    """Points of the sentiment frontier: a last step is called so, because its number differs between seeds."""
    named = []
    for row in rows:
        facts = row["facts"]
        if row["name"].startswith("sentiment_frontier."):
            last = facts.get("step") is not None and facts["step"] == facts.get("steps")
            named.append({**row, "facts": {**facts, "at": "last" if last else facts.get("step")}})
    return grouped(named, "sentiment_frontier.", "at", "best_of")


def ahead(rows: Sequence[Row]) -> str:
    """DPO and PPO against SFT at SFT's own divergence: reward on the line between a method's points (and the start) at that KL, less SFT's."""
    seeds: dict[int, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["name"].startswith("sentiment_frontier.") and row["facts"].get("best_of", 1) == 1:
            seeds[row["seed"]][row["name"].split(".")[1]].append((row["facts"]["kl"], row["value"]))
    gaps: dict[str, list[float]] = defaultdict(list)
    for curves in seeds.values():
        start = curves.pop("start", [])
        for method in curves.keys() - {"sft", "best_of_n"}:
            for kl, reward in curves.get("sft", [])[-1:]:
                if start and (there := between([*start, *curves[method]], kl)) is not None:
                    gaps[method].append(there - reward)
    body = [[method, len(values), told([{"value": v} for v in values], level)] for method, values in sorted(gaps.items())]
    return table(["method", "seeds that reach SFT's KL", "reward less SFT's at SFT's last KL"], body)


def between(curve: Sequence[tuple[float, float]], kl: float) -> float | None:
    """Reward at `kl` on the broken line through the points; None beyond its ends."""
    ordered = sorted(curve)
    for (left, low), (right, high) in pairwise(ordered):
        if left <= kl <= right and right > left:
            return low + (high - low) * (kl - left) / (right - left)
    return None


def hh(rows: Sequence[Row]) -> str:
    body = []
    for (name,), found in grouped(rows, "hh.").items():
        _, which, method = name.split(".")
        first = found[0]
        one = f"{first['value']:.3f} [{first['low']:.3f}, {first['high']:.3f}]"
        spread = told(found, level) if len(found) > 1 else one
        pooled = sum(row["n"] for row in found)
        length = [told(found, fact("length_heldout")), told(found, fact("over_length"))]
        body.append([which, method, first["facts"].get("train_pairs", "-"), pooled, len(found), spread, *length])
    return table(["set", "judge", "training pairs", "held-out pairs, all seeds", "seeds", "accuracy", "length's, same pairs", "difference"], body)


def flips(rows: Sequence[Row]) -> str:
    body = []
    for (name,), found in grouped(rows, "flips.").items():
        _, kind, labels, loss = name.split(".")
        facts = found[0]["facts"]
        less = ["-" if loss == "dpo" else told(found, fact(f"{what}_less_dpo")) for what in ("accuracy", "loss")]
        columns = [told(found, level), less[0], told(found, fact("clean_loss")), less[1]]
        body.append([kind, labels, loss, f"{facts['train_pairs']} ({facts['flips']} turned)", found[0]["n"], len(found), *columns])
    heads = ["policy", "labels", "loss", "training pairs", "held out", "seeds", "accuracy", "less DPO's", "loss on clean labels", "less DPO's"]
    return table(heads, body)


def cost(rows: Sequence[Row]) -> str:
    """Processor time of each experiment."""
    spent: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    for row in rows:
        spent[row["name"].split(".")[0]][row["job"], row["seed"]] = row["seconds"]
    return table(["experiment", "jobs", "processor minutes"], [[name, len(jobs), f"{sum(jobs.values()) / 60:.1f}"] for name, jobs in spent.items()])
