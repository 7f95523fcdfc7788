"""At which depth does the residual stream already say what the model will write next? The logit lens (nostalgebraist
2020).

What a block leaves goes through the final norm and the head, as if it were the last: `softmax(W norm(h))`. At the
last block that is the model's own prediction, which is checked. A word is settled at the first block from which on
it stays on top; its depth is that block's place, 0 at the first and 1 at the last.

**Control**: the same of the stream with its coordinates shuffled. What still agrees then agrees by the head's own
favourites, not by what the stream holds. **Not told**: small models with tied embeddings speak their head's language
in the last third alone, so a late depth says as much of the lens as of the model; compare models, not depths.

Shapes: N prompts, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alignwright.core.records import Prompt, SampleResult, Status
from alignwright.model.activations.last_states import last_states
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.readout import Readout, readout_of
from alignwright.model.local_model import LocalModel

_CHUNK = 64  # prompts whose logits are made at once


@torch.inference_mode()
def settle(policy: LocalModel, prompts: Sequence[Prompt]) -> list[SampleResult]:
    """Three outcomes of each prompt: the depth, whether it is settled at half of it, and the control."""
    blocks = len(layout_of(policy).blocks)
    readout = readout_of(policy)
    states = last_states(policy, [prompt.conversation for prompt in prompts], range(blocks))
    order = torch.randperm(states[0].shape[1], generator=torch.Generator().manual_seed(0))
    tops_NL = torch.stack([_top(readout, states[layer]) for layer in range(blocks)], dim=1)
    half = (blocks - 1) // 2
    shuffled_N = _top(readout, states[half][:, order])
    final_N = tops_NL[:, -1]
    # the last block at which another word is on top; what comes after it is settled
    other_NL = tops_NL != final_N[:, None]
    place_L = torch.arange(1, blocks + 1)
    first_N = (other_NL * place_L).amax(dim=1)
    agree_N, same_N = ~other_NL[:, half] & (first_N <= half), shuffled_N == final_N
    results: list[SampleResult] = []
    for n, prompt in enumerate(prompts):
        word, first = policy.chat.decode([int(final_N[n])]), int(first_N[n])
        common = {"item": prompt.id, "cluster": prompt.topic or prompt.id, "prompt": prompt.conversation, "reply": word}
        depth, why = first / max(1, blocks - 1), f"settled from block {first} on"
        results.append(SampleResult(claim="logit_lens.depth", status="pass", value=depth, reason=why, **common))
        for claim, agrees in (("logit_lens.half", bool(agree_N[n])), ("logit_lens.control", bool(same_N[n]))):
            status: Status = "pass" if agrees else "fail"
            results.append(SampleResult(claim=claim, status=status, value=float(agrees), **common))
    return results


def _top(readout: Readout, states_NH: Tensor) -> Tensor:
    return torch.cat([readout.logits(part).argmax(dim=-1).cpu() for part in states_NH.split(_CHUNK)])
