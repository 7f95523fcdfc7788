"""How does a model's vocabulary grow by the control tokens of a chat template that it is given?

By a row each in its embeddings and its head, which begins as the mean of all rows (Hewitt 2021,
nlp.stanford.edu/~johnhew/vocab-expansion.html): so a new token begins no likelier than the average
one, and what the model knew is hardly moved. Rows beyond the vocabulary that the weights already
have (padding) are used before new ones are made; tied embeddings stay tied. What ends a turn becomes
an end of generation, beside those that the model had.

Under an adapter the weights are frozen, and a token that nobody learnt would stay the mean. So the
rows of the template's tokens learn there too, as a change that is added to them and begins at 0: at
the first step the model is its own reference, to the bit, and what is kept is as small as the rows.

Shapes: K tokens of the template, H hidden size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from alignwright.model.given_template import GivenTemplate
from alignwright.model.tokens import ids_of


def fit_to(model: Any, given: GivenTemplate) -> None:
    """Give a transformers model a row for each new token, in its embeddings and its head, and let
    it stop where a turn ends."""
    if given.new_ids:
        size, needed = int(model.get_input_embeddings().weight.shape[0]), max(given.new_ids) + 1
        per_layer = getattr(model.config.get_text_config(), "vocab_size_per_layer_input", None)
        if per_layer is not None and needed > per_layer:
            raise ValueError(
                f"the chat template writes tokens that the model lacks ({', '.join(given.new_names)}), and this model"
                f" ({model.config.model_type}) has embeddings of each token in each layer, which cannot grow; give it a"
                " template whose tokens it has ('chat: ./template.jinja')"
            )
        if needed > size:
            model.resize_token_embeddings(needed, mean_resizing=False)
        # a tokenizer may have had tokens without a row already: theirs are made as well
        fresh, known = sorted({*given.new_ids, *range(size, needed)}), min(size, *given.new_ids)
        for weight in _vocabulary_weights(model):
            weight.data[fresh] = weight.data[:known].mean(0, dtype=torch.float32).to(weight.dtype)
    if given.end_id is not None:
        stops = [given.end_id, *sorted(stop_ids(model.config, model.generation_config) - {given.end_id})]
        model.generation_config.eos_token_id = stops
        model.config.eos_token_id = given.end_id


def stop_ids(*configs: Any) -> set[int]:
    """Every id at which a model is said to stop, by its configuration and its generation
    configuration."""
    return ids_of(*(getattr(config, "eos_token_id", None) for config in configs))


def _vocabulary_weights(model: Any) -> Iterator[Any]:
    """The weights with a row a token, tied ones once."""
    weights = [weight for layer in _vocabulary_layers(model) for weight in (layer.weight, getattr(layer, "bias", None))]
    return iter({id(weight): weight for weight in weights if weight is not None}.values())


# ---- rows that learn over a frozen matrix --------------------------------------------------------
class TokenDelta(NamedTuple):
    """What training adds to the rows of these tokens: in the embeddings, or in the head."""

    ids_K: Tensor
    delta_KH: nn.Parameter


def add_token_delta(model: Any, token_ids: Sequence[int], *, trainable: bool = True) -> None:
    """Let the rows of these tokens learn, beginning with no change. Tied embeddings learn as one."""
    drop_token_delta(model)
    before: dict[int, nn.Parameter] = {}
    for layer in _vocabulary_layers(model):
        weight = layer.weight
        zeros = torch.zeros(len(token_ids), weight.shape[1], dtype=weight.dtype, device=weight.device)
        fresh = nn.Parameter(zeros, requires_grad=trainable)
        layer.register_parameter(DELTA, before.setdefault(id(weight), fresh))
        layer.token_ids_K = torch.tensor(list(token_ids), device=weight.device)
        layer.delta_off = False
        layer.delta_hook = layer.register_forward_hook(_changed_output)


def drop_token_delta(model: Any) -> None:
    """Take what `add_token_delta` put there away again."""
    for layer in _vocabulary_layers(model):
        if hasattr(layer, DELTA):
            layer.delta_hook.remove()
            del layer._parameters[DELTA], layer.token_ids_K, layer.delta_off, layer.delta_hook


def token_delta(layer: Any) -> TokenDelta | None:
    """The change of a layer's rows, where there is one and it is on."""
    if layer is None or getattr(layer, DELTA, None) is None or layer.delta_off:
        return None
    return TokenDelta(layer.token_ids_K, getattr(layer, DELTA))


