"""How does somebody rate pairs in a browser, without network, install or account? One self-contained
HTML page, blind.

The page holds what the terminal would ask, in the same order: prompt, first reply, second reply, and
a name for each question. No side, model, voter or repetition is in it, readable or hidden: which
reply is whose is known to the source alone, and `collection` looks it up there. Its content security
policy allows this page's own style sheet and script, by their hashes, and no request. Texts are data
in it, escaped so that none ends the script, and its script shows them as text. Answers are kept by the browser
under the page's own digest, and are downloaded as JSON Lines.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alignwright.core.records import content_id
from alignwright.job.ledger import write_text
from alignwright.report.text import visible
from alignwright.run.rating.pairs import RatedPair, Showing, showings
from alignwright.run.rating.ratings import Ratings


def write_form(
    pairs: Sequence[RatedPair],
    votes: Path,
    page: Path,
    *,
    rater: str,
    group: str = "",
    seed: int = 0,
    limit: int | None = None,
) -> int:
    """Write the page of what a rater has not answered yet; returns how many questions it asks."""
    rater, group = rater.strip(), group.strip()
    if not rater:
        raise ValueError("a vote is somebody's: give --rater a name")
    if page.exists():
        raise ValueError(f"{page}: there is such a file, and somebody may be answering in it; name another")
    questions = Ratings(votes).left_over(showings(pairs, rater=rater, seed=seed), rater)[:limit]
    if not questions:
        raise ValueError(f"{rater} has answered every question; there is nothing left to put on a page")
    write_text(page, html(questions, rater=rater, group=group))
    return len(questions)


def html(questions: Sequence[Showing], *, rater: str, group: str) -> str:
    """The page. What could be hidden in a text is written out, as in the terminal."""
    rows = [question(showing, rater) for showing in questions]
    form = {
        "form": content_id(rater, group, [row["id"] for row in rows]),
        "rater": rater,
        "group": group,
        "file": f"answers-{re.sub(r'[^A-Za-z0-9-]+', '-', rater).strip('-') or 'rater'}.jsonl",
        "questions": rows,
    }
    style, script = _own("form.css"), _own("form.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none';"
        " form-action 'none'"
    )
    env = Environment(
        loader=PackageLoader("alignwright.run.rating", "page"), autoescape=True, undefined=StrictUndefined
    )
    return env.get_template("form.html.j2").render(
        policy=policy,
        style=style,
        script=script,
        rater=visible(rater),
        group=visible(group),
        questions=_data(form),
    )


def question(showing: Showing, rater: str) -> dict[str, object]:
    """What is shown of a pair, as data of the page."""
    pair = showing.pair
    return {
        "id": question_id(pair, showing.left, showing.again, rater),
        "prompt": [
            {"role": message.role, "content": visible(message.content)} for message in pair.prompt.conversation.messages
        ],
        "a": visible(pair.replies[showing.left]),
        "b": visible(pair.replies[1 - showing.left]),
    }


def question_id(pair: RatedPair, left: int, again: bool, rater: str) -> str:
    """The name of a question: a hash of its texts, of their sides and of whom it is put to. It depends
    on nothing else of the source, so that one with further pairs still knows it."""
    return content_id("rate", pair.key, pair.replies[left], again, rater)


def _data(value: object) -> Markup:
    """JSON in ASCII without a sign that HTML reads, so that no text in it ends the script it stands in."""
    escapes = {sign: f"\\u{ord(sign):04x}" for sign in "<>&'"}
    text = json.dumps(value, ensure_ascii=True)
    return Markup(re.sub("[<>&']", lambda sign: escapes[sign[0]], text))  # noqa: S704 - escaped in this very line


def _own(name: str) -> Markup:
    sheet = resources.files("alignwright.run.rating").joinpath("page", name).read_text(encoding="utf-8")
    return Markup(sheet)  # noqa: S704 - our own file, which must reach the page as it is hashed


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
