"""What is a weaker model of the same family, where there is only one? Its own first blocks.

The embeddings, the first n blocks, and the last norm stand behind one another, the rest is left
out. Its states are what the whole model has in the middle, so that whatever is trained on their top
begins from representations that are truly poorer, and not from another model.

Left out on purpose: generation. A head that has never read the states of a middle block says
nothing; what is trained over them is a head of its own (`reward_head`).
"""

from __future__ import annotations

from torch import nn

from alignwright.model.activations.layout import layout_of
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import trunk


def keep_first_blocks(policy: LocalModel, count: int) -> None:
    """Take all blocks but the first `count` out of a model, in place. Raises ValueError where it has
    not more than so many, or its blocks are in no one list."""
    blocks = layout_of(policy).blocks
    if not 0 < count < len(blocks):
        raise ValueError(
            f"{policy.name} has {len(blocks)} blocks, so its first {count} are no weaker model; give 1 to"
            f" {len(blocks) - 1}"
        )
    lists = [part for part in trunk(policy.model).modules() if isinstance(part, nn.ModuleList)]
    own = [part for part in lists if len(part) == len(blocks) and part[0] is blocks[0]]
    if not own:
        raise ValueError(f"the blocks of {policy.name} stand in no one list that could be cut; name a weak model")
    del own[0][count:]
    config = policy.model.config.get_text_config()
    config.num_hidden_layers = count
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:count]
    policy.name = f"{policy.name}, first {count} blocks"
