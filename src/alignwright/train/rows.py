"""Does every row fit? Rows over the length limit are set aside and named, never cut without a word."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from alignwright.model.tokens import TokenRow


def fit_rows(rows: Sequence[TokenRow], max_tokens: int, folder: Path, shown: Sequence[object]) -> list[int]:
    """The indices of rows of at most `max_tokens` tokens; the others go to `too_long.jsonl` in `folder`.

    Raises ValueError when none is left. A cut answer would lose its end-of-turn token and teach endless replies, so rows are
    dropped whole.
    """
    keep = [i for i, row in enumerate(rows) if len(row) <= max_tokens]
    dropped = sorted(set(range(len(rows))) - set(keep))
    if dropped:
        lines = [json.dumps({"row": i, "tokens": len(rows[i]), "limit": max_tokens, "data": shown[i]}, ensure_ascii=False) for i in dropped]
        (folder / "too_long.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not keep:
        longest = max(map(len, rows), default=0)
        raise ValueError(f"none of {len(rows)} training rows fits in {max_tokens} tokens (the longest has {longest}); raise max_tokens")
    return keep
