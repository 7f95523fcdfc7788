"""What does it truly do to the answer to put a part of the clean run into the corrupt one? Activation patching (Vig
et al. 2020; Meng et al. 2022), and path patching (Wang et al. 2022).

The **effect** of putting something from the clean run into the corrupt one is the difference then less the corrupt
run's; as a share of the gap between the two runs it is what that part brings back. Put the other way round, from the
corrupt run into the clean one, it is what is lost without it.

Of a path from one component to a later one, only what the later one reads of the earlier is changed: its input is
that of the corrupt run with the earlier one's clean write in the place of its corrupt one, all between held as it was.

Shapes: B pairs, T tokens, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from alignwright.lens.patch.components import (
    Component,
    ComponentMap,
    Hooks,
    Place,
    changed_output,
    putting,
    reading,
)
from alignwright.lens.patch.pairs import PairBatch, differences
from alignwright.model.activations.capture import capture
from alignwright.model.activations.layout import attached, states_read
from alignwright.model.activations.sites import Site
from alignwright.model.adapters import merged
from alignwright.model.local_model import LocalModel

Role = Literal["changed", "between", "last"]
ROLES: tuple[Role, ...] = ("changed", "between", "last")
"""The tokens that differ, those after the first of them, and the last one."""
Effects = dict[int, float]
"""Of each pair, by its place."""


class ExactPatching:
    """The runs of one batch of pairs, from which parts are put into one another."""

    def __init__(self, policy: LocalModel, parts: ComponentMap, batch: PairBatch) -> None:
        self.policy, self.parts, self.batch = policy, parts, batch
        self.head = policy.model.get_output_embeddings()
        self._clean: dict[Place, Tensor] = {}
        self._corrupt: dict[Place, Tensor] = {}
        with torch.inference_mode():
            self.clean_B = self._read(batch.clean_BT, self._clean)
            self.corrupt_B = self._read(batch.corrupt_BT, self._corrupt)
            blocks = [Site(layer) for layer in range(len(parts.layout.blocks))]
            self._streams = capture(parts.layout, batch.clean_BT, blocks)

    def _read(self, ids_BT: Tensor, states_at: dict[Place, Tensor]) -> Tensor:
        return self._run(ids_BT, reading(self.parts, self.parts.places, states_at))

    @torch.inference_mode()
    def _run(self, ids_BT: Tensor, hooks: Hooks) -> Tensor:
        with attached(hooks):
            return differences(self.parts.layout, self.head, self.batch, ids_BT)

    def recovered(self, components: Iterable[Component]) -> Tensor:
        """What these bring back when they are put from the clean run into the corrupt one: [B], in logits."""
        return self._run(self.batch.corrupt_BT, putting(self.parts, components, self._clean)) - self.corrupt_B

    def loss(self, components: Iterable[Component]) -> Tensor:
        """What is lost when these are put from the corrupt run into the clean one: [B], in logits."""
        return self.clean_B - self._run(self.batch.clean_BT, putting(self.parts, components, self._corrupt))

    def stream(self, layer: int, role: Role) -> Tensor:
        """What the stream that a block leaves brings back at the tokens of this role."""
        where_BT, states_BTH = self.tokens(role), self._streams[Site(layer)]

        def put(states: Tensor) -> Tensor:
            return torch.where(where_BT[:, :, None], states_BTH, states)

        def hook(_module: Any, _args: Any, output: Any) -> Any:
            return changed_output(output, put)

        return self._run(self.batch.corrupt_BT, [(self.parts.layout.blocks[layer], "post", hook)]) - self.corrupt_B

    def tokens(self, role: Role) -> Tensor:
        """Where the tokens of a role are."""
        place_T = torch.arange(self.batch.width, device=self.batch.last_B.device)
        last_BT, changed_BT = place_T == self.batch.last_B[:, None], self.batch.changed_BT
        if role == "last":
            return last_BT
        if role == "changed":
            return changed_BT & ~last_BT
        return (changed_BT.cumsum(1) > 0) & ~changed_BT & (place_T < self.batch.last_B[:, None])

    @torch.inference_mode()
    def path(self, sender: Component, receiver: Component) -> Tensor:
        """What the sender brings back by way of the receiver's input alone."""
        layout, places = self.parts.layout, [receiver.place]
        where = "mlp_out" if sender.part == "mlp" else "attn_out"
        site = Site(sender.layer, where)
        plain_BTH = capture(layout, self.batch.corrupt_BT, [site])[site]
        with attached(putting(self.parts, [sender], self._clean)):
            patched_BTH = capture(layout, self.batch.corrupt_BT, [site])[site]
        states_at: dict[Place, Tensor] = {}
        hooks = [self._entering(receiver, patched_BTH - plain_BTH), *reading(self.parts, places, states_at)]
        self._run(self.batch.corrupt_BT, hooks)
        return self._run(self.batch.corrupt_BT, putting(self.parts, [receiver], states_at)) - self.corrupt_B

    def _entering(self, receiver: Component, change_BTH: Tensor) -> tuple[Any, str, Any]:
        """A change of the stream where the receiver reads it: before its block, or of an MLP that reads what attention
        has added to, after the attention."""
        layout = self.parts.layout
        module, factor = layout.module(Site(receiver.layer, "attn_out"))

        def after(_module: Any, _args: Any, output: Any) -> Any:
            return changed_output(output, lambda states: states + change_BTH.reshape(states.shape) / factor)

        def before(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            states = states_read(args, kwargs)
            assert states is not None
            states = states + change_BTH
            return ((states, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": states})

        if receiver.part == "mlp" and self._after_attention(receiver.layer):
            return module, "post", after
        return layout.blocks[receiver.layer], "pre", before

    def _after_attention(self, layer: int) -> bool:
        """Whether a block's MLP reads what its attention adds."""
        layout, ids_BT = self.parts.layout, self.batch.corrupt_BT[:1]
        module, _ = layout.module(Site(layer, "attn_out"))
        site = Site(layer, "mlp_out")
        plain_BTH = capture(layout, ids_BT, [site])[site]
        with attached([(module, "post", lambda _m, _a, output: changed_output(output, lambda x: x + 1.0))]):
            return not torch.equal(capture(layout, ids_BT, [site])[site], plain_BTH)


def of_all(
    policy: LocalModel,
    parts: ComponentMap,
    batches: Sequence[PairBatch],
    effect: Callable[[ExactPatching], Mapping[str, Tensor]],
) -> dict[str, Effects]:
    """Named effects of every pair, batch by batch."""
    results: dict[str, Effects] = {}
    with merged(policy):
        for batch in batches:
            for name, values_B in effect(ExactPatching(policy, parts, batch)).items():
                results.setdefault(name, {}).update(zip(batch.places, values_B.tolist(), strict=True))
    return results
