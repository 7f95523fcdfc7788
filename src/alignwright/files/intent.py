"""What is meant? The files of the spec's `intent`: a constitution, prompts, written pairs, people's
votes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from alignwright.core.records import Share
from alignwright.core.stage import Reads, Stage
from alignwright.files.data_file import Paths


class Intent(Stage):
    """What is meant: principles, prompts, written pairs and people's votes."""

    constitution: Annotated[str | None, Reads(use="settings")] = Field(
        default=None, min_length=1, description="a Markdown file of principles with examples"
    )
    prompts: Annotated[Paths, Reads("prompts", use="trained")] = Field(
        default=(), description="files of training prompts"
    )
    pairs: Annotated[Paths, Reads("pairs", use="trained")] = Field(
        default=(), description="files of written pairs, a good and a bad reply to each prompt"
    )
    people: Annotated[Paths, Reads("votes", use="trained")] = Field(default=(), description="files of people's votes")
    bad_rows: Share = Field(
        default=0.0, description="the share of bad rows in a data file that may be set aside; more is an error"
    )
