"""Is a latent that looks like one model's own truly absent from the other? Latent scaling (Minder et al. 2025).

A short decoder row does not say that a feature is absent. By how much the row d_j of the model that it is said to be of
must be multiplied to explain y in either model has a closed form,

    beta(y) = <d_j, sum_x f_j(x) y(x)> / (|d_j|^2 sum_x f_j(x)^2)

and nu = beta in the other model / beta in its own is asked of two y:

- **nu_error**, of what the other latents leave (the error, with the latent's own part put back): high where the feature
  is in the other model and its row was shrunk away (**complete shrinkage**);
- **nu_reconstruction**, of what all latents together make: high where another latent has it for the other model
  (**latent decoupling**).

A latent is one model's own where both are low: 0.2 and 0.5, the limits of that paper. Of latents that both models share
both are near 1, which is the control: their median says that the test sees what is there.

Shapes: N tokens, D both models' hidden sizes side by side, F latents, A kept latents of all tokens together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.lens.sae.autoencoder import Active, Autoencoder

LIMITS = (0.2, 0.5)
"""Of the errors and of the reconstructions: from here on it is in the other model too."""


@dataclass(frozen=True, eq=False)
class LatentScaling:
    """nu of every latent, of errors and of reconstructions; NaN of those that were never on. `trained_F`: whose it is
    held to be, the trained model's or the start model's."""

    error_F: Tensor
    reconstruction_F: Tensor
    trained_F: Tensor

    @property
    def shrunk_F(self) -> Tensor:
        return ~(self.error_F < LIMITS[0])

    @property
    def decoupled_F(self) -> Tensor:
        return ~(self.reconstruction_F < LIMITS[1])

    def absent(self, latents: Tensor) -> Tensor:
        """Those of these latents that are truly absent from the other model."""
        return latents[~(self.shrunk_F | self.decoupled_F)[latents]]


def latent_scaling(dictionary: Autoencoder, parts: Iterable[tuple[Tensor, Active]]) -> LatentScaling:
    """Of activations of both models [N, D] with what was on at them. A latent is held to be of the model whose decoder
    row is longer."""
    start_FH, trained_FH = (half.double() for half in dictionary.decoder_FH.chunk(2, dim=1))
    centre_D = dictionary.centre_H.double()
    error_FD, made_FD = (torch.zeros(dictionary.decoder_FH.shape, dtype=torch.float64) for _ in range(2))
    square_F = torch.zeros(dictionary.latents, dtype=torch.float64)
    for states_ND, active in parts:
        reconstruction_ND = dictionary.decode(active).double() - centre_D
        value_A = active.value_A.double()
        for sum_FD, target_ND in (
            (error_FD, states_ND.double() - centre_D - reconstruction_ND),
            (made_FD, reconstruction_ND),
        ):
            sum_FD.index_add_(0, active.latent_A, target_ND[active.token_A] * value_A[:, None])
        square_F.index_add_(0, active.latent_A, value_A.square())
    trained_F = trained_FH.norm(dim=1) >= start_FH.norm(dim=1)
    own_FH = torch.where(trained_F[:, None], trained_FH, start_FH)
    size_F = own_FH.square().sum(1) * square_F

    def ratio(start_F: Tensor, of_trained_F: Tensor) -> Tensor:
        own_F, other_F = (
            torch.where(trained_F, of_trained_F, start_F), torch.where(trained_F, start_F, of_trained_F),
        )  # fmt: skip
        return torch.where(square_F > 0, other_F / own_F, float("nan"))

    betas = [
        [torch.linalg.vecdot(own_FH, half) / size_F for half in sum_FD.chunk(2, dim=1)]
        for sum_FD in (error_FD, made_FD)
    ]
    put_back = [torch.linalg.vecdot(own_FH, rows) / own_FH.square().sum(1) for rows in (start_FH, trained_FH)]
    error = [beta_F + back_F for beta_F, back_F in zip(betas[0], put_back, strict=True)]
    return LatentScaling(ratio(error[0], error[1]), ratio(betas[1][0], betas[1][1]), trained_F)
