"""Comparisons whose voters rank everything."""

from __future__ import annotations

from alignwright.core.records import Comparison, Conversation, Prompt, Reply, Vote


def ranked(name: str, *rankings: tuple[int, str, str]) -> Comparison:
    """A comparison of this prompt by voters who rank everything: (how many, order from best to worst, group)."""
    prompt = Prompt(conversation=Conversation.user(name))
    texts, votes, voter = "".join(sorted(rankings[0][1])), [], 0
    for count, order, group in rankings:
        for _ in range(count):
            voter += 1
            votes += [
                Vote(voter=f"v{voter}", prefers=texts.index(a), over=texts.index(b), group=group)
                for k, a in enumerate(order)
                for b in order[k + 1 :]
            ]
    replies = tuple(Reply(text=text, parent=prompt.id) for text in texts)
    return Comparison(prompt=prompt, replies=replies, votes=tuple(votes))
