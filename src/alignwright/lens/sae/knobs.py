"""A sparse autoencoder, knob by knob (`lens: {by: sae}`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.constitution import Constitution
from alignwright.core.cost import Cost
from alignwright.core.layer import Layer, block_number
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Count, Effort, Knob, KnobRows, Reads, Setting, Sizes, Stage, resolved
from alignwright.files.data_file import Paths
from alignwright.files.items import TextItem
from alignwright.lens.sae import section
from alignwright.lens.sae.dictionary_config import read_config

LEAST = 10
"""Texts that a dictionary needs at least, a fifth of them held out."""
EXPLAINED = Claim(
    name="sae.explained", title="Variance of the activations that the dictionary explains", axis="inside", better=None,
    unit="fraction", low=None, paired=False,
)  # fmt: skip
_BESIDE = {"promisable": False}
CLAIMS = (
    EXPLAINED,
    EXPLAINED.but(name="sae.over_gaussian", title="Explained beyond the same recipe on Gaussian activations", high=2.0),
    EXPLAINED.but(name="sae.gaussian", title="Explained by the same recipe of Gaussian activations", **_BESIDE),
    EXPLAINED.but(name="sae.components", title="Explained by as many principal components", **_BESIDE),
    EXPLAINED.but(name="sae.recovered", title="Loss recovered, from zeros in the activations' place"),
    EXPLAINED.but(name="sae.recovered_mean", title="Loss recovered, from their mean in their place"),
    EXPLAINED.but(name="sae.on", title="Latents on per token", unit="latents", low=0.0, high=None),
    EXPLAINED.but(
        name="sae.random_weights", title="Explained by the same recipe, of a model with random weights", **_BESIDE
    ),
    EXPLAINED.but(
        name="sae.as_random", title="Latents that a model with random weights has as well", unit="fraction", low=0.0
    ),
    EXPLAINED.but(name="sae.dead", title="Latents that no token switches on", low=0.0),
)
OF_RANDOM_WEIGHTS = ("sae.random_weights", "sae.as_random")


class TextsStage(Stage):
    """What is asked of whatever is made of the activations of texts at one block."""

    text: Annotated[Paths, Reads(TextItem)] = Field(default=(), description="plain texts whose activations are read")
    conversations: Annotated[Paths, Reads("conversations")] = Field(
        default=(), description="whole conversations whose activations are read"
    )
    pairs: Annotated[Paths, Reads("pairs")] = Field(
        default=(), description="pairs, each reply of which is read after its prompt"
    )
    layer: Layer = Field(
        default=0.5, description="the block whose output is taken apart, from 0, or a part of the depth"
    )
    latents: Annotated[Annotated[int, Field(ge=2)] | None, Effort(2048, 4096, 16384)] = Field(
        default=None, description="the size of the dictionary (from effort)"
    )
    k: Count = Field(default=32, description="latents that are on per token (of batch_topk and jumprelu on average)")
    tokens: Annotated[Annotated[int, Field(ge=1000)] | None, Effort(30000, 300000, 2000000)] = Field(
        default=None, description="at most so many tokens are read, a fifth of the texts held out (from effort)"
    )

    @model_validator(mode="after")
    def _some_text(self) -> TextsStage:
        if not (self.text or self.conversations or self.pairs):
            raise ValueError("a dictionary is made of texts: give files under 'text', 'conversations' or 'pairs'")
        if self.latents is not None and self.k > self.latents:
            raise ValueError(f"k is {self.k}, and there are {self.latents} latents: it is at most as many")
        return self

    @property
    def converses(self) -> bool:
        return bool(self.conversations or self.pairs)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        """Fewer texts than can be fitted to and held out."""
        count = len({row.model_dump_json() for file in files for row in file.rows})  # a row may hold lists
        if files and count < LEAST:
            first = str(files[0].knob[0])
            yield (first,), f"{count} different texts: a dictionary needs at least {LEAST}, a fifth of them held out"

    def texts_read(self, sizes: Sizes) -> float:
        """The tokens of the texts."""
        tokens = sum(sizes.files(self, knob).tokens for knob in ("text", "conversations", "pairs"))
        return min(tokens, resolved(self.tokens))


class SaeStage(TextsStage):
    """Which features do a block's activations fall into: a sparse dictionary is trained on them, and held against the
    same of Gaussian activations that have none?"""

    by: Literal["sae"]
    architecture: Literal["topk", "batch_topk", "jumprelu"] = Field(
        default="topk", description="which latents a token keeps"
    )
    dictionary: Annotated[str | None, Reads(use="settings", folder=True)] = Field(
        default=None,
        min_length=1,
        description="in place of training one: the folder of a dictionary of the start model, as SAELens keeps it",
    )

    random_weights: bool = Field(
        default=True, description="the same once more of the model with random weights: which features are there too"
    )

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    def claims(self) -> tuple[Claim, ...]:
        return tuple(claim for claim in CLAIMS if self.random_weights or claim.name not in OF_RANDOM_WEIGHTS)

    def estimate(self, sizes: Sizes) -> Cost:
        return Cost.of(self.texts_read(sizes) * (1 + self.random_weights))

    @property
    def idle(self) -> frozenset[str]:
        return frozenset({"architecture", "latents", "k"} if self.dictionary is not None else ())

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:  # noqa: ARG002 - the stage alone tells
        for name in sorted(self.idle & self.model_fields_set):
            yield (name,), f"{name} does nothing beside 'dictionary', which brings its own; leave it out"

    def file_faults(
        self,
        setting: Setting,
        constitution: Constitution | None,  # noqa: ARG002 - has no part in it
    ) -> Iterator[tuple[Knob, str]]:
        """A dictionary that cannot be read, or is of another model or place."""
        if self.dictionary is None:
            return
        try:
            config = read_config(setting.path(self.dictionary))
        except ValueError as error:
            yield ("dictionary",), str(error)
            return
        if setting.model is None:
            return
        if why := config.misfit(setting.model):
            yield ("dictionary",), why
        elif (
            "layer" in self.model_fields_set
            and setting.model.blocks
            and (layer := block_number(self.layer, setting.model.blocks)) != config.layer
        ):
            yield (
                ("layer",),
                f"block {layer} is asked for, and {config.folder} is of {config.hook_name}; leave 'layer' out, or name"
                " a dictionary of that block",
            )
