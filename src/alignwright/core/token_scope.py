"""Which tokens of a text are read by a probe, or changed by an edit? One word for each choice."""

from __future__ import annotations

from typing import Literal, get_args

TokenScope = Literal["prompt_end", "template", "prompt", "reply", "all"]
"""`prompt_end`: the last token of a prompt, where the reply begins (of a plain text its last); `template`: what the
template writes after the request, that token included; `prompt`: all up to where the reply begins; `reply`: the
reply's; `all`: every one."""
SCOPES: tuple[TokenScope, ...] = get_args(TokenScope)
WHICH = (
    "prompt_end (the last of the prompt), template (what the template writes after the request), prompt, reply, or all"
)
