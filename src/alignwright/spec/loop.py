"""What do all ways of training share?

The knobs of the one optimiser loop, and the words for knobs that several methods have.

Left out on purpose: knobs with one right answer (AdamW, its betas, warm-up and cosine, LoRA
targets, loss mask, padding side).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from alignwright.core.records import Record
from alignwright.spec.knobs import Count, Positive

Unit = Annotated[float, Field(gt=0.0, le=1.0)]
Flip = Annotated[float, Field(ge=0.0, lt=0.5)]
STOP = "{by: goodhart, ...}: stop where a held-out gold judge turns, and keep its highest point; none: go on to the end"
BETA = "how firmly the start model is held to: larger moves less"


class Training(Record):
    """Knobs of the optimiser loop, the same for every method."""

    epochs: Count | None = Field(default=None, description="passes over the data, or over the prompts (from effort)")
    lr: Positive = Field(default=1e-4, le=0.1, description="peak learning rate")
    rank: int | None = Field(
        default=None,
        ge=0,
        description="rank of the LoRA adapter that all stages continue; 0 trains all weights (from effort)",
    )
    batch_tokens: int | None = Field(default=None, ge=64, description="tokens in an optimiser step (from effort)")
    max_tokens: int | None = Field(
        default=None, ge=16, description="the longest row in tokens; longer rows are left out and counted (from effort)"
    )
    checkpoint_every: Count = Field(
        default=20, description="steps between the checkpoints from which an interrupted run goes on"
    )
