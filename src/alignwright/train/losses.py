"""What is minimised? DPO and its kin, reward-model and SFT losses, one function each.

Every loss here is a pure function from log-probabilities to one number per unit (a token, a pair, a
reply), in nats and unreduced: the loop divides by the number of units of the whole optimiser step,
so gradients do not depend on how a step is cut into micro-batches.

The direct methods are one loss with another margin or another link. A margin says by how much the
chosen reply is ahead of the rejected one: in log-ratio to a reference (`ln pi/ref`, most of them),
through chi-PO's link, in log-odds (ORPO) or in mean log-probability (SimPO). A link says what a
margin costs: logistic (DPO), squared (IPO), hinge. A vote's `strength` s, the probability that the
chosen reply is the better one, is in all of them the expectation over a vote that may be wrong: s
f(margin) + (1 - s) f(-margin). Conservative and robust DPO are DPO at another strength, the one the
inverse of the other. Terms of likelihood belong to the chosen reply alone.

`pair_loss` is where a stage's loss is chosen, with the margin it is a function of and whether it
needs reference log-probabilities: a new preference loss is a record among the knobs, a function
here, and a case there.

Left out on purpose: losses that need whole distributions (AOT, exact f-divergences), and label
smoothing by another name (cDPO is it). Shapes: `_N` scored tokens, `_P` pairs, `_R` replies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import torch
from torch.nn import functional as F

from alignwright.train.knobs_pairs import Cdpo, ChiPo, Dpo, Hinge, Ipo, Orpo, RobustDpo, Rpo, Simpo

if TYPE_CHECKING:
    from torch import Tensor

PairStage = Dpo | Cdpo | RobustDpo | Ipo | Hinge | Orpo | Simpo | Rpo | ChiPo

CHI_CLIP = 20.0
"""Log-ratio beyond which chi-PO's density ratio grows no more (its logarithm still does):
exp(20) is 5e8, exp(89) is infinite in float32."""


def negative_log_likelihood(logp_N: Tensor, weight_N: Tensor | None = None) -> Tensor:
    """Next-token loss per scored token, optionally weighted. Shape [N]."""
    return -logp_N if weight_N is None else -logp_N * weight_N


def bradley_terry(gap_P: Tensor, *, strength_P: Tensor, margin_P: Tensor | None = None) -> Tensor:
    """The loss of a reward model: `gap_P` is the chosen reply's score less the rejected one's.

    The soft-label cross-entropy of sigmoid(gap). `margin_P` is how much further ahead the chosen
    reply must be (Touvron et al. 2023); it stands inside the sigmoid, so it is taken from the gap
    for both outcomes of the vote.
    """
    return dpo(gap_P if margin_P is None else gap_P - margin_P, beta=1.0, strength_P=strength_P)


# ---- the choice of the loss of pairs --------------------------------------------------------------
@dataclass(frozen=True)
class PairLogps:
    """Of each pair of a micro-batch, all [P]: ln pi/ref of both replies (0 without a reference), the
    mean log-probability of their tokens, and the strength of the vote."""

    chosen_logratio_P: Tensor
    rejected_logratio_P: Tensor
    chosen_mean_P: Tensor
    rejected_mean_P: Tensor
    strength_P: Tensor

    @property
    def margin_P(self) -> Tensor:
        """DPO's margin: how much more likely the chosen reply became than the rejected one, in nats."""
        return self.chosen_logratio_P - self.rejected_logratio_P


@dataclass(frozen=True)
class PairLoss:
    """A direct method: the loss of each pair, the margin that is logged of it, and whether it does
    without reference log-probabilities."""

    loss: Callable[[PairLogps], Tensor]
    margin: Callable[[PairLogps], Tensor] = lambda p: p.margin_P
    reference_free: bool = False


