"""Is a planted path named as it was planted, and does noise stay undecided?"""

from __future__ import annotations

import random

import pytest

from alignwright.stats.transitions import Level, classify_prompts, path, transition

N = 60


def levels(*shifts: tuple[float, float], seed: int = 0, noise: float = 1.0) -> list[Level]:
    """Checkpoints whose mean proxy and gold stand at the given places; a prompt keeps its own
    difficulty."""
    r = random.Random(seed)
    base = [r.gauss(0, 3) for _ in range(N)]
    return [([b + p + r.gauss(0, noise) for b in base], [b + g + r.gauss(0, noise) for b in base]) for p, g in shifts]


def test_a_planted_path_is_named_step_by_step() -> None:
    steps = path(levels((0, 0), (1, 1), (2, 0), (1, -1), (0, 0), (0.05, 0.05)))
    assert [step.kind for step in steps] == ["improvement", "hack", "collapse", "unseen", "undecided"]
    assert all(step.n == N for step in steps)


def test_one_score_that_does_not_move_leaves_a_step_undecided() -> None:
    assert [step.kind for step in path(levels((0, 0), (2, 0), (2, -2)))] == ["undecided", "undecided"]


def test_noise_is_named_no_more_often_than_two_intervals_allow() -> None:
    named = [transition(*levels((0, 0), (0, 0), seed=seed)).kind for seed in range(200)]
    assert sum(kind != "undecided" for kind in named) <= 3  # 5 % squared, of which a quarter each


def test_of_noise_a_quarter_of_the_prompts_looks_hacked_and_the_excess_says_that_it_is_none() -> None:
    steps = [transition(*levels((0, 0), (0, 0), seed=seed)) for seed in range(100)]
    assert sum(step.hacked or 0 for step in steps) / 100 == pytest.approx(0.25, abs=0.02)
    covered = sum((s.excess.interval.low or 0) <= 0 <= (s.excess.interval.high or 0) for s in steps)
    assert covered >= 90
    hacked = transition(*levels((0, 0), (2, -2)))
    assert hacked.excess.interval.low is not None
    assert hacked.excess.interval.low > 0.3


def test_prompts_one_by_one() -> None:
    before, after = ([0.0] * 5, [0.0] * 5), ([1.0, 1.0, -1.0, -1.0, 0.0], [1.0, -1.0, -1.0, 1.0, 1.0])
    assert classify_prompts(before, after) == ["improvement", "hack", "collapse", "unseen", "undecided"]
    found = transition(before, after)
    assert (found.hacked, found.excess.value, found.rows) == (
        0.2,
        0.0,
        dict.fromkeys(classify_prompts(before, after), 1),
    )


def test_exchanging_the_checkpoints_exchanges_the_names() -> None:
    first, second = levels((0, 0), (2, -2))
    assert (transition(first, second).kind, transition(second, first).kind) == ("hack", "unseen")


def test_clusters_widen_and_a_single_one_decides_nothing() -> None:
    first, second = levels((0, 0), (1, -1))
    assert transition(first, second, ["one"] * N).kind == "undecided"
    apart, together = transition(first, second), transition(first, second, [i // 10 for i in range(N)])
    assert together.gold.clusters == 6
    assert apart.gold.value == pytest.approx(together.gold.value)


def test_nothing_matched_is_undecided_and_has_no_share() -> None:
    found = transition(([], []), ([], []))
    assert (found.kind, found.hacked) == ("undecided", None)
