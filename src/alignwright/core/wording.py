"""How is a number with its interval written, and what is a stage called, in plain words?

The one place where a finding becomes text for a person, on the page, in the card, on the terminal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alignwright.core.records import Finding

_NO_UNIT = ("fraction", "difference", "score")
"""What a pure number is called where it is described; behind the number it says nothing."""
ABSENT, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def stage(name: str, titles: Mapping[str, str], *, alone: bool = False) -> str:
    """ "baseline" is Before, or Measured where no other model was; "train.1.dpo" is After DPO, by the titles of the
    run's training stages."""
    if name == "baseline":
        return "Measured" if alone else "Before"
    return f"After {titles[name]}" if name in titles else name


def inside(name: str, titles: Mapping[str, str]) -> str:
    """A stage's plain name inside a sentence."""
    plain = stage(name, titles)
    return f"{plain[:1].lower()}{plain[1:]}"


def where(finding: Finding, titles: Mapping[str, str]) -> str:
    """The stage of a number inside a sentence: "after DPO", or "after DPO, against before"."""
    return ", against ".join(inside(name, titles) for name in (finding.stage, finding.against) if name)


def number(value: float | None, unit: str, *, change: bool = False) -> str:
    """A share in per cent, a change of shares in points, any other unit as it is; None is a dash."""
    if value is None:
        return ABSENT
    sign = "+" if change else ""
    if unit == "share":
        return minus(f"{100 * value:{sign}.1f}{' pts' if change else '%'}")
    return minus(with_unit(f"{value:{sign}.3f}", unit))


def with_unit(text: str, unit: str) -> str:
    """A number that is written already, with its unit where that is one."""
    return f"{text} {unit}" if unit and unit not in _NO_UNIT else text


def count(finding: Finding) -> str:
    """A share as so many of all that were scored; a dash where none was."""
    return ABSENT if finding.value is None else f"{round(finding.value * finding.n)} of {finding.n}"


def interval(finding: Finding) -> str:
    """The limits in brackets, without repeating the unit."""
    if finding.low is None or finding.high is None:
        return "no interval"
    change, scale, places = finding.against is not None, *((100, 1) if finding.unit == "share" else (1, 3))
    low, high = (f"{scale * limit:{'+' if change else ''}.{places}f}" for limit in (finding.low, finding.high))
    return minus(f"[{low}, {high}]")


def rate(finding: Finding) -> str:
    """A rate that a grader found, with its interval, or that there is none."""
    return (
        "no corrected rate" if finding.value is None else f"{number(finding.value, finding.unit)} {interval(finding)}"
    )


def correction(finding: Finding) -> str:
    """By what a rate was corrected: the run's own labels, or errors found on other models' replies."""
    return "by labels" if finding.detail.get("correction") == "labels" else "transferred"


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def scored(finding: Finding) -> str:
    """How many items are behind a number, and how many could not be scored: always said."""
    if why := finding.detail.get("untested"):
        return f"untested: {why}"
    total = finding.n + finding.unscored + finding.errors
    if total == finding.n:
        return f"n = {finding.n}, all scored"
    missing = [f"{finding.unscored} unscored"] * bool(finding.unscored) + [
        f"{finding.errors} error{'s' * (finding.errors != 1)}"
    ] * bool(finding.errors)
    return f"n = {finding.n} of {total}: {', '.join(missing)}"


def minus(text: str) -> str:
    return text.replace("-", MINUS)


def answers_in_words(answers: Sequence[str]) -> str:
    """How many promises were kept, broken and untested: 2 kept, 1 broken."""
    counts = ((answer, answers.count(answer)) for answer in ("kept", "broken", "untested"))
    return ", ".join(f"{count} {answer}" for answer, count in counts if count) or "nothing promised"
