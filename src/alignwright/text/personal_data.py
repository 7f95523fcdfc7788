"""Does a text hold personal data or secrets: mail addresses, phone numbers, cards, accounts, keys?

A model learns by heart what it is trained on, so such a text is better met before training than in
a reply. Each kind is looked for by its published form and, where it has one, by its own check: a
card by the digits with which its issuers' numbers begin, its length and Luhn's sum (ISO/IEC 7812),
an IBAN by its country's length and the remainder 97 (ISO 13616), a phone number by a country's code
(ITU-T E.164) or North America's plan (area and exchange begin with 2 to 9), a key by the prefix that
its issuer gives it and the length that follows, a JSON Web Token by a header that decodes. What
belongs to nobody is told apart (`reserved`): addresses at example.com (RFC 2606), numbers of 555-0100
to 555-0199 or that no plan can give out, the test cards of payment services, toll-free lines, keys
that are plainly made up.

Left out on purpose: names, street addresses, birthdays and local forms of phone numbers, which no
pattern tells from other text without many false alarms.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, cast

Kind = Literal["mail address", "phone number", "card number", "bank account", "key"]


class PersonalData(NamedTuple):
    """One find: its kind, what it is more exactly, its masked form, and whether it belongs to
    nobody. The value itself is not kept."""

    kind: Kind
    issuer: str
    masked: str
    reserved: bool


def personal_data(text: str) -> Iterator[PersonalData]:
    """What a text holds of each kind; a value that is part of another is told once."""
    if "@" in text:
        yield from _mails(text)
    if _DIGITS.search(text):
        yield from _numbers(text)
    if _KEY_HINT.search(text):
        yield from _keys(text)


# ---- mail addresses ------------------------------------------------------------------------------
_MAIL = re.compile(
    r"(?<![\w.%+/:@-])([A-Za-z0-9](?:[\w.%+-]{0,62}[\w+-])?)@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}"
    r"[A-Za-z]{2,18})(?![\w@-]|\.\w)",
    re.ASCII,
)
_NO_DOMAIN = re.compile("png|jpe?g|gif|svg|webp|ico|css|js|ts|py|md|txt|json|html|ya?ml|local|internal")
"""Endings of files and of private networks, which follow an @ in file names (icon@2x.png)."""
_RESERVED_DOMAIN = re.compile(
    r"(?:^|\.)(?:example(?:\.(?:com|org|net|edu))?|test|invalid|localhost)$|^(?:your|my|example|some)?-?"
    r"(?:domain|company|email|mail|website|site|server|organi[sz]ation)(?:name)?\.(?:com|org|net|xx|xyz)$",
    re.IGNORECASE,
)


def _mails(text: str) -> Iterator[PersonalData]:
    for match in _MAIL.finditer(text):
        name, domain = match[1], match[2]
        ending = domain.rpartition(".")[2].lower()
        if (
            _NO_DOMAIN.fullmatch(ending)
            or ".." in name
            or (name == "git" and match.end() < len(text) and text[match.end()] == ":")
        ):
            continue  # a file's name, or the address of a repository
        nobody = _RESERVED_DOMAIN.search(domain) is not None or (len(name) > 2 and len(set(name)) == 1)
        yield PersonalData("mail address", "", f"{name[0]}…@{domain[0]}….{ending}", nobody)


# ---- digits: cards, phones, accounts -------------------------------------------------------------
_DIGITS = re.compile(r"\d(?:[ ().-]{0,2}\d){8}", re.ASCII)
_CARD = re.compile(
    r"(?<![\w.,+/=#-])(?<!\d )\d{4}(?:([ -]?)\d{4}\1\d{4}\1\d{1,7}|[ -]?\d{6}[ -]?\d{4,5})(?![\w=/]|[.,-]\d| \d)",
    re.ASCII,
)
_ISSUERS: tuple[tuple[str, re.Pattern[str], frozenset[int]], ...] = (
    ("Visa", re.compile("4"), frozenset((16, 19))),  # those of 13 digits are long gone, and any sum may look so
    ("Mastercard", re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), frozenset((16,))),
    ("American Express", re.compile("3[47]"), frozenset((15,))),
    ("Discover", re.compile("6011|65|64[4-9]"), frozenset((16,))),
    ("JCB", re.compile("35(?:2[89]|[3-8])"), frozenset((16,))),
    ("Diners Club", re.compile("30[0-5]|3[68]"), frozenset((14,))),
    ("UnionPay", re.compile("62"), frozenset((16, 17, 18, 19))),
)
_TEST_CARDS = (
    "4111111111111111 4012888888881881 4242424242424242 4000056655665556 5555555555554444 5105105105105100"
    " 5200828282828210 2223003122003222 378282246310005 371449635398431 378734493671000 6011111111111117"
    " 6011000990139424 3530111333300000 3566002020360505 30569309025904 38520000023237 3056930009020004"
    " 6200000000000005 4532015112830366 4539578763621486"
)
"""Numbers that payment services print for tests."""
_NANP = re.compile(
    r"(?<![\w.,/=#+-])(?<!\d )(?:\+?1[ .-]?)?(?:\((\d{3})\) ?|(\d{3})[.-])(\d{3})[ .-](\d{4})(?![\w=/]|[.,-]\d)",
    re.ASCII,
)
_E164 = re.compile(
    r"(?<![\w.+)(*/^=])\+([1-9]\d{0,2})((?:[ .-]?(?:\(0\)|\(\d{1,4}\)|\d{1,11})){1,6})(?!\w|[.,]\d)", re.ASCII
)
_COUNTRY = re.compile(
    r"1|7|2(?:0|7|[1-69]\d)|3(?:[0-469]|[578]\d)|4(?:[013-9]|2\d)|5(?:[1-8]|[09]\d)|6(?:[0-6]|[7-9]\d)|"
    r"8(?:[1246]|[058]\d)|9(?:[0-58]|[679]\d)"
)
_TOLL_FREE = ("800", "833", "844", "855", "866", "877", "888")
_IBAN = re.compile(r"(?<![\w/-])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![\w-])", re.ASCII)
_IBAN_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI NL",
    19: "SI MK",
    20: "AT EE LT LU XK KZ BA",
    21: "CH HR LV LI",
    22: "BG DE GB GE IE ME RS BH",
    23: "AE GI IL IQ",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "PT",
    26: "IS TR",
    27: "FR GR IT MC SM",
    28: "AL AZ BY CY DO GT HU LB PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU",
    31: "MT SC",
    32: "LC",
}
_EXAMPLE_IBANS = (
    "GB82WEST12345698765432 GB29NWBK60161331926819 GB33BUKB20201555555555 DE89370400440532013000"
    " FR1420041010050500013M02606 FR7630006000011234567890189 NL91ABNA0417164300 CH9300762011623852957"
)


def _numbers(text: str) -> Iterator[PersonalData]:
    """Accounts and cards first: their digits are no phone number."""
    taken: list[tuple[int, int]] = []
    for reader in (_account, _card, _north_american, _international):
        pattern = _PATTERNS[reader]
        for match in pattern.finditer(text):
            if any(start < match.end() and match.start() < end for start, end in taken):
                continue
            if (one := reader(match)) is not None:
                taken.append(match.span())
                yield one


def _account(match: re.Match[str]) -> PersonalData | None:
    number = match[0].replace(" ", "")
    if number[:2] not in _IBAN_COUNTRIES.get(len(number), ""):
        return None
    if int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 != 1:
        return None
    return PersonalData("bank account", "IBAN", f"{number[:2]}…{number[-2:]}", number in _EXAMPLE_IBANS)


def _card(match: re.Match[str]) -> PersonalData | None:
    number = re.sub("[ -]", "", match[0])
    issuer = next((name for name, begins, lengths in _ISSUERS if len(number) in lengths and begins.match(number)), None)
    if issuer is None or not luhn(number):
        return None
    nobody = number in _TEST_CARDS or len(set(number)) < 4
    return PersonalData("card number", issuer, f"…{number[-2:]} ({len(number)} digits)", nobody)


def luhn(number: str) -> bool:
    """Whether the last digit is right for those before it."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def _north_american(match: re.Match[str]) -> PersonalData | None:
    area, exchange, line = match[1] or match[2], match[3], match[4]
    return PersonalData("phone number", "+1", f"…{line[-2:]}", _nobodys(area, exchange, line))


