"""A linear probe for a concept, knob by knob (`lens: {by: probe}`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from alignwright.core.claims import Claim
from alignwright.core.cost import Cost
from alignwright.core.layer import AnyLayer
from alignwright.core.records import Prompt
from alignwright.core.section import FindingTable, Section
from alignwright.core.stage import Effort, Knob, KnobRows, Reads, Sizes
from alignwright.core.token_scope import TokenScope
from alignwright.files.data_file import Paths
from alignwright.files.errors import bad_row_lines
from alignwright.files.items import RefusalItem
from alignwright.files.labelled_texts import LabelledText
from alignwright.lens.benign_knob import BenignStage
from alignwright.lens.label_conflicts import two_labels
from alignwright.lens.probe import section
from alignwright.lens.probe.split import LEAST
from alignwright.lens.token_knob import TokenStage

CONCEPT = r"^[a-z][a-z0-9_]*$"
AREA = "AUROC"


def claims_of(concept: str, *, benign: bool = False) -> tuple[Claim, ...]:
    """The claims of a probe for this concept. `benign`: whether a model that was fine-tuned on harmless data stands
    beside it."""
    area = Claim(
        name=f"probe.{concept}.auroc", title=f"A direction for {concept}: held-out area", axis="inside", better=None,
        unit=AREA, paired=False,
    )  # fmt: skip
    beside = {"promisable": False, "better": None}
    twins = (
        area.but(name=f"probe.{concept}.over_benign", title=f"{concept}: beyond a harmless fine-tuning", low=-1.0),
        area.but(name=f"probe.{concept}.benign", title=f"{concept}: in a harmless fine-tuning", **beside),
        area.but(name=f"probe.{concept}.on_benign", title=f"{concept}: this probe on a harmless one", **beside),
        area.but(name=f"probe.{concept}.by_benign", title=f"{concept}: a harmless one's probe on this", **beside),
    )
    return (
        *(twins if benign else ()),
        area,
        area.but(name=f"probe.{concept}.over_words", title=f"{concept}: beyond the words alone", low=-1.0),
        area.but(name=f"probe.{concept}.words", title=f"{concept}: by the words alone", **beside),
        area.but(name=f"probe.{concept}.random", title=f"{concept}: random directions, 95th per cent", **beside),
        area.but(name=f"probe.{concept}.control", title=f"{concept}: control texts from negatives", **beside),
        area.but(name=f"probe.{concept}.start", title=f"{concept}: the start model's probe", measured="trained"),
    )


class ProbeStage(TokenStage, BenignStage):
    """Is there a direction in the activations that tells the texts of a concept from others, and does it tell more
    than random directions, the words alone and the start model do?"""

    seeded: ClassVar[bool] = False
    compares: ClassVar[Literal["nothing", "start", "before", "all"]] = "start"

    by: Literal["probe"]
    concept: str = Field(pattern=CONCEPT, max_length=40, description="its name in claims: probe.CONCEPT.auroc")
    data: Annotated[Paths, Reads(LabelledText)] = Field(
        default=(),
        description="texts (text, or prompt and reply) with their label: 1, 0 or control, and topic; or statement and"
        " label",
    )
    requests: Annotated[Paths, Reads(RefusalItem)] = Field(
        default=(), description="requests (prompt, kind): the harmful ones are the positive"
    )
    positive: Annotated[Paths, Reads("prompts")] = Field(default=(), description="prompts that show the concept")
    negative: Annotated[Paths, Reads("prompts")] = Field(default=(), description="prompts that do not")
    method: Literal["logistic", "lda", "mean_difference"] = Field(default="logistic", description="how it is fitted")
    layer: AnyLayer = Field(
        default=None,
        description="the block whose output is read, from 0 (or a part of the depth); by default the best of all on"
        " texts that are neither fitted to nor tried on",
    )
    limit: Annotated[Annotated[int, Field(ge=2 * LEAST)] | None, Effort(400, 2000, 100000)] = Field(
        default=None, description="at most so many texts (from effort)"
    )

    @model_validator(mode="after")
    def _two_kinds(self) -> ProbeStage:
        if not (self.data or self.requests or (self.positive and self.negative)):
            raise ValueError(
                "a concept needs texts of both kinds: give labelled texts under 'data', requests under 'requests', or"
                " prompts under both 'positive' and 'negative'"
            )
        if self.tokens == "reply" and (knob := next((k for k in _ASKING if getattr(self, k)), None)):
            raise ValueError(f"'tokens: reply' reads replies, and '{knob}' has none; give 'data' with prompt and reply")
        return self

    @property
    def scope(self) -> TokenScope:
        """Which tokens are read."""
        return self.tokens or "prompt_end"

    @classmethod
    def section(cls, table: FindingTable) -> Section | None:
        return section.section(table)

    @property
    def converses(self) -> bool:
        return bool(self.requests or self.positive or self.negative)

    def claims(self) -> tuple[Claim, ...]:
        return claims_of(self.concept, benign=self.benign is not None)

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        """Fewer texts of a kind than a probe can be fitted to and tried on, and texts that are of two kinds."""
        two = list(two_labels(files, _kind_and_text))
        yield from two
        for file in (file for file in files if file.knob[0] == "data"):
            rows = zip(file.rows, file.numbers, strict=True)
            wrong = [(number, why) for row, number in rows if (why := _without_tokens(row, self.scope))]
            yield from ((file.knob, line) for line in bad_row_lines(file.file, wrong))
        kinds = {
            text: kind for file in files for kind, text in (_kind_and_text(row, str(file.knob[0])) for row in file.rows)
        }
        counts = {kind: sum(each == kind for each in kinds.values()) for kind in ("positive", "negative")}
        short = [kind for kind, count in counts.items() if count < LEAST and not two]
        if files and short:
            first = next(str(file.knob[0]) for file in files)
            yield (
                (first,),
                f"{counts['positive']} positive and {counts['negative']} negative texts: a probe needs at least {LEAST}"
                f" of each kind; give more that are {short[0]}",
            )

    def estimate(self, sizes: Sizes) -> Cost:
        each = [sizes.files(self, knob) for knob in ("data", "requests", "positive", "negative")]
        rows, tokens = sum(size.rows for size in each), sum(size.rows * size.prompt for size in each)
        share = min(1.0, (self.limit or rows) / rows) if rows else 0.0
        return Cost.of(tokens * share)


_ASKING = ("requests", "positive", "negative")


def words_read(row: LabelledText) -> str:
    """The words of a text, its reply included: what it is told from others by, without a look inside."""
    return f"{row.shown}\n{row.reply}" if row.reply else row.shown


def _without_tokens(row: LabelledText, scope: TokenScope) -> str:
    """Why a row has none of the tokens that are read, or a reply that is not; "" where it has them."""
    if row.text and scope not in ("prompt_end", "all"):
        return f"a plain text has no {scope} tokens; give 'prompt' (and 'reply'), or read 'prompt_end' or 'all'"
    if scope == "reply" and not row.reply:
        return "'tokens: reply' reads the reply, and there is none; give 'reply'"
    if row.reply and scope not in ("reply", "all"):
        return f"its 'reply' is never read: tokens are '{scope}'; read 'reply' or 'all', or leave it out"
    return ""


def _kind_and_text(row: LabelledText | RefusalItem | Prompt, knob: str) -> tuple[str, str]:
    """Whether a row of this knob shows the concept, and its text."""
    if isinstance(row, LabelledText):
        return row.label, words_read(row)
    if isinstance(row, RefusalItem):
        return "positive" if row.kind == "harmful" else "negative", row.prompt
    return knob, " ".join(message.content for message in row.conversation.messages)
