"""How is an autoencoder trained on a stream of activations, so that a kill costs nothing?

Adam on the gradients of `gradients.py`. Activations are scaled so that the mean square of their numbers is 1, and
the result is scaled back: what is saved takes raw activations. The rules beside the loss:

- **Start**: random unit directions, the encoder their transpose; `b_dec` the geometric median of the first batches
  (of which one outlier moves nothing), a JumpReLU threshold where the first batch would have k latents on.
- **Decoder norm**: rows of length 1 after every step, the part of the gradient along a row taken out before it.
- **Dead latents**: what was not on for a sixteenth of the training is revived (`AUX`).
- The learning rate rises over the first 5 % and falls to 0 over the last 20 %.

`Trainer.save` keeps weights, moments and counts; batches of pass p follow from the seed and p, so a training that
goes on after a kill ends in the same numbers. Memory is the weights five times over and one batch.

Shapes: N tokens, H hidden size, F latents, D dead latents.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from alignwright.files.contents import json_object
from alignwright.lens.sae.autoencoder import Architecture, Autoencoder
from alignwright.lens.sae.gradients import Batch, Weights, gradients
from alignwright.model.weights import load_tensors, write_tensors

Batches = Callable[[int, int], Iterator[Tensor]]
"""Of a batch's size and a seed: one pass over the activations."""
_STATE, _NOTE = "state.safetensors", "state.json"
_SAMPLE = 8192
_THRESHOLD_RATE = 0.01


