"""How is a pydantic validation error said in plain words?

pydantic speaks of tuples, patterns and arrays; whoever wrote the file knows lists, texts and
numbers. Here its errors become what was wanted and what was seen, for the spec (`explain`) and for
the rows of data files (`reading`, `few_shot`) alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from alignwright.files.errors import did_you_mean, dotted, nearest

LONGEST_VALUE = 80
"""The most characters of a value that are repeated in an error."""
_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number that is finite",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "bool_type": "true or false",
}


def describe_error(detail: ErrorDetails) -> str:
    """One error in words, without the name of its field."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    match kind:
        case "missing":
            return "required, but missing"
        case "value_error":
            return str(context.get("error", detail["msg"]))
        case "literal_error":
            names = [name.strip("'") for name in str(context["expected"]).replace(" or ", ", ").split(", ")]
            return f"saw {describe_value(value)}; {did_you_mean(str(value), names)}"
        case "too_short":
            return f"wanted a list of {context['min_length']} or more, saw {describe_value(value)}"
        case "string_too_short":
            return "is empty"
        case "string_pattern_mismatch" if context.get("pattern") == r"\S":
            return "is empty"
        case "json_invalid":
            return "values lie within values too deep to be read"
        case _ if kind in _KINDS:
            return f"wanted {_KINDS[kind]}, saw {describe_value(value)}"
        case _:
            return f"{detail['msg'].replace('Input should be', 'must be')}, saw {describe_value(value)}"


def describe_row_errors(error: ValidationError, columns: Iterable[str]) -> str:
    """All that is wrong with a row, or an entry, whose fields are these."""
    details, names, problems = error.errors(include_url=False), list(columns), list[str]()
    for detail in details:
        loc = detail["loc"]
        if detail["type"] == "too_short" and any(
            other["loc"][: len(loc)] == loc for other in details if other is not detail
        ):
            continue  # an entry that could not be read is told of, and was not counted
        if detail["type"] == "extra_forbidden":
            problems.append(f"{dotted(loc)}: no such field; {_near(str(loc[-1]), names)}")
        else:
            problems.append(f"{dotted(loc)}: {describe_error(detail)}" if loc else describe_error(detail))
    return "; ".join(problems)


def _near(name: str, names: Sequence[str]) -> str:
    hint = did_you_mean(name, names)
    return f"leave it out, or {hint}" if nearest(name, names) is None else hint


def describe_value(value: Any) -> str:
    """A value in words; of a long text the beginning."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return (
            f"the text {value!r}"
            if len(value) <= LONGEST_VALUE
            else f"the text {value[:LONGEST_VALUE]!r}, which goes on"
        )
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, dict):
        return "a mapping"
    return (
        f"a list of {len(cast('list[Any]', value))}" if isinstance(value, list | tuple) else f"a {type(value).__name__}"
    )
