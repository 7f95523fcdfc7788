"""GRPO flat, on one screen, in plain torch and transformers: does the library compute the same loss and gradient?

Group Relative Policy Optimisation (Shao et al. 2024, arXiv 2402.03300) as somebody who comes from TRL would write it
down. In TRL's words: `num_generations` replies a prompt, `num_iterations` steps a rollout, `beta` the weight of the
KL term, `epsilon` the clip, `scale_rewards` by the group's standard deviation, `loss_type="grpo"`. The library spreads
these steps over its sampler, advantages, clipped losses and the one optimiser loop, which serve every method; here
they follow one another. By hand everything is in float64 and a reply at a time, in the library in float32 and packed.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rollout_case import PROMPTS, run, stage, trainee, vowels
from tiny import make_tiny
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignwright.model.adapters import trainable_parameters

EPSILON, BETA, ITERATIONS, GENERATIONS, LENGTH, SEED = 0.2, 0.05, 2, 4, 6, 1


# ---- the method ------------------------------------------------------------------------------------------------------
def grpo(
    model: Any,
    tokenizer: Any,
    prompts: list[str],
    rates: list[float],
    *,
    epsilon: float = EPSILON,
    beta: float = BETA,
    scale: float = 1.0,
) -> tuple[list[tuple[float, float]], list[torch.Tensor]]:
    """One rollout and an optimiser step for each learning rate: each one's loss and norm, and the last
    one's gradient."""
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    encoded = [tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"] for chat in chats]
    # 1. sample a group of replies to every prompt
    groups = [[sample(model, tokenizer, ids, p, k) for k in range(GENERATIONS)] for p, ids in enumerate(encoded)]
    # 2. the reward of a reply, and how much better it is than its group, in the group's standard deviations
    texts = [tokenizer.batch_decode(group, skip_special_tokens=True) for group in groups]
    rewards = [torch.tensor([vowels(text) for text in group], dtype=torch.float64) for group in texts]
    spread = [r.std(correction=0) if r.max() > r.min() else 1.0 for r in rewards]
    advantages = [scale * (r - r.mean()) / s for r, s in zip(rewards, spread, strict=True)]
    batch = [(encoded[p], reply, advantages[p][k]) for p, group in enumerate(groups) for k, reply in enumerate(group)]
    # 3. who drew the samples, and who holds the policy: both the model as it is before the first step
    with torch.no_grad():
        old = [token_logps(model, prompt, reply) for prompt, reply, _ in batch]
        reference = [logp.clone() for logp in old]
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
    history = []
    for rate in rates:
        losses = []
        for (prompt, reply, advantage), old_T, reference_T in zip(batch, old, reference, strict=True):
            logp_T = token_logps(model, prompt, reply)
            # 4. the clipped ratio
            ratio_T = (logp_T - old_T).exp()
            surrogate_T = torch.minimum(ratio_T * advantage, ratio_T.clamp(1 - epsilon, 1 + epsilon) * advantage)
            # 5. KL(policy || reference) by k3, weighted by the ratio, for its tokens are the old policy's
            kl_T = (reference_T - logp_T).exp() - 1 - (reference_T - logp_T)
            # 6. a mean over the reply's tokens, then over the replies
            losses.append((-surrogate_T + beta * ratio_T.detach() * kl_T).mean())
        loss = torch.stack(losses).mean()
        # 7. one optimiser step
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        history.append((loss.item(), norm.item()))
    return history, [p.grad for p in model.parameters()]


def token_logps(model: Any, prompt: list[int], reply: list[int]) -> torch.Tensor:
    """The log-probability of each token of the reply."""
    logits = model(torch.tensor([prompt + reply])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(reply)[:, None])[:, 0]


@torch.no_grad()
def sample(model: Any, tokenizer: Any, prompt: list[int], p: int, k: int) -> list[int]:
    """Reply k to prompt p: each token where the cumulated probability exceeds a number that belongs to (seed, p, k)."""
    rollout_seed = int(np.random.SeedSequence((SEED, 0)).generate_state(1, np.uint64)[0])
    reply: list[int] = []
    for uniform in np.random.default_rng((rollout_seed, p, k)).random(LENGTH):
        cumulated = model(torch.tensor([prompt + reply])).logits[0, -1].softmax(-1).cumsum(-1)
        reply.append(int(torch.searchsorted(cumulated, uniform, right=True)))
        if reply[-1] == tokenizer.eos_token_id:
            break
    return reply


# ---- beside the library ----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def library(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[torch.Tensor]]:
    """The steps that the library reports of one rollout over all weights, and the gradient of its last."""
    knobs = {
        "num_iterations": ITERATIONS,
        "cliprange": EPSILON,
        "kl_coef": BETA,
        "kl_form": "loss:k3",
        "lr": 0.001,
        "rank": 0,
    }
    policy = trainee(tiny, rank=0)
    reports = run(
        policy, tmp_path_factory.mktemp("run"), stage("grpo", **knobs, samples=GENERATIONS, max_new_tokens=LENGTH)
    )
    return reports, [p.grad for p in trainable_parameters(policy)]


def by_hand(
    tiny: Path, library: tuple[list[Any], torch.Tensor], **changes: float
) -> tuple[list[tuple[float, float]], torch.Tensor]:
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float64, attn_implementation="eager")
    model.get_input_embeddings().padding_idx = None  # the end of a turn is the padding too: its embedding learns
    order = random.Random(f"{SEED}/0").sample(range(len(PROMPTS)), len(PROMPTS))  # of the first epoch
    prompts = [PROMPTS[i].conversation.last.content for i in order]
    return grpo(model, AutoTokenizer.from_pretrained(tiny), prompts, [report.lr for report in library[0]], **changes)


def distance(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """The largest relative distance between two gradients, over the model's tensors."""
    return max(float((a.double() - b).norm() / b.norm()) for a, b in zip(one, other, strict=True))


def test_the_library_and_the_screen_above_have_the_same_loss_and_gradient(tiny: Path, library: Any) -> None:
    reports, gradient = library
    history, gradient_by_hand = by_hand(tiny, library)
    assert len(reports) == ITERATIONS
    assert 0.05 < reports[-1].metrics["clipfrac"] < 0.95  # so the clip is compared, and what it lets through
    for report, (loss, norm) in zip(reports, history, strict=True):
        assert report.loss == pytest.approx(loss, rel=1e-5, abs=1e-7)
        assert report.grad_norm == pytest.approx(norm, rel=1e-5)
    assert distance(gradient, gradient_by_hand) < 1e-5


@pytest.mark.parametrize(
    "changes", [{"scale": 1.02}, {"epsilon": 0.25}, {"beta": 0.06}], ids=["advantage", "clip", "KL"]
)
def test_a_slightly_other_method_has_another_gradient(tiny: Path, library: Any, changes: dict[str, float]) -> None:
    """Control: an advantage that is 2 % larger, another clip, a little more KL are seen far above the tolerance."""
    assert distance(library[1], by_hand(tiny, library, **changes)[1]) > 1e-3
