"""How is a reply written in the form of OpenAI's chat completions and completions, whole or as a
stream of chunks?

Log-probabilities are the model's own, at temperature 1. `usage` counts the prompt once and the
tokens of all choices.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from alignwright.model.prompt_logprobs import TokenChoice
from alignwright.model.token_text import TokenText
from alignwright.run.serve_model import Piece, Replies
from alignwright.run.serve_request import CompletionRequest

_IMPOSSIBLE = -9999.0  # what OpenAI writes for a token of no probability: JSON has no infinity


def whole(replies: Replies, pieces: Iterable[Piece], model: str) -> dict[str, Any]:
    """The answer in one object, when all has been drawn."""
    request = replies.request
    pieces_of: dict[int, list[Piece]] = {}
    for piece in pieces:
        pieces_of.setdefault(piece.choice, []).append(piece)
    choices = [
        _choice(replies, place, pieces_of.get(place, [])) for place in range(len(replies.generations) * request.n)
    ]
    return {**_head(request, model, chunk=False), "choices": choices, "usage": usage(replies)}


def chunks(replies: Replies, pieces: Iterable[Piece], model: str) -> Iterator[dict[str, Any]]:
    """The answer in parts, as they come."""
    request, head = replies.request, _head(replies.request, model, chunk=True)
    more = {"usage": None} if request.count_in_stream else {}
    if request.is_chat:
        for place in range(request.n):
            delta = {"role": "assistant", "content": "", "refusal": None}
            yield {
                **head,
                "choices": [{"index": place, "delta": delta, "finish_reason": None, "logprobs": None}],
                **more,
            }
    offsets = dict.fromkeys(range(len(replies.generations) * request.n), 0)
    for piece in pieces:
        logprobs = _logprobs(request, piece.tokens, replies.texts, offsets[piece.choice])
        offsets[piece.choice] += len(piece.text)
        content = {"delta": {"content": piece.text} if piece.text else {}} if request.is_chat else {"text": piece.text}
        choice = {"index": piece.choice, **content, "finish_reason": piece.finish, "logprobs": logprobs}
        yield {**head, "choices": [choice], **more}
    if request.count_in_stream:
        yield {**head, "choices": [], "usage": usage(replies)}


def usage(replies: Replies) -> dict[str, int]:
    prompt, completion = replies.prompt_tokens, replies.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _head(request: CompletionRequest, model: str, *, chunk: bool) -> dict[str, Any]:
    kind = ("chat.completion" + ".chunk" * chunk) if request.is_chat else "text_completion"
    return {
        "id": f"{'chatcmpl' if request.is_chat else 'cmpl'}-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def _choice(replies: Replies, place: int, pieces: Sequence[Piece]) -> dict[str, Any]:
    request, text = replies.request, "".join(piece.text for piece in pieces)
    tokens = [token for piece in pieces for token in piece.tokens]
    finish = pieces[-1].finish if pieces else "length"
    if request.is_chat:
        message = {"role": "assistant", "content": text, "refusal": None}
        logprobs = _logprobs(request, tokens, replies.texts, 0)
        return {"index": place, "message": message, "finish_reason": finish, "logprobs": logprobs}
    if request.echo:
        prompt_text, prompt_tokens = _prompt_part(replies, place // request.n)
        text, tokens = prompt_text + text, [*prompt_tokens, *tokens]
    return {
        "index": place,
        "text": text,
        "finish_reason": finish,
        "logprobs": _logprobs(request, tokens, replies.texts, 0),
    }


def _prompt_part(replies: Replies, place: int) -> tuple[str, Sequence[TokenChoice]]:
    """A prompt as it was given, and its tokens without the one that opens every text."""
    prompt, tokens = replies.request.prompts[place], replies.prompt_reads.get(place, ())
    if isinstance(prompt, str):
        return prompt, tokens[1:]
    return replies.texts.decode(replies.generations[place].prompt), tokens


def _logprobs(
    request: CompletionRequest, tokens: Sequence[TokenChoice], texts: TokenText, offset: int
) -> Mapping[str, Any] | None:
    if request.top is None:
        return None
    if request.is_chat:
        content = [
            {**_token(texts, token.id, token.logprob), "top_logprobs": [_token(texts, *top) for top in token.top]}
            for token in tokens
        ]
        return {"content": content, "refusal": None}
    names = [texts.token(token.id)[0] for token in tokens]
    return {
        "tokens": names,
        "token_logprobs": [_number(token.logprob) for token in tokens],
        "top_logprobs": [_likeliest(texts, token) for token in tokens],
        "text_offset": [offset + sum(map(len, names[:place])) for place in range(len(names))],
    }


def _likeliest(texts: TokenText, token: TokenChoice) -> dict[str, float | None] | None:
    """By text, as OpenAI's completions have it: of two tokens with one text the likelier; and the
    token itself is always there."""
    if token.logprob is None:
        return None
    likeliest: dict[str, float | None] = {}
    for each, logprob in (*token.top, (token.id, token.logprob)):
        likeliest.setdefault(texts.token(each)[0], _number(logprob))
    return likeliest


def _token(texts: TokenText, token: int, logprob: float | None) -> dict[str, Any]:
    text, data = texts.token(token)
    return {"token": text, "logprob": _number(logprob), "bytes": list(data)}


def _number(logprob: float | None) -> float | None:
    return None if logprob is None else max(logprob, _IMPOSSIBLE)