def _nobodys(area: str, exchange: str, line: str) -> bool:
    """A number that the plan gives to no person."""
    unassigned = area[0] in "01" or exchange[0] in "01" or area in _TOLL_FREE or area == "555" or exchange == "555"
    return unassigned or f"{area}{exchange}{line}" in ("1234567890", "2345678901")


def _international(match: re.Match[str]) -> PersonalData | None:
    digits = re.sub(r"\(0\)|\D", "", match[0])
    code, unbroken = _COUNTRY.match(digits), match[0][1:].isdigit()
    if unbroken and (len(digits) > 13 or match.string[: match.start()].rstrip()[-1:].isdigit()):
        return None  # a term of a sum
    if code is None or not 10 <= len(digits) <= 15 or len(set(digits[len(code[0]) :])) < 3:
        return None
    if code[0] == "1":
        if len(digits) != 11:
            return None
        return PersonalData("phone number", "+1", f"…{digits[-2:]}", _nobodys(digits[1:4], digits[4:7], digits[7:]))
    return PersonalData(
        "phone number", f"+{code[0]}", f"…{digits[-2:]}", digits[len(code[0]) :] in "12345678901234567890"
    )


_PATTERNS: dict[Callable[[re.Match[str]], PersonalData | None], re.Pattern[str]] = {
    _account: _IBAN,
    _card: _CARD,
    _north_american: _NANP,
    _international: _E164,
}


