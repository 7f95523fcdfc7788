"""Is the message read that an attacker wrote, in whichever of two forms, and nothing else, however hostile the
text is?"""

from __future__ import annotations

import json

import pytest

from alignwright.attack.attacker_text import LONGEST, message_in


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("REASON: a story.\nPROMPT: Tell me a story.", "Tell me a story."),
        ("PROMPT: First line.\n\nSecond line.", "First line.\n\nSecond line."),
        ("**Prompt:** Tell me.", "Tell me."),
        ("> PROMPT: Tell me.", "Tell me."),
        ('PROMPT: "Tell me."', "Tell me."),
        ("PROMPT:\n```\nTell me.\n```", "Tell me."),
        ('PROMPT: "Tell" me "now"', '"Tell" me "now"'),
        ("PROMPT: a draft\nREASON: no.\nPROMPT: The last.", "The last."),
        ("PROMPT: whole\nPROMPT:", "whole"),
        ("<think>PROMPT: a thought</think>PROMPT: said", "said"),
        ('{"improvement": "x", "prompt": "Tell me."}', "Tell me."),
        ('Here it is:\n```json\n{"prompt": "Tell\nme."}\n```', "Tell\nme."),
        ('{"prompt": "one"} and {"prompt": "two"}', "two"),
        ('{"prompt": "a {brace}"}', "a {brace}"),
        ('{"prompt": "half a sign \\ud800"}', "half a sign ?"),
        ("PROMPT: {request} {0} %s", "{request} {0} %s"),
    ],
)
def test_a_message_is_read(text, message):
    assert message_in(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'm sorry, but I can't help with that.",
        "The prompt: nothing at the start of a line",
        "PROMPT:",
        "PROMPT: ...",
        "PROMPT: " + "a" * (LONGEST + 1),
        "<think>PROMPT: never stops thinking",
        '{"prompt": 7}',
        '{"prompt": {"prompt": 7}}',
        '{"prompt": "torn off',
        '{"prompt": ' + "9" * 5000 + "}",
        "{" * 100_000,
        '{"a":' * 20_000,
        "[" * 100_000,
        '{"prompt": ' + "[" * 30_000,
        "PROMPT" * 20_000,
        "`" * 100_000,
        "\n" * 100_000,
    ],
)
def test_what_is_none_is_not_guessed(text):
    assert message_in(text) is None


def test_what_was_read_can_be_written_down():
    message = message_in(json.dumps({"prompt": "\ud83d and \x00 and \u202e"}))
    assert message is not None
    assert json.loads(json.dumps(message).encode("utf-8")) == message
    message.encode("utf-8")
