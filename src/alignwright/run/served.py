"""Which model answered behind the server, how often was it asked, and what did that cost?

Counted from the replies that the run keeps (`job.reply_cache`), so that a run that was resumed says
what all its tries came to together. Tokens are the server's own count; where it is silent about one
reply, the sum is not known, and neither is the cost.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from alignwright.experiment.experiment import Experiment
from alignwright.files.server import Server, is_server
from alignwright.job.reply_cache import reply_rows

UNKNOWN = "not known: the server does not count its tokens"


def server_facts(experiment: Experiment, run: Path) -> dict[str, str]:
    """What a report says of the server behind which the model is; nothing of a model that is here."""
    if not is_server(experiment.model):
        return {}
    rows = reply_rows(run, experiment.model)
    paid = [row for row in rows if not row.get("elsewhere")]
    replies = sum("text" in row for row in paid)
    withheld = sum("withheld" in row for row in paid)
    elsewhere = f", {len(rows) - len(paid)} more taken over from runs beside this one" * (len(rows) > len(paid))
    tokens = _tokens(paid)
    return {
        "model behind": experiment.model.partition("#")[0],
        "the server calls it": _names(rows),
        "replies": f"{replies} asked for{elsewhere}; {withheld} withheld",
        "tokens, as the server counts": (
            UNKNOWN if tokens is None else f"{tokens[0]:,} of prompts and {tokens[1]:,} of replies"
        ),
        "cost": _cost(tokens, experiment.server or Server(), experiment.model),
    }


def _tokens(rows: list[dict[str, Any]]) -> tuple[int, int] | None:
    bill = [row["bill"] for row in rows]
    if not all(bill):
        return None
    return sum(prompt for prompt, _ in bill), sum(completion for _, completion in bill)


def _cost(tokens: tuple[int, int] | None, server: Server, name: str) -> str:
    price = server.price(name)
    if tokens is None:
        return UNKNOWN
    if price is None:
        return "not known: the spec gives no prices"
    money = (tokens[0] * price[0] + tokens[1] * price[1]) / 1e6
    return f"{money:,.4f} at {price[0]:g} and {price[1]:g} for a million tokens of prompts and of replies"


def _names(rows: list[dict[str, Any]]) -> str:
    """What the server called the model, the commonest first, with its fingerprint."""
    names = Counter((str(row.get("model") or ""), str(row.get("fingerprint") or "")) for row in rows if "text" in row)
    texts = [
        f"{model or 'nothing'}{f' ({fingerprint})' if fingerprint else ''}"
        for (model, fingerprint), _ in names.most_common()
    ]
    return "; then ".join(texts) or "nothing: it gave no reply"
