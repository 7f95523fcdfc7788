"""Can text that a model wrote act, hide, or reorder what is read?"""

from __future__ import annotations

import pytest

from alignwright.report.text import clip, markdown, one_line, visible


def test_what_hides_or_reorders_is_written_out():
    assert visible("a\u202eb\u200bc\x1b[2Jd") == "a⟨U+202E⟩b⟨U+200B⟩c⟨U+001B⟩[2Jd"
    assert visible("\u2066\ufeff\x00\u2028\U000e0041") == "⟨U+2066⟩⟨U+FEFF⟩⟨U+0000⟩⟨U+2028⟩⟨U+E0041⟩"
    for harmless in (
        "plain, with <b>signs</b> & more",
        "zwei\nZeilen\tund Umlaute äöü",
        "👩‍👩‍👧 می‌خواهم हिन्दी 中文 עברית",
    ):
        assert visible(harmless) == harmless
    assert visible("a\r\nb\rc") == "a\nb⟨U+000D⟩c"


@pytest.mark.parametrize(
    "code",
    [
        "\x1b[31m",
        "\x1b[2J\x1b[H",
        "\x1b]0;title\x07",
        "\x1b]8;;http://x\x1b\\",
        "\x9b31m",
        "\x1bc",
        "\x1bP1$r\x1b\\",
        "\x1b(B",
        "\x1b[38;2;1;2;3m",
    ],
)
def test_terminal_codes_are_stripped(code):
    assert one_line(f"a{code}b") == "ab"


def test_one_line_is_one_line():
    assert one_line("a\n\n b\u2028c\x0b d\t") == "a b c d"
    assert "\x1b" not in one_line("\x1b\x1b[\x1b")


def test_markdown_stays_text():
    assert markdown("honest-smol + 3.5 (a: b)") == "honest-smol + 3.5 (a: b)"
    assert markdown("<script>") == "&#60;script&#62;"
    assert markdown("[x](javascript:1) ![i](u)") == "\\[x\\](javascript:1) !\\[i\\](u)"
    assert markdown("a|b*c_d`e\nf") == "a&#124;b\\*c\\_d\\`e f"
    assert markdown("# head") == "\\# head"
    assert markdown("- item") == "\\- item"
    assert markdown("1. item") == "1\\. item"
    assert markdown("https://x.y www.x.y a@b") == "https&#58;//x.y www&#46;x.y a&#64;b"
    assert markdown("&lt; \\") == "&#38;lt; \\\\"


def test_clip_counts_what_it_leaves_off():
    assert clip("abcdef", 4) == ("abcd", 2)
    assert clip("abcd", 4) == ("abcd", 0)
