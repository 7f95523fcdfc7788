"""What is done to right input: bytes flipped, cut and repeated; values of another type, size,
depth and script; keys twice."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

TEXTS = (
    *(
        "",
        " ",
        "\n",
        "\t",
        "\0",
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x9b2J",
        "\r",
        "\r\n",
        "\u2028",
        "\u2029",
        "\x85",
        "\x0b",
        "\x0c",
    ),
    *("\x1c",),
    *(
        "\ufeff",
        "\u200b",
        "\u202e",
        "\u2066",
        "\ud800",
        "\udfff",
        "\ufffe",
        "\U0010ffff",
        "e\u0301",
        "a" + "\u0300" * 60,
    ),
    *("ﬁ", "\uff21\uff22", "\u017f", "\u0130", "ß"),
    *(
        "👩‍👩‍👧‍👦",
        "🇫🇷",
        "日本語",
        "עברית",
        "عربى",
        "²",
        "٣",
        "Ⅷ",
        "½",
        "-0",
        "1e5",
        "1e999",
        "nan",
        "inf",
        "true",
        "no",
        "~",
        "null",
    ),
    *("0x1f", "1_000"),
    *("9" * 5000,),
    *(
        "2024-13-45",
        "2024-02-30T25:61:61",
        "12:30:45",
        "<think>",
        "</think>",
        "{{",
        "{%",
        "%s",
        "{0}",
        "${HOME}",
        "../../x",
        "~nobody/x",
    ),
    *("/dev/full",),
    *(
        "x" * 300,
        "a" * 20_000,
        "a b " * 2_000,
        "(" * 500,
        "*" * 500,
        "#" * 500,
        "<!--" * 100,
        "=1+1",
        "'; --",
        "<script>",
        "[x](y)",
        "A",
        "tie",
        "b",
    ),
)
NUMBERS = (
    0,
    -1,
    1,
    2,
    255,
    2**31,
    2**63,
    -(2**63) - 1,
    2**70,
    10**300,
    0.0,
    -0.0,
    0.5,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
)
TOKENS = (
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"\xc2\x85",
        b"\x1b[2J",
        b"\r",
        b"\n",
        b"\r\n",
    ),
    *(
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"\\udc00\\ud800",
        b"#",
        b"&a ",
        b"*a",
        b"!!",
        b"<<: ",
    ),
    *(b"---\n",),
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"null",
        b"true",
        b"9" * 5000,
        b"[" * 3000,
        b'{"a":' * 3000,
        b" " * 3000,
        b"\t",
        b"~~~",
        b"```",
    ),
)


def odd(rng: random.Random) -> Any:
    """A value that nobody expects."""
    match rng.randrange(10):
        case 0 | 1 | 2 | 3:
            return rng.choice(TEXTS)
        case 4 | 5:
            return rng.choice(NUMBERS)
        case 6:
            return rng.choice((None, True, False))
        case 7:
            return rng.choice(
                ([], {}, [[]], [None], {"": None}, {"a": {"a": {}}}, [1, "x", None], {"file": 3}, [{}], {"by": []})
            )
        case 8:
            return deep(rng.choice((3, 30, 300)), rng.random() < 0.5)
        case _:
            return (
                [odd(rng) for _ in range(rng.randrange(4))]
                if rng.random() < 0.5
                else {rng.choice(TEXTS): odd(rng) for _ in range(3)}
            )


def deep(levels: int, listed: bool) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value] if listed else {"a": value}
    return value


def mutated(rng: random.Random, value: Any, times: int = 1) -> Any:
    """A copy of plain data with some of its places changed: odd, gone, twice, renamed, exchanged."""
    made = [copy.deepcopy(value)]  # in a list, so that the whole is a place too
    for _ in range(times):
        if places := list(_places(made)):
            held, key = rng.choice(places)
            _change(rng, held, key, places)
    return made[0] if made else None


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in plain data: what holds it, and its key or index there."""
    open_values = [value]
    while open_values:
        held = open_values.pop()
        for key, inner in list(held.items()) if isinstance(held, dict) else list(enumerate(held)):
            yield held, key
            if isinstance(inner, dict | list):
                open_values.append(inner)


def _change(rng: random.Random, held: Any, key: Any, places: list[tuple[Any, Any]]) -> None:
    match rng.randrange(8):
        case 0 | 1 | 2:
            held[key] = odd(rng)
        case 3:
            del held[key]
        case 4:
            other, place = rng.choice(places)
            held[key] = copy.deepcopy(other[place])
        case 5 if isinstance(held, list):
            held[key:key] = [copy.deepcopy(held[key]) for _ in range(rng.choice((1, 1, 40)))]
        case 5:
            held[_renamed(rng, str(key))] = held.pop(key)
        case 6 if isinstance(held[key], str):
            held[key] = text(rng, held[key])
        case 6:
            held[key] = str(held[key])
        case _:
            held[key] = [held[key]] if rng.random() < 0.5 else {"value": held[key]}


def _renamed(rng: random.Random, name: str) -> str:
    place = rng.randrange(len(name) + 1)
    return rng.choice(
        (
            name[:place] + name[place + 1 :],
            name[:place] + "x" + name[place:],
            name.upper(),
            name + " ",
            rng.choice(TEXTS),
        )
    )


def text(rng: random.Random, said: str) -> str:
    """A text with odd ones put into it, or a part of it gone, or over and over."""
    place, end = sorted((rng.randrange(len(said) + 1), rng.randrange(len(said) + 1)))
    return rng.choice(
        (
            said[:place] + rng.choice(TEXTS) + said[place:],
            said[:place] + said[end:],
            said[:place] + said[place:end] * 30 + said[end:],
        )
    )


def data(rng: random.Random, said: bytes, times: int = 1) -> bytes:
    """Bytes with some of them flipped, gone, put in, cut off, repeated, exchanged."""
    for _ in range(times):
        place, end = sorted((rng.randrange(len(said) + 1), rng.randrange(len(said) + 1)))
        end = min(end, place + rng.choice((1, 4, 60, 10_000)))
        piece = said[place:end]
        changes: tuple[Callable[[], bytes], ...] = (
            lambda piece=piece: bytes(byte ^ (1 << rng.randrange(8)) for byte in piece[:4]) + piece[4:],
            lambda: b"",
            lambda piece=piece: rng.choice(TOKENS) + piece,
            lambda: rng.randbytes(rng.choice((1, 8, 200))),
            lambda piece=piece: piece * rng.choice((2, 20)),
            lambda piece=piece: piece[::-1],
        )
        said = said[:place] if rng.random() < 0.08 else said[:place] + rng.choice(changes)() + said[end:]
        said = said[:2_000_000]
    return said


def as_json(rng: random.Random, value: Any, **options: Any) -> bytes:
    """Plain data as JSON, in whatever spelling: escapes or letters, numbers that are none, a key
    twice."""
    made = json.dumps(value, ensure_ascii=rng.random() < 0.5, default=str, **options)
    if rng.random() < 0.05 and made.startswith("{"):
        made = '{"prompt": "twice", "text": 1, ' + made[1:]
    return made.encode("utf-8", "surrogatepass")
