"""How much of something is in a reply: IFBench's checks of counts and ratios (names and
arguments as published, rules our own)."""

# ruff: noqa: RUF001  (curly quotes are meant)
from __future__ import annotations

import re
import string
from collections.abc import Callable

from alignwright.text.check_text import sentences, tokens, unpunctuated, words

_EDGES = string.punctuation + " "


def _word_range(reply: str, min_words: int, max_words: int) -> bool:
    return min_words <= len(words(reply)) <= max_words


def _unique_words(reply: str, N: int) -> bool:
    return len({bare for word in reply.lower().split() if (bare := word.strip(_EDGES))}) >= N


def _stop_words(reply: str, percentage: int) -> bool:
    tokens = words(reply.lower())
    return bool(tokens) and 100 * sum(word in STOP_WORDS for word in tokens) <= percentage * len(tokens)


def _sentence_type(reply: str) -> bool:
    """Two statements to each question."""
    ends = [_end(sentence) for sentence in sentences(reply)]
    return bool(ends) and ends.count(".") == 2 * ends.count("?")


def _sentence_balance(reply: str) -> bool:
    """As many statements as questions as exclamations."""
    ends = [_end(sentence) for sentence in sentences(reply)]
    return bool(ends) and ends.count(".") == ends.count("?") == ends.count("!")


def _equal_sentences(reply: str) -> bool:
    """Three sentences of as many characters, and no word twice."""
    parts = sentences(reply)
    tokens = unpunctuated(reply.lower())
    return len(parts) == 3 and len(set(map(len, parts))) == 1 and len(set(tokens)) == len(tokens)


def _end(sentence: str) -> str:
    return sentence.rstrip("\"'”’)]*_ ")[-1:]


def _conjunctions(reply: str, small_n: int) -> bool:
    """So many different coordinating conjunctions; the same one twice, or with a capital, is one."""
    candidates = {word.strip(_EDGES).lower() for word in reply.split()}
    return len(candidates & {"and", "but", "for", "nor", "or", "so", "yet"}) >= small_n


def _person_names(reply: str, N: int) -> bool:
    return len(PERSON_NAMES & set(words(reply))) >= N


def _overlap(reply: str, reference_text: str, percentage: int) -> bool:
    """Of the different runs of three tokens in the reply, so many per cent stand in the
    reference, give or take two."""
    reply_runs, reference_runs = _trigrams(reply), _trigrams(reference_text)
    return bool(reply_runs) and abs(100 * len(reply_runs & reference_runs) / len(reply_runs) - percentage) <= 2


def _trigrams(text: str) -> set[tuple[str, str, str]]:
    parts = tokens(text)
    return set(zip(parts, parts[1:], parts[2:], strict=False))


def _numbers(reply: str, N: int) -> bool:
    """Numbers in figures; 1,000 and 3.14 and 10:30 are one each, 3-4 two."""
    return len(re.findall(r"\d+(?:[.,:/']\d+)*", reply)) == N


def _japanese(reply: str, N: int) -> bool:
    """Every Nth word, between spaces, has a Japanese letter; figures and signs are let pass."""
    nth_words = (word.strip(_EDGES) for word in reply.split()[N - 1 :: N])
    return all(not word or word.isdigit() or _KANA_OR_KANJI.search(word) for word in nth_words)


def _pronouns(reply: str, N: int) -> bool:
    return sum(token in _PRONOUNS for token in tokens(reply.lower().replace("/", " "))) >= N


def _punctuation(reply: str) -> bool:
    """. , ! ? ; and : each once, and an interrobang, ?! or !? or its own sign, besides."""
    mark = re.search(r"\?!|!\?|‽", reply)
    if mark is None:
        return False
    return set(".,!?;:") <= set(reply[: mark.start()] + reply[mark.end() :])


def _keywords(reply: str, keyword1: str, keyword2: str, keyword3: str, keyword4: str, keyword5: str) -> bool:
    """The keywords stand once, twice, three, five and seven times, as whole words, whatever
    their case."""
    counts = zip((keyword1, keyword2, keyword3, keyword4, keyword5), (1, 2, 3, 5, 7), strict=True)
    return all(
        len(re.findall(rf"(?<!\w){re.escape(keyword.strip())}(?!\w)", reply, re.IGNORECASE)) == times
        for keyword, times in counts
    )


_KANA_OR_KANJI = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
PERSON_NAMES = frozenset(
    str.split(
        "Abigail Alexander Amelia Andrew Aria Audrey Ava Benjamin Charlotte Chloe Christopher Claire Daniel David"
        " Elijah Ella Emma Ethan Gabriel Grace Hannah Harper Isabella Jackson Jacob Jonathan Joseph Layla Leo Liam Lily"
        " Lucas Mason Matthew Mia Nathan Nicholas Noah Nora Olivia Owen Penelope Ryan Samuel Scarlett Sophia Stella"
        " Thomas Victoria Zoe"
    )
)
"""The fifty names that the published instruction asks for."""
_PRONOUNS = frozenset(
    str.split(
        "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her"
        " hers herself it its itself they them their theirs themselves this that these those who whom whose which what"
        " whoever whomever whatever whichever anybody anyone anything everybody everyone everything nobody nothing"
        " somebody someone something each either neither both all some any none"
    )
)
STOP_WORDS = frozenset(
    str.split(
        "i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers"
        " herself it its itself they them their theirs themselves what which who whom this that these those am is are"
        " was were be been being have has had having do does did doing a an the and but if or because as until while of"
        " at by for with about against between into through during before after above below to from up down in out on"
        " off over under again further then once here there when where why how all any both each few more most other"
        " some such no nor not only own same so than too very s t can will just don should now d ll m o re ve y ain"
        " aren couldn didn doesn hadn hasn haven isn ma mightn mustn needn shan shouldn wasn weren won wouldn"
    )
)
"""English function words, and what is left of contractions where an apostrophe parts them."""

COUNTS: dict[str, Callable[..., bool | None]] = {
    "count:word_count_range": _word_range,
    "count:unique_word_count": _unique_words,
    "ratio:stop_words": _stop_words,
    "ratio:sentence_type": _sentence_type,
    "ratio:sentence_balance": _sentence_balance,
    "ratio:sentence_words": _equal_sentences,
    "count:conjunctions": _conjunctions,
    "count:person_names": _person_names,
    "ratio:overlap": _overlap,
    "count:numbers": _numbers,
    "count:words_japanese": _japanese,
    "count:pronouns": _pronouns,
    "count:punctuation": _punctuation,
    "count:keywords_multiple": _keywords,
}
