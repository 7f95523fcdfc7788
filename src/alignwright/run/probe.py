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
from functools import partial
from pathlib import Path

from alignwright.core.cost import Cost
from alignwright.core.records import Conversation
from alignwright.experiment.experiment import Experiment
from alignwright.files.chat_format import chat_format
from alignwright.files.items import RefusalItem
from alignwright.files.models import resolve
from alignwright.job.data import subsample_evenly
from alignwright.model import give_back_memory
from alignwright.model.adapters import add_lora
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.template_errors import NoTemplate
from alignwright.model.training_dtype import training_dtype
from alignwright.run.estimate import UNKNOWN_PARAMETERS, workload
from alignwright.run.rates import Rates, Workload
from alignwright.train.knobs import Sft
from alignwright.train.knobs_loop import Training
from alignwright.train.sft import Demonstration, sft

PROMPTS, NEW_TOKENS, TRAINED = 32, 48, 2048
"""Prompts that are answered, tokens of each answer, and about so many tokens that are trained
on."""
RANK = 16


def probe(experiment: Experiment, rates: Rates) -> Rates:
    """The rates with factors of reading, writing and training measured anew. Takes the memory of
    a run."""
    policy = _open(experiment, "float32")[0]
    size = resolve(experiment.model, experiment.folder).parameters or UNKNOWN_PARAMETERS
    prompts = _prompts(experiment)
    policy.generate(
        prompts[:2], max_new_tokens=4, temperature=0.0
    )  # what is compiled or arranged at first use is not the pace
    started = time.perf_counter()
    groups = policy.generate(prompts, max_new_tokens=NEW_TOKENS, temperature=0.0, seed=experiment.seed)
    wrote = time.perf_counter() - started
    replies = [group[0].text or "." for group in groups]
    started = time.perf_counter()
    policy.logprobs(prompts, [[text] for text in replies])
    read_seconds = time.perf_counter() - started
    prompt_tokens = sum(len(policy.chat.prompt(prompt)) for prompt in prompts)
    scored = prompt_tokens + sum(len(policy.chat.reply(text)) for text in replies)
    reading = read_seconds / workload(Cost(read=scored), size).seconds
    nominal = workload(Cost(read=prompt_tokens, write=len(prompts) * NEW_TOKENS), size)
    writing = (
        max(wrote - nominal.read * reading, 0.1 * wrote) / nominal.write
    )  # the prompts are read before replies are written
    del policy
    give_back_memory()
    training, load_seconds = _training(experiment, prompts, size)
    return Rates(Workload(reading, writing, training), load_seconds, rates.runs)


def _open(experiment: Experiment, dtype: str) -> tuple[LocalModel, float]:
    """The start model, and the seconds it took to open; the very first time a GGUF file is
    unpacked as well. A base model is asked in a usual template: what it says counts for nothing
    here, and a token takes as long in any."""
    started = time.perf_counter()
    name = experiment.source(experiment.model) if experiment.path(experiment.model).exists() else experiment.model
    opened = partial(load, name, dtype=dtype, date=experiment.date, quantization=experiment.quantization)
    policy = opened(chat=experiment.chat_format)
    seconds = time.perf_counter() - started
    try:
        policy.chat.prompt(Conversation.user("?"))
    except NoTemplate:
        policy = opened(chat=chat_format("chatml", experiment.folder))
    return policy, seconds


def _training(experiment: Experiment, prompts: Sequence[Conversation], size: int) -> tuple[float, float]:
    """The factor of training, from optimiser steps on replies of a usual length; and the seconds
    to open the model."""
    stage = next((stage for stage in experiment.train if isinstance(stage, Training)), None)
    rank = RANK if stage is None or stage.rank is None else stage.rank
    policy, load_seconds = _open(experiment, training_dtype())
    if rank:
        add_lora(policy, rank=rank, seed=experiment.seed)
    examples = [Demonstration(prompt.then("assistant", _REPLY)) for prompt in prompts]
    tokens = sum(_length(policy, d) for d in examples)
    examples = (examples * (TRAINED // max(1, tokens) + 1))[: max(2, len(examples) * TRAINED // max(1, tokens))]
    tokens = sum(_length(policy, d) for d in examples)
    settings = Sft(by="sft", epochs=1, rank=rank, batch_tokens=512, max_tokens=2048, lr=1e-9)
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        reports = sft(
            policy,
            examples,
            settings,
            seed=experiment.seed,
            folder=Path(folder),
            on_step=lambda _: ends.append(time.perf_counter()),
        )
    give_back_memory()
    seconds, trained_tokens = (
        ends[-1] - ends[0],
        sum(report.tokens for report in reports[1:]),
    )  # the first step compiles
    if not trained_tokens:
        seconds, trained_tokens = sum(report.seconds for report in reports), tokens
    return seconds / workload(Cost(train=trained_tokens), size).seconds, load_seconds


def _length(policy: LocalModel, example: Demonstration) -> int:
    return len(policy.chat.conversation(example.conversation))


def _prompts(experiment: Experiment) -> list[Conversation]:
    """Prompts of the spec, wherever it has some: what is to be answered, else what is held out."""
    names = [name for name in experiment.intent.prompts if experiment.path(name).is_file()]
    conversations = [prompt.conversation for prompt in experiment.data.prompts(names)]
    for stage in (*experiment.measure, *experiment.attack, *experiment.lens):
        names = [name for _, name, reads in stage.files() if reads.kind is RefusalItem]
        names = [name for name in names if experiment.path(name).is_file()]
        conversations += [Conversation.user(item.prompt) for item in experiment.data.items(names, RefusalItem, None)]
    return subsample_evenly(conversations, PROMPTS) or [
        Conversation.user(f"Tell me about the number {n}.") for n in range(PROMPTS)
    ]


_REPLY = (
    "There are two things to say about it. The first is what it is for, and the second is how one finds out whether it"
    " does that; most people begin with the first and never come to the second."
)
