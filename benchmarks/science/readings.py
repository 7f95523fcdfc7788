"""What does the untouched model see in a pair of replies? Hidden states, computed once and kept in
a temporary folder.

Of each reply the state at its last token and the mean over its tokens, at several depths of the
trunk. To afford every pair of the file on a processor a long prompt is read by its first and last
tokens and a long reply by its beginning; both are said in the settings of a run.

Left out on purpose: the library's own blocks, which keep the last depth only; transformers' forward
of one unpadded row is as fast here.

Shapes: A pairs, H hidden size, T tokens of a row.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from alignwright.core.records import Preference
from alignwright.model.logprob import trunk
from alignwright.model.packing import pack
from alignwright.model.tokens import TokenRow
from science.model import MODEL, start


@dataclass(frozen=True)
class Cut:
    """The most tokens that are read: of a prompt its first `head` and last `tail`, of a reply
    its first `reply`."""

    head: int = 128
    tail: int = 64
    reply: int = 224

    def row(self, row: TokenRow) -> TokenRow:
        prompt = (
            row.prompt
            if len(row.prompt) <= self.head + self.tail
            else (*row.prompt[: self.head], *row.prompt[-self.tail :])
        )
        return TokenRow(prompt, tuple(reply[: self.reply] for reply in row.replies))


DEPTHS = (10, 15, 20, 25, 30)


def gaps(pairs: Sequence[Preference], cut: Cut) -> dict[str, Tensor]:
    """Chosen less rejected, for each reading ("mean 20": mean over the reply's tokens after 20
    blocks). Shape [A, H]."""
    said = json.dumps([MODEL, DEPTHS, asdict(cut), [[p.prompt.conversation.id, p.chosen, p.rejected] for p in pairs]])
    path = (
        Path(tempfile.gettempdir())
        / f"alignwright-readings-{hashlib.sha256(said.encode()).hexdigest()[:16]}.safetensors"
    )
    if not path.exists():
        save_file(_read(pairs, cut), path)
    return load_file(path)


def _read(pairs: Sequence[Preference], cut: Cut) -> dict[str, Tensor]:
    policy = start()
    found: dict[str, list[Tensor]] = {}
    for p in pairs:
        row = cut.row(policy.chat.row(p.prompt.conversation, [p.chosen, p.rejected]))
        first, second = (len(reply) for reply in row.replies)
        begin = len(row.prompt)
        for depth, hidden_TH in zip(DEPTHS, _hidden(row), strict=True):
            one_TH, two_TH = hidden_TH[begin : begin + first], hidden_TH[begin + first : begin + first + second]
            found.setdefault(f"mean {depth}", []).append(one_TH.mean(0) - two_TH.mean(0))
            found.setdefault(f"last {depth}", []).append(one_TH[-1] - two_TH[-1])
    return {name: torch.stack(each) for name, each in found.items()}


@torch.inference_mode()
def _hidden(row: TokenRow) -> list[Tensor]:
    """Of one row, prompt first and then each reply (which sees the prompt and itself), the
    states at each depth. Shape [T, H]."""
    policy = start()
    packed = pack([row], policy.chat.pad_id, dtype=policy.dtype)
    tokens, places, mask = packed.input_ids_BT, packed.position_ids_BT, packed.mask_B1TT
    said = trunk(policy.model)(
        input_ids=tokens, position_ids=places, attention_mask=mask, use_cache=False, output_hidden_states=True
    )
    return [said.hidden_states[depth][0].float() for depth in DEPTHS]
