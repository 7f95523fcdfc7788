"""What does each rule of social choice choose on the same real votes, and whom does it serve?

    python benchmarks/values_rules.py FOLDER/participants-votes.csv [--most 40]

The statements of a Polis conversation that most people voted on are the alternatives. A participant who agrees with one
and not with another prefers the one (agree, pass, disagree: three steps; equals are half a voice each way), over the
statements that they saw. The groups are those that Polis found in the same votes; they are no groups of demographics.
Each rule chooses by the votes of one half of every group, drawn at random, and is judged by the other half: how often
what it puts first, or draws by its lottery, wins against another statement in the eyes of everybody, and of the
worst-off group. Printed are the means over the draws and between what 95% of them lie, then what each rule chooses by
all votes, and one JSON line.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from alignwright.files.sources import read_votes
from alignwright.stats import social_order
from alignwright.stats.bradley_terry import bradley_terry
from alignwright.stats.lotteries import maximal_lottery, maximin_lottery, proportional_lottery
from alignwright.stats.voices import GroupVoices


def opinions(path: str, most: int) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """Each participant's opinion of each statement (1, 0, -1; nan where they did not see it), their group, the names of
    the groups, and the statements."""
    rows = sorted(read_votes(path, bad_rows=1.0).rows, key=lambda row: -len(row.votes))[:most]
    groups = {vote.voter: vote.group for row in rows for vote in row.votes if vote.group}
    names = sorted(set(groups.values()))
    places = {voter: place for place, voter in enumerate(groups)}
    opinion_VK = np.full((len(places), len(rows)), np.nan)
    for k, row in enumerate(rows):
        for vote in row.votes:
            if vote.voter in places:
                sign = 1.0 if vote.prefers == 0 else -1.0
                opinion_VK[places[vote.voter], k] = sign * (2 * vote.strength - 1)
    texts = [row.prompt.conversation.last.content for row in rows]
    return opinion_VK, np.array([names.index(group) for group in groups.values()]), names, texts


def group_votes(opinion_VK: np.ndarray, group_V: np.ndarray, groups: int) -> GroupVoices:
    """The voices of each group on every two statements."""
    votes_GKK = np.zeros((groups, opinion_VK.shape[1], opinion_VK.shape[1]))
    for g in range(groups):
        own_VK = opinion_VK[group_V == g]
        at = {value: (own_VK == value).astype(float) for value in (1.0, 0.0, -1.0)}
        above = at[1.0].T @ (at[0.0] + at[-1.0]) + at[0.0].T @ at[-1.0]
        votes_GKK[g] = above + 0.5 * sum(matrix.T @ matrix for matrix in at.values())
        np.fill_diagonal(votes_GKK[g], 0.0)
    return GroupVoices(tuple(map(str, range(groups))), np.bincount(group_V, minlength=groups).astype(float), votes_GKK)


def chosen(voices: GroupVoices) -> dict[str, np.ndarray]:
    """With which chance each rule draws each statement."""
    votes_KK, utility_GK = voices.votes_GKK.sum(axis=0), voices.utilities(0.5)
    size = len(votes_KK)
    prior_KK = np.full((size, size), 0.5)
    np.fill_diagonal(prior_KK, 0.0)
    share_KK = social_order.vote_shares(votes_KK)
    ranks_K = social_order.ranked_pairs(votes_KK).sum(axis=1)
    weight_G = voices.voters_G
    return {
        "random": np.ones(size) / size,
        "pooled": _first(bradley_terry(votes_KK + prior_KK)),
        "borda": _first(social_order.borda(votes_KK)),
        "copeland": _first(social_order.copeland(votes_KK)),
        "ranked_pairs": _first(ranks_K.astype(float)),
        "maximal_lottery": maximal_lottery(share_KK - share_KK.T),
        "utilitarian": _first(weight_G @ utility_GK),
        "proportional": proportional_lottery(utility_GK, weight_G),
        "maximin": maximin_lottery(utility_GK, weight_G),
    }


def _first(score_K: np.ndarray) -> np.ndarray:
    best_K = (score_K >= score_K.max() - 1e-12).astype(float)
    return best_K / best_K.sum()


def served(voices: GroupVoices, p_K: np.ndarray) -> tuple[float, float]:
    """The win rate of everybody, and of the worst-off group."""
    wins_G = voices.utilities(0.5) @ p_K
    return float(voices.voters_G @ wins_G / voices.voters_G.sum()), float(wins_G.min())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("votes", help="a conversation's participants-votes.csv")
    parser.add_argument("--most", type=int, default=40, help="so many statements")
    parser.add_argument("--draws", type=int, default=200, help="how often the halves are drawn")
    arguments = parser.parse_args()
    opinion_VK, group_V, names, texts = opinions(arguments.votes, arguments.most)
    draw, numbers = np.random.default_rng(0), dict[str, list[tuple[float, float]]]()
    for _ in range(arguments.draws):
        order = draw.permutation(len(group_V))
        order = order[np.argsort(group_V[order], kind="stable")]
        one, other = (group_votes(opinion_VK[half], group_V[half], len(names)) for half in (order[::2], order[1::2]))
        for rule, p_K in chosen(one).items():
            numbers.setdefault(rule, []).append(served(other, p_K))
    voices = group_votes(opinion_VK, group_V, len(names))
    winner = social_order.condorcet_winner(voices.votes_GKK.sum(axis=0))
    print(f"{len(group_V)} participants in {len(names)} groups, {len(texts)} statements; Condorcet winner: {winner}")
    table = {}
    for rule, p_K in chosen(voices).items():
        number_RN = np.array(numbers[rule])
        everybody, worst = number_RN.mean(axis=0)
        low, high = np.quantile(number_RN[:, 1], [0.025, 0.975])
        first = ", ".join(f"{k} ({p_K[k]:.2f})" for k in np.argsort(-p_K)[:3] if p_K[k] > 0.005)
        print(f"{rule:16} everybody {everybody:.3f}  worst group {worst:.3f} [{low:.3f}, {high:.3f}]  by all: {first}")
        table[rule] = {"everybody": everybody, "worst": worst, "low": low, "high": high, "first": first}
    gain_R = np.array(numbers["maximin"])[:, 1] - np.array(numbers["pooled"])[:, 1]
    gain = [float(gain_R.mean()), *map(float, np.quantile(gain_R, [0.025, 0.975]))]
    print(f"what the worst-off group gains by maximin over pooled: {gain[0]:+.3f} [{gain[1]:+.3f}, {gain[2]:+.3f}]")
    print(json.dumps({"sizes": np.bincount(group_V).tolist(), "rules": table, "gain": gain}))


if __name__ == "__main__":
    main()
