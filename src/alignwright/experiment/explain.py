"""Which field of the spec failed validation, on which line?

pydantic's errors, put into one line each: where, which field, what was seen and what is wanted.
"""

from __future__ import annotations

from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from alignwright.aggregate.knobs import AnyAggregate
from alignwright.attack.knobs import AnyAttack
from alignwright.experiment.experiment import Experiment
from alignwright.experiment.unions import AnyLens, AnyMeasure, AnyOversee, AnyTrain
from alignwright.feedback.knobs import AnyFeedback
from alignwright.files.errors import Loc, did_you_mean, dotted
from alignwright.files.positions import Document
from alignwright.files.wording import describe_error, describe_value


def _by_name(union: Any) -> dict[str, type[BaseModel]]:
    """The records of a union, or of a section that has one kind so far, by what they write after `by`."""
    kinds: tuple[type[BaseModel], ...] = get_args(union) or (union,)
    return {get_args(kind.model_fields["by"].annotation)[0]: kind for kind in kinds}


KINDS: dict[str, dict[str, type[BaseModel]]] = {
    "feedback": _by_name(AnyFeedback),
    "train": _by_name(AnyTrain),
    "attack": _by_name(AnyAttack),
    "measure": _by_name(AnyMeasure),
    "lens": _by_name(AnyLens),
    "oversee": _by_name(AnyOversee),
    "aggregate": _by_name(AnyAggregate),
}
_ALONE = ("aggregate",)
"""The sections that hold one stage, and no list of them."""
_ARMS = ("literal[", "tuple[")
RENAMED_KNOBS = {
    "clip": "cliprange",
    "clip_high": "cliprange_high",
    "flip": "label_smoothing",
    "kl": "kl_coef",
    "minibatches": "num_mini_batches",
    "mix": "ptx_coef",
    "mix_text": "ptx_text",
    "passes": "num_iterations",
    "value": "vf_coef",
    "value_clip": "cliprange_value",
}
"""What knobs were called once, and are now: read for an error alone, which says the new name."""


def explain(error: ValidationError, document: Document) -> list[str]:
    """All problems of the document, each once, in the order of the file."""
    details = error.errors(include_url=False)
    unknown = {stage for stage in map(_lost_stage, details) if stage is not None}
    lines: list[str] = []
    for detail in details:
        loc = detail["loc"]
        if any(loc[: len(stage)] == stage and _lost_stage(detail) is None for stage in unknown):
            continue  # a stage of unknown kind says so once, and nothing else
        if detail["type"] == "literal_error" and str(loc[-1]).startswith("literal["):
            continue  # one arm of a union; the other arm says what is wanted
        lines.append(_line(detail, document))
    return sorted(dict.fromkeys(lines), key=line_number)


def line_number(line: str) -> int:
    """Lines of the file in order, overrides first."""
    number = line.split(": ", 1)[0].rsplit(":", 1)[-1]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0


def _lost_stage(detail: ErrorDetails) -> Loc | None:
    """The stage whose kind could not be told, if that is what the error is."""
    loc = detail["loc"]
    if not loc or loc[0] not in KINDS:
        return None
    whole = _kind_place(loc)
    if (len(loc) == whole and detail["type"] != "value_error") or loc[whole:] == ("by",):
        return loc[:whole]
    return None


def _kind_place(loc: Loc) -> int:
    """Where in the path of a stage, as pydantic tells it, its kind stands."""
    return 1 if loc[0] in _ALONE else 2


def _line(detail: ErrorDetails, document: Document) -> str:
    display, inside = follow(detail["loc"], document.data)
    stage = _lost_stage(detail)
    if stage is not None:
        display, inside = (*stage, "by"), (*stage, "by")
        written = document.data[stage[0]]
        message = _unknown_kind(str(stage[0]), written[stage[1]] if stage[1:] else written)
    else:
        message = _message(detail, display)
    path = dotted(display)
    return f"{document.place(inside)}: {path}: {message}" if path else f"{document.place(inside)}: {message}"


def follow(loc: Loc, data: Any) -> tuple[Loc, Loc]:
    """The path as shown, with the kind of a stage in it (train.0.dpo.beta), and as it is in the
    data (train.0.beta)."""
    display: list[str | int] = []
    inside: list[str | int] = []
    for place, part in enumerate(loc):
        if isinstance(part, str) and part.startswith(_ARMS) and place > 2:
            continue  # pydantic's name for an arm of a union
        display.append(part)
        is_kind = (
            display[0] in KINDS
            and place == _kind_place(loc)
            and isinstance(data, dict)
            and cast("dict[str, Any]", data).get("by") == part
        )
        if not is_kind:
            inside.append(part)
            data = _child(data, part)
        alone = place == 1 and len(KINDS.get(str(display[0]), ())) == 1  # pydantic names the kind in a union alone
        if alone and len(loc) > 2 and loc[2] not in KINDS[str(display[0])] and isinstance(data, dict):
            display.append(str(cast("dict[str, Any]", data).get("by")))
    return tuple(display), tuple(inside)


def _child(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return cast("dict[str | int, Any]", data).get(part)
    if isinstance(data, list) and isinstance(part, int):
        items = cast("list[Any]", data)
        return items[part] if part < len(items) else None
    return None


def _unknown_kind(section: str, stage: Any) -> str:
    names = list(KINDS[section])
    if not isinstance(stage, dict):
        return f"a stage is a mapping that begins with 'by', saw {describe_value(stage)}; write {{by: {names[0]}}}"
    kind = cast("dict[str, Any]", stage).get("by")
    if kind is None:
        return f"missing; say which kind of {section} this is: {', '.join(names)}"
    return f"there is no {section} {kind!r}; {did_you_mean(str(kind), names)}"


def _message(detail: ErrorDetails, display: Loc) -> str:
    match detail["type"]:
        case "extra_forbidden":
            name, fields = str(display[-1]), fields_at(display[:-1])
            if (new_name := RENAMED_KNOBS.get(name)) in fields:
                return f"is now called {new_name!r}"
            return f"no such field; {did_you_mean(name, fields)}"
        case "string_pattern_mismatch":
            return (
                f"saw {describe_value(detail['input'])}; wanted letters, digits, '.', '_' and '-', beginning with a"
                " letter or digit"
            )
        case _:
            return describe_error(detail)


def fields_at(loc: Loc) -> list[str]:
    """The fields that a part of the spec has."""
    part: type[BaseModel] = Experiment
    within = loc
    if loc and loc[0] in KINDS and len(loc) > _kind_place(loc):
        at = _kind_place(loc)
        part, within = KINDS[str(loc[0])][str(loc[at])], loc[at + 1 :]
    for name in within:  # into a knob that is a mapping itself, such as stop
        part = _inner(part, str(name)) or part
    return list(part.model_fields)


def _inner(part: type[BaseModel], knob: str) -> type[BaseModel] | None:
    field = part.model_fields.get(knob)
    kinds = (field.annotation, *get_args(field.annotation)) if field is not None else ()
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