# ---- keys ----------------------------------------------------------------------------------------
_BEFORE, _AFTER = r"(?<![A-Za-z0-9_-])", r"(?![A-Za-z0-9_-])"
_KEYS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(f"{_BEFORE}(?:{form}){_AFTER}", re.ASCII))
    for name, form in (
        ("AWS access key", "(?:AKIA|ASIA)[A-Z2-7]{16}"),
        ("GitHub token", "gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
        ("Anthropic key", r"sk-ant-[a-z]{3,5}\d\d-[\w-]{80,120}"),
        (
            "OpenAI key",
            r"sk-(?:proj|svcacct|admin)-[\w-]{40,180}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}|sk-[A-Za-z0-9]{48}",
        ),
        ("Hugging Face token", "hf_[A-Za-z0-9]{34}"),
        ("Google key", r"AIza[\w-]{35}"),
        ("Slack token", r"xox[abeprs]-\d{8,14}-[A-Za-z0-9-]{20,}|xapp-\d-[A-Z0-9]{9,12}-\d{10,14}-[a-f0-9]{64}"),
        ("Stripe key", "[rs]k_live_[A-Za-z0-9]{24,247}"),
        ("GitLab token", r"glpat-[\w-]{20}"),
        ("npm token", "npm_[A-Za-z0-9]{36}"),
        ("PyPI token", r"pypi-AgEIcHlwaS5vcmc[\w-]{50,}"),
        ("SendGrid key", r"SG\.[\w-]{22}\.[\w-]{43}"),
        ("Telegram bot token", r"\d{8,10}:AA[\w-]{33}"),
    )
)
_WEBHOOK = re.compile(r"https://hooks\.slack\.com/services/T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{24}")
_PRIVATE = re.compile(
    r"-----BEGIN ((?:[A-Z0-9]{2,9} )?PRIVATE KEY(?: BLOCK)?)-----"
    r"(?:\\[nr]|[\s\"'+,]|[A-Z][\w-]{2,20}: [^\n]{1,80}\n){1,20}([A-Za-z0-9+/]{16,})"
)
_TOKEN = re.compile(rf"{_BEFORE}(eyJ[\w-]{{10,}})\.(eyJ[\w-]{{10,}})\.[\w-]{{16,}}{_AFTER}", re.ASCII)
_KEY_HINT = re.compile(
    r"AKIA|ASIA|gh[pousr]_|github_pat_|sk-|hf_|AIza|xox[abeprs]-|xapp-|k_live_|glpat-|npm_|pypi-Ag|SG\.|:AA|"
    r"hooks\.slack|PRIVATE KEY|eyJ"
)
_MADE_UP = re.compile(r"example|sample|dummy|x{6}|X{6}|0{8}|1234567890|abcdefgh", re.IGNORECASE)
_JWT_IO = "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIi"
"""The payload that jwt.io prints: John Doe, 1234567890."""


def _keys(text: str) -> Iterator[PersonalData]:
    for name, pattern in _KEYS:
        for match in pattern.finditer(text):
            key = match[0]
            if not (re.search(r"\d", key) and re.search("[A-Z]", key)) and name in ("OpenAI key", "Hugging Face token"):
                continue  # words joined by hyphens
            made_up = _MADE_UP.search(key) is not None or len({*key[4:]}) < 10
            yield PersonalData("key", name, f"{key[:4]}… ({len(key)} characters)", made_up)
    for match in _WEBHOOK.finditer(text):
        yield PersonalData("key", "Slack webhook", "https://hooks.slack.com/…", _MADE_UP.search(match[0]) is not None)
    for match in _PRIVATE.finditer(text):
        made_up = _MADE_UP.search(match[2]) is not None
        yield PersonalData("key", match[1].lower(), f"-----BEGIN {match[1]}-----…", made_up)
    for match in _TOKEN.finditer(text):
        if _is_header(match[1]):
            yield PersonalData(
                "key", "JSON Web Token", f"eyJ… ({len(match[0])} characters)", match[2].startswith(_JWT_IO)
            )


def _is_header(part: str) -> bool:
    try:
        header: Any = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in cast("dict[str, Any]", header)
