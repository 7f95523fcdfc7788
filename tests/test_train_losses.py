"""Is each preference loss the one that was written down? Its optimum, its symmetries, its value
at the start, and the formulas in full."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from alignwright.train import losses
from alignwright.train.knobs_pairs import Cdpo, ChiPo, Dpo, Hinge, Ipo, Orpo, RobustDpo, Rpo, Simpo

F64 = torch.float64
BETA, TAU, FLIP = 0.5, 0.4, 0.2
LINKS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "dpo": lambda m, s: losses.dpo(m, beta=BETA, strength_P=s),
    "cdpo": lambda m, s: losses.cdpo(m, beta=BETA, label_smoothing=FLIP, strength_P=s),
    "robust_dpo": lambda m, s: losses.robust_dpo(m, beta=BETA, label_smoothing=FLIP, strength_P=s),
    "ipo": lambda m, s: losses.ipo(m, tau=TAU, strength_P=s),
    "hinge": lambda m, s: losses.hinge(m, beta=BETA, strength_P=s),
    "bradley_terry": lambda m, s: losses.bradley_terry(m, strength_P=s),
}
"""Losses of one margin and a strength."""
PAIRS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "chi_po": lambda w, x, s: losses.chi_po(w, x, beta=BETA, strength_P=s),
    "simpo": lambda w, x, s: losses.simpo(w, x, beta=2.0, gamma=0.7, strength_P=s),
}
"""Losses of two replies and a strength, without a term of the chosen reply alone."""
AT_ZERO = dict.fromkeys(LINKS, math.log(2)) | {"ipo": (1 / (2 * TAU)) ** 2, "hinge": 1.0}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def uniform(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=F64)


def slope(loss: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    at = at.clone().requires_grad_(True)
    loss(at).sum().backward()
    assert at.grad is not None
    return at.grad


def minimise(loss: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """The logits at the minimum."""
    logits = start.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [logits], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-18, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(logits)
        value.backward()
        return value

    optimiser.step(closure)  # type: ignore[arg-type]
    return logits.detach()


# ---- what holds for the whole family -------------------------------------------------------------
@pytest.mark.parametrize("name", LINKS)
def test_margin_zero_costs_the_same_whatever_the_vote(name: str) -> None:
    strength_P = torch.linspace(0, 1, 11, dtype=F64)
    assert torch.allclose(
        LINKS[name](torch.zeros(11, dtype=F64), strength_P), torch.full((11,), AT_ZERO[name], dtype=F64), atol=1e-14
    )


@pytest.mark.parametrize("name", LINKS)
def test_swapping_a_pair_and_its_vote_changes_nothing(name: str) -> None:
    margin_P, strength_P = random(50), uniform(50)
    assert torch.allclose(LINKS[name](margin_P, strength_P), LINKS[name](-margin_P, 1 - strength_P), atol=1e-13)
    # control: swapping the pair alone does
    assert not torch.allclose(LINKS[name](margin_P, strength_P), LINKS[name](-margin_P, strength_P), atol=1e-2)


@pytest.mark.parametrize("name", PAIRS)
def test_swapping_two_replies_and_their_vote_changes_nothing(name: str) -> None:
    one_P, other_P, strength_P = -random(50).abs(), -random(50, seed=2).abs(), uniform(50)
    assert torch.allclose(
        PAIRS[name](one_P, other_P, strength_P), PAIRS[name](other_P, one_P, 1 - strength_P), atol=1e-13
    )
    assert not torch.allclose(
        PAIRS[name](one_P, other_P, strength_P), PAIRS[name](other_P, one_P, strength_P), atol=1e-2
    )


@pytest.mark.parametrize("name", LINKS)
def test_a_soft_vote_is_the_expectation_over_certain_ones(name: str) -> None:
    margin_P, strength_P = random(20), uniform(20)
    sure = [LINKS[name](margin_P, torch.full_like(margin_P, s)) for s in (0.0, 1.0)]
    assert torch.allclose(
        LINKS[name](margin_P, strength_P), (1 - strength_P) * sure[0] + strength_P * sure[1], atol=1e-13
    )


@pytest.mark.parametrize("name", [*LINKS, *PAIRS, "orpo", "kto"])
def test_extreme_numbers_stay_finite_with_their_gradients(name: str) -> None:
    for extreme in (0.0, -1e-9, -1.0, -1e3, -1e5):
        one, other, strength = (
            torch.tensor([extreme]),
            torch.tensor([-extreme if name in LINKS else extreme / 2]),
            torch.tensor([0.9]),
        )
        one, other = one.requires_grad_(True), other.requires_grad_(True)
        if name in LINKS:
            loss = LINKS[name](one - other, strength)
        elif name == "orpo":
            loss = losses.orpo(one, other, weight=0.3, strength_P=strength)
        elif name == "kto":
            loss = (
                losses.kto(one, good_R=strength, kl=torch.tensor(1.0), beta=BETA, desirable=1.0, undesirable=2.0)
                + 0 * other
            )
        else:
            loss = PAIRS[name](one, other, strength)
        loss.sum().backward()
        assert torch.isfinite(loss).all()
        assert one.grad is not None
        assert torch.isfinite(one.grad).all()


# ---- parity: the published formulas, written out apart from the library --------------------------
def sigma(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_each_certain_vote_costs_what_the_paper_says() -> None:
    w, l, one = random(40).numpy(), random(40, seed=3).numpy(), torch.ones(40, dtype=F64)  # noqa: E741
    m, d, e = torch.from_numpy(w - l), w - l, FLIP
    written = {
        "dpo": -np.log(sigma(BETA * d)),
        "cdpo": -(1 - e) * np.log(sigma(BETA * d)) - e * np.log(sigma(-BETA * d)),
        "robust_dpo": (-(1 - e) * np.log(sigma(BETA * d)) + e * np.log(sigma(-BETA * d))) / (1 - 2 * e),
        "ipo": (d - 1 / (2 * TAU)) ** 2,
        "hinge": np.maximum(0, 1 - BETA * d),
        "bradley_terry": -np.log(sigma(d)),
    }
    for name, expected in written.items():
        assert LINKS[name](m, one).numpy() == pytest.approx(expected, abs=1e-12), name
    nll = np.abs(w)
    found = losses.rpo(m, torch.from_numpy(nll), beta=BETA, alpha=0.3, strength_P=one).numpy()
    assert found == pytest.approx(written["dpo"] + 0.3 * nll, abs=1e-12)
    margin = torch.full((40,), 0.4, dtype=F64)
    assert losses.bradley_terry(m, strength_P=one, margin_P=margin).numpy() == pytest.approx(
        -np.log(sigma(d - 0.4)), abs=1e-12
    )
    phi = [np.exp(x) + x for x in (w, l)]
    found = losses.chi_po(torch.from_numpy(w), torch.from_numpy(l), beta=BETA, strength_P=one).numpy()
    assert found == pytest.approx(-np.log(sigma(BETA * (phi[0] - phi[1]))), abs=1e-12)


def test_losses_without_a_reference_on_sums_and_lengths() -> None:
    """SimPO and ORPO from summed log-probabilities and token counts, as their authors' code
    takes them."""
    length_w, length_l = np.array([3, 8, 20]), np.array([5, 1, 9])
    sum_w, sum_l = -np.array([2.0, 9.0, 3.0]), -np.array([7.0, 0.4, 12.0])
    mean_w, mean_l, one = (
        torch.from_numpy(sum_w / length_w),
        torch.from_numpy(sum_l / length_l),
        torch.ones(3, dtype=F64),
    )
    simpo = -np.log(sigma(2.5 * (sum_w / length_w) - 2.5 * (sum_l / length_l) - 1.2))
    assert losses.simpo(mean_w, mean_l, beta=2.5, gamma=1.2, strength_P=one).numpy() == pytest.approx(simpo, abs=1e-12)
    odds_w, odds_l = (np.exp(s / n) / (1 - np.exp(s / n)) for s, n in ((sum_w, length_w), (sum_l, length_l)))
    orpo = -sum_w / length_w - 0.1 * np.log(sigma(np.log(odds_w / odds_l)))
    assert losses.orpo(mean_w, mean_l, weight=0.1, strength_P=one).numpy() == pytest.approx(orpo, abs=1e-12)


def test_kto_and_sppo_as_written() -> None:
    ratio, good = random(30).numpy(), (random(30, seed=4).numpy() > 0).astype(float)
    for kl in (-0.7, 0.0, 0.9):
        z = max(0.0, kl)
        expected = np.where(good == 1, 1.5 * (1 - sigma(BETA * (ratio - z))), 0.7 * (1 - sigma(BETA * (z - ratio))))
        found = losses.kto(
            torch.from_numpy(ratio),
            good_R=torch.from_numpy(good),
            kl=torch.tensor(kl, dtype=F64),
            beta=BETA,
            desirable=1.5,
            undesirable=0.7,
        )
        assert found.numpy() == pytest.approx(expected, abs=1e-12)
    eta, win = 1 / BETA, uniform(30)
    assert torch.allclose(
        losses.sppo(torch.from_numpy(ratio), win_R=win, beta=BETA), (torch.from_numpy(ratio) - eta * (win - 0.5)) ** 2
    )


# ---- one by one ----------------------------------------------------------------------------------
def test_gradient_is_model_minus_vote() -> None:
    """Soft-label cross-entropy: the derivative is beta (sigmoid(beta margin) - strength)."""
    margin_P, strength_P = random(20), uniform(20)
    found = slope(lambda m: losses.dpo(m, beta=0.4, strength_P=strength_P), margin_P)
    assert torch.allclose(found, 0.4 * (torch.sigmoid(0.4 * margin_P) - strength_P), atol=1e-12)
    margins = random(20, seed=5)
    found = slope(lambda gap: losses.bradley_terry(gap, strength_P=strength_P, margin_P=margins), margin_P)
    assert torch.allclose(found, torch.sigmoid(margin_P - margins) - strength_P, atol=1e-12)


def test_robust_loss_over_flips_is_the_clean_loss_and_undoes_the_conservative_one() -> None:
    margin_P, one = random(30), torch.ones(30, dtype=F64)
    robust = [
        losses.robust_dpo(sign * margin_P, beta=BETA, label_smoothing=FLIP, strength_P=one) for sign in (1, -1)
    ]  # the vote as cast, and flipped
    clean = losses.dpo(margin_P, beta=BETA, strength_P=one)
    assert torch.allclose((1 - FLIP) * robust[0] + FLIP * robust[1], clean, atol=1e-13)
    noisy = [losses.dpo(sign * margin_P, beta=BETA, strength_P=one) for sign in (1, -1)]
    assert (
        ((1 - FLIP) * noisy[0] + FLIP * noisy[1]) - clean
    ).abs().max() > 0.05  # control: plain DPO's expectation is another loss
    smoothed = one * (1 - 2 * FLIP) + FLIP  # cDPO is DPO at this strength; robust DPO there is DPO on the certain vote
    assert torch.allclose(
        losses.robust_dpo(margin_P, beta=BETA, label_smoothing=FLIP, strength_P=smoothed), clean, atol=1e-13
    )


def test_conservative_minimum_is_at_a_finite_margin() -> None:
    best = minimise(lambda m: LINKS["cdpo"](m, torch.ones(1, dtype=F64)).sum(), torch.zeros(1, dtype=F64))
    assert float(best) == pytest.approx(math.log((1 - FLIP) / FLIP) / BETA, abs=1e-6)


def test_ipo_minimum_is_half_the_inverse_of_tau_times_the_vote() -> None:
    for strength in (1.0, 0.75, 0.5):
        best = minimise(
            lambda m, s=strength: LINKS["ipo"](m, torch.full((1,), s, dtype=F64)).sum(), torch.zeros(1, dtype=F64)
        )
        assert float(best) == pytest.approx((2 * strength - 1) / (2 * TAU), abs=1e-9)


def test_hinge_teaches_nothing_beyond_its_margin() -> None:
    margins = torch.tensor([-1.0, 1.9, 2.1, 50.0], dtype=F64)  # 1/beta is 2
    found = slope(lambda m: LINKS["hinge"](m, torch.ones(4, dtype=F64)), margins)
    assert found.tolist() == [-BETA, -BETA, 0.0, 0.0]
    assert (
        slope(lambda m: LINKS["dpo"](m, torch.ones(4, dtype=F64)), margins) < 0
    ).all()  # control: the logistic link never stops


def test_kto_takes_its_estimate_as_given_and_pushes_the_right_way() -> None:
    kl = torch.tensor(0.8, dtype=F64, requires_grad=True)
    ratio = random(10).requires_grad_(True)
    good = torch.tensor([1.0] * 5 + [0.0] * 5, dtype=F64)
    losses.kto(ratio, good_R=good, kl=kl, beta=BETA, desirable=1.0, undesirable=1.0).sum().backward()
    assert kl.grad is None
    assert ratio.grad is not None
    assert (ratio.grad[:5] < 0).all()
    assert (ratio.grad[5:] > 0).all()
    at = torch.linspace(-4, 4, 81, dtype=F64)

    def push(good: float) -> Tensor:
        good_R = torch.full((81,), good, dtype=F64)
        return slope(
            lambda r: losses.kto(r, good_R=good_R, kl=kl.detach(), beta=2.0, desirable=1.0, undesirable=1.0), at
        )

    assert float(at[push(1.0).abs().argmax()]) == pytest.approx(0.8)  # hardest where the log-ratio is the estimate
    assert push(0.5).abs().max() < 1e-15  # as often good as bad


def test_losses_of_mean_log_probability_do_not_favour_length() -> None:
    """Doubling a reply at the same loss per token changes nothing; DPO on sums, the control,
    does change."""
    per_token, other = torch.tensor([-0.8], dtype=F64), torch.tensor([-1.1], dtype=F64)
    one = torch.ones(1, dtype=F64)
    for loss in (
        lambda mean: losses.simpo(mean, other, beta=2.0, gamma=0.5, strength_P=one),
        lambda mean: losses.orpo(mean, other, weight=0.1, strength_P=one),
    ):
        found = [float(loss((per_token * n) / n)) for n in (10, 20)]
        assert found[0] == pytest.approx(found[1], abs=1e-14)
    sums = [float(losses.dpo(per_token * n - other * 10, beta=0.1, strength_P=one)) for n in (10, 20)]
    assert abs(sums[0] - sums[1]) > 0.1


@pytest.mark.parametrize("exponent", [-20, -10, -3, -1, 0, 1, 2, 5])
def test_log_odds_are_right_near_certainty_and_far_from_it(exponent: int) -> None:
    x = -(10.0**exponent)
    found = float(losses.log1mexp(torch.tensor([x], dtype=F64)))
    assert found == pytest.approx(math.log(-math.expm1(x)), rel=1e-12, abs=1e-40)
    if -10 <= exponent <= 2:
        assert float(losses.log_odds(torch.tensor([x], dtype=F64))) == pytest.approx(
            x - math.log(-math.expm1(x)), rel=1e-12
        )


def test_log_odds_slope_is_one_over_one_minus_p() -> None:
    x = -torch.logspace(-6, 2, 30, dtype=F64)
    assert torch.allclose(slope(losses.log_odds, x), 1 / -torch.expm1(x), rtol=1e-9)


# ---- tabular optima ------------------------------------------------------------------------------
ACTIONS = 6
REWARD, REFERENCE = random(ACTIONS, seed=11), random(ACTIONS, seed=12).log_softmax(0)
BETTER, WORSE = torch.combinations(torch.arange(ACTIONS)).T
VOTES = torch.sigmoid(REWARD[BETTER] - REWARD[WORSE])


def ratios(logits: Tensor) -> Tensor:
    return logits.log_softmax(0) - REFERENCE


def test_dpo_optimum_is_the_tilted_reference() -> None:
    """With Bradley-Terry votes from a reward r, the minimum of DPO is pi proportional to ref
    exp(r / beta) (Rafailov et al. 2023, eq. 4)."""

    def loss(logits: Tensor) -> Tensor:
        ratio = ratios(logits)
        return losses.dpo(ratio[BETTER] - ratio[WORSE], beta=BETA, strength_P=VOTES).mean()

    expected = (REFERENCE + REWARD / BETA).softmax(0)
    assert (minimise(loss, REFERENCE).softmax(0) - expected).abs().max() < 1e-6
    # control: the untilted reference is far from that optimum, so the bound above means something
    assert (REFERENCE.exp() - expected).abs().max() > 0.1


def test_robust_dpo_finds_the_clean_optimum_from_flipped_votes() -> None:
    flipped = VOTES * (1 - 2 * FLIP) + FLIP
    expected = (REFERENCE + REWARD / BETA).softmax(0)

    def optimum(loss: Callable[..., Tensor], **knobs: float) -> Tensor:
        def mean(logits: Tensor) -> Tensor:
            ratio = ratios(logits)
            return loss(ratio[BETTER] - ratio[WORSE], beta=BETA, strength_P=flipped, **knobs).mean()

        return minimise(mean, REFERENCE).softmax(0)

    assert (optimum(losses.robust_dpo, label_smoothing=FLIP) - expected).abs().max() < 1e-6
    assert (optimum(losses.dpo) - expected).abs().max() > 0.02  # control: DPO takes the flips for weak preferences


def test_ipo_optimum_is_the_reference_tilted_by_win_rates() -> None:
    """With every pair equally often, pi is proportional to ref exp(p / tau), p being the mean
    win rate (Azar et al. 2023)."""
    chance = torch.rand(ACTIONS, ACTIONS, generator=torch.Generator().manual_seed(3), dtype=F64).triu(1)
    chance = (
        chance + (1 - chance.T).tril(-1) + 0.5 * torch.eye(ACTIONS, dtype=F64)
    )  # any preferences, cycles among them

    def loss(logits: Tensor) -> Tensor:
        ratio = ratios(logits)
        return losses.ipo(ratio[BETTER] - ratio[WORSE], tau=TAU, strength_P=chance[BETTER, WORSE]).mean()

    expected = (REFERENCE + chance.mean(1) / TAU).softmax(0)
    assert (minimise(loss, REFERENCE).softmax(0) - expected).abs().max() < 1e-8
    assert (REFERENCE.exp() - expected).abs().max() > 0.05


def test_chi_po_optimum_keeps_reward_less_link_constant() -> None:
    def loss(logits: Tensor) -> Tensor:
        ratio = ratios(logits)
        return losses.chi_po(ratio[BETTER], ratio[WORSE], beta=BETA, strength_P=VOTES).mean()

    ratio = ratios(minimise(loss, REFERENCE))
    assert float((REWARD - BETA * losses.chi_link(ratio)).std()) < 1e-7
    assert float((REWARD - BETA * ratio).std()) > 0.05  # control: that is DPO's identity, and not this one's


# ---- games ---------------------------------------------------------------------------------------
CYCLE = torch.tensor([[0.5, 0.9, 0.1], [0.1, 0.5, 0.9], [0.9, 0.1, 0.5]], dtype=F64)  # rock, paper, scissors
LADDER = torch.tensor([[0.5, 0.9, 0.9], [0.1, 0.5, 0.9], [0.1, 0.1, 0.5]], dtype=F64)


def self_play(chance: Tensor, rounds: int, beta: float) -> Tensor:
    """SPPO with the library's loss minimised in full each round; the average policy, which is
    what converges (Wu et al. 2024)."""
    logp, total = torch.tensor([0.7, 0.2, 0.1], dtype=F64).log(), torch.zeros(3, dtype=F64)
    for _ in range(rounds):
        win = chance @ logp.exp()
        # the loss is a square, so half its slope away is its minimum over free logits
        logp = (logp - 0.5 * slope(lambda x, b=logp, w=win: losses.sppo(x - b, win_R=w, beta=beta), logp)).log_softmax(
            0
        )
        total += logp.exp()
    return total / rounds


def test_sppo_on_a_cycle_averages_to_uniform_and_on_a_ladder_to_the_top() -> None:
    assert (self_play(CYCLE, 3000, beta=5.0) - 1 / 3).abs().max() < 0.02
    assert self_play(LADDER, 100, beta=5.0)[0] > 0.9


def test_online_dpo_on_a_cycle_converges_to_uniform_and_on_a_ladder_to_the_top() -> None:
    """Pairs of the policy's own replies with soft votes, and a uniform reference: the
    regularised game's equilibrium."""

    def play(chance: Tensor, beta: float) -> Tensor:
        logits = torch.tensor([1.5, 0.0, -1.0], dtype=F64, requires_grad=True)
        optimiser = torch.optim.SGD([logits], lr=0.5)
        for _ in range(400):
            logp = logits.log_softmax(0)
            margin = logp[:, None] - logp[None, :]  # less the uniform reference's, which is 0
            pairs = logp.detach().exp()[:, None] * logp.detach().exp()[None, :]
            loss = (pairs * losses.dpo(margin.flatten(), beta=beta, strength_P=chance.flatten()).view(3, 3)).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return logits.detach().softmax(0)

    assert (play(CYCLE, beta=1.0) - 1 / 3).abs().max() < 1e-4
    assert play(LADDER, beta=1.0).argmax() == 0
    assert play(LADDER, beta=1.0)[0] > 0.6


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 0.0, 2.0])])
def test_likelihood_counts_each_token_by_its_weight(weight: torch.Tensor | None) -> None:
    logp_N = torch.tensor([-1.0, -2.0, -3.0])
    assert float(losses.negative_log_likelihood(logp_N, weight).sum()) == (6.0 if weight is None else 7.0)


