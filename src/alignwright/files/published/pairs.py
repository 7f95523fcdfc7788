"""How do published comparisons become pairs and ballots in our own columns?

One pure function for each published form. A comparison that says which reply is better becomes
`prompt`, `chosen`, `rejected`; one that says who preferred which becomes a ballot of each rater. A
tie is left out of pairs, and is a vote of one half in a ballot.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any, cast

from alignwright.files.chat import RowError, name, text
from alignwright.files.formats import TIE, Columns, LeftOut
from alignwright.files.wording import describe_value


def webgpt(row: Columns) -> Columns:
    question = row["question"]
    prompt = cast("Columns", question).get("full_text") if isinstance(question, dict) else question
    return by_score(prompt, [row["answer_0"], row["answer_1"]], [row["score_0"], row["score_1"]])


def scored(row: Columns) -> Columns:
    """Two whole dialogues with a score each."""
    texts, scores = row["text"], row["score"]
    if not (
        isinstance(texts, list)
        and isinstance(scores, list)
        and len(cast("list[Any]", texts)) == len(cast("list[Any]", scores)) == 2
    ):
        raise RowError("'text' and 'score' should be two dialogues and their two scores")
    pair = by_score(None, cast("list[Any]", texts), cast("list[Any]", scores))
    return {**{key: value for key, value in row.items() if key in ("topic", "principle")}, **pair}


def by_score(prompt: Any, replies: list[Any], scores: list[Any]) -> Columns:
    first, second = scores
    if any(isinstance(score, bool) or not isinstance(score, int | float) for score in (first, second)):
        raise RowError(f"the scores should be numbers, saw {describe_value(first)} and {describe_value(second)}")
    return _pair(prompt, replies, None if first == second else int(second > first))


def rm_bench(row: Columns) -> list[Columns]:
    """Each chosen reply, of three styles, over each rejected one, as the benchmark counts them."""
    sides: list[list[Any]] = []
    for side in ("chosen", "rejected"):
        value = row[side]
        if not isinstance(value, list) or not all(isinstance(reply, str) for reply in cast("list[Any]", value)):
            raise RowError(f"{side!r} should be a list of replies, saw {describe_value(value)}")
        sides.append(cast("list[Any]", value))
    topic = f"{row['domain']}: {row['id']}" if row.get("id") is not None else row["domain"]
    return [{"prompt": row["prompt"], "chosen": good, "rejected": bad, "topic": topic} for good, bad in product(*sides)]


def judgebench(row: Columns) -> Columns:
    which = _one_of(row["label"], "label", {"A>B": 0, "B>A": 1, "A=B": None})
    return _pair(row["question"], [row["response_A"], row["response_B"]], which, row.get("source"))


def auto_j(row: Columns) -> Columns:
    which = _one_of(row["label"], "label", {"0": 0, "1": 1, "2": None})
    return _pair(row["prompt"], [row["response 1"], row["response 2"]], which, row.get("scenario"))


def llmbar(row: Columns) -> Columns:
    return _pair(row["input"], [row["output_1"], row["output_2"]], _one_of(row["label"], "label", {"1": 0, "2": 1}))


def evalbiasbench(row: Columns) -> Columns:
    which = _one_of(row["label"], "label", {"1": 0, "2": 1})
    return _pair(_instructed(row), [row["response1"], row["response2"]], which, row.get("bias"))


def alpaca_eval(row: Columns) -> Columns:
    return _pair(
        _instructed(row), [row["output_1"], row["output_2"]], _preferred(row["preference"]), row.get("dataset")
    )


def alpaca_eval_ballot(row: Columns) -> Columns:
    """AlpacaEval's people and models, each named by its number or its name."""
    which = _preferred(row["preference"], none_is_tie=True)
    return _ballot(
        _instructed(row), [row["output_1"], row["output_2"]], which, row["annotator"], topic=row.get("dataset")
    )


def binarized(row: Columns) -> Columns:
    """UltraFeedback as pairs: our own columns, and a tie where both replies had the same score."""
    if row["score_chosen"] is not None and row["score_chosen"] == row["score_rejected"]:
        raise LeftOut(TIE)
    return row


def pandalm(row: Columns) -> Columns:
    """What most annotators preferred."""
    marks = Counter(_one_of(mark, "annotator", {"0": None, "1": 0, "2": 1}) for mark in _annotators(row).values())
    first, second = marks[0], marks[1]
    return _pair(
        _instructed(row),
        [row["response1"], row["response2"]],
        None if first == second else int(second > first),
        row.get("motivation_app"),
    )


def pandalm_ballots(row: Columns) -> list[Columns]:
    """A ballot of each annotator."""
    replies, prompt = [row["response1"], row["response2"]], _instructed(row)
    marks = {rater: _one_of(mark, rater, {"0": None, "1": 0, "2": 1}) for rater, mark in _annotators(row).items()}
    return [_ballot(prompt, replies, mark, rater, topic=row.get("motivation_app")) for rater, mark in marks.items()]


