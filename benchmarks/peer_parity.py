"""The peer's losses and gradients on given token ids: run by `parity.py` in the peer's own
environment, never by itself.

Each loss is the peer's own trainer's, called on the batch that its own collator makes of the ids.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset  # type: ignore[import-not-found]
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer  # type: ignore[import-not-found]

warnings.filterwarnings("ignore")
ASKED, GOOD, BAD = (
    [{"role": role, "content": text}] for role, text in (("user", "a"), ("assistant", "b"), ("assistant", "c"))
)
ROW = {
    "prompt": ASKED,
    "chosen": GOOD,
    "rejected": BAD,
}  # a trainer wants data when it is made; what is compared is given to its loss


def main(folder: Path) -> None:
    given = json.loads((folder / "rows.json").read_text())
    rows, tokenizer = given["rows"], AutoTokenizer.from_pretrained(folder / "model")
    base: dict[str, Any] = {
        "output_dir": str(folder / "out"), "report_to": [], "use_cpu": True, "max_steps": 1, "save_strategy": "no",
        "disable_tqdm": True,
        "bf16": False, "gradient_checkpointing": False, "per_device_train_batch_size": len(rows),
    }  # fmt: skip
    values = {}

    def keep(name: str, model: Any, loss: torch.Tensor) -> None:
        loss.backward()
        values[name] = float(loss)
        save_file(
            {n: p.grad.contiguous() for n, p in model.named_parameters() if p.grad is not None},
            folder / f"{name}.safetensors",
        )

    model, data = _model(folder / "model"), Dataset.from_list([ROW] * len(rows))
    common: dict[str, Any] = {"train_dataset": data, "processing_class": tokenizer}
    trainer = DPOTrainer(
        model, ref_model=_model(folder / "reference"), args=DPOConfig(**base, beta=given["beta"]), **common
    )
    batch = trainer.data_collator(
        [{"prompt_ids": r["prompt"], "chosen_ids": r["replies"][0], "rejected_ids": r["replies"][1]} for r in rows]
    )
    keep("dpo", model, trainer.compute_loss(model, batch))

    model = _model(folder / "model")
    trainer = SFTTrainer(
        model,
        args=SFTConfig(**base),
        train_dataset=Dataset.from_list([{"text": "a"}] * len(rows)),
        processing_class=tokenizer,
    )
    shown = [
        {"input_ids": r["prompt"] + r["replies"][0], "labels": [-100] * len(r["prompt"]) + r["replies"][0]}
        for r in rows
    ]
    keep("sft", model, trainer.compute_loss(model, trainer.data_collator(shown)))

    scored = AutoModelForSequenceClassification.from_pretrained(
        folder / "model", num_labels=1, attn_implementation="eager"
    )
    padding = tokenizer.convert_tokens_to_ids("<|endoftext|>")  # a padding token that ends no turn
    with torch.no_grad():
        scored.score.weight.copy_(torch.tensor(given["head"]))
    trainer = RewardTrainer(scored, args=RewardConfig(**base, center_rewards_coefficient=given["center"]), **common)
    scored.config.pad_token_id = trainer.data_collator.pad_token_id = (
        padding  # the trainer sets them to the end of a turn, and reads one early
    )
    batch = trainer.data_collator(
        [{"chosen_ids": r["prompt"] + r["replies"][0], "rejected_ids": r["prompt"] + r["replies"][1]} for r in rows]
    )
    keep("reward", scored, trainer.compute_loss(scored, batch))

    model = _model(folder / "model")
    common["train_dataset"] = Dataset.from_list([{"prompt": ASKED}] * len(rows))
    sizes = {"per_device_train_batch_size": 2, "num_generations": 2, "max_completion_length": 4}
    args = GRPOConfig(**{**base, **sizes}, beta=given["kl"], loss_type="grpo", use_bias_correction_kl=False)
    trainer = GRPOTrainer(model, reward_funcs=lambda completions, **_: [0.0] * len(completions), args=args, **common)
    replies = [(r["prompt"], reply) for r in rows for reply in r["replies"]]
    left, right = max(len(p) for p, _ in replies), max(len(c) for _, c in replies)
    batch = {
        "prompt_ids": torch.tensor([[0] * (left - len(p)) + p for p, _ in replies]),
        "prompt_mask": torch.tensor([[0] * (left - len(p)) + [1] * len(p) for p, _ in replies]),
        "completion_ids": torch.tensor([c + [0] * (right - len(c)) for _, c in replies]),
        "completion_mask": torch.tensor([[1] * len(c) + [0] * (right - len(c)) for _, c in replies]),
        "advantages": torch.tensor(given["advantages"]),
    }
    reference = _model(folder / "reference")
    both = [
        torch.cat([batch[f"{part}_{what}"] for part in ("prompt", "completion")], dim=1) for what in ("ids", "mask")
    ]
    with torch.no_grad():
        logits = reference(input_ids=both[0], attention_mask=both[1]).logits[:, -right - 1 : -1].log_softmax(-1)
        batch["ref_per_token_logps"] = logits.gather(2, batch["completion_ids"][..., None])[..., 0]
    trainer.current_gradient_accumulation_steps = 1
    keep("grpo", model, trainer._compute_loss(model, batch))
    (folder / "peer.json").write_text(json.dumps(values))


def _model(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