@dataclass(frozen=True)
class Recipe:
    """`steps` of `batch` tokens; `coarse`: the encoder's product is taken in bfloat16."""

    architecture: Architecture
    latents: int
    k: int
    steps: int
    batch: int = 1024
    learning_rate: float = 1e-3
    seed: int = 0
    coarse: bool = False

    @property
    def dead_after(self) -> int:
        """After so many tokens without being on a latent is dead."""
        return max(1, self.steps // 16) * self.batch


class Trainer:
    """An autoencoder in training. `batch` is the first one; it decides scale and start."""

    def __init__(self, recipe: Recipe, batch_NH: Tensor, dtype: torch.dtype = torch.float32) -> None:
        self.recipe = recipe
        hidden = batch_NH.shape[1]
        if not 0 < recipe.k <= recipe.latents:
            raise ValueError(f"{recipe.k} of {recipe.latents} latents cannot be on; k is between 1 and the latents")
        sample_NH = batch_NH[:_SAMPLE].to(dtype)
        self.factor = float((sample_NH.square().mean()).rsqrt())
        if not 0 < self.factor < float("inf"):
            raise ValueError("the activations are all 0 (or not finite), so there is nothing to take apart")
        sample_NH = sample_NH * self.factor
        generator = torch.Generator(device="cpu").manual_seed(recipe.seed)
        rows_FH = torch.randn(recipe.latents, hidden, generator=generator).to(dtype).to(batch_NH.device)
        decoder_FH = rows_FH / rows_FH.norm(dim=1, keepdim=True)
        self.weights = Weights(
            decoder_FH.clone(), torch.zeros_like(decoder_FH[:, 0]), decoder_FH, geometric_median(sample_NH)
        )
        if recipe.architecture == "jumprelu":
            self.weights.log_threshold_F = self._first_threshold(sample_NH[: recipe.batch]).log()
        self.silent_F = torch.zeros(recipe.latents, dtype=torch.int64)
        self.threshold, self.step_count = 0.0, 0
        tensors = list(self.weights.by_name().values())
        self.optimiser = torch.optim.Adam(tensors, lr=recipe.learning_rate, betas=(0.9, 0.999), fused=True)

    def _first_threshold(self, sample_NH: Tensor) -> Tensor:
        pre_NF = (sample_NH - self.weights.centre_H) @ self.weights.encoder_FH.T
        least = pre_NF.flatten().topk(self.recipe.k * len(sample_NH)).values[-1].clamp_min(1e-3)
        return torch.full_like(self.weights.bias_F, float(least))

    @torch.no_grad()
    def step(self, states_NH: Tensor) -> Batch:
        """One step on a batch of raw activations."""
        weights, recipe = self.weights, self.recipe
        states_NH = states_NH.to(weights.bias_F) * self.factor
        batch = gradients(
            weights, states_NH, recipe.architecture, recipe.k, dead_D=self._revived(), coarse=recipe.coarse
        )
        decoder_FH, slope_FH = weights.decoder_FH, batch.gradients["decoder_FH"]
        along_F = torch.linalg.vecdot(slope_FH, decoder_FH)
        batch.gradients["decoder_FH"] = slope_FH.addcmul_(decoder_FH, along_F[:, None], value=-1)
        for name, tensor in weights.by_name().items():
            tensor.grad = batch.gradients[name]
        self.optimiser.param_groups[0]["lr"] = recipe.learning_rate * self._rate()
        self.optimiser.step()
        decoder_FH.div_(torch.linalg.vector_norm(decoder_FH, dim=1, keepdim=True))
        self._count(batch, len(states_NH))
        return batch

    def _count(self, batch: Batch, tokens: int) -> None:
        self.silent_F += tokens
        self.silent_F[batch.active.latent_A.cpu()] = 0
        if self.recipe.architecture == "batch_topk" and len(batch.active.value_A):
            least = float(batch.active.value_A.min())
            self.threshold += (least - self.threshold) * (_THRESHOLD_RATE if self.step_count else 1.0)
        self.step_count += 1

    def _revived(self) -> Tensor | None:
        """The dead latents whose turn it is: at most half the hidden size of them."""
        dead_D = (self.silent_F >= self.recipe.dead_after).nonzero()[:, 0]
        most = max(1, self.weights.decoder_FH.shape[1] // 2)
        if len(dead_D) > most:
            dead_D = dead_D.roll(-most * self.step_count)[:most]
        return dead_D.to(self.weights.bias_F.device) if len(dead_D) else None

    def _rate(self) -> float:
        """The part of the learning rate that this step is taken at."""
        count, steps = self.step_count, self.recipe.steps
        rise, fall = max(1, steps // 20), max(1, steps // 5)
        return min(1.0, (count + 1) / rise, (steps - count) / fall)

    def autoencoder(self) -> Autoencoder:
        """What is learnt so far, of raw activations, in float32 (float64 where it was trained in that)."""
        weights = self.weights
        threshold_F = None
        if weights.log_threshold_F is not None:
            threshold_F = weights.log_threshold_F.exp()
        elif self.recipe.architecture == "batch_topk":
            threshold_F = torch.full_like(weights.bias_F, self.threshold)
        trained = Autoencoder(
            weights.encoder_FH.clone(), weights.bias_F.clone(), weights.decoder_FH.clone(), weights.centre_H.clone(),
            self.recipe.k if self.recipe.architecture == "topk" else None, threshold_F,
        )  # fmt: skip
        return trained.scaled(1 / self.factor)

    # ---- a kill --------------------------------------------------------------------------------------------------
    def save(self, folder: Path) -> None:
        """Where it is now, whole or not at all."""
        tensors = {f"weights.{name}": tensor for name, tensor in self.weights.by_name().items()}
        for name, tensor in self.weights.by_name().items():
            for moment, value in self.optimiser.state[tensor].items():
                tensors[f"{moment}.{name}"] = value
        tensors["silent_F"] = self.silent_F
        partial, whole = folder / "training.partial", folder / "training"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write_tensors({name: tensor.contiguous() for name, tensor in tensors.items()}, partial / _STATE)
        note = {"recipe": asdict(self.recipe), "step": self.step_count, "threshold": self.threshold}
        (partial / _NOTE).write_text(json.dumps(note | {"factor": self.factor}), encoding="utf-8")
        previous = folder / "training.before"
        shutil.rmtree(previous, ignore_errors=True)
        if whole.exists():
            whole.rename(previous)
        partial.rename(whole)
        shutil.rmtree(previous, ignore_errors=True)

    def resume(self, folder: Path) -> None:
        """Go on from where it was saved, if it was, with the same recipe."""
        whole = next((each for each in (folder / "training", folder / "training.before") if each.is_dir()), None)
        if whole is None:
            return
        note = json_object(whole / _NOTE, recipe=dict, step=int, threshold=(int, float), factor=(int, float))
        if note["recipe"] != asdict(self.recipe) or note["factor"] != self.factor:
            raise ValueError(f"{whole}: a training of another recipe or other activations; delete it to begin again")
        tensors = load_tensors(whole / _STATE)
        for name, tensor in self.weights.by_name().items():
            tensor.copy_(tensors[f"weights.{name}"])
            self.optimiser.state[tensor] = {
                moment: tensors[f"{moment}.{name}"] for moment in ("step", "exp_avg", "exp_avg_sq")
            }
        self.silent_F = tensors["silent_F"]
        self.step_count, self.threshold = note["step"], float(note["threshold"])


def train(
    recipe: Recipe,
    batches: Batches,
    *,
    folder: Path | None = None,
    save_every: int = 200,
    progress: Callable[[int, int], None] | None = None,
) -> Trainer:
    """Train over as many passes as the steps take. With a folder it is saved as it goes, and gone on with."""
    trainer = Trainer(recipe, _first(batches, recipe))
    if folder is not None:
        trainer.resume(folder)
    place = 0
    for number in range(recipe.steps):  # passes; there are never more of them than steps
        for states_NH in batches(recipe.batch, recipe.seed * 100_003 + number):
            if place >= recipe.steps:
                return trainer
            if place >= trainer.step_count:
                trainer.step(states_NH)
                if folder is not None and trainer.step_count % save_every == 0:
                    trainer.save(folder)
                if progress:
                    progress(trainer.step_count, recipe.steps)
            place += 1
    return trainer


def _first(batches: Batches, recipe: Recipe) -> Tensor:
    first = next(iter(batches(_SAMPLE, recipe.seed)), None)
    if first is None or not len(first):
        raise ValueError("there are no activations to train on")
    return first


def geometric_median(states_NH: Tensor, rounds: int = 20) -> Tensor:
    """The point whose distances to all add up to the least (Weiszfeld): an outlier pulls no harder than any other."""
    median_H = states_NH.mean(dim=0)
    for _ in range(rounds):
        weight_N = 1 / (states_NH - median_H).norm(dim=1).clamp_min(1e-6)
        median_H = (weight_N @ states_NH) / weight_N.sum()
    return median_H
