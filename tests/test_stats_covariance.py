"""Does the covariance test stop near the true optimum, seldom too early, and never where proxy
and gold are one?"""

from __future__ import annotations

import numpy as np
import pytest

from alignwright.stats.covariance import by_prompt, covariance, decline_alarms, within_sd
from alignwright.stats.prediction_powered import crossfit
from alignwright.stats.tilting import covariance_under, mean_under, tilted

OUTPUTS = 400
STEPS = np.arange(0, 41) * 0.1  # strengths of tilt


def world(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A reference, gold that falls where the proxy is highest, and the proxy: the optimum is inside."""
    generator = np.random.default_rng(seed)
    proxy = generator.normal(size=OUTPUTS)
    gold = proxy - 0.35 * np.maximum(proxy - 0.3, 0) ** 2.5 + 0.6 * generator.normal(size=OUTPUTS)
    return np.full(OUTPUTS, 1 / OUTPUTS), proxy, gold


def walk(seed: int, *, same: bool = False, labels: int = 100) -> tuple[float, float, float | None, float | None]:
    """(true optimum, regret of never stopping, where one-look bounds stop, where the bettor
    stops) on exact tilting."""
    p, proxy, gold = world(seed)
    gold = proxy if same else gold
    generator = np.random.default_rng(seed + 1000)
    level = [mean_under(tilted(p, proxy, s), gold) for s in STEPS]
    looks, checkpoints = None, []
    for s in STEPS:
        drawn = generator.choice(OUTPUTS, size=labels, p=tilted(p, proxy, float(s)))
        upper = covariance([float(x) for x in gold[drawn]], [float(x) for x in proxy[drawn]]).upper()
        assert upper is not None
        looks = float(s) if looks is None and upper < 0 else looks
        checkpoints.append(by_prompt(gold[drawn].reshape(-1, 4), proxy[drawn].reshape(-1, 4)))
    told = decline_alarms(checkpoints, bound=3.0)
    bet = float(STEPS[told.index(True)]) if any(told) else None
    return float(STEPS[int(np.argmax(level))]), max(level) - level[-1], looks, bet


def test_it_stops_near_the_optimum_of_exact_tilting_and_spares_the_regret() -> None:
    early, wrong, spared, betted = 0, 0, [], []
    for seed in range(40):
        best, regret, looks, bet = walk(seed)
        p, proxy, gold = world(seed)
        if regret < 0.3:
            continue  # gold hardly turns in this world
        assert looks is not None, "it never stopped"
        assert bet is not None
        early += looks < best - 0.1
        wrong += bet < best - 0.1
        level = [mean_under(tilted(p, proxy, s), gold) for s in (best, looks, bet)]
        spared.append((level[0] - level[1]) / regret)
        betted.append((level[0] - level[2]) / regret)
    assert len(spared) > 25
    assert early <= 3  # looks for one time only, taken again and again
    assert wrong == 0  # any-time valid
    assert np.mean(spared) < 0.1
    assert np.mean(betted) < 0.35


def test_in_a_world_whose_optimum_is_known_it_stops_where_it_is_known_to() -> None:
    """Reference N(0, 1), gold r - .35 r^2 and noise of half an SD: tilting by s gives N(s, 1), so
    gold is s - .35 (s^2 + 1), highest at 1.43.

    Known, with 100 labels at each tenth of s up to 3, bounds for one look: it stops at 1.69, SD
    .13; regret .03 where going on has .86.
    """
    best, tilts = 1 / 0.7, np.arange(31) * 0.1

    def stops(seed: int, bend: float) -> float:
        generator = np.random.default_rng(seed)
        for s in tilts:
            r = s + generator.normal(size=100)
            upper = covariance(r - bend * r**2 + 0.5 * generator.normal(size=100), r).upper()
            if upper is not None and upper < 0:
                return float(s)
        return float(tilts[-1])

    at = np.array([stops(seed, 0.35) for seed in range(120)])
    assert at.mean() == pytest.approx(1.69, abs=0.04)
    assert at.std() == pytest.approx(0.13, abs=0.025)
    assert float((0.35 * (at - best) ** 2).mean()) == pytest.approx(0.03, abs=0.008)
    assert 0.35 * (3 - best) ** 2 == pytest.approx(0.86, abs=0.005)
    assert (
        at < best - 0.15
    ).mean() <= 0.03  # beyond one step of the grid too early: rare, though it looks thirty times
    assert all(stops(seed, 0.0) == 3.0 for seed in range(40))  # the control: gold that never turns


def test_a_proxy_that_is_gold_is_never_stopped() -> None:
    for seed in range(40):
        _, _, looks, bet = walk(seed, same=True)
        assert looks is None
        assert bet is None


def test_the_covariance_is_within_prompts_and_unbiased() -> None:
    """Prompts that differ in both scores by much tell nothing of how gold moves with the proxy
    at any of them."""
    generator, found = np.random.default_rng(7), []
    for _ in range(200):
        level = 5 * generator.normal(size=(30, 1))
        proxy = level + generator.normal(size=(30, 4))
        gold = level - 0.5 * (proxy - level) + generator.normal(size=(30, 4))
        prompts = [p for p in range(30) for _ in range(4)]
        found.append(covariance(list(gold.ravel()), list(proxy.ravel()), prompts))
        assert found[-1].value == pytest.approx(np.mean(by_prompt(gold, proxy)))
    assert np.mean([f.value for f in found]) == pytest.approx(-0.5, abs=0.03)
    covered = [(f.interval.low or 0) <= -0.5 <= (f.interval.high or 0) for f in found]
    assert 0.9 <= np.mean(covered) <= 0.99
    assert found[-1].rises is False
    assert found[-1].correlation == pytest.approx(-0.5 / np.sqrt(1.25), abs=0.15)
    mixed = covariance(
        list(gold.ravel()), list(proxy.ravel())
    )  # the control: without prompts it is the prompts' own covariance that is seen
    assert mixed.rises is True
    assert within_sd(list(proxy.ravel()), prompts) == pytest.approx(1.0, abs=0.15)


def test_predictions_stretch_few_labels() -> None:
    generator, wide, narrow, hit = np.random.default_rng(8), [], [], 0
    for _ in range(150):
        proxy = generator.normal(size=(60, 8))
        feature = generator.normal(size=(60, 8))
        gold = 0.5 * proxy + 2.0 * feature + 0.3 * generator.normal(size=(60, 8))
        prompts = [p for p in range(60) for _ in range(8)]
        labels = [float(g) if i % 8 < 2 else None for i, g in enumerate(gold.ravel())]
        told = crossfit(labels, np.stack([proxy.ravel(), feature.ravel()], axis=1), prompts)
        with_it, without = (
            covariance(labels, list(proxy.ravel()), prompts, told),
            covariance(labels, list(proxy.ravel()), prompts),
        )
        wide.append(without.mean.se)
        narrow.append(with_it.mean.se)
        hit += (with_it.interval.low or 0) <= 0.5 <= (with_it.interval.high or 0)
    assert np.mean(narrow) < 0.65 * np.mean(wide)
    assert 0.9 <= hit / 150 <= 0.99


def test_the_true_covariance_is_what_a_large_sample_finds() -> None:
    p, proxy, gold = world(0)
    q = tilted(p, proxy, 1.0)
    drawn = np.random.default_rng(9).choice(OUTPUTS, size=100_000, p=q)
    assert covariance(list(gold[drawn]), list(proxy[drawn])).value == pytest.approx(
        covariance_under(q, gold, proxy), abs=0.02
    )


def test_what_cannot_be_told() -> None:
    with pytest.raises(ValueError, match="at least two replies"):
        covariance([1.0, 2.0], [1.0, 2.0], ["a", "b"])
    assert covariance([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]).rises is None
    assert within_sd([1.0, 2.0], ["a", "b"]) is None
    assert decline_alarms([], 1.0) == []
