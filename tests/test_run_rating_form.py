"""Is the page for a browser blind, harmless and whole, does it keep and give back every answer, and are answers that
are not those of the page named by their line?"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import Browser, chromium
from spec_case import jsonl

from alignwright.files.sources import read_votes
from alignwright.report.text import visible
from alignwright.run.rating.collection import BadAnswers, collect
from alignwright.run.rating.form import write_form
from alignwright.run.rating.pairs import pairs_of, showings
from alignwright.run.rating.ratings import Ratings, described

HOSTILE = "\u202edrow \x07 </script><script>alert(1)</script><!-- <script> <img src=x onerror=alert(2)> &amp; '\u2028"
NAME = "answers-ann.jsonl"
needs_browser = pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")


def pairs_file(folder: Path, n: int = 20) -> Path:
    rows = [
        {"prompt": f"Question {i}?", "chosen": f"good {i}", "rejected": f"poor {i}", "topic": "t"} for i in range(n)
    ]
    return jsonl(folder / "pairs.jsonl", *rows)


def page_of(folder: Path, source: Path, name: str = "page.html", group: str = "nurses") -> Path:
    write_form(pairs_of(source), folder / "votes.jsonl", folder / name, rater="ann", group=group)
    return folder / name


def own_page(folder: Path, source: Path) -> Path:
    """One that a browser has kept nothing of: all files are one origin, and what one test's page cleared or wrote
    can reach the storage of the next one's late."""
    return page_of(folder, source, group=folder.name)


class Scripts(HTMLParser):
    """What stands in the scripts of a page, and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        if self.tags[-1:] == ["script"] and data.strip():
            self.scripts.append(data)


def form_in(page: Path) -> dict:
    return json.loads(Scripts(page.read_text(encoding="utf-8")).scripts[0])


def answers(page: Path, choose=lambda question: "a") -> list[dict]:
    """What the page's download holds, made without a browser."""
    form = form_in(page)
    rows = []
    for question in form["questions"]:
        row = {"question": question["id"]} | {name: question[name] for name in ("prompt", "a", "b")}
        row |= {"choice": choose(question), "reason": "", "rater": form["rater"], "group": form["group"]}
        rows.append(with_checksum(row))
    return rows


def with_checksum(row: dict) -> dict:
    texts = "\0".join(row[name] for name in ("question", "choice", "reason", "rater", "group"))
    return row | {"checksum": f"{zlib.crc32(texts.encode()):08x}"}


def good(question: dict) -> str:
    return "a" if question["a"].startswith("good") else "b"


def test_the_page_asks_what_the_terminal_asks_and_holds_nothing_else_of_a_pair(tmp_path):
    source = pairs_file(tmp_path, 40)
    form = form_in(page_of(tmp_path, source))
    asked = showings(pairs_of(source), rater="ann", seed=0)
    assert [(row["a"], row["b"]) for row in form["questions"]] == [
        (s.pair.replies[s.left], s.pair.replies[1 - s.left]) for s in asked
    ]
    assert all(row.keys() == {"id", "prompt", "a", "b"} for row in form["questions"])
    assert form.keys() == {"form", "rater", "group", "file", "questions"}
    assert len({row["id"] for row in form["questions"]}) == 42  # a repetition has a name of its own
    assert not any(word in json.dumps(form) for word in ("chosen", "rejected", "again", "written"))


def test_nothing_in_a_page_goes_with_the_better_reply(tmp_path):
    """Who knows the page and not the source gets the side right in half of the cases, whatever bit of a name
    they go by."""
    form = form_in(page_of(tmp_path, pairs_file(tmp_path, 400)))
    sides = [good(row) == "a" for row in form["questions"]]
    assert abs(sum(sides) - len(sides) / 2) <= 10
    for digit in range(16):
        for bit in range(4):
            guesses = [bool(int(row["id"][digit], 16) >> bit & 1) for row in form["questions"]]
            right = sum(guess == side for guess, side in zip(guesses, sides, strict=True))
            assert abs(right - len(sides) / 2) < 4.5 * (len(sides) / 4) ** 0.5


