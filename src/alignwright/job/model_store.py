"""Which model is in memory? One at a time, so that memory is that of the largest stage and not of
the sum.

Findings are computed in float32 with the adapter merged: greedy replies in bfloat16 change with the
composition of a batch. Training, and the samples and votes that only training uses, may use
bfloat16 where the machine multiplies it faster.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from alignwright.core.protocols import ChatModel
from alignwright.files.server import Server
from alignwright.job.data import Data
from alignwright.job.ledger import Ledger
from alignwright.model import give_back_memory
from alignwright.model.adapters import add_lora, load_adapter, merge
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.training_dtype import training_dtype
from alignwright.model.weights import load_weights

J = TypeVar("J")


class ModelStore:
    """The models of one run: `start` is the start model's name, `data` knows where paths of the
    spec lie, `server` how a server that judges is asked."""

    def __init__(
        self, start: str, data: Data, ledger: Ledger, *, seed: int, date: str, server: Server | None = None
    ) -> None:
        self.start_name, self.data, self.ledger = start, data, ledger
        self.seed, self.date, self.server = seed, date, server or Server()
        self._in_memory: tuple[tuple[str, str], LocalModel] | None = None
        self._judge: tuple[str, object] | None = None

    def for_eval(self, model: str) -> LocalModel:
        """The model of a stage ("baseline" or a training stage), as it is measured and saved."""
        return self._get(model, "float32")

    def for_sampling(self) -> LocalModel:
        """The start model in the training precision."""
        return self._get("baseline", training_dtype())

    def judge(self, name: str) -> ChatModel:
        """Who judges: "self" (the start model), another local model, or an endpoint
        `http://host/v1#model`."""
        if name == "self":
            return self.for_sampling()
        if name.startswith(("http://", "https://")):
            from alignwright.model.endpoint import Endpoint

            server = self.server
            return Endpoint(name, concurrency=server.calls, timeout=server.timeout, tokens=server.tokens)
        self.drop()
        return load(
            self.data.source(name) if self.data.path(name).exists() else name,
            dtype=training_dtype(),
            date=self.date,
        )

    def for_training(self, before: str, rank: int) -> LocalModel:
        """The model of the stage before, to be trained: under the adapter it has (or a new one),
        or with rank 0 all of its weights."""
        self.drop(judge=True)
        policy = self._load(training_dtype())
        if before != "baseline":
            self._put_on(policy, before, trainable=True)
        elif rank:
            add_lora(policy, rank=rank, seed=self.seed)
        return policy

    def start(self, dtype: str | None = None) -> LocalModel:
        """Another copy of the start model, for a judge that is trained over it; whoever asks keeps it."""
        return self._load(dtype or training_dtype())

    def result(self, model: str) -> Path:
        """The folder in which a training stage left its `adapter`, or its whole `weights`."""
        return self.ledger.run / self.ledger.entries[model].folder

    def keep_judge(self, name: str, load: Callable[[], J]) -> J:
        """A judge of replies that is a model, loaded once for all jobs that follow one another; it
        goes when a model is trained."""
        if self._judge is None or self._judge[0] != name:
            self._judge = None
            self._judge = (name, load())
        return cast("J", self._judge[1])

    def drop(self, *, judge: bool = False) -> None:
        """Forget the model in memory before another is loaded; with `judge` the judge too."""
        if judge:
            self._judge = None
        self._in_memory = None
        give_back_memory()

    def _get(self, model: str, dtype: str) -> LocalModel:
        if self._in_memory is None or self._in_memory[0] != (model, dtype):
            self.drop()
            policy = self._load(dtype)
            if model != "baseline":
                self._put_on(policy, model)
            self._in_memory = ((model, dtype), policy)
        return self._in_memory[1]

    def _load(self, dtype: str) -> LocalModel:
        local = self.data.path(self.start_name)
        return load(str(local) if local.exists() else self.start_name, dtype=dtype, date=self.date)

    def _put_on(self, policy: LocalModel, model: str, *, trainable: bool = False) -> None:
        """Make the start model that of a training stage."""
        folder = self.result(model)
        if (folder / "weights").is_dir():
            load_weights(policy, folder / "weights")
            return
        load_adapter(policy, folder / "adapter", trainable=trainable)
        if not trainable:
            merge(policy)