def lewidi(row: Columns) -> list[Columns]:
    """A ballot of each annotator, whose mark is 1 or 0: does it apply to the text, or not?"""
    raters, marks = (_items(row[column], column) for column in ("annotators", "annotations"))
    if len(raters) != len(marks):
        raise RowError(f"{len(raters)} annotators gave {len(marks)} annotations")
    about = cast("Columns", row["other_info"]) if isinstance(row.get("other_info"), dict) else {}
    groups = (
        _items(about["annotators group"], "annotators group") if about.get("annotators group") else [""] * len(raters)
    )
    if len(groups) != len(raters):
        raise RowError(f"{len(raters)} annotators, of {len(groups)} groups")
    question = (
        f"{text(row['annotation task'], 'annotation task')}: does it apply to this text?\n\n{text(row['text'], 'text')}"
    )
    ballots: list[Columns] = []
    for rater, mark, group in zip(raters, marks, groups, strict=True):
        which = _one_of(mark, "annotations", {"1": 0, "0": 1})
        ballots.append(_ballot(question, ["Yes.", "No."], which, rater, group))
    return ballots


def hhh(row: Columns) -> list[Columns]:
    """Each wanted reply over each other one: BIG-bench's `target_scores`, or `targets` with
    choices and labels."""
    replies = replies_with_marks(row)
    good, bad = [reply for reply, mark in replies if mark], [reply for reply, mark in replies if not mark]
    if not good or not bad:
        raise LeftOut(TIE)
    return [{"prompt": row["input"], "chosen": better, "rejected": worse} for better, worse in product(good, bad)]


def replies_with_marks(row: Columns) -> list[tuple[str, bool]]:
    """The replies of an HHH row, and whether each is a wanted one."""
    if isinstance(row.get("target_scores"), dict):
        return [(reply, bool(score)) for reply, score in cast("dict[str, Any]", row["target_scores"]).items()]
    targets = cast("Columns", row["targets"]) if isinstance(row.get("targets"), dict) else {}
    choices, labels = targets.get("choices"), targets.get("labels")
    if not (
        isinstance(choices, list)
        and isinstance(labels, list)
        and len(cast("list[Any]", choices)) == len(cast("list[Any]", labels))
    ):
        raise RowError("'targets' should hold 'choices' and 'labels', two lists of one length")
    replies = [text(reply, "targets.choices") for reply in cast("list[Any]", choices)]
    return [(reply, bool(label)) for reply, label in zip(replies, cast("list[Any]", labels), strict=True)]


def truthful_pair(row: Columns) -> Columns:
    return {
        "prompt": row["Question"],
        "chosen": row["Best Answer"],
        "rejected": row["Best Incorrect Answer"],
        "topic": row.get("Category"),
    }


def beavertails(row: Columns) -> Columns:
    """A reply that is safe or is not: a labelled reply."""
    return {"prompt": row["prompt"], "completion": row["response"], "label": row["is_safe"]}


def _pair(prompt: Any, replies: list[Any], which: int | None, topic: Any = None) -> Columns:
    if which is None:
        raise LeftOut(TIE)
    prompt_column: Columns = {} if prompt is None else {"prompt": prompt}
    return {
        **prompt_column,
        "chosen": replies[which],
        "rejected": replies[1 - which],
        **({} if topic in (None, "") else {"topic": topic}),
    }


def _ballot(
    prompt: Any, replies: list[Any], which: int | None, rater: Any, group: str = "", topic: Any = None
) -> Columns:
    choice: Any = "tie" if which is None else which
    about: Columns = {"rater": rater, "group": group, **({} if topic in (None, "") else {"topic": topic})}
    return {"prompt": prompt, "a": replies[0], "b": replies[1], "choice": choice, **about}


def _instructed(row: Columns) -> str:
    """Alpaca's instruction, with its input below it where there is one."""
    instruction, input_text = text(row["instruction"], "instruction"), row.get("input")
    return instruction if input_text in (None, "") else f"{instruction}\n\n{text(input_text, 'input')}"


def _annotators(row: Columns) -> Columns:
    return {column: value for column, value in row.items() if column.startswith("annotator") and value is not None}


def _preferred(value: Any, none_is_tie: bool = False) -> int | None:
    """AlpacaEval's preference: 1 the first, 2 the second, between them how sure; 0, 1.5 and
    nothing are no preference."""
    if value is None and none_is_tie:
        raise LeftOut(TIE)
    if value in (None, 0, 1.5):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 2:
        raise RowError(f"'preference' should be a number from 1 to 2, saw {describe_value(value)}")
    return int(value > 1.5)


def _one_of(value: Any, column: str, places: dict[str, int | None]) -> int | None:
    """The place that a mark stands for: a text, or a number as one."""
    mark = "" if value is None or isinstance(value, bool) else name(value, column).strip()
    if mark not in places:
        raise RowError(f"{column!r} should be one of {', '.join(places)}, saw {describe_value(value)}")
    return places[mark]


def _items(value: Any, column: str) -> list[str]:
    """A list, or texts separated by commas."""
    if isinstance(value, list):
        return [name(one, column) for one in cast("list[Any]", value)]
    return [part.strip() for part in text(value, column).split(",")]
