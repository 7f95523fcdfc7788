"""How many syllables has an English word, where its spelling leaves no doubt?

Groups of vowels are counted; a final e is silent but in -le after a consonant, -ed and -es are
silent but after d, t and hissing sounds, -tion and its like are one. Where the spelling does not
decide (io, ua, ie; an e before an ending, as in "movement"; figures; words that are known to break
the rules) there is no answer.
"""

from __future__ import annotations

import re

_GROUP = re.compile(r"[aeiouy]+")
_ONE_SOUND = re.compile(r"(?<=[tscgx])io(?=n|u)|(?<=[tc])ia(?=l|n)|(?<=t)ie(?=n)|(?<=[^s]c)ie(?=n)|(?<=c)eou|(?<=t)eou")
_DOUBTFUL = re.compile(
    r"i[aoue]|u[aeio]|e[ou]|o[ei]|y[aeiou]|[aeo]y[aeiou]|[aeiouy]{3}|ii|aa|uu|eing|ae|ao|rea(?=l|ct)|crea|greate|idea|thea|clear$|near$|quran"
)
_CLUSTER_ENDS = re.compile(r"(?:[^aeiouyrlnw]rs?|sm|thm)$")
_INNER_E = re.compile(
    r"[aeiouy][^aeiouy]+e(?:ly|ment|less|ful|ness|some|thing|where|time|man|men|body|work|ty|land|back|line|side|ry|rest|ral|red)"
)
_SILENT_E = re.compile(r"[^aeiouyl]e$|[aeiouyrl]le$")
_SILENT_END = re.compile(r"(?:[^aeiouytdl]ed|[aeiouyl]led|[^aeiouysxzcghl]es|[aeiouyl]les|ghes|phes|thes)$")
_ENGLISH = re.compile(r"[a-z]+\Z")
_LONGEST = 30
_EXCEPTIONS = frozenset(
    str.split(
        "every different family interest interesting evening favorite several chocolate camera business wednesday"
        " vegetable comfortable hundred naked wicked sacred kindred rugged ragged learned blessed beloved aged crooked"
        " recipe maybe cafe karate apostrophe catastrophe therefore whatever however whenever forever our hours hour"
        " fire fires flower flowers power powers shower tower tired wire hire iron people poet rhythm eye eyes colonel"
        " actually usually generally basically especially naturally memory history mystery factory victory temperature"
        " average beverage literature area ocean being seeing everyone someone anyone something sometimes somewhere"
        " everything everywhere doing going coming voyage squirrel mirror separate moderate delicate estimate used"
        " based world girl"
    )
)


def odd(word: str) -> bool | None:
    """Whether a word in lower case has an odd number of syllables; None where its spelling does
    not tell."""
    count = syllables(word)
    return None if count is None else count % 2 == 1


def syllables(word: str) -> int | None:
    """The number of syllables of a word in lower case, or None."""
    if len(word) > _LONGEST or not _ENGLISH.match(word) or word in _EXCEPTIONS or _CLUSTER_ENDS.search(word):
        return None
    sounds = _ONE_SOUND.sub("u", re.sub(r"(?<=q)u", "w", re.sub(r"^y(?=[aeiou])", "j", word)))
    if _DOUBTFUL.search(sounds) or _INNER_E.search(sounds):
        return None
    groups = len(_GROUP.findall(sounds))
    silent = groups > 1 and (_SILENT_E.search(sounds) or _SILENT_END.search(sounds))
    return (groups - 1 if silent else groups) or None
