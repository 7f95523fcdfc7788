"""How likely was each reply before training? Reference log-probabilities, and log-ratios to them.

The start model's log-probabilities are computed once, before the first step, with the weights that
training starts from and in the very micro-batches it will use: a row always meets the same
neighbours, so the log-ratio at the start is 0 to the last bit in any precision. They are kept in
`reference.safetensors` beside the checkpoints, for a run that goes on after a kill.

Where the policy has moved since (online methods, which meet new replies every round),
`swapped_parameters` puts the start's parameters in its place for the while.

Shapes: `_R` the replies of a micro-batch, row by row; `_A` all replies of all rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from alignwright.files.contents import DamagedFile
from alignwright.model.adapters import trainable_parameters
from alignwright.model.logprob import reply_logprobs, token_logprobs
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow
from alignwright.model.weights import load_tensors
from alignwright.train.batches import MicroBatch

if TYPE_CHECKING:
    from torch import Tensor

    from alignwright.model.local_model import LocalModel

NOT_ITS_REFERENCE = (
    "the policy differs from its reference, in nats, where they must be the same weights: one of them was changed, or"
    " the forward pass is not repeatable. Check the adapter and the thread count"
)


class ReferenceLogps:
    """The replies of some rows under a policy."""

    def __init__(self, policy: LocalModel, rows: Sequence[TokenRow]) -> None:
        self.policy, self.rows = policy, rows
        self.first = [0, *accumulate(len(row.replies) for row in rows)]
        self.reference_A: Tensor | None = None

    def logprobs(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """Of each reply: the sum of its tokens' log-probabilities, and how many they are."""
        packed = pack([self.rows[i] for i in batch], self.policy.chat.pad_id, dtype=self.policy.dtype)
        return reply_logprobs(token_logprobs(self.policy.model, packed), packed)

    def logratio(self, batch: MicroBatch, logp_R: Tensor) -> Tensor:
        """ln pi/ref of each reply, in nats."""
        assert self.reference_A is not None, "the reference is computed before training begins"
        return logp_R - self.reference_A[self._places(batch)]

    @torch.no_grad()
    def compute_reference(self, batches: Sequence[MicroBatch]) -> None:
        """Take the policy as it is now for the reference."""
        self.reference_A = torch.zeros(self.first[-1], device=self.policy.device)
        for batch in batches:
            self.reference_A[self._places(batch)] = self.logprobs(batch)[0]

    def _places(self, batch: MicroBatch) -> Tensor:
        return torch.tensor(
            [a for i in batch for a in range(self.first[i], self.first[i + 1])], device=self.policy.device
        )


def load_reference(replies: Mapping[str, ReferenceLogps], path: Path) -> bool:
    """Take the references that an earlier try kept; False when there are none. Raises ValueError
    where they are of other rows."""
    if not path.exists():
        return False
    reference = load_tensors(path)
    for name, these in replies.items():
        if name not in reference or len(reference[name]) != these.first[-1]:
            raise DamagedFile(
                path, f"it holds no {name!r} of {these.first[-1]} replies, as if it were made from other data"
            )
        these.reference_A = reference[name].to(these.policy.device)
    return True


def save_reference(replies: Mapping[str, ReferenceLogps], path: Path) -> None:
    """Write the references beside their final name first, so that a kill leaves all or nothing."""
    partial = path.with_suffix(".partial")
    save_file(
        {name: these.reference_A.cpu() for name, these in replies.items() if these.reference_A is not None}, partial
    )
    partial.rename(path)


@contextlib.contextmanager
def swapped_parameters(policy: LocalModel, start: Sequence[Tensor]) -> Iterator[None]:
    """The policy with these values of its trainable parameters; afterwards it has its own again,
    to the bit."""
    parameters = trainable_parameters(policy)
    own = [parameter.data for parameter in parameters]
    try:
        for parameter, value in zip(parameters, start, strict=True):
            parameter.data = value
        yield
    finally:
        for parameter, value in zip(parameters, own, strict=True):
            parameter.data = value
