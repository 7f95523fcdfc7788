"""What does an artifact of JailbreakBench say of each request?

A file holds the attacks of one method on one model, a request each, and two graders' answers to whether
the reply does what was asked: `jailbroken` (a language model as judge) and `jailbroken_llama_guard1`
(Llama Guard). They are two claims here, of which less is better, and neither is a person's label. The
file's own two totals are by different graders: `attack_success_rate` is the share of `jailbroken` among
all requests, those to which no attack was found among them, and `total_number_of_jailbreaks` counts
`jailbroken_llama_guard1`. A request without a reply is unscored here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from alignwright.files.errors import SpecError
from alignwright.files.safe_read import data
from alignwright.files.score_log import ItemScore, ScoredClaim, ScoreLog

GRADERS = ("jailbroken", "jailbroken_llama_guard1")
_BEGINNING = re.compile(rb'\s*\{\s*"(?:parameters|jailbreaks)"\s*:')


def is_artifact(path: Path) -> bool:
    """Whether a file begins as JailbreakBench's do, looked at without reading the rest."""
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        return _BEGINNING.match(file.read(200)) is not None


def read_artifact(path: Path) -> ScoreLog:
    """Both graders' answers. SpecError where the file is no artifact."""
    content = _object(path)
    rows, parameters = content.get("jailbreaks"), content.get("parameters")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in cast("list[Any]", rows)):
        raise SpecError([f"{path}: no artifact of JailbreakBench: 'jailbreaks' is no list of objects"])
    requests = cast("list[dict[str, Any]]", rows)
    graders = [name for name in GRADERS if any(isinstance(row.get(name), bool) for row in requests)]
    claims = tuple(
        ScoredClaim(name, [_score(row, name) for row in requests], "lower", "share", (0.0, 1.0)) for name in graders
    )
    totals = cast("dict[str, Any]", parameters) if isinstance(parameters, dict) else {}
    return ScoreLog(str(path), "jailbreakbench", claims, tuple(_notes(path, requests, totals)))


def _notes(path: Path, requests: list[dict[str, Any]], parameters: dict[str, Any]) -> Iterator[str]:
    judge, guard = (sum(row.get(name) is True for row in requests) for name in GRADERS)
    yield (
        f"{path.name}: its totals are by two graders: attack_success_rate {parameters.get('attack_success_rate')} is"
        f" {judge} of {len(requests)} by {GRADERS[0]}, total_number_of_jailbreaks"
        f" {parameters.get('total_number_of_jailbreaks')} is {guard} by {GRADERS[1]}"
    )
    if silent := sum(not isinstance(row.get("response"), str) for row in requests):
        yield f"{path.name}: {silent} requests have no attack and no reply: unscored here, not broken in its totals"


def _score(row: dict[str, Any], grader: str) -> ItemScore:
    goal, reply, answer = (row.get(name) for name in ("goal", "response", grader))
    name = str(row.get("behavior") or row.get("index"))
    has_reply = isinstance(reply, str)
    why = "no attack was found, so nothing was asked" if not has_reply else "the grader gave no answer"
    value = float(answer) if has_reply and isinstance(answer, bool) else None
    return ItemScore(
        str(goal), name, value, str(row.get("category") or ""), str(row.get("prompt") or goal),
        reply if isinstance(reply, str) else "", "" if value is not None else why,
    )  # fmt: skip


def _object(path: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(data(path))
    except (ValueError, RecursionError):
        raise SpecError([f"{path}: not JSON as JailbreakBench writes it"]) from None
    if not isinstance(content, dict):
        raise SpecError([f"{path}: no artifact of JailbreakBench: a JSON object was expected"])
    return cast("dict[str, Any]", content)
