"""What does a latent stand for: where is it on, how often, and which tokens does it promote?

Of every latent that some held-out token switches on: the part of the tokens, its largest value, the texts with its
largest values (one token of a row, and no beginning twice), and the tokens whose logits rise and fall most when it is
added at its largest value to the mean activation and the final norm and head read that: what it would say directly,
past the blocks that follow.

Top examples and promoted tokens look tidy in models with random weights too (Heap et al. 2025): what a latent seems
to mean is a guess, to be tried by steering along its direction or ablating it.

Shapes: N tokens, H hidden size, F latents, A kept latents of all tokens together, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alignwright.core.records import Record
from alignwright.lens.sae.autoencoder import Active, Autoencoder
from alignwright.lens.sae.evaluate import Moments
from alignwright.model.activations.readout import readout_of
from alignwright.model.activations.sites import Site
from alignwright.model.activations.store import ActivationStore
from alignwright.model.local_model import LocalModel

EXAMPLES, WORDS, AROUND = 5, 8, 12
_CHUNK = 32  # latents whose logits are made at once


class TopExample(Record):
    """A place where a latent is on: the tokens around it, and which of them it is."""

    row: int
    position: int
    value: float
    before: str
    token: str
    after: str


class Latent(Record):
    """A latent, as it shows on held-out tokens."""

    latent: int
    tokens: int
    """On so many of them."""
    rate: float
    largest: float
    variance: float
    """Its part of the sum of all latents' squares."""
    promotes: tuple[tuple[str, float], ...] = ()
    suppresses: tuple[tuple[str, float], ...] = ()
    examples: tuple[TopExample, ...] = ()
    as_random: float | None = None
    """Its largest correlation with a latent of the same recipe in the model with random weights, if known."""


@dataclass(frozen=True, eq=False)
class Firings:
    """What was on over many tokens: of each entry the row and the position in it."""

    active: Active
    row_A: Tensor
    position_A: Tensor


def latents_on(dictionary: Autoencoder, store: ActivationStore, site: Site) -> Firings:
    """Every latent that a token of the store switches on; sinks are left out."""
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = []
    tokens = 0
    for shard in store.shards():
        plain_N = shard[f"sink.{site.name}"] == 0
        active = dictionary.encode(shard[f"acts.{site.name}"][plain_N].float())
        row_N, position_N = shard["row"][plain_N].long(), shard["position"][plain_N].long()
        where_A = active.token_A
        parts.append((where_A + tokens, active.latent_A, active.value_A, row_N[where_A], position_N[where_A]))
        tokens += active.tokens
    token_A, latent_A, value_A, row_A, position_A = (torch.cat(part) for part in zip(*parts, strict=True))
    return Firings(Active(token_A, latent_A, value_A, tokens), row_A, position_A)


def features(
    policy: LocalModel, dictionary: Autoencoder, cloud: Moments, firings: Firings, rows: Sequence[Sequence[int]]
) -> list[Latent]:
    """Of each latent that was on, those first that carry most of the activations."""
    active = firings.active
    count_F = torch.bincount(active.latent_A, minlength=dictionary.latents)
    square_F = torch.zeros(dictionary.latents, dtype=torch.float64)
    square_F.index_add_(0, active.latent_A, active.value_A.double().square())
    largest_F = torch.zeros(dictionary.latents).scatter_reduce(0, active.latent_A, active.value_A.float(), "amax")
    order = square_F.argsort(descending=True, stable=True)
    order = order[count_F[order] > 0]
    words = _effects(policy, dictionary, cloud, order, largest_F)
    places = _top_places(firings, dictionary.latents, rows)
    total = float(square_F.sum())
    return [
        Latent(
            latent=latent, tokens=int(count_F[latent]), rate=float(count_F[latent]) / active.tokens,
            largest=float(largest_F[latent]), variance=float(square_F[latent]) / total,
            promotes=promotes, suppresses=suppresses,
            examples=tuple(_example(policy, firings, place, rows) for place in places.get(latent, ())),
        )
        for latent, (promotes, suppresses) in zip(order.tolist(), words, strict=True)
    ]  # fmt: skip


Words = tuple[tuple[str, float], ...]


@torch.inference_mode()
def _effects(
    policy: LocalModel, dictionary: Autoencoder, cloud: Moments, order: Tensor, largest_F: Tensor
) -> list[tuple[Words, Words]]:
    """Of each latent, the tokens whose logits it raises most, and those it lowers most."""
    readout, mean_H = readout_of(policy), cloud.mean_H.float().to(policy.device)
    own_V = readout.logits(mean_H[None])[0].float()
    effects: list[tuple[Words, Words]] = []
    for part in order.split(_CHUNK):
        added = dictionary.decoder_FH[part].to(mean_H) * largest_F[part].to(mean_H)[:, None]
        change_FV = readout.logits(mean_H + added).float() - own_V
        effects += [(_words(policy, *high), _words(policy, *low)) for high, low in _ends(change_FV)]
    return effects


def _ends(change_FV: Tensor) -> list[tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
    """Of each row its largest numbers and its smallest, with their places."""
    high, low = change_FV.topk(WORDS), change_FV.topk(WORDS, largest=False)
    return [((high.indices[i], high.values[i]), (low.indices[i], low.values[i])) for i in range(len(change_FV))]


def _words(policy: LocalModel, ids: Tensor, values: Tensor) -> Words:
    return tuple((token_text(policy, token), value) for token, value in zip(ids.tolist(), values.tolist(), strict=True))


def token_text(policy: LocalModel, token: int) -> str:
    """A token's text; of one of the template, which decodes to nothing, its name."""
    return policy.chat.decode([token]) or str(policy.chat.tokenizer.convert_ids_to_tokens(token))


def _top_places(firings: Firings, latents: int, texts: Sequence[Sequence[int]]) -> dict[int, list[int]]:
    """Of each latent, where in the list its largest values are: one of a row, and one of rows that are alike up to
    the token, as those of one template are. What a latent sees is no more than that."""
    order = firings.active.value_A.argsort(descending=True, stable=True)
    order = order[firings.active.latent_A[order].argsort(stable=True)]
    places: dict[int, list[int]] = {latent: [] for latent in range(latents)}
    rows: dict[int, set[int]] = {latent: set() for latent in range(latents)}
    contexts: dict[int, set[tuple[int, ...]]] = {latent: set() for latent in range(latents)}
    columns = (firings.active.latent_A[order], firings.row_A[order], firings.position_A[order])
    for place, latent, row, position in zip(order.tolist(), *(column.tolist() for column in columns), strict=True):
        if len(places[latent]) == EXAMPLES or row in rows[latent]:
            continue
        rows[latent].add(row)  # by its largest value or not at all
        context = tuple(texts[row][max(0, position - AROUND) : position + 1])
        if context not in contexts[latent]:
            places[latent].append(place)
            contexts[latent].add(context)
    return places


def _example(policy: LocalModel, firings: Firings, place: int, rows: Sequence[Sequence[int]]) -> TopExample:
    row, position = int(firings.row_A[place]), int(firings.position_A[place])
    ids, decode = rows[row], policy.chat.decode
    return TopExample(
        row=row, position=position, value=float(firings.active.value_A[place]),
        before=decode(ids[max(0, position - AROUND) : position]), token=token_text(policy, ids[position]),
        after=decode(ids[position + 1 : position + 1 + AROUND]),
    )  # fmt: skip
