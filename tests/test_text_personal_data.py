"""Are mail addresses, phones, cards, accounts and keys found by their own checks, what belongs to nobody told
apart, and ordinary text, sums and code left alone?"""

from __future__ import annotations

import base64
import json

import pytest
from real_data import real

from alignwright.files.rows import raw_rows
from alignwright.run.data_check import _texts
from alignwright.text.personal_data import luhn, personal_data

MIX = "Q3eGriz6YbQw0PlM9xTaKu7vRhJsDfNc5W2mEoZi8pLq4XgBtCyV1nAkHd6SjFrU3oI5wTz7eQxGvJmNcBb"
"""Letters and digits of which keys are made; they open nothing."""


def token(header: object) -> str:
    parts = [json.dumps(header), json.dumps({"sub": "someone", "exp": 1}), "x" * 40]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


FINDS = [
    ("write to jane.roe@gmail.com.", "mail address", ""),
    ("<jane+news@mail.uni-bonn.de>", "mail address", ""),
    ("call (212) 736-5000 now", "phone number", "+1"),
    ("212-736-5000", "phone number", "+1"),
    ("+1 212 736 5000", "phone number", "+1"),
    ("Tel. +49 30 901820", "phone number", "+49"),
    ("+380 (44) 364 55 85", "phone number", "+380"),
    ("+442079460958", "phone number", "+44"),
    ("4539 1488 0343 6467", "card number", "Visa"),
    ("my card: 5425233430109903.", "card number", "Mastercard"),
    ("3714-496353-98423", "card number", "American Express"),
    ("IBAN DE12 5001 0517 0648 4898 90", "bank account", "IBAN"),
    ("AKIA" + "Q3EGRIZ6YBQWOPLM", "key", "AWS access key"),
    ("token=ghp_" + MIX[:36], "key", "GitHub token"),
    ("'sk-" + MIX[:20] + "T3BlbkFJ" + MIX[20:40] + "'", "key", "OpenAI key"),
    ("sk-proj-" + MIX[:60], "key", "OpenAI key"),
    ("sk-ant-api03-" + MIX, "key", "Anthropic key"),
    ("hf_" + MIX[:34], "key", "Hugging Face token"),
    ("AIza" + MIX[:35], "key", "Google key"),
    ("xoxb-" + "2948571036482-" + MIX[:24], "key", "Slack token"),
    ("-----BEGIN RSA " + "PRIVATE KEY-----\n" + MIX[:64], "key", "rsa private key"),
    ('"-----BEGIN ' + "PRIVATE KEY-----\\n" + MIX[:64], "key", "private key"),
    (f"Bearer {token({'alg': 'HS256'})}", "key", "JSON Web Token"),
]


@pytest.mark.parametrize(("text", "kind", "issuer"), FINDS)
def test_each_kind_is_found_once_and_masked(text: str, kind: str, issuer: str) -> None:
    [one] = personal_data(text)
    assert (one.kind, one.issuer) == (kind, issuer)
    assert len(one.masked) < 40
    secret = max(text.replace("-", " ").split(), key=len).strip("<>.'\"")
    assert secret not in one.masked


@pytest.mark.parametrize(
    "text",
    [
        "jane@example.com or you@yourdomain.com or xxxx@gmail.com",
        "(212) 555-0123, 555-123-4567, 1-800-273-8255",
        "4242 4242 4242 4242 and 3782-822463-10005",
        "DE89 3704 0044 0532 0130 00",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "sk-" + "x" * 48 + " ghp_" + "0" * 36,
    ],
)
def test_what_belongs_to_nobody_is_told_apart(text: str) -> None:
    assert [one for one in personal_data(text) if one.reserved]
    assert not [one for one in personal_data(text) if not one.reserved]


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png, git clone git@github.com:owner/name.git, @decorator, a@b, user@host",
        "256626720691 + 1646615806005 =\n\n1903242526696",
        "472547338\n+960397912423686\n-------",
        "the answer is 4539148803436467.25 or 0.4539148803436467",
        "4539 1488 0343 6468",  # Luhn's sum is wrong
        "9999 9999 9999 9995",  # no issuer's
        "DE12 5001 0517 0648 4898 91",  # the remainder is not 97's
        "ISBN 978-3-16-148410-0, 2026-11-30 07:45:12, 192.168.100.200, 3.14159265358979",
        "x=+12345678901 (+15551234567) 2**+4",
        "sk-learn-compatible-estimators-are-tested-with-check-estimator-functions",
        "hf_" + "a" * 34,
        "-----BEGIN PUBLIC KEY-----\n" + MIX[:64],
        "it begins with -----BEGIN RSA " + "PRIVATE KEY----- and then the body",
        "eyJhbGci.eyJ", token({"name": "no header of a token"}),
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "550e8400-e29b-41d4-a716-446655440000",
    ],
)  # fmt: skip
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert not list(personal_data(text))


def test_luhn_tells_every_wrong_digit() -> None:
    number = "4539148803436467"
    assert luhn(number)
    wrong = [
        number[:at] + digit + number[at + 1 :] for at in range(16) for digit in "0123456789" if digit != number[at]
    ]
    assert len(wrong) == 144
    assert not any(map(luhn, wrong))


HOSTILE = ("1 ", "+1 ", "a.b", "eyJ", "(1", "-----BEGIN PRIVATE KEY-----", "A1 ", "@a.", "sk-", "a@b.", "4539 ")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_search_in_hostile_text_comes_to_its_end(text: str) -> None:
    assert not list(personal_data(30_000 * text))  # one that goes back over the text would take hours


@pytest.mark.data
def test_no_key_card_or_account_is_claimed_in_published_sets_and_their_addresses_are_found() -> None:
    names = (
        "hh_rlhf_harmless/test.jsonl.gz", "lima/lima.json", "alpaca_seed/seed_tasks.jsonl",
        "llamafactory_demo/alpaca_en_demo.json", "llamafactory_demo/dpo_en_demo.json",
        "dsp_preferences/helpful.test.json",
    )  # fmt: skip
    counts = {
        name: {
            kind: len({(raw.number, one.masked) for raw in raw_rows(real(name)) for text in _texts(raw.columns or {})
                       for one in personal_data(text) if one.kind == kind and not one.reserved})
            for kind in ("mail address", "phone number", "card number", "bank account", "key")
        }
        for name in names
    }  # fmt: skip
    assert [[*kinds.values()] for kinds in counts.values()] == [
        [6, 8, 0, 0, 0], [1, 3, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]
    ]  # fmt: skip
