from __future__ import annotations

from alignwright.model.bounded_cache import BoundedCache


def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    made: list[str] = []
    cache: BoundedCache[str] = BoundedCache(most=1000)

    def ask(key: str) -> str:
        return cache.get(key, 200, lambda: made.append(key) or key.upper())

    assert [ask(key) for key in "abcab"] == list("ABCAB")
    assert made == list("abc")
    ask("d")  # a is given up: three entries of 200 characters, and what an entry weighs itself
    assert len(cache) == 3
    assert ask("b") == "B"
    assert made == list("abcd")
    ask("a")
    assert made == list("abcda")


def test_a_result_may_be_what_weighs_and_one_too_heavy_is_not_kept() -> None:
    cache: BoundedCache[str] = BoundedCache(most=1000)
    assert cache.get("a", len, lambda: "x" * 500) == "x" * 500
    assert cache.get("b", len, lambda: "y" * 5000) == "y" * 5000
    assert cache.get("a", len, lambda: "again") == "x" * 500, "and drives nothing out"
    assert len(cache) == 1
