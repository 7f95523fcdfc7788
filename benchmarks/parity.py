"""Are our losses and gradients the peer's, to the last digits that float32 has?

`ALIGNWRIGHT_PEERS_PYTHON=… python benchmarks/parity.py` gives the same token ids to TRL's own
trainers and to ours, on a small random Llama with all its weights trained, and compares the loss
and the gradient of every weight: SFT, DPO against another reference model, the reward model with
centring, GRPO with its k3 loss. Ours go through packed rows, shared prompts, the chunked head and
fused blocks; theirs through padded rows. One JSON line a loss; exit code 1 when a loss differs by
more than 1e-4, or a gradient by more than 1e-4 of its norm.

PPO left TRL in 1.13; its losses are compared with formulas written out in the tests.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from tiny import make_tiny

from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.logprob import reply_logprobs, token_logprobs
from alignwright.model.packing import pack
from alignwright.model.reward_head import apply_head, end_hidden, new_head
from alignwright.model.tokens import TokenRow
from alignwright.train import clipped_losses, losses

BETA, CENTER, KL, ALLOWED = 0.1, 0.01, 0.04, 1e-4
PYTHON = os.environ.get("ALIGNWRIGHT_PEERS_PYTHON", "")


def main() -> int:
    if not PYTHON:
        print(
            json.dumps({"skipped": "ALIGNWRIGHT_PEERS_PYTHON is not set: the Python of an environment with TRL 1.16"})
        )
        return 0
    folder = Path(tempfile.mkdtemp())
    # padding by a token of its own: transformers gives the embedding of the padding token no
    # gradient, also where it is the end of a turn
    make_tiny(folder / "model", initializer_range=0.05, pad_token_id=0)
    make_tiny(folder / "reference", seed=1, initializer_range=0.05, pad_token_id=0)
    policy, reference = load(folder / "model"), load(folder / "reference")
    rows, head = _rows(policy), new_head(policy, seed=3)
    advantages = [1.0, -1.0] * len(rows)
    given = {
        "rows": [{"prompt": r.prompt, "replies": r.replies} for r in rows],
        "head": head.weight.tolist(),
        "advantages": advantages,
    }
    (folder / "rows.json").write_text(json.dumps(given | {"beta": BETA, "center": CENTER, "kl": KL}))
    subprocess.run(
        [PYTHON, str(Path(__file__).parent / "peer_parity.py"), str(folder)], check=True, stdout=subprocess.DEVNULL
    )
    peer = json.loads((folder / "peer.json").read_text())
    ours: dict[str, Callable[[], Tensor]] = {
        "sft": lambda: _sft(policy, rows),
        "dpo": lambda: _dpo(policy, reference, rows),
        "reward": lambda: _reward(policy, head, rows),
        "grpo": lambda: _grpo(policy, reference, rows, torch.tensor(advantages)),
    }
    held = [
        _compare(name, loss, policy, peer[name], load_file(folder / f"{name}.safetensors"))
        for name, loss in ours.items()
    ]
    return int(not all(held))


def _compare(
    name: str, loss: Callable[[], Tensor], policy: LocalModel, value: float, theirs: dict[str, Tensor]
) -> bool:
    policy.model.zero_grad()
    total = loss()
    total.backward()
    own = {n.removeprefix("model."): p.grad for n, p in policy.model.named_parameters() if p.grad is not None}
    peers = {n.removeprefix("model."): grad for n, grad in theirs.items() if not n.startswith(("score", "lm_head"))}
    assert own.keys() >= peers.keys(), (
        f"the peer has gradients of {sorted(peers.keys() - own.keys())}, which we do not train"
    )
    gap = float(
        torch.stack([(own[n] - peers[n]).norm() for n in peers]).norm()
        / torch.stack([g.norm() for g in peers.values()]).norm()
    )
    held = abs(float(total.detach()) - value) <= ALLOWED and gap <= ALLOWED
    row = {
        "loss": name,
        "ours": round(float(total.detach()), 7),
        "peers": round(value, 7),
        "gradient_gap": float(f"{gap:.2g}"),
        "holds": held,
    }
    print(json.dumps(row), flush=True)
    return held


def _rows(policy: LocalModel, count: int = 6) -> list[TokenRow]:
    """Random ids, each reply ending its turn."""
    draw, end = random.Random(0), policy.chat.end_ids[-1]

    def ids(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw.randrange(3, 290) for _ in range(draw.randint(least, most)))

    return [TokenRow(ids(3, 9), tuple((*ids(2, 12), end) for _ in range(2))) for _ in range(count)]


def _sft(policy: LocalModel, rows: list[TokenRow]) -> Tensor:
    batch = pack([TokenRow(r.prompt, r.replies[:1]) for r in rows], policy.chat.pad_id, dtype=policy.dtype)
    return losses.negative_log_likelihood(token_logprobs(policy.model, batch)).mean()


def _dpo(policy: LocalModel, reference: LocalModel, rows: list[TokenRow]) -> Tensor:
    batch = pack(rows, policy.chat.pad_id, dtype=policy.dtype)
    with torch.no_grad():
        before_P2 = reply_logprobs(token_logprobs(reference.model, batch), batch)[0].view(-1, 2)
    ratio_P2 = reply_logprobs(token_logprobs(policy.model, batch), batch)[0].view(-1, 2) - before_P2
    return losses.dpo(ratio_P2[:, 0] - ratio_P2[:, 1], beta=BETA, strength_P=torch.ones(len(rows))).mean()


def _reward(policy: LocalModel, head: torch.nn.Linear, rows: list[TokenRow]) -> Tensor:
    score_P2 = apply_head(head, end_hidden(policy, rows)).view(-1, 2)
    gap_P = score_P2[:, 0] - score_P2[:, 1]
    return (losses.bradley_terry(gap_P, strength_P=torch.ones(len(rows))) + CENTER * score_P2.sum(1).square()).mean()


def _grpo(policy: LocalModel, reference: LocalModel, rows: list[TokenRow], advantage_R: Tensor) -> Tensor:
    batch = pack(rows, policy.chat.pad_id, dtype=policy.dtype)
    with torch.no_grad():
        before_N = token_logprobs(reference.model, batch)
    logp_N, length_R = token_logprobs(policy.model, batch), torch.bincount(batch.reply_N)
    old_N = logp_N.detach()
    loss_N = clipped_losses.ppo_loss(logp_N, old_N, advantage_R[batch.reply_N], low=0.2, high=0.2)
    loss_N = loss_N + KL * clipped_losses.divergence_loss("k3", logp_N, before_N, old_N)
    weight_R, unit_R = clipped_losses.token_weights("reply_mean", length_R, longest=int(length_R.max()))
    return (weight_R[batch.reply_N] * loss_N).sum() / unit_R.sum()


if __name__ == "__main__":
    sys.exit(main())