def pair_loss(stage: PairStage) -> PairLoss:
    """The loss of a stage that learns from pairs."""
    s = stage
    match s:
        case Dpo():
            return PairLoss(
                lambda p: rpo(p.margin_P, -p.chosen_mean_P, beta=s.beta, alpha=s.nll, strength_P=p.strength_P)
            )
        case Cdpo():
            return PairLoss(
                lambda p: cdpo(p.margin_P, beta=s.beta, label_smoothing=s.label_smoothing, strength_P=p.strength_P)
            )
        case RobustDpo():
            return PairLoss(
                lambda p: robust_dpo(
                    p.margin_P, beta=s.beta, label_smoothing=s.label_smoothing, strength_P=p.strength_P
                )
            )
        case Ipo():
            return PairLoss(lambda p: ipo(p.margin_P, tau=s.tau, strength_P=p.strength_P))
        case Hinge():
            return PairLoss(lambda p: hinge(p.margin_P, beta=s.beta, strength_P=p.strength_P))
        case Rpo():
            return PairLoss(
                lambda p: rpo(p.margin_P, -p.chosen_mean_P, beta=s.beta, alpha=s.alpha, strength_P=p.strength_P)
            )
        case ChiPo():
            return PairLoss(
                lambda p: chi_po(p.chosen_logratio_P, p.rejected_logratio_P, beta=s.beta, strength_P=p.strength_P)
            )
        case Simpo():
            return PairLoss(
                lambda p: simpo(
                    p.chosen_mean_P, p.rejected_mean_P, beta=s.beta, gamma=s.gamma, strength_P=p.strength_P
                ),
                margin=lambda p: p.chosen_mean_P - p.rejected_mean_P,
                reference_free=True,
            )
        case Orpo():
            return PairLoss(
                lambda p: orpo(p.chosen_mean_P, p.rejected_mean_P, weight=s.weight, strength_P=p.strength_P),
                margin=lambda p: log_odds(p.chosen_mean_P) - log_odds(p.rejected_mean_P),
                reference_free=True,
            )
        case _ as never:
            assert_never(never)


# ---- links of a margin in ln pi/ref --------------------------------------------------------------
def dpo(margin_P: Tensor, *, beta: float, strength_P: Tensor) -> Tensor:
    """Direct preference optimisation with soft labels, per pair. Shape [P].

    `margin_P` is ln pi/ref of the chosen reply minus that of the rejected one, in nats;
    `strength_P` is the probability that the chosen reply is the better one. With strength 1 this is
    equation 7 of Rafailov et al. 2023 (arXiv 2305.18290). At margin 0 it is ln 2 whatever the
    strength. Its minimum over the margin is at logit(strength) / beta, so a soft vote asks for a
    finite margin and never for an endless one.
    """
    return _expected(lambda margin: -F.logsigmoid(beta * margin), margin_P, strength_P)


def cdpo(margin_P: Tensor, *, beta: float, label_smoothing: float, strength_P: Tensor) -> Tensor:
    """Conservative DPO (Mitchell 2023): DPO on votes that are each taken to be flipped with
    probability `label_smoothing`."""
    return dpo(margin_P, beta=beta, strength_P=strength_P * (1 - 2 * label_smoothing) + label_smoothing)


def robust_dpo(margin_P: Tensor, *, beta: float, label_smoothing: float, strength_P: Tensor) -> Tensor:
    """Robust DPO (Chowdhury, Kini and Natarajan 2024, arXiv 2403.00409): [(1 - e) f(margin) - e
    f(-margin)] / (1 - 2 e).

    Its expectation over votes that are flipped with probability e = `label_smoothing` is the DPO
    loss of the unflipped ones, exactly. For a certain vote it is not bounded below: the margin is
    held by the votes that say the opposite, or by early stopping.
    """
    return dpo(margin_P, beta=beta, strength_P=(strength_P - label_smoothing) / (1 - 2 * label_smoothing))


def ipo(margin_P: Tensor, *, tau: float, strength_P: Tensor) -> Tensor:
    """Identity preference optimisation (Azar et al. 2023, arXiv 2310.12036, equation 17): (margin -
    1/(2 tau))^2.

    A vote of strength s has its minimum at (2 s - 1) / (2 tau), which is (s - 1/2) / tau.
    """
    return _expected(lambda margin: (margin - 1 / (2 * tau)) ** 2, margin_P, strength_P)


def hinge(margin_P: Tensor, *, beta: float, strength_P: Tensor) -> Tensor:
    """max(0, 1 - beta margin) (SLiC-HF; Zhao et al. 2023, arXiv 2305.10425, on DPO's margin as in
    Liu et al. 2023).

    A certain vote teaches nothing beyond 1/beta nats; a softer one draws a larger margin back to
    there.
    """
    return _expected(lambda margin: F.relu(1 - beta * margin), margin_P, strength_P)


def rpo(margin_P: Tensor, chosen_nll_P: Tensor, *, beta: float, alpha: float, strength_P: Tensor) -> Tensor:
    """DPO plus `alpha` times the chosen reply's loss per token (Liu et al. 2024, arXiv
    2405.16436; Pang et al. 2024, arXiv 2404.19733)."""
    return dpo(margin_P, beta=beta, strength_P=strength_P) + alpha * chosen_nll_P


