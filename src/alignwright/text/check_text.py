"""What are the tokens, words, sentences, paragraphs and language of a text (tokenisation, sentence
splitting, language identification)?

Plain rules, so that a check is the same everywhere and can be read. The language is decided only
where that is reliable: by the script where one common language owns it, by stop words where several
share it; otherwise it is None, which means "cannot be told here".
"""

# ruff: noqa: RUF001  (curly quotes and other scripts are meant)
from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter

_ABBREVIATIONS = frozenset(
    {
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "jr",
        "sr",
        "vs",
        "etc",
        "e.g",
        "i.e",
        "eg",
        "ie",
        "vol",
        "fig",
        "al",
        "inc",
        "ltd",
        "co",
        "dept",
    }
    | {"approx", "u.s", "u.k", "p.s", "p.p.s", "a.m", "p.m"}
)
_LONGEST_ABBREVIATION = (
    24  # no entry is as long; a sentence of many abbreviations is not read again from its start at each of them
)
# a run of marks is tried once, from its beginning: tried from each of its marks, a long one would
# take the square of its length
_SENTENCE_END = re.compile("((?<![.!?\u2026])[.!?\u2026]+[\"'”’)\\]*_]*)(?=\\s|$)|([\u3002\uff01\uff1f\u0964]+)|(\n+)")
_WORD = re.compile(r"\w+")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_TOKEN = re.compile(
    r"(?i)\w+?(?=n't\b)|n't\b|'(?:s|m|d|ll|re|ve)\b|\w+(?:[-.,/:']\w+)*?(?='(?:s|m|d|ll|re|ve)\b)|\w+(?:[-.,/:']\w+)*|[^\w\s]"
)


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores: "don't" is two, as in the published instruction
    checks."""
    return _WORD.findall(text)


def sentences(text: str, *, by_line: bool = False) -> list[str]:
    """Sentences end at . ! ? (and, `by_line`, at a line break); abbreviations, initials and list
    numbers do not end one.

    A piece without a letter or digit is none.
    """
    candidates = pieces(text, by_line=by_line)
    return [
        piece for piece in candidates if re.search(r"[^\W_]", piece) and not re.fullmatch(r"(\d+|[A-Za-z])[.)]", piece)
    ]


def pieces(text: str, *, by_line: bool = False) -> list[str]:
    """What stands between the ends of sentences, stripped: also what has no letter or digit."""
    parts: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if end.group(3) and not by_line:
            continue
        if end.group(1) and set(end.group(1)) == {"."} and _goes_on(text, start, end.start()):
            continue
        parts.append(text[start : end.end()])
        start = end.end()
    parts.append(text[start:])
    return [piece.strip() for piece in parts]


def unpunctuated(text: str) -> list[str]:
    """Words between spaces once ASCII punctuation is taken out, so that "don't" is dont and
    "a-b" is ab: as IFBench counts most words."""
    return text.translate(_NO_PUNCTUATION).split()


def tokens(text: str) -> list[str]:
    """Words and signs in the manner of the Penn Treebank: a contraction is two (do n't, it 's),
    a word with hyphens one, a sign one."""
    return _TOKEN.findall(text.replace("\u2019", "'"))


def _goes_on(text: str, start: int, dot: int) -> bool:
    """Whether the full stop at `dot` belongs to an abbreviation, an initial or a list number."""
    first = dot
    while first > max(start, dot - _LONGEST_ABBREVIATION) and (text[first - 1].isalnum() or text[first - 1] in "_."):
        first -= 1
    word = text[first:dot]
    initial = len(word) == 1 and "A" <= word <= "Z" and word != "I"
    return word.lower() in _ABBREVIATIONS or initial or (word.isdigit() and not text[start:first].strip())


def paragraphs(text: str, separator: str = r"\n\s*\n") -> list[str]:
    """Pieces between separators, stripped; empty ones are kept, so that a caller can tell a
    doubled separator."""
    return [piece.strip() for piece in re.split(separator, text.strip())]


def contains(text: str, phrase: str) -> bool:
    """Whether the phrase occurs as whole words, whatever the case."""
    return re.search(rf"(?<!\w){re.escape(phrase.strip())}(?!\w)", text, re.IGNORECASE) is not None


# ---- language ------------------------------------------------------------------------------------


def language(text: str) -> str | None:
    """The ISO 639-1 code of the language of `text`, or None where script and stop words do not
    decide it."""
    script = _script(text)
    candidates = languages_of(script)
    if len(candidates) == 1:
        return candidates[0]
    letters = [word.lower() for word in re.findall(r"[^\W\d_]+(?:[\u0300-\u036f\u0900-\u097f][^\W\d_]*)*", text)]
    hits = Counter(
        {code: sum(word in _STOP_WORDS[code] for word in letters) for code in candidates if code in _STOP_WORDS}
    )
    ranked = hits.most_common(2)
    if not ranked or ranked[0][1] < 3 or (len(ranked) > 1 and ranked[0][1] < 1.5 * ranked[1][1]):
        return None
    return ranked[0][0]


def may_be(text: str, code: str) -> bool | None:
    """Whether the text is in the language: True, False, or None where that cannot be told here."""
    if not any(c.isalpha() for c in text):
        return None
    if _is_listed(code) and code not in languages_of(_script(text)):
        return False
    decided = language(text)
    return None if decided is None or not _is_listed(code) else decided == code


def _is_listed(code: str) -> bool:
    return any(code in languages for languages in _SCRIPTS.values())


def languages_of(script: str) -> tuple[str, ...]:
    return _SCRIPTS.get(script, ())


def _script(text: str) -> str:
    """The script that most letters belong to, by the first word of their Unicode names ("LATIN",
    "DEVANAGARI", ...)."""
    names = Counter(unicodedata.name(c, "?").split()[0].split("-")[0] for c in text if c.isalpha())
    if names["HIRAGANA"] + names["KATAKANA"]:
        names["HIRAGANA"] += names.pop("KATAKANA", 0) + names.pop("CJK", 0)  # Japanese mixes three scripts
    return names.most_common(1)[0][0] if names else ""


_SCRIPTS: dict[str, tuple[str, ...]] = {
    "LATIN": ("en", "de", "fr", "es", "it", "pt", "nl", "sw", "vi", "fi", "sv", "pl", "tr", "id"),
    "CYRILLIC": ("ru", "bg", "uk"),
    "DEVANAGARI": ("hi", "mr", "ne"),
    "ARABIC": ("ar", "fa", "ur"),
    "KANNADA": ("kn",), "TELUGU": ("te",), "TAMIL": ("ta",), "BENGALI": ("bn",), "GUJARATI": ("gu",), "GURMUKHI": ("pa",
    ),
    "MALAYALAM": ("ml",), "THAI": ("th",), "HANGUL": ("ko",), "HEBREW": ("he",), "GREEK": ("el",), "CJK": ("zh",),
    "HIRAGANA": ("ja",),
}  # fmt: skip
_STOP_WORDS: dict[str, frozenset[str]] = {
    code: frozenset(stop_words.split())
    for code, stop_words in {
        "en": (
            "the of and to in is that for it with as was on are this be by not have from or but what all were when we"
            " there can you your will"
        ),
        "de": (
            "der die das und ist nicht ein eine zu den mit von sich des auf für dem im auch es an werden aus er hat"
            " dass sie nach wird bei ich wir"
        ),
        "fr": (
            "le la les de des et un une est que qui dans pour pas sur au avec ce il elle sont nous vous du plus par je"
            " ne se cette mais ou"
        ),
        "es": (
            "el la los las de que y un una en es por con para del se no lo su como más pero sus al este o muy son ha yo"
        ),
        "it": (
            "il lo la gli le di che e un una è per con non del della sono si da in come più ma anche al nel questo ha"
            " mi ci"
        ),
        "pt": (
            "o a os as de que e um uma em é por com para do da não se na no ao mais como mas dos das foi seu sua"
            " você são"
        ),
        "nl": (
            "de het een en van is dat niet op te in zijn voor met die er aan ook als maar om wordt door naar bij we"
            " je ik"
        ),
        "sw": (
            "na ya wa kwa ni za katika la cha kuwa hii kama au pia yake huu sana hiyo vya lakini mimi yangu wako hizi"
            " watu"
        ),
        "vi": "và của là có không được cho các một trong người những để với này đã khi từ như cũng về ở tôi bạn rất",
        "fi": (
            "ja on ei se että hän mutta oli ovat olla myös kun joka niin kuin tai voi ole tämä sen mitä minä sinä hyvin"
        ),
        "sv": "och att det som en på är av för med den till inte om ett har jag vi du var men kan så från",
        "pl": "i w na z się nie do to że jest o jak ale po co tak za od przez są jego tym dla czy",
        "tr": "ve bir bu da de için ile çok ne gibi daha olarak ama kadar olan ben sen var mı değil en",
        "id": "yang dan di dengan untuk dari ini itu tidak pada adalah dalam akan ke juga saya anda atau kami bisa",
        "ru": "и в не на что он с как это по но к из у за от так о же все она вы для мы быть или я",
        "bg": "и на да се от за не е с че по са как това до във към при ще или като но има си",
        "uk": "і в не на що з як це по але до у та за від так про все ми або я є й його для",
        "hi": "है के में की और को का से हैं पर यह कि एक नहीं भी ने इस लिए तो हो कर था आप मैं",
        "mr": "आहे आणि आहेत च्या मध्ये या हे ही तो ती आपण नाही एक पण व मी तुम्ही होते करा साठी म्हणून होता असे आहेस",
        "ne": "छ र को मा हो छन् यो पनि लागि गर्न हुन्छ भने तपाईं हामी छैन थियो एक गर्नु तर गरेको हुन् म",
        "ar": "في من على أن إلى هذا التي هو مع عن لا ما كان هذه الذي هي كل أو ذلك قد و بعد",
        "fa": "و در به از که این را با است برای آن یک می ها های شما خود تا بر هم نیست اند من شود",
        "ur": "کے میں کی ہے اور سے کا کو نے ہیں پر یہ کہ ایک بھی کر اس نہیں تھا ہو آپ کیا تو",
    }.items()
}
