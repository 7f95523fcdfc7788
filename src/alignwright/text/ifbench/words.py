"""Which words does a reply use, and where: IFBench's checks of words and sentences.

The names and arguments are those that IFBench published (Pyatkin et al. 2025, arXiv 2507.02833), so
its prompts can be used as they are; the rules are our own. A word's part of speech and its
syllables are told only where a plain rule is sure of them, else the answer is None. What is taken
otherwise than in the published code is listed in `docs/numbers.md` with its reasons.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

from alignwright.text.check_text import contains, sentences, tokens, unpunctuated
from alignwright.text.syllables import odd

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _alphabet(reply: str) -> bool:
    """Each word begins with the letter after that of the word before, a after z."""
    places = [LETTERS.find(word[0].lower()) for word in unpunctuated(reply)]
    return bool(places) and min(places) >= 0 and all((one + 1) % 26 == other for one, other in pairwise(places))


def _vowels(reply: str) -> bool:
    """One paragraph in which at most three of a, e, i, o, u stand."""
    return "\n" not in reply.strip() and len(set(reply.lower()) & set("aeiou")) <= 3


def _consonants(reply: str) -> bool:
    """Two consonants side by side in each word; y is one. What has no letter is no word."""
    words = [piece for piece in reply.lower().split() if any(c.isalpha() for c in piece)]
    return bool(words) and all(_CLUSTER.search(word) for word in words)


def _palindromes(reply: str) -> bool:
    return sum(len(word) >= 5 and word == word[::-1] for word in map(str.lower, unpunctuated(reply))) >= 10


def _prime_lengths(reply: str) -> bool:
    lengths = {len(word) for word in unpunctuated(reply)}
    return bool(lengths) and all(_is_prime(length) for length in lengths)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


def _start_verb(reply: str) -> bool | None:
    """Whether the first word is a verb: sure for auxiliaries and common imperatives, and for
    words that never are one; else None."""
    first = next(iter(tokens(reply)), "").lower()
    if first in _VERBS:
        return True
    return False if first in _NO_VERBS or not first.isalpha() else None


def _repeats(reply: str, small_n: int) -> bool:
    return max(Counter(map(str.lower, unpunctuated(reply))).values(), default=0) <= small_n


def _syllables(reply: str) -> bool | None:
    """Words with odd and even numbers of syllables take turns; None where no two neighbours
    surely break it and a word is not sure."""
    parities = [odd(word) for word in map(str.lower, unpunctuated(reply))]
    if any(one is not None and one is other for one, other in pairwise(parities)):
        return False
    return None if None in parities else bool(parities)


def _last_first(reply: str) -> bool:
    """The last word of each sentence is the first of the next."""
    bounds = [unpunctuated(sentence.lower()) for sentence in sentences(reply)]
    return all(bounds) and all(one[-1] == other[0] for one, other in pairwise(bounds))


def _paragraph_last_first(reply: str) -> bool:
    """Each line ends with the word with which it began."""
    lines = [words for line in reply.lower().split("\n") if (words := unpunctuated(line))]
    return bool(lines) and all(words[0] == words[-1] for words in lines)


def _no_consecutive(reply: str) -> bool:
    return all(one[0].lower() != other[0].lower() for one, other in pairwise(unpunctuated(reply)))


def _keyword_at(reply: str, keyword: str, n: int, m: int) -> bool:
    """The mth word of the nth sentence is the keyword, whatever its case."""
    parts = sentences(reply)
    words = _spoken_words(parts[n - 1]) if n <= len(parts) else []
    return m <= len(words) and words[m - 1] == keyword.strip().lower()


def _second_words(reply: str, keyword: str) -> bool:
    """The second word and the last but one are the keyword."""
    words = _spoken_words(reply)
    return len(words) > 1 and words[1] == words[-2] == keyword.strip().lower()


def _spoken_words(text: str) -> list[str]:
    return [token for token in map(str.lower, tokens(text)) if any(c.isalnum() for c in token)]


# ---- sentences -----------------------------------------------------------------------------------


def _alliteration(reply: str) -> bool:
    """Each sentence has more words in runs of one first letter than the sentence before."""
    counts = [_alliterated([word for word in unpunctuated(sentence.lower()) if word]) for sentence in sentences(reply)]
    return bool(counts) and all(one < other for one, other in pairwise(counts))


def _alliterated(words: list[str]) -> int:
    count, running = 0, False
    for one, other in pairwise(words):
        alike = one[0] == other[0]
        count += alike * (1 if running else 2)
        running = alike
    return count


def _sentence_keyword(reply: str, word: str, N: int) -> bool:
    parts = sentences(reply)
    return len(parts) >= N and contains(parts[N - 1], word)


def _increment(reply: str, small_n: int) -> bool:
    """Each sentence has exactly so many words more than the one before."""
    counts = [len(unpunctuated(sentence)) for sentence in sentences(reply)]
    return bool(counts) and all(other - one == small_n for one, other in pairwise(counts))


_CLUSTER = re.compile(r"[b-df-hj-np-tv-z]{2}")
_VERBS = frozenset(
    # auxiliaries, and verbs with which a request or an instruction begins and which are hardly ever
    # another part of speech there
    str.split(
        "be is are was were am been being do does did have has had having add adopt allow apply arrange ask assemble"
        " avoid become begin believe bring build calculate choose combine compare complete compute consider contact"
        " convert create decide define delete describe determine develop discover discuss eat embrace enable enjoy"
        " ensure enter establish evaluate examine explain explore find follow gather generate get give go grab happen"
        " hear identify illustrate imagine implement improve include increase install introduce keep know learn let"
        " listen maintain make meet mention multiply observe obtain organize pay perform pick prepare prevent provide"
        " pursue put read realize receive recall recognize reduce remain remember remove replace run say see seek"
        " select send simplify solve speak spend submit subtract take teach tell think throw understand use utilize"
        " verify visit write"
    )
)
_NO_VERBS = frozenset(
    str.split(
        "a an the this that these those my your his her its our their i you he she it we they who what which whose whom"
        " where when why how and or but nor yet so if because although though while unless of in on at by for from with"
        " about into over under between during before after above below through against among without within upon not"
        " no yes never always often very quite rather too also however therefore moreover furthermore indeed perhaps"
        " maybe here there then thus hence can could will would shall should may might must absolutely certainly"
        " definitely unfortunately fortunately surely hello hi hey one two three four five six seven eight nine ten"
        " everyone everything something nothing someone nobody each every some any many most few all both several"
    )
)

WORDS: dict[str, Callable[..., bool | None]] = {
    "words:alphabet": _alphabet,
    "words:vowel": _vowels,
    "words:consonants": _consonants,
    "words:palindrome": _palindromes,
    "words:prime_lengths": _prime_lengths,
    "words:start_verb": _start_verb,
    "words:repeats": _repeats,
    "words:odd_even_syllables": _syllables,
    "words:last_first": _last_first,
    "words:paragraph_last_first": _paragraph_last_first,
    "words:no_consecutive": _no_consecutive,
    "words:keywords_specific_position": _keyword_at,
    "words:words_position": _second_words,
    "sentence:alliteration_increment": _alliteration,
    "sentence:keyword": _sentence_keyword,
    "sentence:increment": _increment,
}
