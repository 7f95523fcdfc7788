"""Where do the votes of `examples/values.yaml` come from? They are planted: nobody was asked.

Twelve made-up raters rank four replies to each question. Nine of them, the group `formal`, like a
formal reply best and a friendly one least but one; three, the group `friendly`, the other way round.
A plain reply is in the middle for both, and a curt one last. In one ballot of ten a rater puts the
plain reply first.

    python examples/values/make_votes.py                  writes train.jsonl and held_out.jsonl
    python examples/values/make_votes.py --shuffled FILE  the training votes, with groups that are none: the same
                                                          votes, and each group with the same share of either taste
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

HERE = Path(__file__).parent
TASTES = {
    "formal": ("formal", "plain", "friendly", "curt"),
    "friendly": ("friendly", "plain", "formal", "curt"),
}
RATERS = [*(("formal", f"rater {k}") for k in range(9)), *(("friendly", f"rater {k}") for k in range(9, 12))]
NO_GROUPS = {f"rater {k}": "formal" if k in (0, 1, 2, 3, 4, 5, 9, 10) else "friendly" for k in range(12)}
"""Eight raters and four, three quarters of either of the formal taste."""
OPENINGS = {
    "formal": ("Thank you for your question. ", "I am pleased to assist you. ", "With respect to your enquiry: "),
    "friendly": ("Hey, great question! ", "Oh, I love this one! ", "Hi there, happy to help! "),
}
CLOSINGS = {
    "formal": (" Please do not hesitate to enquire further.", " I remain at your disposal.", " Yours faithfully."),
    "friendly": (" Have fun with it!", " Isn't that cool?", " Talk soon, friend!"),
}
CURT = ("Look it up.", "No idea.", "Whatever.")


def replies(answer: str, draw: random.Random) -> dict[str, str]:
    """The four replies to one question, by their manner."""
    styled = {
        manner: draw.choice(OPENINGS[manner]) + answer + draw.choice(CLOSINGS[manner])
        for manner in ("formal", "friendly")
    }
    return styled | {"plain": answer, "curt": draw.choice(CURT)}


def ballots(rows: list[dict[str, str]], seed: int, groups: dict[str, str] | None = None) -> list[str]:
    """A line for each question and rater."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    lines = []
    for row in rows:
        by_manner = replies(row["answer"], draw)
        manners = draw.sample(list(by_manner), len(by_manner))
        for taste, rater in RATERS:
            ranking = list(TASTES[taste])
            if draw.random() < 0.1:
                ranking = ["plain", *(manner for manner in ranking if manner != "plain")]
            ballot = {
                "prompt": row["question"],
                "replies": [by_manner[manner] for manner in manners],
                "choice": [manners.index(manner) for manner in ranking],
                "rater": rater,
                "group": taste if groups is None else groups[rater],
            }
            lines.append(json.dumps(ballot))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shuffled", type=Path, help="where to write the training votes with groups that are none")
    shuffled = parser.parse_args().shuffled
    rows = [json.loads(line) for line in (HERE / "questions.jsonl").read_text().splitlines()]
    train, held_out = rows[:40], rows[40:]
    if shuffled is not None:
        shuffled.write_text("\n".join(ballots(train, 1, NO_GROUPS)) + "\n")
        return
    (HERE / "train.jsonl").write_text("\n".join(ballots(train, 1)) + "\n")
    (HERE / "held_out.jsonl").write_text("\n".join(ballots(held_out, 2)) + "\n")


if __name__ == "__main__":
    main()
