"""What would a run cost, in tokens, minutes and memory (the estimate of a dry run)?

An estimate before anything is loaded: tokens per job from what each stage says of itself
(`Stage.estimate`) of the rows of the data (`run.token_counts`), minutes from this machine's own rates
(`run.rates`) where a probe or a run has measured them, and else from those of a two-core machine
with bfloat16 matrix units; memory from the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from alignwright.core.cost import Cost
from alignwright.experiment.cache_key import JobKey, start_fingerprint
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.labels import labels
from alignwright.experiment.plan import plan
from alignwright.files.models import resolve
from alignwright.files.quantization import weight_bytes
from alignwright.job.job import Job
from alignwright.job.ledger import Ledger
from alignwright.run.power import PromisePower
from alignwright.run.rates import Workload, rates_of, store_rates
from alignwright.run.token_counts import Lengths, cost, lengths_of
from alignwright.run.why_stale import why_stale
from alignwright.train.knobs_loop import Training

READ_FLOPS, WRITE_FLOPS, TRAIN_FLOPS = 3.6e11, 1.4e11, 4.5e11
"""Nominal floating-point operations per second when scoring (float32), sampling (float32) and
training (bfloat16)."""
MEASURE_BYTES, TRAIN_BYTES = 1.7e9, 3.2e9
"""Working memory beside the float32 weights, as the quickstart's peaks were measured."""
UNKNOWN_PARAMETERS = 1_000_000_000


@dataclass(frozen=True)
class JobEstimate:
    """A job's estimate; `label`: what it is called for people; `at_most`: it may be stopped early
    by its watch.

    `voting`: further minutes of a judge that passes its check. `left_out`: rows that are not learnt
    from, in words. `why`: why it is to be done.
    """

    name: str
    label: str
    cached: bool
    tokens: int
    minutes: float
    at_most: bool = False
    voting: float = 0.0
    left_out: str = ""
    why: str = ""


@dataclass(frozen=True)
class RunEstimate:
    """The jobs with their estimated cost; minutes and memory are of what is still to be done."""

    folder: Path
    lines: tuple[JobEstimate, ...]
    memory_gb: float
    parameters: int | None
    notes: tuple[str, ...] = ()
    """What the ledger has to say of damage."""
    measured: bool = False
    """Whether the minutes are this machine's own, from a probe or from earlier runs of this model."""
    tokenized: bool = True
    """Whether rows were counted with the model's own tokenizer."""
    server: str = ""
    """The model's name where it is behind a server: then nobody knows the minutes."""
    runs: int = 1
    """How many runs it is of."""
    money: float | None = None
    """What the server asks for what is still to be done, where its prices are given."""
    powers: tuple[PromisePower, ...] = ()
    """What the promises can show with the items that there are."""

    @property
    def minutes(self) -> float:
        return sum(line.minutes for line in self.lines if not line.cached)

    @property
    def voting(self) -> float:
        """Further minutes, if every judge passes its check."""
        return sum(line.voting for line in self.lines if not line.cached)

    @property
    def at_most(self) -> bool:
        """Whether something still to be done may end early, so that the minutes are an upper bound."""
        return any(line.at_most for line in self.lines if not line.cached)


def estimate_jobs(
    experiment: Experiment, jobs: Sequence[Job], keys: Mapping[str, JobKey], ledger: Ledger, lengths: Lengths
) -> RunEstimate:
    """Estimate every job. Reads the data files, no model."""
    ref = resolve(experiment.model, experiment.folder)
    size, rates = ref.parameters or UNKNOWN_PARAMETERS, rates_of(start_fingerprint(experiment))
    lines, titles = list[JobEstimate](), labels(plan(experiment))
    todo = Cost()
    cached_jobs = {job.name for job in jobs if ledger.knows(job.name, keys[job.name].key)}
    reasons = why_stale([job for job in jobs if job.name not in cached_jobs], keys, ledger, titles)
    for job in jobs:
        job_cost = cost(job, lengths)
        cached, kind = job.name in cached_jobs, kind_of(job)
        todo = todo if cached else Cost(todo.read + job_cost.read, todo.write + job_cost.write)
        minutes, voting = (
            rates.seconds(kind, work) / 60
            for work in (workload(job_cost, size), workload(Cost(read=job_cost.voting), size))
        )
        lines.append(
            JobEstimate(
                job.name,
                titles[job.name],
                cached,
                job_cost.tokens,
                minutes,
                job_cost.at_most,
                voting,
                lengths.left_out(job.stage),
                reasons.get(job.name, ""),
            )
        )
    if ref.kind == "server":
        price = experiment.server.price(ref.name) if experiment.server else None
        money = None if price is None else (price[0] * todo.read + price[1] * todo.write) / 1e6
        return RunEstimate(
            ledger.run, tuple(lines), 0.0, None, tuple(ledger.warnings), tokenized=False, server=ref.name, money=money
        )
    memory = (
        weight_bytes(ref, size, experiment.quantization) + (TRAIN_BYTES if experiment.train else MEASURE_BYTES)
    ) / 1e9
    return RunEstimate(
        ledger.run,
        tuple(lines),
        memory,
        ref.parameters,
        tuple(ledger.warnings),
        rates.measured,
        lengths.chat is not None,
    )


def learn_rates(experiment: Experiment, durations: Sequence[tuple[Job, float]]) -> None:
    """Remember what finished jobs took beside what they were estimated at. `durations` is in seconds.
    Of a server's pace nothing is remembered."""
    ref = resolve(experiment.model, experiment.folder)
    if ref.kind == "server":
        return
    model, lengths = start_fingerprint(experiment), lengths_of(experiment)
    rates = rates_of(model)
    for job, seconds in durations:
        job_cost = cost(job, lengths)
        if not job_cost.voting and not job_cost.at_most:  # else nobody knows here how much of it was done
            rates = rates.after(kind_of(job), workload(job_cost, ref.parameters or UNKNOWN_PARAMETERS), seconds)
    store_rates(model, rates)


def workload(job_cost: Cost, parameters: int) -> Workload:
    """Nominal seconds: two operations for each parameter and token, and twice as many again for
    the gradient of adapters."""
    return Workload(
        2 * parameters * job_cost.read / READ_FLOPS,
        2 * parameters * job_cost.write / WRITE_FLOPS,
        4 * parameters * job_cost.train / TRAIN_FLOPS,
    )


def kind_of(job: Job) -> str:
    """What one rate is remembered for: a stage's kind, and whether it trains whole weights."""
    whole = isinstance(job.stage, Training) and job.stage.rank == 0
    return type(job.stage).__name__ + " whole" * whole