def test_hostile_text_ends_no_script_and_no_policy_lets_a_request_out(tmp_path):
    source = jsonl(tmp_path / "p.jsonl", {"prompt": f"Ask {HOSTILE}", "chosen": HOSTILE, "rejected": "plain"})
    write_form(pairs_of(source), tmp_path / "v.jsonl", tmp_path / "p.html", rater=f"<b>{HOSTILE}", group="\"'<i>")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    parsed = Scripts(text)
    assert parsed.tags.count("script") == 2 == len(parsed.scripts)
    assert {"img", "b", "i", "link", "iframe"}.isdisjoint(parsed.tags)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text.partition("<script>")[0])
    assert "default-src 'none'" in unescape(text)
    assert "unsafe" not in text
    shown = {form_in(tmp_path / "p.html")["questions"][0][side] for side in "ab"}
    assert shown == {visible(HOSTILE), "plain"}
    assert not set("\u202e\x07\u2028") & set(text)


def test_a_page_holds_what_is_left_and_is_not_written_over_another(tmp_path):
    source = pairs_file(tmp_path)
    page = page_of(tmp_path, source)
    rows = answers(page, good)
    ratings = Ratings(tmp_path / "votes.jsonl")
    collect(pairs_of(source), ratings, [jsonl(tmp_path / "first.jsonl", *rows[:8])])
    with pytest.raises(ValueError, match="somebody may be answering in it"):
        page_of(tmp_path, source)
    rest = form_in(page_of(tmp_path, source, "rest.html"))
    assert [row["id"] for row in rest["questions"]] == [row["question"] for row in rows[8:]]
    collect(pairs_of(source), ratings, [jsonl(tmp_path / "all.jsonl", *rows)])
    with pytest.raises(ValueError, match="ann has answered every question"):
        page_of(tmp_path, source, "none.html")


def test_answers_of_a_page_become_the_same_votes_and_a_later_download_adds_only_what_is_new(tmp_path):
    source = pairs_file(tmp_path)
    rows = answers(page_of(tmp_path, source), good)
    ratings = Ratings(tmp_path / "votes.jsonl")
    first = collect(pairs_of(source), ratings, [jsonl(tmp_path / "1.jsonl", *rows[:12])])
    second = collect(pairs_of(source), ratings, [jsonl(tmp_path / "2.jsonl", *rows)])
    assert (len(first.new), first.duplicates, len(second.new), second.duplicates) == (12, 0, 9, 12)
    assert described(ratings.agreement("ann"))[0].startswith("agreement with yourself: 100%")
    votes = read_votes(tmp_path / "votes.jsonl").rows
    assert len(votes) == 20
    assert all(row.replies[row.votes[0].prefers].text.startswith("good") for row in votes)
    assert {(row.votes[0].voter, row.votes[0].group, row.prompt.topic) for row in votes} == {("ann", "nurses", "t")}


def test_a_source_that_grew_still_knows_the_answers_of_its_pages(tmp_path):
    rows = answers(page_of(tmp_path, pairs_file(tmp_path, 10)))
    collection = collect(
        pairs_of(pairs_file(tmp_path, 30)), Ratings(tmp_path / "v.jsonl"), [jsonl(tmp_path / "1.jsonl", *rows)]
    )
    assert len(collection.new) == 11


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda row: row | {"choice": "tie"}, "its checksum is another"),
        (lambda row: row | {"rater": "bob"}, "its checksum is another"),
        (lambda row: with_checksum(row | {"rater": "bob"}), "of rater 'bob' is none of the source's"),
        (lambda row: with_checksum(row | {"question": "0" * 16}), "is none of the source's"),
        (lambda row: with_checksum(row | {"choice": "both"}), "this is no answer of a page (choice: "),
        (lambda row: with_checksum(row) | {"a": "another"}, "'a' is not what was shown: 'another' where"),
        (lambda row: {name: row[name] for name in row if name != "b"}, "this is no answer of a page (b: "),
    ],
)
def test_a_changed_line_is_named_and_nothing_is_taken(tmp_path, damage, why):
    source = pairs_file(tmp_path)
    rows = answers(page_of(tmp_path, source))
    rows[4] = damage(rows[4])
    ratings = Ratings(tmp_path / "votes.jsonl")
    with pytest.raises(BadAnswers, match=rf"down\.jsonl:5: .*{re.escape(why)}"):
        collect(pairs_of(source), ratings, [jsonl(tmp_path / "down.jsonl", *rows)])
    assert not ratings.path.exists()
    assert not ratings.votes.exists()


