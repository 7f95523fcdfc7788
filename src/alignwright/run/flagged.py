"""How is a conversation that went wrong kept, so that an attack or a measure can ask it again?

A line a conversation in `flagged.jsonl`, where chat was started: a refusal prompt (`prompt` is what
was asked last, `kind` is harmful or harmless), as `{by: suite}` and `{by: value}` read them, with the
reason, and the whole conversation, which `{by: replay}` asks again up to its last question. A suite and
a measure ask that question alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from alignwright.core.records import Message
from alignwright.files.lines import append_durably

FLAGGED = "flagged.jsonl"
_KINDS = ("harmful", "harmless")


def flag(file: Path, messages: Sequence[Message], words: str) -> str:
    """Append a conversation whose last reply is wrong; returns what to tell. `words` are the reason,
    behind the kind of the request where it is not harmful."""
    if not messages:
        return "nothing has been said yet, so there is nothing to flag"
    first, _, rest = words.strip().partition(" ")
    kind, reason = (first, rest.strip()) if first in _KINDS else ("harmful", words.strip())
    row = {
        "prompt": messages[-2].content,
        "kind": kind,
        "reason": reason,
        "conversation": [{"role": message.role, "content": message.content} for message in messages],
    }
    try:
        start = b"" if _ends_whole(file) else b"\n"
        append_durably(file, start + json.dumps(row, ensure_ascii=False).encode())
    except OSError as error:
        return f"not kept: {file} cannot be written ({error.strerror}); make room or start chat elsewhere"
    ways = "; a suite asks the last question alone, and 'by: replay' the whole conversation"
    earlier = ways if len(messages) > 2 else ""
    return f"flagged as {kind} in {file}: prompts: {file} under attack or measure asks it again{earlier}"


def _ends_whole(file: Path) -> bool:
    if not file.exists() or not file.stat().st_size:
        return True
    with file.open("rb") as flags:
        flags.seek(-1, os.SEEK_END)
        return flags.read(1) == b"\n"
