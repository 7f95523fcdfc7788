"""What do real raters say: how far do they agree, which groups do they fall into, and what do all of these share?

`python benchmarks/values_people.py FOLDER` reads the real data (`ALIGNWRIGHT_DATA`) and prints the figures of
docs/values_people.md.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import numpy as np

from alignwright.stats.opinion_groups import opinion_groups, representative, statement_counts
from alignwright.stats.reliability import ceiling, krippendorff_alpha, rater_quality

CONVERSATIONS = ("brexit-consensus", "scoop-hivemind.ubi", "scoop-hivemind.biodiversity",
                 "american-assembly.bowling-green")  # fmt: skip


def conversation(folder: Path) -> None:
    """The groups of one Polis conversation beside those that Polis published."""
    with (folder / "participants-votes.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    vote_VS = np.array([[float(cell) if cell else np.nan for cell in row[6:]] for row in rows])
    start = time.process_time()
    groups = opinion_groups(vote_VS)
    seconds = time.process_time() - start
    counts = statement_counts(vote_VS, groups.group_V)
    apart = [len(representative(counts, group, 10_000)) for group in range(groups.groups)]
    two_V = opinion_groups(vote_VS, most_groups=2, shuffles=0).group_V
    polis_V = np.array([int(row[1]) if row[1] else -1 for row in rows])
    both_V = (two_V >= 0) & (polis_V >= 0)
    same = float((two_V[both_V] == polis_V[both_V]).mean())
    alike = f"{max(same, 1 - same):.3f} of {both_V.sum()}" if polis_V.max() == 1 else "-"
    print(f"{folder.name}: {vote_VS.shape}, groups {groups.groups} (chance {groups.chance}), Polis {polis_V.max() + 1}"
          f", alike {alike}; bridging {len(counts.bridging())}; representative {apart}; {seconds:.1f}s")  # fmt: skip


def offensiveness(folder: Path) -> None:
    """How far 262 raters agree on how offensive a comment is."""
    with (folder / "offensiveness_raw_data.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = [{name: k for k, name in enumerate(dict.fromkeys(row[key] for row in rows))}
             for key in ("user_id", "instance_id")]  # fmt: skip
    rating_RI = np.full((len(names[0]), len(names[1])), np.nan)
    for row in rows:
        rating_RI[names[0][row["user_id"]], names[1][row["instance_id"]]] = float(row["offensiveness"])
    estimate = ceiling(rating_RI)
    quality_R = rater_quality(rating_RI)
    print(f"popquorn: {rating_RI.shape}, {len(rows)} rated, ordinal {krippendorff_alpha(rating_RI, 'ordinal'):.3f}"
          f" nominal {krippendorff_alpha(rating_RI, 'nominal'):.3f}, ceiling {estimate.value:.3f}"
          f" [{estimate.interval.low:.3f}, {estimate.interval.high:.3f}], quality deciles"
          f" {np.nanquantile(quality_R, [0.1, 0.5, 0.9]).round(3)}")  # fmt: skip


if __name__ == "__main__":
    for name in CONVERSATIONS:
        conversation(Path(sys.argv[1]) / "polis" / name)
    offensiveness(Path(sys.argv[1]) / "popquorn")
