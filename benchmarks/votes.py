"""What does it cost to read, check and pool all the votes of a large public conversation?

`ALIGNWRIGHT_DATA=… python benchmarks/votes.py` takes the conversation of Bowling Green (Polis, CC
BY 4.0: 2,031 people, 896 statements, 225,524 votes) and measures CPU-seconds:

- as published: `check` of a spec that names the matrix, the matrix read once more as a run reads
  it, and the votes pooled
- as ballots: each vote is a ballot of two replies to a statement, "I agree." and "I disagree.", a
  pass is a tie, a participant's opinion group the group; `check` of a spec that names the file, the
  same file read once more as a run reads it, and the votes pooled, all together and by group
- as one comparison of all statements: each vote is a statement that a participant agreed with
  against one that the same participant did not; the Bradley-Terry utilities of 896 replies are
  fitted at once. Here the order found must go with the share of agreement (Spearman).

Each comparison of two replies has its closed form, which is compared. One JSON line; exit code 1
when a target is missed.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from alignwright.aggregate.pooled import pooled, utilities
from alignwright.core.records import Comparison, Conversation, Preference, Prompt, Reply, Vote
from alignwright.experiment.check import check
from alignwright.files.reading import FileRows
from alignwright.files.votes import read_votes

FOLDER = "polis/american-assembly.bowling-green"
TARGETS = {
    "cpu_seconds": 20.0,
    "published_cpu_seconds": 20.0,
    "one_comparison_cpu_seconds": 20.0,
    "closed_form": 1e-9,
    "rank_correlation": 0.9,
}
SPEC = "name: votes\nmodel: owner/name\nintent: {people: [%s]}\ntrain: [{by: dpo}]\n"


def main() -> int:
    data = os.environ.get("ALIGNWRIGHT_DATA")
    if not data or not (Path(data) / FOLDER).is_dir():
        print(
            json.dumps({"benchmark": "votes", "skipped": f"no folder {FOLDER} in ALIGNWRIGHT_DATA", "targets": TARGETS})
        )
        return 0
    people, statements = _conversation(Path(data) / FOLDER)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        votes = _ballots(folder / "ballots.jsonl", people, statements)
        times, read, preferences, by_group = _timed(folder, folder / "ballots.jsonl")
        published, matrix, same, same_by_group = _timed(folder, Path(data) / FOLDER / "participants-votes.csv")
    cast = sum(len(comparison.votes) for comparison in read.rows)
    apart = _from_closed_form(read.rows)
    begun = time.process_time()
    whole = _one_comparison(people, statements)
    made = time.process_time()
    fitted = np.array(utilities(whole))
    sure = pooled([whole], min_strength=0.9)
    one = time.process_time() - made
    rank = _rank_correlation(fitted, _agreement(people, statements))
    found = {
        "votes": votes,
        "comparisons": len(read.rows),
        "cpu_seconds": round(times[3] - times[0], 2),
        "check": round(times[1] - times[0], 2),
        "read": round(times[2] - times[1], 2),
        "pooled": round(times[3] - times[2], 2),
        "preferences": len(preferences),
        "preferences_by_group": len(by_group),
        "published_cpu_seconds": round(published[3] - published[0], 2),
        "closed_form": apart,
        "one_comparison": {
            "replies": len(whole.replies),
            "votes": len(whole.votes),
            "sure_pairs": len(sure),
            "made": round(made - begun, 2),
        },
        "one_comparison_cpu_seconds": round(one, 2),
        "rank_correlation": round(rank, 3),
    }
    missed = [
        name
        for name in ("cpu_seconds", "published_cpu_seconds", "one_comparison_cpu_seconds", "closed_form")
        if found[name] > TARGETS[name]
    ]
    missed += ["rank_correlation"] if rank < TARGETS["rank_correlation"] else []
    missed += (
        ["votes"] if not votes == cast == sum(len(comparison.votes) for comparison in matrix.rows) == 225_524 else []
    )
    alike = _strengths(preferences) == _strengths(same) and _strengths(by_group) == _strengths(same_by_group)
    missed += [] if alike else ["the same from both files"]
    print(json.dumps({"benchmark": "votes", **found, "targets": TARGETS, "missed": missed}))
    return 1 if missed else 0


def _timed(folder: Path, source: Path) -> tuple[list[float], FileRows[Comparison], list[Preference], list[Preference]]:
    """Check, read and pool; the clock before, between and after."""
    (folder / "spec.yaml").write_text(SPEC % source)
    times = [time.process_time()]
    check(folder / "spec.yaml")
    times.append(time.process_time())
    read = read_votes(source)
    times.append(time.process_time())
    preferences = pooled(read.rows, min_strength=0.5)
    by_group = pooled(read.rows, min_strength=0.5, by_group=True)
    return [*times, time.process_time()], read, preferences, by_group


def _strengths(preferences: list[Preference]) -> list[tuple[str, str, float]]:
    return sorted((preference.group, preference.chosen, round(preference.strength, 9)) for preference in preferences)


def _conversation(folder: Path) -> tuple[list[tuple[str, str, dict[str, int]]], dict[str, str]]:
    """Each participant's name, group and votes (1, 0, -1) by statement; and what each statement
    says."""
    with (folder / "comments.csv").open(encoding="utf-8", newline="") as file:
        statements = {row["comment-id"]: row["comment-body"] for row in csv.DictReader(file)}
    with (folder / "participants-votes.csv").open(encoding="utf-8", newline="") as file:
        people = [
            (row["participant"], row["group-id"], {name: int(float(row[name])) for name in statements if row.get(name)})
            for row in csv.DictReader(file)
        ]
    return people, statements


def _ballots(path: Path, people: list[tuple[str, str, dict[str, int]]], statements: dict[str, str]) -> int:
    choice, count = {1: "a", -1: "b", 0: "tie"}, 0
    with path.open("w", encoding="utf-8") as file:
        for rater, group, cast in people:
            for name, vote in cast.items():
                row = {
                    "prompt": statements[name],
                    "a": "I agree.",
                    "b": "I disagree.",
                    "choice": choice[vote],
                    "rater": rater,
                    "group": group,
                }
                file.write(json.dumps(row) + "\n")
                count += 1
    return count


def _from_closed_form(comparisons: tuple[Comparison, ...]) -> float:
    """The largest distance of a comparison's fitted chance from (prior + votes for) / (2 prior +
    votes)."""
    apart = 0.0
    for comparison in comparisons:
        first, second = utilities(comparison)
        won = sum(vote.strength if vote.prefers == 0 else 1 - vote.strength for vote in comparison.votes)
        apart = max(apart, abs(1 / (1 + np.exp(second - first)) - (0.5 + won) / (1 + len(comparison.votes))))
    return apart


def _one_comparison(people: list[tuple[str, str, dict[str, int]]], statements: dict[str, str]) -> Comparison:
    prompt = Prompt(conversation=Conversation.user("What should change here?"))
    place = {name: number for number, name in enumerate(statements)}
    votes: list[Vote] = []
    for rater, group, cast in people:
        liked, disliked = (
            [name for name, vote in cast.items() if vote == 1],
            [name for name, vote in cast.items() if vote == -1],
        )
        for turn in range(max(len(liked), len(disliked)) if liked and disliked else 0):
            prefers, over = place[liked[turn % len(liked)]], place[disliked[turn % len(disliked)]]
            votes.append(Vote(voter=rater, prefers=prefers, over=over, group=group))
    replies = tuple(Reply(text=f"{name}: {text}", parent=prompt.id) for name, text in statements.items())
    return Comparison(prompt=prompt, replies=replies, votes=tuple(votes))


def _agreement(people: list[tuple[str, str, dict[str, int]]], statements: dict[str, str]) -> np.ndarray:
    """Of those who agreed or disagreed with each statement, the share that agreed, drawn to one
    half as by one vote."""
    yes, no = dict.fromkeys(statements, 0.5), dict.fromkeys(statements, 0.5)
    for _, _, cast in people:
        for name, vote in cast.items():
            yes[name] += vote == 1
            no[name] += vote == -1
    return np.array([yes[name] / (yes[name] + no[name]) for name in statements])


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    ranks = [np.argsort(np.argsort(values)) for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    sys.exit(main())
