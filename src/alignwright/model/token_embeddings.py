"""How does a model's vocabulary grow by the control tokens of a chat template that it is given?

By a row each in its embeddings and its head, which begins as the mean of all rows (Hewitt 2021,
nlp.stanford.edu/~johnhew/vocab-expansion.html): so a new token begins no likelier than the average
one, and what the model knew is hardly moved. Rows beyond the vocabulary that the weights already
have (padding) are used before new ones are made; tied embeddings stay tied. What ends a turn becomes
an end of generation, beside those that the model had.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from alignwright.model.given_template import GivenTemplate


def fit_to(model: Any, given: GivenTemplate) -> None:
    """Give a transformers model a row for each new token, in its embeddings and its head, and let
    it stop where a turn ends."""
    if given.new_ids:
        size, known = int(model.get_input_embeddings().weight.shape[0]), min(given.new_ids)
        if max(given.new_ids) >= size:
            model.resize_token_embeddings(max(given.new_ids) + 1, mean_resizing=False)
        for weight in _vocabulary_weights(model):
            weight.data[list(given.new_ids)] = weight.data[:known].mean(0, dtype=torch.float32).to(weight.dtype)
    if given.end_id is not None:
        stops = [given.end_id, *sorted(stop_ids(model.config, model.generation_config) - {given.end_id})]
        model.generation_config.eos_token_id = stops
        model.config.eos_token_id = given.end_id


def stop_ids(*configs: Any) -> set[int]:
    """Every id at which a model is said to stop, by its configuration and its generation
    configuration."""
    values = [getattr(config, "eos_token_id", None) for config in configs]
    return {int(i) for ids in values if ids is not None for i in (ids if isinstance(ids, list) else [ids])}


def _vocabulary_weights(model: Any) -> Iterator[Any]:
    """The weights with a row a token, tied ones once."""
    seen: set[int] = set()
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        for weight in (layer.weight, getattr(layer, "bias", None)) if layer is not None else ():
            if weight is not None and id(weight) not in seen:
                seen.add(id(weight))
                yield weight
