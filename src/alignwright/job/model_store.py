"""Which model is in memory? One at a time, so that memory is that of the largest stage and not of
the sum; only a small start model (`SMALL`) stays beside the model that is compared with it.

Findings are computed in float32 with the adapter merged: greedy replies in bfloat16 change with the
composition of a batch. Training, and the samples and votes that only training uses, may use
bfloat16 where the machine multiplies it faster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar, cast

from alignwright.core.protocols import ChatModel
from alignwright.files.chat_format import ChatFormat
from alignwright.files.quantization import Quantization
from alignwright.files.server import Server, is_server
from alignwright.job.data import Data
from alignwright.job.job import BASELINE
from alignwright.job.ledger import Ledger
from alignwright.job.needs import NO_WEIGHTS, NotServed
from alignwright.job.remote_model import RemoteModel
from alignwright.job.reply_cache import reply_cache
from alignwright.model import give_back_memory
from alignwright.model.adapters import add_lora, load_adapter, merge
from alignwright.model.endpoint import Endpoint
from alignwright.model.load import load
from alignwright.model.local_model import LocalModel
from alignwright.model.training_dtype import training_dtype
from alignwright.model.weights import load_weights

J = TypeVar("J")
SMALL = 1 << 30
"""Bytes of weights up to which the start model stays in memory beside a model that is measured: less
than what training either of them takes."""


class ModelStore:
    """The models of one run: `start` is the start model's name and `quantization` the bits in which
    it is kept, `data` knows where paths of the spec lie, `server` how servers are asked,
    `chat` the template that it is given, `drafts` its likely greedy replies (`LocalModel.drafts`)."""

    def __init__(
        self,
        start: str,
        data: Data,
        ledger: Ledger,
        *,
        seed: int,
        date: str,
        server: Server | None = None,
        chat: ChatFormat | None = None,
        quantization: Quantization | None = None,
        drafts: Mapping[str, str] | None = None,
    ) -> None:
        self.start_name, self.data, self.ledger = start, data, ledger
        self.seed, self.date, self.server, self.chat = seed, date, server or Server(), chat
        self.quantization: Quantization | None = quantization
        self.drafts: Mapping[str, str] = drafts or {}
        self._in_memory: dict[tuple[str, str], LocalModel] = {}
        self._trainable: tuple[tuple[str, int], LocalModel] | None = None
        self._judge: tuple[str, object] | None = None
        self._served: RemoteModel | None = None

    @property
    def served(self) -> RemoteModel | None:
        """The start model where it is behind a server."""
        if self._served is None and is_server(self.start_name):
            self._served = RemoteModel(self._endpoint(self.start_name), reply_cache(self.start_name, self.ledger.run))
        return self._served

    def for_eval(self, model: str) -> LocalModel:
        """The model of a stage ("baseline" or a training stage), as it is measured and saved."""
        return self._get(model, "float32")

    def for_sampling(self) -> LocalModel:
        """The start model in the training precision."""
        return self._get(BASELINE, training_dtype())

    def judge(self, name: str) -> ChatModel:
        """Who judges: "self" (the start model), another local model, or an endpoint
        `http://host/v1#model`."""
        if name == "self" and self.served is not None:
            return self.served.endpoint
        if name == "self":
            return self.for_sampling()
        if is_server(name):
            return self._endpoint(name)
        source, dtype = self.data.source(name) if self.data.path(name).exists() else name, training_dtype()
        key = (f"judge {source}", dtype)
        if key not in self._in_memory:
            self.drop()
            self._in_memory[key] = load(source, dtype=dtype, date=self.date)
        return self._in_memory[key]

    def attacker(self, name: str) -> ChatModel:
        """Who attacks: as `judge`, but the replies of a server are kept, and what it withholds is no error."""
        if name == "self" and self.served is not None:
            return self.served
        if is_server(name):
            return RemoteModel(self._endpoint(name), reply_cache(name, self.ledger.run))
        return self.judge(name)

    def for_training(self, before: str, rank: int) -> LocalModel:
        """The model of the stage before, to be trained: under the adapter it has (or a new one),
        or with rank 0 all of its weights."""
        policy, unchanged = self._in_memory.get((BASELINE, training_dtype())), self._trainable
        self.drop(judge=True)
        if unchanged is not None and unchanged[0] == (before, rank):
            return unchanged[1]
        policy = policy or self._load(training_dtype())
        if before != BASELINE:
            self._put_on(policy, before, trainable=True)
        elif rank:
            add_lora(policy, rank=rank, seed=self.seed)
        return policy

    def take_back(self, policy: LocalModel, before: str, rank: int) -> None:
        """What `for_training` gave, as it was: for a next stage that trains the same model."""
        self._trainable = ((before, rank), policy)

    def start(self, dtype: str | None = None) -> LocalModel:
        """Another copy of the start model in the training precision (or this one), for a judge that reads
        with it; whoever asks keeps it."""
        return self._load(dtype or training_dtype())

    def take_start(self) -> LocalModel:
        """The start model in float32, from memory where it is there; whoever asks keeps it."""
        policy = self._in_memory.pop((BASELINE, "float32"), None)
        self.drop()
        return policy or self._load("float32")

    def result(self, model: str) -> Path:
        """The folder in which a training stage left its `adapter`, or its whole `weights`."""
        return self.ledger.run / self.ledger.entries[model].folder

    def keep_judge(self, name: str, load: Callable[[], J]) -> J:
        """A judge of replies that is a model, loaded once for all jobs that follow one another; it
        goes when a model is trained, and when no job to come needs it (`forget_judge`)."""
        if self._judge is None or self._judge[0] != name:
            self._judge = None
            self._judge = (name, load())
        return cast("J", self._judge[1])

    def forget_judge(self, needed: Collection[str] = ()) -> None:
        """Let the judge go, unless it is among those still needed."""
        if self._judge is not None and self._judge[0] not in needed:
            self._judge = None
            give_back_memory()

    def drop(self, *, judge: bool = False) -> None:
        """Forget the models in memory before another is loaded; with `judge` the judge too."""
        if judge:
            self._judge = None
        self._in_memory, self._trainable = {}, None
        give_back_memory()

    def _get(self, model: str, dtype: str) -> LocalModel:
        key = (model, dtype)
        if key not in self._in_memory:
            beside = {
                other: policy
                for other, policy in self._in_memory.items()
                if other[1] == dtype and BASELINE in (model, other[0]) and _bytes(policy) <= SMALL
            }
            self.drop()
            self._in_memory = beside
            policy = self._load(dtype)
            if model == BASELINE:
                policy.drafts, policy.as_trees = self.drafts, bool(self.drafts)
            else:
                self._put_on(policy, model)
            self._in_memory[key] = policy
        return self._in_memory[key]

    def _endpoint(self, name: str) -> Endpoint:
        server = self.server
        return Endpoint(
            name, server.price(name), concurrency=server.calls, timeout=server.timeout, tokens=server.tokens
        )

    def _load(self, dtype: str) -> LocalModel:
        """Raises NotServed for a model that is behind a server."""
        if is_server(self.start_name):
            raise NotServed(NO_WEIGHTS)
        local = self.data.path(self.start_name)
        name = str(local) if local.exists() else self.start_name
        return load(name, dtype=dtype, date=self.date, chat=self.chat, quantization=self.quantization)

    def _put_on(self, policy: LocalModel, model: str, *, trainable: bool = False) -> None:
        """Make the start model that of a training stage."""
        folder = self.result(model)
        if (folder / "weights").is_dir():
            load_weights(policy, folder / "weights")
            return
        load_adapter(policy, folder / "adapter", trainable=trainable)
        if not trainable:
            merge(policy)


def _bytes(policy: LocalModel) -> int:
    return sum(weight.numel() * weight.element_size() for weight in policy.model.parameters())
