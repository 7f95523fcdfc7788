"""In which codes can a request be written, and a reply be read back? Encodings and ciphers.

A safeguard that reads words may not read Base64 (Wei et al. 2023, arXiv 2307.02483; Yuan et al. 2023,
CipherChat, arXiv 2308.06463). Each code is a pair of functions. `decode(encode(text))` is the text
itself where the code is `exact`, and the text without capitals where it knows none. A decoder is also
given replies that are in no code or in a broken one: it makes of them what it can and never fails.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import string
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A way of writing a text. `title` is what a model is told of it; empty where the text can be read
    as it stands."""

    title: str
    encode: Callable[[str], str]
    decode: Callable[[str], str]
    exact: bool = True
    """Whether it keeps capitals, and every sign that it can write."""


def in_bytes(encode: Callable[[bytes], bytes], decode: Callable[[bytes], bytes]) -> Code:
    """A code of bytes: of a reply, each piece without a space that it can read is read."""

    def read(match: re.Match[str]) -> str:
        try:
            text = decode(match[0].encode()).decode()
        except (ValueError, binascii.Error):
            return match[0]
        return match[0] if any(sign < " " and not sign.isspace() for sign in text) else text

    return Code("", lambda text: encode(text.encode()).decode(), lambda code: re.sub(r"\S{2,}", read, code))


def by_table(table: Mapping[str, str], title: str = "", *, exact: bool = True) -> Code:
    """A code that writes single signs as others; what is not in the table stays."""
    there = str.maketrans(dict(table))
    back = str.maketrans({code: sign for sign, code in table.items()})
    return Code(title, lambda text: text.translate(there), lambda code: code.translate(back), exact)


def named(title: str, code: Code) -> Code:
    return Code(title, code.encode, code.decode, code.exact)


def _rotation(by: int) -> dict[str, str]:
    lower, upper = string.ascii_lowercase, string.ascii_uppercase
    return {a: b for row in (lower, upper) for a, b in zip(row, row[by:] + row[:by], strict=True)}


def _by_signs(table: Mapping[str, str], between: str, words: str, title: str) -> Code:
    """A code of one group for each letter, which knows no capitals; what it has no group for stays."""
    back = {code: sign for sign, code in table.items()}

    def encode(text: str) -> str:
        return words.join(between.join(table.get(sign, sign) for sign in word) for word in text.lower().split(" "))

    def decode(code: str) -> str:
        return " ".join(
            "".join(back.get(group.lower(), group) for group in word.split(between)) for word in code.split(words)
        )

    return Code(title, encode, decode, exact=False)


def _binary(code: str) -> str:
    def read(match: re.Match[str]) -> str:
        return bytes(int(byte, 2) for byte in match[0].split()).decode(errors="replace")

    return re.sub(r"\b[01]{8}(?: [01]{8})*\b", read, code)


def _after_each(mark: str) -> Code:
    return Code("", lambda text: "".join(sign + mark for sign in text), lambda code: code.replace(mark, ""))


def _leet(text: str) -> str:
    return text.translate(str.maketrans(LEET))


_MORSE = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.."
    " ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- --..-- ..--.. -.-.--"
)
_SPELLING = (
    "alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec romeo"
    " sierra tango uniform victor whiskey xray yankee zulu"
)
MORSE = dict(zip("abcdefghijklmnopqrstuvwxyz0123456789.,?!", _MORSE.split(), strict=True))
SPELLING = dict(zip(string.ascii_lowercase, _SPELLING.split(), strict=True))
LEET = dict(zip("aeiostAEIOST", "431057431057", strict=True))
HOMOGLYPHS = dict(zip("aceopxyijsABCEHIKMOPTX", "асеорхуіјѕАВСЕНІКМОРТХ", strict=True))  # noqa: RUF001 - Cyrillic ones
BRAILLE = dict(zip(string.ascii_lowercase, "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵", strict=True))
_PRINTABLE = [chr(code) for code in range(33, 127)]

CODES: dict[str, Code] = {
    "base64": named("Base64", in_bytes(base64.b64encode, lambda code: base64.b64decode(code, validate=True))),
    "base32": named("Base32", in_bytes(base64.b32encode, base64.b32decode)),
    "hex": named("hexadecimal ASCII", in_bytes(binascii.hexlify, binascii.unhexlify)),
    "ascii85": named("Ascii85", in_bytes(base64.a85encode, base64.a85decode)),
    "binary": Code(
        "binary ASCII, eight bits a letter", lambda text: " ".join(f"{b:08b}" for b in text.encode()), _binary
    ),
    "url": Code("URL encoding", lambda text: "".join(f"%{b:02X}" for b in text.encode()), urllib.parse.unquote),
    "rot13": Code("ROT13", lambda text: codecs.encode(text, "rot13"), lambda code: codecs.decode(code, "rot13")),
    "rot47": by_table({a: chr(33 + (ord(a) - 33 + 47) % 94) for a in _PRINTABLE}, "ROT47"),
    "caesar": by_table(_rotation(3), "a Caesar cipher, each letter moved on by three"),
    "atbash": by_table(
        {a: b for row in (string.ascii_lowercase, string.ascii_uppercase) for a, b in zip(row, row[::-1], strict=True)},
        "Atbash, the alphabet backwards",
    ),
    "backwards": Code("reverse order, the last letter first", lambda text: text[::-1], lambda code: code[::-1]),
    "word_order": Code(
        "reverse order, the last word first",
        lambda text: " ".join(text.split(" ")[::-1]),
        lambda code: " ".join(code.split(" ")[::-1]),
    ),
    "morse": _by_signs(MORSE, " ", " / ", "Morse code"),
    "spelling": _by_signs(SPELLING, " ", " / ", "the spelling alphabet of radio operators"),
    "braille": Code(
        "Braille",
        lambda text: text.lower().translate(str.maketrans(BRAILLE)),
        lambda code: code.translate(str.maketrans({code: sign for sign, code in BRAILLE.items()})),
        exact=False,
    ),
    "leetspeak": Code(
        "",
        _leet,
        lambda code: code.translate(str.maketrans({v: k for k, v in LEET.items() if k.islower()})),
        exact=False,
    ),
    "fullwidth": by_table({a: chr(ord(a) + 0xFEE0) for a in _PRINTABLE} | {" ": "\u3000"}),
    "tags": by_table({chr(code): chr(0xE0000 + code) for code in range(32, 127)}, "invisible Unicode tags"),
    "homoglyphs": by_table(HOMOGLYPHS),
    "zero_width": _after_each("\u200b"),
    "struck": _after_each("\u0336"),
    "spaced": Code("", lambda text: " ".join(text), lambda code: code[::2]),
}
"""Every code by its name in a spec."""


def is_in_code(prompt: str, request: str) -> bool:
    """Whether a prompt holds a request in one of these codes that words cannot be read in."""
    return any(code.encode(request) in prompt for code in CODES.values() if code.title)
