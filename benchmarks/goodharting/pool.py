"""What does the bundled model answer, sampled once and kept, so that pressure can be put on the
same replies by any judge?

24 questions "How was the soup?", 64 replies each of at most 24 tokens at temperature 1. The pool
lies in the temporary folder under the name of its content (model, questions, sizes, seed), and is
drawn again when it is not there: about two minutes on one core.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from science.model import MODEL, start
from science.sentiment import THINGS

from alignwright.core.records import Conversation, Prompt, content_id
from alignwright.stats.arrays import Floats

PROMPTS, SAMPLES, TOKENS = 24, 64, 24
Pool = list[tuple[Prompt, list[str]]]
ScoredReplies = list[tuple[Prompt, list[str], Floats, Floats]]  # a prompt, its replies, their proxy in SDs, their gold


def asked(count: int = PROMPTS, first: int = 0) -> list[Prompt]:
    things = THINGS.split(", ")[first : first + count]
    return [
        Prompt(conversation=Conversation.user(f"How was the {thing}?", "You are a reviewer."), topic=thing)
        for thing in things
    ]


def pool(prompts: int = PROMPTS, samples: int = SAMPLES, tokens: int = TOKENS, seed: int = 0) -> Pool:
    """The start model's replies."""
    questions = asked(prompts)
    name = content_id(MODEL, [q.id for q in questions], samples, tokens, seed)
    place = Path(tempfile.gettempdir()) / f"alignwright-pool-{name}.json"
    if not place.exists():
        said = start().generate([q.conversation for q in questions], n=samples, max_new_tokens=tokens, seed=seed)
        drawn = place.with_suffix(".part")
        drawn.write_text(json.dumps([[reply.text for reply in group] for group in said]), encoding="utf-8")
        drawn.replace(place)
    return list(zip(questions, json.loads(place.read_text(encoding="utf-8")), strict=True))