def embed_tokens(layer: Any, token: Tensor) -> Tensor:
    """The rows of an embedding, their change added, without what else the layer's class may do."""
    x = nn.functional.embedding(token, layer.weight)
    delta = token_delta(layer)
    return x if delta is None else x + _added(delta, token)


@contextlib.contextmanager
def delta_off(model: Any) -> Iterator[None]:
    """The rows as they were before training, while this lasts."""
    layers = [layer for layer in _vocabulary_layers(model) if token_delta(layer)]
    for layer in layers:
        layer.delta_off = True
    try:
        yield
    finally:
        for layer in layers:
            layer.delta_off = False


@contextlib.contextmanager
def delta_merged(model: Any, *, restore: bool = True) -> Iterator[None]:
    """The change inside the weights while this lasts; afterwards they are what they were, to the
    bit."""
    layers = [(layer, delta) for layer in _vocabulary_layers(model) if (delta := token_delta(layer))]
    rows = {id(layer.weight): (layer.weight, delta) for layer, delta in layers}
    aside = [(weight, ids_K, weight.data[ids_K]) for weight, (ids_K, _) in rows.values()]
    with delta_off(model):
        try:
            for weight, (ids_K, delta_KH) in rows.values():
                weight.data[ids_K] = (weight.data[ids_K].float() + delta_KH.detach().float()).to(weight.dtype)
            yield
        finally:
            for weight, ids_K, rows_KH in aside if restore else ():
                weight.data[ids_K] = rows_KH


@contextlib.contextmanager
def delta_frozen(model: Any) -> Iterator[None]:
    """The rows do not learn while this lasts: a reward model learns in its trunk alone."""
    parameters = {id(delta.delta_KH): delta.delta_KH for delta in map(token_delta, _vocabulary_layers(model)) if delta}
    learning = [(parameter, parameter.requires_grad) for parameter in parameters.values()]
    for parameter, _ in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, requires_grad in learning:
            parameter.requires_grad_(requires_grad)


def delta_tensors(model: Any) -> dict[str, Tensor]:
    """What is kept of the rows: the ids of their tokens, and the change by the name of the weight
    that it is added to, a tied one once. Nothing where no row learns."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    layers = [(layer, delta) for layer in _vocabulary_layers(model) if (delta := token_delta(layer))]
    tensors = {names[id(layer.weight)]: delta.delta_KH.detach().cpu() for layer, delta in reversed(layers)}
    return tensors | {IDS: layers[0][1].ids_K.cpu()} if layers else {}


@torch.no_grad()
def load_delta(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """Put kept rows into a model whose rows may learn. Raises ValueError for those of other tokens
    or of another model."""
    own = delta_tensors(model)
    ids = tensors.get(IDS)
    if own.keys() != tensors.keys() or ids is None or not torch.equal(own[IDS], ids):
        raise ValueError("it is of other tokens than those of the chat template that the spec gives")
    names = {id(weight): name for name, weight in model.named_parameters()}
    for layer in _vocabulary_layers(model):
        if (delta := token_delta(layer)) is not None:
            values = tensors[names[id(layer.weight)]]
            if values.shape != delta.delta_KH.shape:
                raise ValueError("it is of a model of another size")
            delta.delta_KH.copy_(values)


def _changed_output(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """What the layer gives, its rows changed: whichever class it is of."""
    delta = token_delta(layer)
    if delta is None:
        return output
    if isinstance(layer, nn.Linear):
        return output.index_add(-1, delta.ids_K, inputs[0] @ delta.delta_KH.T)
    return output + _added(delta, inputs[0]) * getattr(layer, "embed_scale", 1.0)


def _added(delta: TokenDelta, token: Tensor) -> Tensor:
    """The change of each token's row; 0 of a token whose row does not learn."""
    at_K = (token[..., None] == delta.ids_K).to(delta.delta_KH.dtype)
    return at_K @ delta.delta_KH


def _vocabulary_layers(model: Any) -> list[Any]:
    """The embeddings and the head of a model, an adapter over it or not."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    return [layer for layer in (plain.get_input_embeddings(), plain.get_output_embeddings()) if layer is not None]


DELTA = "token_delta"
IDS = "ids"
ROWS_FILE = "token_embeddings.safetensors"
"""The file beside an adapter that holds what was learnt of the rows."""
