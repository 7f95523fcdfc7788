"""Do the label-free signs keep their rate of false alarms, see what was planted, and tell the
rate with every alarm?"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import chdtri

from alignwright.stats.warning_signals import (
    acceleration,
    disagreement,
    outliers,
    shift,
    shrunk_outliers,
    warning_signal,
)


def cloud(
    generator: np.random.Generator, prompts: int, replies: int = 10, size: int = 6, move: float = 0.0, wide: float = 1.0
) -> list[np.ndarray]:
    mix = np.random.default_rng(99).normal(size=(size, size))
    return [(wide * generator.normal(size=(replies, size)) + move) @ mix for _ in range(prompts)]


def test_on_held_out_replies_of_the_start_the_share_is_the_nominal_one() -> None:
    """MOP's null: alpha of new points of the same cloud lie outside, also where the cloud is
    estimated from few."""
    generator, shares, plain = np.random.default_rng(0), [], []
    for _ in range(200):
        start, new = (np.concatenate(cloud(generator, 4)) for _ in range(2))
        shares.append(outliers(start, 0.05)(new))
        gap = new - start.mean(axis=0)
        plain.append(
            (np.einsum("nd,de,ne->n", gap, np.linalg.inv(np.cov(start, rowvar=False)), gap) > chdtri(6, 0.05)).mean()
        )
    assert np.mean(shares) == pytest.approx(0.05, abs=0.008)
    assert np.mean(plain) > 0.08  # the control: chi-square's border is too near where the cloud is small
    many = np.concatenate(cloud(generator, 2000))
    assert outliers(many, 0.05)(np.concatenate(cloud(generator, 1000))) == pytest.approx(0.05, abs=0.006)


def test_planted_outliers_are_seen_and_the_false_alarm_rate_is_measured() -> None:
    generator = np.random.default_rng(1)
    statistic = outliers(np.concatenate(cloud(generator, 60)))
    calibrate, held = cloud(generator, 60), cloud(generator, 60)
    moved = warning_signal("outliers", statistic, calibrate, held, cloud(generator, 60, wide=1.6))
    still = warning_signal("outliers", statistic, calibrate, held, cloud(generator, 60))
    assert moved.is_raised
    assert not still.is_raised
    assert moved.false_alarms < 0.25
    assert "of 400 resamples of the start model's own replies raise it" in moved.summary
    lying = warning_signal("outliers", statistic, calibrate, cloud(generator, 60, wide=1.6), cloud(generator, 60))
    assert lying.false_alarms > 0.9  # the control: a held-out part that is not of the start shows an alarm that is none


def test_a_cloud_with_more_dimensions_than_replies_keeps_its_null_and_sees_a_move() -> None:
    generator, shares, alone = np.random.default_rng(5), [], []
    for _ in range(30):
        start, others, new = (np.concatenate(cloud(generator, 8, size=120)) for _ in range(3))
        shares.append(shrunk_outliers(start, others, 0.05)(new))
        alone.append(shrunk_outliers(start, start, 0.05)(new))
    assert np.mean(shares) == pytest.approx(0.05, abs=0.015)
    assert np.mean(alone) > 0.15  # the control: the replies that shaped a cloud lie nearer to it than any others
    with pytest.raises(ValueError, match="has no shape"):
        outliers(start)
    statistic = shrunk_outliers(start, others)
    found = [
        warning_signal(
            "states",
            statistic,
            *(cloud(generator, 8, size=120) for _ in range(2)),
            cloud(generator, 8, size=120, move=m),
        )
        for m in (0.0, 0.6)
    ]
    assert [f.is_raised for f in found] == [False, True]
    with pytest.raises(ValueError, match="needs 20 replies"):
        shrunk_outliers(start[:9], others)
    with pytest.raises(ValueError, match="represented alike"):
        shrunk_outliers(np.ones((30, 3)), np.ones((30, 3)))


def test_alarms_are_rare_over_many_starts() -> None:
    generator, is_raised, summary = np.random.default_rng(2), 0, []
    for _ in range(60):
        parts = [[generator.normal(size=12) for _ in range(30)] for _ in range(4)]
        found = warning_signal("length", shift(np.concatenate(parts[0])), *parts[1:])
        is_raised += found.is_raised
        summary.append(found.false_alarms)
    assert is_raised <= 9
    assert 0.01 < np.mean(summary) < 0.25
    longer = warning_signal(
        "length", shift(np.concatenate(parts[0])), parts[1], parts[2], [row + 0.8 for row in parts[3]]
    )
    assert longer.is_raised


def test_members_that_part_are_seen() -> None:
    generator = np.random.default_rng(3)

    def members(noise: float) -> list[np.ndarray]:
        return [generator.normal(size=(8, 1)) + noise * generator.normal(size=(8, 4)) for _ in range(40)]

    statistic = disagreement(np.concatenate(members(0.5)))
    assert statistic(np.concatenate(members(0.5))) == pytest.approx(1.0, abs=0.15)
    assert warning_signal("ensemble", statistic, members(0.5), members(0.5), members(0.9)).is_raised
    with pytest.raises(ValueError, match="two members"):
        disagreement(np.ones((5, 1)))


def test_divergence_that_grows_faster() -> None:
    generator = np.random.default_rng(4)
    noise = 0.1 * generator.normal(size=(5, 30))
    steady = np.arange(5)[:, None] * np.ones(30) + noise
    faster = (np.arange(5)[:, None] ** 2) * np.ones(30) + noise
    assert acceleration(faster).is_raised
    assert "of 400 random signs of the prompts' own changes raise it" in acceleration(faster).summary
    is_raised = sum(
        acceleration(np.arange(3)[:, None] + 0.1 * generator.normal(size=(3, 30)), seed=k).is_raised for k in range(100)
    )
    assert is_raised <= 12
    assert not acceleration(steady - 0.1 * (np.arange(5)[:, None] ** 2)).is_raised
    with pytest.raises(ValueError, match="3 checkpoints"):
        acceleration(steady[:2])


def test_what_has_no_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="has no shape"):
        outliers(np.random.default_rng(0).normal(size=(5, 6)))
    with pytest.raises(ValueError, match="has no unit"):
        shift(np.ones(5))
    with pytest.raises(ValueError, match="at least 4 prompts"):
        warning_signal("x", shift(np.arange(5.0)), [np.ones(2)] * 3, [np.ones(2)] * 9, [np.ones(2)] * 9)
