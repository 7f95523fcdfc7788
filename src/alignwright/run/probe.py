"""How fast does this machine read, write and train with this model? Measured in about a minute, on
the spec's own prompts.

The three things that a run spends its time on, each as a run does it: replies are read and written
in float32 as measures do, rows are trained in the training precision under an adapter (or with all
weights, where the spec says `rank: 0`). A reply that ends early counts as long as it might have
been, as it does in the bill, so that its factor carries how talkative the model is.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from alignwright.attack.knobs import Suite
from alignwright.core.cost import Cost
from alignwright.core.records import Conversation
from alignwright.experiment.experiment import Experiment
from alignwright.files.items import RefusalItem
from alignwright.files.models import resolve
from alignwright.measure.knobs import ValueMeasure
from alignwright.model import give_back_memory
from alignwright.model.adapters import add_lora
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.training_dtype import training_dtype
from alignwright.run import inputs
from alignwright.run.bill import UNKNOWN_PARAMETERS, effort
from alignwright.run.rates import Effort, Rates
from alignwright.train.knobs import Sft
from alignwright.train.knobs_loop import Training
from alignwright.train.sft import Demonstration, sft

PROMPTS, NEW_TOKENS, TRAINED = 32, 48, 2048
"""Prompts that are answered, tokens of each answer, and about so many tokens that are trained
on."""
RANK = 16


def probe(experiment: Experiment, known: Rates) -> Rates:
    """The rates with factors of reading, writing and training measured anew. Takes the memory of
    a run."""
    policy = _opened(experiment, "float32")[0]
    size = resolve(experiment.model, experiment.folder).parameters or UNKNOWN_PARAMETERS
    asked = _prompts(experiment)
    policy.generate(
        asked[:2], max_new_tokens=4, temperature=0.0
    )  # what is compiled or arranged at first use is not the pace
    started = time.perf_counter()
    said = policy.generate(asked, max_new_tokens=NEW_TOKENS, temperature=0.0, seed=experiment.seed)
    wrote = time.perf_counter() - started
    replies = [group[0].text or "." for group in said]
    started = time.perf_counter()
    policy.logprobs(asked, [[text] for text in replies])
    read = time.perf_counter() - started
    prompts = sum(len(policy.chat.prompt(prompt)) for prompt in asked)
    scored = prompts + sum(len(policy.chat.reply(text)) for text in replies)
    reading = read / effort(Cost(read=scored), size).seconds
    written = effort(Cost(read=prompts, write=len(asked) * NEW_TOKENS), size)
    writing = (
        max(wrote - written.read * reading, 0.1 * wrote) / written.write
    )  # the prompts are read before replies are written
    del policy
    give_back_memory()
    training, opened = _training(experiment, asked, size)
    return Rates(Effort(reading, writing, training), opened, known.runs)


def _opened(experiment: Experiment, dtype: str) -> tuple[LocalModel, float]:
    """The start model, and the seconds it took to open; the very first time a GGUF file is
    unpacked as well."""
    started = time.perf_counter()
    name = experiment.source(experiment.model) if experiment.path(experiment.model).exists() else experiment.model
    return load(name, dtype=dtype), time.perf_counter() - started


def _training(experiment: Experiment, asked: Sequence[Conversation], size: int) -> tuple[float, float]:
    """The factor of training, from optimiser steps on replies of a usual length; and the seconds
    to open the model."""
    stage = next((stage for stage in experiment.train if isinstance(stage, Training)), None)
    rank = RANK if stage is None or stage.rank is None else stage.rank
    policy, opened = _opened(experiment, training_dtype())
    if rank:
        add_lora(policy, rank=rank, seed=experiment.seed)
    shown = [Demonstration(prompt.then("assistant", _REPLY)) for prompt in asked]
    tokens = sum(_length(policy, d) for d in shown)
    shown = (shown * (TRAINED // max(1, tokens) + 1))[: max(2, len(shown) * TRAINED // max(1, tokens))]
    tokens = sum(_length(policy, d) for d in shown)
    settings = Sft(by="sft", epochs=1, rank=rank, batch_tokens=512, max_tokens=2048, lr=1e-9)
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        reports = sft(
            policy,
            shown,
            settings,
            seed=experiment.seed,
            folder=Path(folder),
            on_step=lambda _: ends.append(time.perf_counter()),
        )
    give_back_memory()
    taken, counted = ends[-1] - ends[0], sum(report.tokens for report in reports[1:])  # the first step compiles
    if not counted:
        taken, counted = sum(report.seconds for report in reports), tokens
    return taken / effort(Cost(train=counted), size).seconds, opened


def _length(policy: LocalModel, shown: Demonstration) -> int:
    return len(policy.chat.conversation(shown.conversation))


def _prompts(experiment: Experiment) -> list[Conversation]:
    """Prompts of the spec, wherever it has some: what is to be answered, else what is held out."""
    files = [
        (stage.prompts, stage.limit)
        for stage in (*experiment.measure, *experiment.attack)
        if isinstance(stage, ValueMeasure | Suite)
    ]
    found = [
        prompt.conversation
        for prompt in inputs.prompts(experiment, [n for n in experiment.intent.prompts if experiment.path(n).is_file()])
    ]
    for names, _ in files:
        here = [name for name in names if experiment.path(name).is_file()]
        found += [Conversation.user(item.prompt) for item in inputs.items(experiment, here, RefusalItem, None)]
    return inputs.spread(found, PROMPTS) or [
        Conversation.user(f"Tell me about the number {n}.") for n in range(PROMPTS)
    ]


_REPLY = (
    "There are two things to say about it. The first is what it is for, and the second is how one finds out whether it"
    " does that; most people begin with the first and never come to the second."
)