# ---- other margins -------------------------------------------------------------------------------
def chi_po(chosen_P: Tensor, rejected_P: Tensor, *, beta: float, strength_P: Tensor) -> Tensor:
    """Chi-PO (Huang et al. 2024, arXiv 2407.13399): DPO on the difference of `chi_link` of the two
    log-ratios.

    Its analysis also clips that difference at twice the largest reward, which nobody knows; that is
    left out.
    """
    return dpo(chi_link(chosen_P) - chi_link(rejected_P), beta=beta, strength_P=strength_P)


def chi_link(logratio_R: Tensor) -> Tensor:
    """z + ln z of the density ratio z = pi/ref, from ln z. The exponential is taken of at most
    CHI_CLIP, so it stays finite."""
    return logratio_R.clamp(max=CHI_CLIP).exp() + logratio_R


def simpo(chosen_P: Tensor, rejected_P: Tensor, *, beta: float, gamma: float, strength_P: Tensor) -> Tensor:
    """SimPO (Meng, Xia and Chen 2024, arXiv 2405.14734, equation 6) of the two replies' mean
    log-probabilities per token; no reference."""
    return _expected(lambda margin: -F.logsigmoid(beta * margin - gamma), chosen_P - rejected_P, strength_P)


def orpo(chosen_P: Tensor, rejected_P: Tensor, *, weight: float, strength_P: Tensor) -> Tensor:
    """ORPO (Hong, Lee and Thorne 2024, arXiv 2403.07691, equations 6 and 7) of the two mean
    log-probabilities per token; no reference.

    The chosen reply's loss per token, plus `weight` times -ln sigmoid of the log odds ratio.
    """
    return -chosen_P + weight * dpo(log_odds(chosen_P) - log_odds(rejected_P), beta=1.0, strength_P=strength_P)


def log_odds(logp_R: Tensor) -> Tensor:
    """ln p/(1 - p) from ln p. A probability of 1 to the last bit has no odds: ln p is taken to
    be at most -eps, where the slope is 0."""
    logp_R = logp_R.clamp(max=-torch.finfo(logp_R.dtype).eps)
    return logp_R - log1mexp(logp_R)


def log1mexp(x: Tensor) -> Tensor:
    """ln(1 - exp(x)) for x < 0, exact near 0 and far from it (Maechler 2012). Each branch sees
    only its own side: a NaN slope would leak."""
    near = x > -math.log(2)
    by_expm1 = (-torch.expm1(torch.where(near, x, -math.log(2)))).log()
    return torch.where(near, by_expm1, torch.log1p(-torch.where(near, -math.log(2), x).exp()))


# ---- replies by themselves -----------------------------------------------------------------------
def kto(logratio_R: Tensor, *, good_R: Tensor, kl: Tensor, beta: float, desirable: float, undesirable: float) -> Tensor:
    """Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306), per reply. Shape [R].

    `good_R` in [0, 1] is the probability that the reply is a good one. `kl` is an estimate of KL(pi
    || ref) from replies to other prompts; below 0 it is taken as 0, and no gradient goes through
    it. A reply is pushed hardest where its log-ratio is `kl`, and less and less on either side of
    it. At log-ratio 0 and `kl` 0 the loss is half the reply's weight.
    """
    z = kl.detach().clamp(min=0.0)
    good_loss_R = desirable * torch.sigmoid(beta * (z - logratio_R))  # 1 - sigmoid(x) is sigmoid(-x)
    bad_loss_R = undesirable * torch.sigmoid(beta * (logratio_R - z))
    return good_R * good_loss_R + (1 - good_R) * bad_loss_R


def sppo(logratio_R: Tensor, *, win_R: Tensor, beta: float) -> Tensor:
    """Self-play preference optimisation (Wu et al. 2024, arXiv 2405.00675), per reply. Shape [R].

    (ln pi/pi_t - (win - 1/2) / beta)^2, where `win_R` is the share of pi_t's replies that this one
    beats. The half stands for the logarithm of the normaliser, which it is to first order in
    1/beta.
    """
    return (logratio_R - (win_R - 0.5) / beta) ** 2


def _expected(link: Callable[[Tensor], Tensor], margin_P: Tensor, strength_P: Tensor) -> Tensor:
    """The cost of a margin when the vote is right with probability `strength_P`."""
    return strength_P * link(margin_P) + (1 - strength_P) * link(-margin_P)
