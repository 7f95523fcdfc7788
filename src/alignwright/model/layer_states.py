"""What is a model's inner state at each token of a reply, after a block in its middle?

Where `hidden_states` has one mean of the last states for a reply, a monitor reads every token's, and the middle is
where what a text is about stands clearest. Rows are read one by one through transformers' own forward, for any family
whose blocks stand in `layers`. Shapes: T tokens of the reply, H hidden.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from alignwright.model.adapters import merged
from alignwright.model.llama_blocks import trunk
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.tokens import TokenRow


def block_count(policy: LoadedModel) -> int:
    return int(policy.model.config.get_text_config().num_hidden_layers)


@torch.inference_mode()
def token_states(policy: LoadedModel, rows: Sequence[TokenRow], layer: int) -> list[Tensor]:
    """For each row of one reply the states at its prompt's last token and at each of the reply's, [1 + T, H] in
    float32 on the CPU; `layer` 0 is the embedding. Raises ValueError for a row longer than the model reads."""
    policy.check_lengths([len(row) for row in rows])
    states: list[Tensor] = []
    with merged(policy):
        body = trunk(policy.model)
        for place, row in enumerate(rows):
            ids = torch.tensor([[*row.prompt, *row.replies[0]]], device=policy.device)
            hidden = body(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states[layer]
            states.append(hidden[0, len(row.prompt) - 1 :].float().cpu())
            if policy.progress:
                policy.progress(place + 1, len(rows))
    return states
