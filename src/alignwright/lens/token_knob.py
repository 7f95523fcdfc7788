"""Which tokens does a look inside read, or change? One knob of all stages that have a choice."""

from __future__ import annotations

from pydantic import Field

from alignwright.core.stage import Stage
from alignwright.core.token_scope import TokenScope


class TokenStage(Stage):
    """A stage that reads some of the tokens of its texts, or changes the model at some."""

    tokens: TokenScope | None = Field(
        default=None,
        description="which tokens are read (by default prompt_end) or steered (by default all): prompt_end, the last"
        " of the prompt; template, what the template writes after the request; prompt; reply; or all; several are"
        " averaged where they are read",
    )
