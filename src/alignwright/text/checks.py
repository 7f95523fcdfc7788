"""Does a reply follow verifiable instructions (instruction following: IFEval, IFBench)?

Verifiable instructions under the names that IFEval (Zhou et al. 2023, arXiv 2311.07911) and IFBench
(`checks_ifbench_*`) published, so their prompts can be used as they are, and a few of our own for
short replies. Our own code, read strictly: no loosened second try, no markdown stripped. An answer
of None means that it cannot be told here (a language that script and stop words do not decide, a
part of speech); callers count that as unscored, never as passed. An empty reply passes nothing.
`checked_arguments` reports a wrong name or argument before any model has spoken. Compared once with the
code in lm-eval 0.4.13, over 834 published instructions and 120 real texts: 99,884 of 100,062
decided answers agree; the rest are sentence ends, postscripts that say nothing, words in capitals,
highlights, and letters that are signs.
"""

# ruff: noqa: RUF001  (curly quotes are meant)
from __future__ import annotations

import difflib
import inspect
import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import cast

from alignwright.text.check_text import contains, may_be, paragraphs, sentences, words
from alignwright.text.ifbench.count import COUNTS
from alignwright.text.ifbench.custom import CUSTOM
from alignwright.text.ifbench.format import FORMATS
from alignwright.text.ifbench.words import WORDS
from alignwright.text.short_reply_checks import SHORT_REPLIES

_REGEX_PATTERN_CAP = 200


def check(name: str, reply: str, /, *, prompt: str = "", **args: object) -> bool | None:
    """Whether `reply` passes the check `name`; None where that cannot be told here. Arguments
    that are None count as not given."""
    arguments = checked_arguments(name, args)
    if not reply.strip():
        return False
    if name == _OF_THE_PROMPT:
        arguments.setdefault("prompt_to_repeat", prompt)
    return CHECKS[name](reply, **arguments)


def checked_arguments(name: str, args: Mapping[str, object]) -> dict[str, object]:
    """The arguments a check will be called with, or ValueError that says what is wrong with its
    name or arguments."""
    if name not in CHECKS:
        raise ValueError(f"no check is called {name!r}{_did_you_mean(name, list(CHECKS))}")
    parameters = list(inspect.signature(CHECKS[name]).parameters.values())[1:]
    arguments = {key: value for key, value in args.items() if value is not None}
    names = [p.name for p in parameters]
    for key in arguments:
        if key not in names:
            takes = ", ".join(names) or "no arguments"
            raise ValueError(f"check {name!r} has no argument {key!r} (it takes {takes}){_did_you_mean(key, names)}")
    for p in parameters:
        if p.name not in arguments and p.default is inspect.Parameter.empty and name != _OF_THE_PROMPT:
            raise ValueError(
                f"check {name!r} needs the argument {p.name!r}; it was given {sorted(arguments) or 'none'}"
            )
    return {key: _argument(name, key, value) for key, value in arguments.items()}


def _argument(check_name: str, key: str, value: object) -> object:
    """The value, checked by the kind of argument that its name says."""

    def wrong(requirement: str) -> ValueError:
        return ValueError(f"check {check_name!r}: {key} must be {requirement}, not {value!r}")

    if key in _COUNTS:
        least = int(key in ("n", "m") or (check_name, key) in _PLACES)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or value != int(value)
            or value < least
        ):
            raise wrong(f"a whole number of {least} or more")
        return int(value)
    if key in _LISTS and check_name != "format:options":
        items = cast("list[object] | tuple[object, ...]", value) if isinstance(value, list | tuple) else ()
        if not items or not all(isinstance(item, str) and item.strip() for item in items):
            raise wrong("a list of texts that are not empty")
        return list(items)
    if not isinstance(value, str) or not value.strip():
        raise wrong("a text that is not empty")
    if key in _RELATIONS_ARGS and value not in _RELATIONS:
        raise wrong("one of " + ", ".join(repr(r) for r in _RELATIONS))
    if key == "pattern":
        _readable_pattern(value)
    return value


