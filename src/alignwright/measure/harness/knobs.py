"""What can be asked of lm-eval's tasks, knob by knob?

What lm-eval measures is known only once its tasks are loaded, which takes the package and seconds. So
one claim stands for them all (`lm_eval.*`, a share of which more is better), beside those that are
known to be something else: bits per byte and log-likelihoods of the tasks that are named, and what
`lower` and `scores` say.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.constitution import Constitution
from alignwright.core.cost import Cost
from alignwright.core.stage import Count, Effort, Knob, Reads, Setting, Sizes, Stage, resolved
from alignwright.files.data_file import Paths
from alignwright.files.errors import SpecError
from alignwright.files.task_file import read_task_file

INSTALL = "pip install 'alignwright[evals]'"
BITS_PER_BYTE, LOG_LIKELIHOOD = "bits_per_byte", "log_likelihood"
TASKS = Claim(name="lm_eval.*", title="lm-eval's tasks", axis="tax")
_PROMPT, _CHOICES = 200, 4
"""Tokens of a question and choices to it, for the estimate alone: a task does not say them beforehand."""


class LmEvalMeasure(Stage):
    """EleutherAI lm-eval's tasks, put to the live model."""

    packages: ClassVar[tuple[str, ...]] = ("lm-eval",)
    by: Literal["lm_eval"]
    tasks: tuple[str, ...] = Field(default=(), description="names of tasks and groups that come with lm-eval")
    task_files: Annotated[Paths, Reads(use="tasks")] = Field(
        default=(), description="task files (YAML) of your own; the Python functions that they name are run"
    )
    num_fewshot: int | None = Field(
        default=None, ge=0, description="examples before each question; none: as many as the task says"
    )
    lower: tuple[str, ...] = Field(
        default=(), description="TASK.METRIC of which less is better, of groups and files (see docs/lm_eval.md)"
    )
    scores: tuple[str, ...] = Field(default=(), description="TASK.METRIC that is no share: a score of any size")
    limit: Annotated[Count | None, Effort(48, 256, 100000)] = Field(
        default=None, description="at most so many documents of each task, spread over all of them (from effort)"
    )

    @model_validator(mode="after")
    def _something(self) -> LmEvalMeasure:
        if not (self.tasks or self.task_files):
            raise ValueError("measures nothing: give names under 'tasks', or task files under 'task_files'")
        return self

    def claims(self) -> tuple[Claim, ...]:
        bits = TASKS.but(better="lower", unit="bits/byte", high=None)
        any_score = TASKS.but(unit="score", low=None, high=None)
        return (
            *(_named(bits, f"{task}.{BITS_PER_BYTE}") for task in self.tasks),
            *(_named(any_score.but(unit="nats", high=0.0), f"{task}.{LOG_LIKELIHOOD}") for task in self.tasks),
            *(_named(any_score.but(better="lower"), name) for name in self.lower),
            *(_named(any_score, name) for name in self.scores),
            TASKS,
        )

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:  # noqa: ARG002
        if importlib.util.find_spec("lm_eval") is None:
            yield (), f"lm-eval's tasks need the package lm-eval, which is not installed: {INSTALL}"
        for place, name in enumerate(self.tasks):
            if name.endswith((".yaml", ".yml")) or "/" in name:
                yield ("tasks", place), f"{name!r} is a file; task files of your own are named under 'task_files'"

    def file_faults(
        self,
        setting: Setting,
        constitution: Constitution | None,  # noqa: ARG002
    ) -> Iterator[tuple[Knob, str]]:
        for place, name in enumerate(self.task_files):
            try:
                read_task_file(setting.path(name))
            except SpecError as error:
                yield ("task_files", place), str(error)

    @property
    def converses(self) -> bool:
        return False

    def estimate(self, sizes: Sizes) -> Cost:  # noqa: ARG002
        """Of each name as if it were one task of multiple choice; a group of many comes to more."""
        items = resolved(self.limit) * (len(self.tasks) + len(self.task_files))
        return Cost.of(items * _PROMPT * (1 + (self.num_fewshot or 0)) + items * _CHOICES * 10, 0)


def _named(claim: Claim, name: str) -> Claim:
    return claim.but(name=f"lm_eval.{name}", title=f"lm-eval: {name}")


def declared(claims: Sequence[Claim], name: str) -> bool:
    """Whether a claim is said by its own name, and not by the one that stands for all."""
    return any(claim.name == name for claim in claims)