def test_doubled_torn_and_contrary_answers_are_all_named_in_one_error(tmp_path):
    source = pairs_file(tmp_path)
    rows = answers(page_of(tmp_path, source))
    ratings = Ratings(tmp_path / "votes.jsonl")
    collect(pairs_of(source), ratings, [jsonl(tmp_path / "1.jsonl", *rows[:2])])
    other = with_checksum(rows[0] | {"choice": "b"})
    down = jsonl(tmp_path / "down.jsonl", other, rows[2], rows[3], rows[2])
    with down.open("a", encoding="utf-8") as file:
        file.write(json.dumps(rows[5])[:-9])
    with pytest.raises(BadAnswers) as error:
        collect(pairs_of(source), ratings, [down])
    problems = str(error.value).splitlines()
    assert len(problems) == 4
    assert "down.jsonl:1: 'ann' has answered this question before, and otherwise: 'a', now 'b'" in problems[0]
    assert re.search(r"down\.jsonl:4: this question is answered in .*down\.jsonl:2 already", problems[1])
    assert "down.jsonl:5: this is no answer of a page" in problems[2]
    assert len(ratings.rows) == 2
    (tmp_path / "latin.jsonl").write_bytes(json.dumps(rows[2]).encode() + b"\n\xff\n")
    with pytest.raises(BadAnswers, match=r"latin\.jsonl:2: this is no UTF-8"):
        collect(pairs_of(source), ratings, [tmp_path / "latin.jsonl"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    (folder / "downloads").mkdir()
    running = Browser(folder / "profile", folder / "downloads")
    yield running
    running.close()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    (tmp_path / "other").mkdir()
    running = Browser(tmp_path / "profile", tmp_path / "other")
    yield running
    running.close()


@pytest.fixture
def fresh(browser: Browser) -> Browser:
    for file in browser.downloads.iterdir():
        file.unlink()
    browser.requests.clear()
    browser.complaints.clear()
    return browser


def text(browser: Browser, name: str) -> str:
    return browser.run(f"document.getElementById({name!r}).textContent")


def rate_in(browser: Browser, count: int) -> None:
    for _ in range(count):
        first = text(browser, "reply1").startswith("good")
        browser.key("1" if first else "2")


@needs_browser
def test_a_person_at_the_keyboard_rates_all_goes_back_and_downloads_what_becomes_votes(tmp_path, fresh):
    source = pairs_file(tmp_path)
    fresh.open(own_page(tmp_path, source))
    assert text(fresh, "place") == "Question 1 of 21"
    fresh.key("r")
    fresh.write("1 tie: its naïve 🙂 “clear” c")  # of the keys that stand in it none answers
    assert text(fresh, "count") == "0 of 21 answered"
    fresh.key("Escape")
    rate_in(fresh, 1)
    assert fresh.run("document.getElementById('reason').value") == ""
    fresh.key("c")
    fresh.key("b")  # back, and otherwise
    assert fresh.run("document.querySelector('[aria-pressed=true]').dataset.choice") == "cannot say"
    rate_in(fresh, 20)
    assert text(fresh, "count") == "21 of 21 answered"
    assert fresh.run("document.activeElement.id") == "end"
    fresh.key("d")
    ratings = Ratings(tmp_path / "votes.jsonl")
    assert len(collect(pairs_of(source), ratings, [fresh.download(NAME)]).new) == 21
    assert ratings.rows[0].reason == "1 tie: its naïve 🙂 “clear” c"
    assert described(ratings.agreement("ann"))[0].startswith("agreement with yourself: 100%")
    votes = read_votes(ratings.votes).rows
    assert len(votes) == 20
    assert all(row.replies[row.votes[0].prefers].text.startswith("good") for row in votes)
    assert fresh.complaints == []


@needs_browser
def test_a_closed_page_goes_on_and_another_browser_goes_on_from_the_download(tmp_path, fresh, another):
    page = own_page(tmp_path, pairs_file(tmp_path))
    fresh.open(page)
    rate_in(fresh, 5)
    fresh.key("d")
    file = fresh.download(NAME)
    fresh.open_until(page, "document.getElementById('place').textContent === 'Question 6 of 21'")
    another.open(page)
    assert text(another, "place") == "Question 1 of 21"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    bad = jsonl(tmp_path / "bad.jsonl", rows[0], rows[1] | {"choice": "tie"})
    another.choose_file("#earlier", bad)
    another.until("document.getElementById('notice').textContent !== ''")
    assert "line 2 was changed since it was written. Nothing was taken over." in text(another, "notice")
    assert text(another, "count") == "0 of 21 answered"
    another.choose_file("#earlier", file)
    another.until("document.getElementById('count').textContent.startsWith('5 ')")
    assert text(another, "place") == "Question 6 of 21"
    another.open_until(page, "document.getElementById('count').textContent === '5 of 21 answered'")  # kept again


@needs_browser
def test_answers_that_an_earlier_page_wrote_late_are_shown_and_not_written_over(tmp_path, fresh):
    page = own_page(tmp_path, pairs_file(tmp_path))
    form = form_in(page)
    key, kept = f"alignwright.rate.{form['form']}", [[row["id"], "a", ""] for row in form["questions"][:5]]
    fresh.open(page)
    assert fresh.run(f"localStorage.getItem({key!r})") is None  # a page that begins writes nothing
    fresh.run(
        f"localStorage.setItem({key!r}, {json.dumps(json.dumps(kept))}),"
        f"dispatchEvent(new StorageEvent('storage', {{key: {key!r}}}))"
    )
    assert text(fresh, "place") == "Question 6 of 21"
    rate_in(fresh, 1)
    assert text(fresh, "count") == "6 of 21 answered"


@needs_browser
def test_what_is_rated_is_text_on_the_page_and_the_page_can_ask_for_nothing(tmp_path, fresh):
    source = jsonl(tmp_path / "p.jsonl", {"prompt": f"Ask {HOSTILE}", "chosen": HOSTILE, "rejected": "plain"})
    fresh.open(own_page(tmp_path, source))
    assert {text(fresh, "reply1"), text(fresh, "reply2")} == {visible(HOSTILE), "plain"}
    assert fresh.run("document.querySelectorAll('img, script:not([type]), #prompt script').length") == 1
    assert fresh.complaints == []
    assert len(fresh.requests) == 1  # the page itself
    fresh.run(
        "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x'})),"
        "fetch('http://127.0.0.1:9/y').catch(() => 0)"
    )
    for what in ("127.0.0.1:9/x", "127.0.0.1:9/y"):
        assert any("Content Security Policy" in words and what in words for words in fresh.complaints)


@needs_browser
def test_a_key_held_down_answers_once_and_one_with_a_modifier_not_at_all(tmp_path, fresh):
    fresh.open(own_page(tmp_path, pairs_file(tmp_path)))
    fresh.key("1")
    fresh.key("1", autoRepeat=True)
    fresh.key("c", modifiers=2)
    assert text(fresh, "count") == "1 of 21 answered"


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows_the_answers_stay_in_their_place_and_each_control_has_a_name(tmp_path, fresh, width):
    rows = [
        {"prompt": "Short?", "chosen": "x", "rejected": "y"},
        {"prompt": "Long? " * 200, "chosen": "w" * 3000, "rejected": "many words " * 400},
        {"prompt": "Middle?", "chosen": "line\n" * 30, "rejected": "z"},
    ]
    fresh.open(own_page(tmp_path, jsonl(tmp_path / "p.jsonl", *rows)))
    fresh.screenshot(tmp_path / "shot.png", width, 844)
    places = []
    for _ in range(3):
        assert fresh.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        places.append(
            fresh.run("(b => [b.left, b.top])(document.querySelector('[data-choice]').getBoundingClientRect())")
        )
        fresh.key("1")
    assert places[0] == places[1] == places[2]
    fresh.key("b")
    nodes = fresh.call("Accessibility.getFullAXTree")["nodes"]
    controls = {
        (node["role"]["value"], node["name"]["value"])
        for node in nodes
        if node.get("role", {}).get("value") in ("button", "textbox", "progressbar")
    }
    assert len([name for role, name in controls if role == "button" and name]) >= 7
    assert all(name for _, name in controls)


@pytest.mark.parametrize("scheme", [0, 1])
def test_every_text_has_contrast_enough_in_light_and_dark(scheme):
    sheet = Path(__file__).parents[1] / "src/alignwright/run/rating/page/form.css"
    colours = dict(re.findall(r"--(\w+): (#\w{6});", sheet.read_text(encoding="utf-8").split("@media")[scheme]))
    for text_colour, ground in [(t, g) for t in ("ink", "soft") for g in ("paper", "card", "wash")] + [("on", "link")]:
        assert _contrast(colours[text_colour], colours[ground]) >= 4.5


def _contrast(one: str, two: str) -> float:
    """By WCAG 2: relative luminance of the lighter over that of the darker."""
    lights = []
    for colour in (one, two):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))
    return (max(lights) + 0.05) / (min(lights) + 0.05)
