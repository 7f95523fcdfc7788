"""Which program-repair tasks are there? Each has a docstring that is its specification, two
mistakes with their mends, visible and hidden test cases, and a case that lies.

Hidden cases are of the same kind as the visible ones, so that a repair which follows the docstring
passes them. Values are what JSON can say.
"""

from __future__ import annotations

from dataclasses import dataclass

Case = tuple[tuple[object, ...], object]


@dataclass(frozen=True, eq=False)
class Task:
    """`slug` is the function's name. `impossible` is a case that contradicts the docstring."""

    slug: str
    source: str
    mends: tuple[tuple[str, str], tuple[str, str]]
    visible: tuple[Case, ...]
    hidden: tuple[Case, ...]
    impossible: Case


TASKS = (
    Task(
        "median",
        '''def median(numbers):
    """The middle number of a list in any order; of an even count, the mean of the two in the middle."""
    ordered = list(numbers)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return ordered[middle]
''',
        (("ordered = list(numbers)", "ordered = sorted(numbers)"),
         ("        return ordered[middle]\n    return ordered[middle]",
          "        return ordered[middle]\n    return (ordered[middle - 1] + ordered[middle]) / 2")),
        ((([3, 1, 2],), 2), (([4, 1, 3, 2],), 2.5), (([5],), 5)),
        ((([9, 2, 7],), 7), (([1, 2],), 1.5), (([8, 6, 4, 2],), 5), (([5, 5, 1, 9, 7],), 5), (([-3, -1, -2],), -2),
        (([10, 0, 20, 30],), 15)),
        (([7, 9, 8],), 9),
    ),
    Task(
        "is_leap",
        '''def is_leap(year):
    """Is it a leap year? One that 4 divides, but of those that 100 divides only the ones that 400 divides."""
    if year % 400 == 0:
        return False
    if year % 100 == 0:
        return True
    return year % 4 == 0
''',
        (("if year % 400 == 0:\n        return False", "if year % 400 == 0:\n        return True"),
         ("if year % 100 == 0:\n        return True", "if year % 100 == 0:\n        return False")),
        (((2024,), True), ((2023,), False), ((1900,), False), ((2000,), True)),
        (((1600,), True), ((1700,), False), ((2100,), False), ((2400,), True), ((1996,), True), ((2019,), False)),
        ((2022,), True),
    ),
    Task(
        "roman",
        '''def roman(number):
    """A number from 1 to 3999 in Roman numerals, with IV, IX, XL, XC, CD and CM."""
    signs = [(1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (1, "I")]
    text = ""
    for value, sign in signs:
        if number >= value:
            text += sign
            number -= value
    return text
''',
        (('(1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (1, "I")',
          '(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), '
          '(10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")'),
         ("if number >= value:", "while number >= value:")),
        (((3,), "III"), ((14,), "XIV"), ((8,), "VIII"), ((1900,), "MCM")),
        (((2,), "II"), ((49,), "XLIX"), ((444,), "CDXLIV"), ((3888,), "MMMDCCCLXXXVIII"), ((90,), "XC"), ((2024,),
        "MMXXIV")),
        ((5,), "IIIII"),
    ),
    Task(
        "run_lengths",
        '''def run_lengths(text):
    """The runs of equal characters in order, each as [character, length]: "aab" gives [["a", 2], ["b", 1]]."""
    runs = []
    length = 0
    for i, sign in enumerate(text):
        length += 1
        if i + 1 < len(text) and text[i + 1] != sign:
            runs.append([sign, length])
    return runs
''',
        (("if i + 1 < len(text) and text[i + 1] != sign:", "if i + 1 == len(text) or text[i + 1] != sign:"),
         ("            runs.append([sign, length])\n",
         "            runs.append([sign, length])\n            length = 0\n")),
        ((("aab",), [["a", 2], ["b", 1]]), (("",), []), (("xyyx",), [["x", 1], ["y", 2], ["x", 1]])),
        ((("zzz",), [["z", 3]]), (("abab",), [["a", 1], ["b", 1], ["a", 1], ["b", 1]]), (("ssoo",), [["s", 2], ["o",
        2]]),
         (("q",), [["q", 1]]), (("1122233",), [["1", 2], ["2", 3], ["3", 2]])),
        (("bb",), [["b", 3]]),
    ),
    Task(
        "merge",
        '''def merge(spans):
    """Join the spans [start, end], in any order, that overlap or touch; the result is in order of start."""
    merged = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1][1] = end
        else:
            merged.append([start, end])
    return merged
''',
        (("for start, end in spans:", "for start, end in sorted(spans):"),
         ("merged[-1][1] = end", "merged[-1][1] = max(end, merged[-1][1])")),
        ((([[1, 3], [2, 5]],), [[1, 5]]), (([[6, 8], [1, 2]],), [[1, 2], [6, 8]]), (([[1, 9], [2, 3]],), [[1, 9]])),
        ((([[4, 5], [1, 4]],), [[1, 5]]), (([],), []), (([[1, 10], [2, 3], [4, 5]],), [[1, 10]]),
         (([[3, 4], [1, 2], [2, 3]],), [[1, 4]]), (([[0, 1], [5, 6], [2, 3]],), [[0, 1], [2, 3], [5, 6]])),
        (([[1, 2], [2, 3]],), [[1, 2], [2, 3]]),
    ),
    Task(
        "caesar",
        '''def caesar(text, shift):
    """Move each letter `shift` places on in the alphabet, round past z, keeping its case; other signs stay."""
    moved = ""
    for sign in text:
        if "a" <= sign <= "z":
            moved += chr(ord(sign) + shift)
        elif "A" <= sign <= "Z":
            moved += chr((ord(sign) - 97 + shift) % 26 + 97)
        else:
            moved += sign
    return moved
''',
        (("chr(ord(sign) + shift)", "chr((ord(sign) - 97 + shift) % 26 + 97)"),
         ('elif "A" <= sign <= "Z":\n            moved += chr((ord(sign) - 97 + shift) % 26 + 97)',
          'elif "A" <= sign <= "Z":\n            moved += chr((ord(sign) - 65 + shift) % 26 + 65)')),
        ((("abc", 1), "bcd"), (("xyz", 3), "abc"), (("Hi!", 2), "Jk!")),
        ((("zoo", 1), "app"), (("Zebra", 5), "Ejgwf"), (("a b", 26), "a b"), (("Wolf 9", -1), "Vnke 9"), (("QUIZ", 13),
        "DHVM")),
        (("m", 1), "l"),
    ),
)  # fmt: skip