def _did_you_mean(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _readable_pattern(pattern: str) -> None:
    """Refuse what is no pattern, or a very long one. How long a match may take is bounded when
    it is tried (`text.timed_search`)."""
    if len(pattern) > _REGEX_PATTERN_CAP:
        raise ValueError(f"format:regex takes patterns of at most {_REGEX_PATTERN_CAP} characters, not {len(pattern)}")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"format:regex cannot read the pattern {pattern!r}: {error}") from error


# ---- the checks, by family of names --------------------------------------------------------------


def _existence(reply: str, keywords: list[str]) -> bool:
    return all(word.lower() in reply.lower() for word in keywords)


def _frequency(reply: str, keyword: str, frequency: int, relation: str) -> bool:
    return _holds(len(re.findall(re.escape(keyword.strip()), reply, re.IGNORECASE)), relation, frequency)


def _forbidden(reply: str, forbidden_words: list[str]) -> bool:
    return not any(contains(reply, word) for word in forbidden_words)


def _letters(reply: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return _holds(reply.lower().count(letter.strip().lower()), let_relation, let_frequency)


def _language(reply: str, language: str) -> bool | None:
    return may_be(reply, language)


def _sentences(reply: str, num_sentences: int, relation: str) -> bool:
    return _holds(len(sentences(reply)), relation, num_sentences)


def _words(reply: str, num_words: int, relation: str) -> bool:
    return _holds(len(words(reply)), relation, num_words)


def _paragraphs(reply: str, num_paragraphs: int) -> bool:
    """Paragraphs are separated by the divider ***; one at the very beginning or end is allowed,
    an empty paragraph between two is not."""
    pieces = paragraphs(reply, r"\s?\*\*\*\s?")
    inner = pieces[1 if not pieces[0] else 0 : len(pieces) - 1 if not pieces[-1] else len(pieces)]
    return all(inner) and len(inner) == num_paragraphs


def _paragraph_first_word(reply: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Paragraphs here are separated by blank lines; the nth (from 1) begins with the word."""
    pieces = [piece for piece in paragraphs(reply) if piece]
    if len(pieces) != num_paragraphs or not 1 <= nth_paragraph <= len(pieces):
        return False
    first = re.match(r"[\"'“‘*_(]*([^\s.,?!;:\"'”’)*]+)", pieces[nth_paragraph - 1])
    return first is not None and first.group(1).lower() == first_word.strip().lower()


def _placeholders(reply: str, num_placeholders: int) -> bool:
    return len(re.findall(r"\[[^\[\]]+\]", reply)) >= num_placeholders


def _postscript(reply: str, postscript_marker: str) -> bool:
    """The marker with its dots, not as the end of a longer one (P.S. in P.P.S.), and something
    after it."""
    dotted = r"\.\s?".join(re.escape(c) for c in re.sub(r"[\s.]", "", postscript_marker))
    return re.search(rf"(?i)(?<![\w.]){dotted}(?![A-Za-z])[\s.:*_]*\w", reply) is not None


def _bullets(reply: str, num_bullets: int) -> bool:
    return len(re.findall(r"(?m)^[^\S\n]*(?:\*(?!\*)|-(?!-))\s*\S", reply)) == num_bullets


def _constrained(reply: str) -> bool:
    return any(f"my answer is {answer}." in reply.lower() for answer in ("yes", "no", "maybe"))


def _highlights(reply: str, num_highlights: int) -> bool:
    """Markdown emphasis, *so* or **so**, with something in it; bold counts once."""
    bold = re.findall(r"\*\*(?=[^\S\n]*+[^\s*])[^\n*]*+\*\*", reply)
    single = re.findall(r"(?<!\*)\*(?=[^\S\n]*+[^\s*])[^\n*]*+\*(?!\*)", re.sub(r"\*\*[^\n*]*+\*\*", " ", reply))
    return len(bold) + len(single) >= num_highlights


def _sections(reply: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", reply)) >= num_sections


def _json(reply: str) -> bool | None:
    """The whole reply is JSON; a code fence around it is allowed. None: nested too deeply to be
    read."""
    body = re.sub(r"\A```(?:json)?", "", reply.strip(), flags=re.IGNORECASE).removesuffix("```")
    try:
        json.loads(body)
    except ValueError:
        return False
    except RecursionError:
        return None
    return True


def _title(reply: str) -> bool:
    return re.search(r"<<(?=[^\S\n]*+[^\s<>])[^\n<>]*+>>", reply) is not None


def _two_responses(reply: str) -> bool:
    pieces = paragraphs(reply, r"\*{6}")
    inner = pieces[1 if not pieces[0] else 0 : len(pieces) - 1 if not pieces[-1] else len(pieces)]
    return len(inner) == 2 and all(inner) and inner[0] != inner[1]


def _repeat_prompt(reply: str, prompt_to_repeat: str) -> bool | None:
    prompt = prompt_to_repeat.strip().lower()
    return reply.strip().lower().startswith(prompt) if prompt else None


def _end(reply: str, end_phrase: str) -> bool:
    return reply.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def _quotation(reply: str) -> bool:
    text = reply.strip()
    return len(text) > 2 and text[0] == '"' and text[-1] == '"'


def _capital_words(reply: str, capital_frequency: int, capital_relation: str) -> bool:
    """Words in capitals; the "I" of "I'm" is one, as in the published check."""
    tokens = re.findall(r"[^\W_]+(?:-[^\W_]+)*", reply)
    return _holds(sum(word.isupper() for word in tokens), capital_relation, capital_frequency)


def _capital(reply: str) -> bool:
    """No lower-case letter, and nothing that shows another language: text too short to tell its
    language is taken as English."""
    return reply.isupper() and may_be(reply.lower(), "en") is not False


def _lowercase(reply: str) -> bool:
    return reply.islower() and may_be(reply, "en") is not False


def _no_comma(reply: str) -> bool:
    return "," not in reply


# ---- our own, for short replies ------------------------------------------------------------------


def _holds(count: int, relation: str, bound: int) -> bool:
    return _RELATIONS[relation](count, bound)


_RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "at least": operator.ge,
    "less than": operator.lt,
    "at most": operator.le,
    "exactly": operator.eq,
}
_RELATIONS_ARGS = frozenset({"relation", "let_relation", "capital_relation"})
_LISTS = frozenset({"keywords", "forbidden_words", "options", "words"})
_COUNTS = frozenset(
    {
        "frequency",
        "let_frequency",
        "num_sentences",
        "num_words",
        "num_paragraphs",
        "nth_paragraph",
        "num_placeholders",
        "num_bullets",
    }
    | {"num_highlights", "num_sections", "capital_frequency", "count"}
    | {"N", "small_n", "min_words", "max_words", "percentage", "n", "m", "n_start", "n_end"}
)
_PLACES = frozenset({("sentence:keyword", "N"), ("count:words_japanese", "N")})
_OF_THE_PROMPT = "combination:repeat_prompt"
IFBENCH = COUNTS | WORDS | FORMATS | CUSTOM
"""IFBench's fifty-eight checks, by name."""

CHECKS: dict[str, Callable[..., bool | None]] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": _letters,
    "language:response_language": _language,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": _words,
    "length_constraints:nth_paragraph_first_word": _paragraph_first_word,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _constrained,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json,
    "detectable_format:title": _title,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat_prompt,
    "startend:end_checker": _end,
    "startend:quotation": _quotation,
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _capital,
    "change_case:english_lowercase": _lowercase,
    "punctuation:no_comma": _no_comma,
    **SHORT_REPLIES,
    **IFBENCH,
}