# ---- the choice of the loss of pairs --------------------------------------------------------------
PAIR_STAGES: list[tuple[losses.PairStage, float]] = [
    (Dpo(by="dpo", beta=BETA, nll=0.25), math.log(2) + 0.25 * 1.5),
    (Cdpo(by="cdpo", beta=BETA, label_smoothing=FLIP), math.log(2)),
    (RobustDpo(by="robust_dpo", beta=BETA, label_smoothing=FLIP), math.log(2)),
    (Ipo(by="ipo", tau=TAU), (1 / (2 * TAU)) ** 2),
    (Hinge(by="hinge", beta=BETA), 1.0),
    (Rpo(by="rpo", beta=BETA, alpha=0.5), math.log(2) + 0.5 * 1.5),
    (ChiPo(by="chi_po", beta=BETA), math.log(2)),
]
WITHOUT_REFERENCE: list[losses.PairStage] = [Simpo(by="simpo"), Orpo(by="orpo")]


def pair_logps(logratio: float) -> losses.PairLogps:
    """Three pairs, whose replies have these log-ratios to the reference."""
    at_P = torch.full((3,), logratio, dtype=F64)
    mean_P = torch.full((3,), -1.5, dtype=F64)
    return losses.PairLogps(at_P, at_P.clone(), mean_P, mean_P - 1, torch.tensor([1.0, 0.7, 0.5], dtype=F64))


@pytest.mark.parametrize(("stage", "at_start"), PAIR_STAGES, ids=lambda value: getattr(value, "by", ""))
def test_a_stage_costs_at_its_reference_what_its_paper_says(stage: losses.PairStage, at_start: float) -> None:
    method = losses.pair_loss(stage)
    assert not method.reference_free
    assert method.loss(pair_logps(0.0)).tolist() == pytest.approx([at_start] * 3, abs=1e-12)
    assert method.margin(pair_logps(0.0)).tolist() == [0.0] * 3


@pytest.mark.parametrize("stage", [*(stage for stage, _ in PAIR_STAGES), *WITHOUT_REFERENCE], ids=lambda s: s.by)
def test_only_a_method_without_a_reference_reads_none(stage: losses.PairStage) -> None:
    """A log-ratio that is no number must reach every loss that has a reference, and no other."""
    method = losses.pair_loss(stage)
    finite = bool(method.loss(pair_logps(math.nan)).isfinite().all())
    assert finite == method.reference_free == (stage in WITHOUT_REFERENCE)
    assert bool(method.margin(pair_logps(math.nan)).isfinite().all()) == finite
