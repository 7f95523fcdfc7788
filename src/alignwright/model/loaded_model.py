"""What of a loaded model do its parts need: adapters, the KV cache, the decoder, sampling?

The transformers model with its tokenizer, the `Chat` that is the door to both, how long a row may
be, and how large a batch. All that a model can be asked for (`LocalModel`) is made of those parts,
so it stands above them, and this below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from alignwright.core.records import TODAY
from alignwright.model.limits import limit_of_model
from alignwright.model.token_embeddings import stop_ids
from alignwright.model.tokens import chat_of


class LoadedModel:
    """A transformers model, which an adapter may be put over, and what bounds its rows and
    batches. `progress(done, of)` is called as a long call goes on, where it is set."""

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        *,
        token_budget: int = 4096,
        batch_rows: int = 64,
        date: str = TODAY,
    ) -> None:
        self.name = name
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.chat = chat_of(tokenizer, frozenset(stop_ids(model.config, model.generation_config)), date)
        self.template_tokens: tuple[int, ...] = ()
        """Tokens of a chat template that the spec gave, whose rows learn under an adapter, too."""
        self.token_budget = token_budget
        self.batch_rows = batch_rows
        self.steering: tuple[Any, ...] = ()
        """Edits of its stream that were put on for good when it was opened (`activations.steering`)."""
        self.steering_meta: Mapping[str, Any] = {}
        """What was noted of where these came from."""
        self.progress: Callable[[float, int], None] | None = None
        self.limit = limit_of_model(model.config.get_text_config().to_dict())
        self.longest = self.limit.tokens

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    @property
    def device(self) -> torch.device:
        return self.model.device

    def check_lengths(self, lengths: Sequence[int]) -> None:
        """Refuse what the model was not made for, rather than score it wrongly."""
        if lengths and max(lengths) > self.longest:
            raise ValueError(
                f"a row of {max(lengths)} tokens is longer than {self.limit} ({self.name}); {self.limit.help}"
            )
