"""How does lm-eval ask the model that is already in memory?

lm-eval asks a model for three things: the log-likelihood of a continuation, that of a whole text, and
text until a stop. The class that it asks (`lm_eval.api.model.LM`) is made over our model here, so that
nothing is loaded a second time, and is tokenized as lm-eval's own `hf` model does: the tokenizer's
special tokens at the start, context and continuation together, cut where the context ends.
Continuations of one context share its row.

A context that does not fit is cut at its beginning, as there. Generation knows greedy decoding and a
temperature; `top_k`, `top_p` and beams are refused by name rather than left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from alignwright.model.greedy_match import greedy_matches
from alignwright.model.local_model import LocalModel
from alignwright.model.sampling import sample
from alignwright.model.tokens import TokenRow

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM

MAX_NEW_TOKENS = 256
"""The longest reply where a task says none, as lm-eval's own models have it."""
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""What the longest reply may be called; the first that is there counts, as in lm-eval."""
_KNOWN = frozenset({"until", "do_sample", "temperature", *_LENGTHS})
_OF_DRAWING = frozenset({"top_p", "top_k", "min_p"})
_NOTHING: Mapping[str, object] = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "num_beams": 1, "use_cache": True}
"""Options of generation that change nothing at these values."""


def live_model(policy: LocalModel, *, seed: int) -> LM:
    """The model as lm-eval asks one."""
    from lm_eval.api.model import LM

    class LiveModel(LM):
        """The model of a run, to lm-eval."""

        def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
            return continuation_scores(policy, [tuple(map(str, request.args)) for request in requests])

        def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
            return text_scores(policy, [str(request.args[0]) for request in requests])

        def generate_until(self, requests: list[Instance]) -> list[str]:
            return texts_until(policy, [_options(request) for request in requests], seed=seed)

        @property
        def tokenizer_name(self) -> str:
            return policy.name

    return LiveModel()


def continuation_scores(policy: LocalModel, pairs: Sequence[tuple[str, ...]]) -> list[tuple[float, bool]]:
    """Of each context and continuation the log-likelihood, and whether it is what greedy decoding gives."""
    groups: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for place, (context, continuation) in enumerate(pairs):
        before, after = _split(policy, context, continuation)
        room = policy.longest - len(after)
        if room < 1:
            raise ValueError(
                f"a continuation of {len(after)} tokens is longer than {policy.limit} ({policy.name}) can hold with a"
                f" context: {continuation[:60]!r}"
            )
        groups.setdefault(tuple(before[-room:]), []).append((place, tuple(after)))
    rows = [TokenRow(before, tuple(after for _, after in group)) for before, group in groups.items()]
    matches = greedy_matches(policy, rows)
    scores: dict[int, tuple[float, bool]] = {}
    for group, of_row in zip(groups.values(), matches, strict=True):
        scores |= {place: (match.logprob, match.is_greedy) for (place, _), match in zip(group, of_row, strict=True)}
    return [scores[place] for place in range(len(pairs))]


def text_scores(policy: LocalModel, texts: Sequence[str]) -> list[float]:
    """The log-likelihood of each whole text after the token that begins one, in windows as long as
    the model reads, each token scored once."""
    rows = [list(_windows(_prefix(policy), _ids(policy, text), policy.longest - 1)) for text in texts]
    matches = iter(greedy_matches(policy, [window for windows in rows for window in windows]))
    return [sum(next(matches)[0].logprob for _ in windows) for windows in rows]


def texts_until(policy: LocalModel, requests: Sequence[tuple[str, dict[str, Any]]], *, seed: int) -> list[str]:
    """What the model writes after each context until a stop, without it."""
    texts = [""] * len(requests)
    kinds: dict[tuple[int, float], list[int]] = {}
    for place, (_, options) in enumerate(requests):
        kinds.setdefault(_drawn_with(options), []).append(place)
    for (most, temperature), places in kinds.items():
        room = policy.longest - most
        if room < 1:
            raise ValueError(f"{most} new tokens leave no room for a question: {policy.name} reads {policy.limit}")
        prompts = [(_ids(policy, requests[place][0]) or [_prefix(policy)])[-room:] for place in places]
        groups = sample(
            policy, prompts, n=1, max_new_tokens=most, temperature=temperature, seed=seed, batch_rows=policy.batch_rows
        )
        for place, (first,) in zip(places, groups, strict=True):
            text = str(policy.tokenizer.decode(first.ids, skip_special_tokens=True))
            texts[place] = _until(text, requests[place][1])
    return texts


def _options(request: Instance) -> tuple[str, dict[str, Any]]:
    """A request for text: the context, and the options of generation."""
    arguments: Any = request.args
    return str(arguments[0]), dict(arguments[1])


def _split(policy: LocalModel, context: str, continuation: str) -> tuple[list[int], list[int]]:
    """Tokens of a context and of what follows; spaces at the context's end begin what follows."""
    prefix = _prefix(policy)
    if not context:
        after = _ids(policy, continuation, special=False)
        return ([prefix], after) if after[:1] != [prefix] else (after[:1], after[1:])
    bare = context.rstrip()
    whole = _ids(policy, context + continuation)
    before = _ids(policy, bare) if bare else []
    return (before, whole[len(before) :]) if before else ([prefix], whole)


def _ids(policy: LocalModel, text: str, *, special: bool = True) -> list[int]:
    """Ids of a text as the tokenizer writes one, unless it begins with the beginning already."""
    begun = bool(text) and text.startswith(str(policy.tokenizer.decode([_prefix(policy)])))
    return list(policy.tokenizer.encode(text, add_special_tokens=special and not begun))


def _prefix(policy: LocalModel) -> int:
    """The token before a text that has nothing before it."""
    tokenizer = policy.tokenizer
    first = next((i for i in (tokenizer.bos_token_id, tokenizer.eos_token_id) if i is not None), policy.chat.pad_id)
    return int(first)


def _windows(prefix: int, ids: Sequence[int], size: int) -> Iterator[TokenRow]:
    """Rows that score each token once: the first after the prefix, later ones after as many tokens
    before as fit into `size`."""
    if not ids:
        return
    yield TokenRow((prefix,), (tuple(ids[:size]),))
    done = size
    while done < len(ids):
        count = min(len(ids) - done, size)
        end = done + count
        yield TokenRow(tuple(ids[max(0, end - size - 1) : done]), (tuple(ids[done:end]),))
        done = end


def _drawn_with(options: Mapping[str, Any]) -> tuple[int, float]:
    """The longest reply and the temperature that options ask for."""
    temperature = float(options.get("temperature") or 0.0)
    drawn = bool(options.get("do_sample", temperature > 0))
    unknown = [
        f"{name}={value!r}"
        for name, value in options.items()
        if name not in _KNOWN and _NOTHING.get(name, ...) != value and (drawn or name not in _OF_DRAWING)
    ]
    if unknown:
        raise ValueError(
            f"a task asks for replies with {', '.join(unknown)}; greedy decoding and a temperature are known here"
        )
    most = next((options[name] for name in _LENGTHS if options.get(name)), MAX_NEW_TOKENS)
    return int(most), (temperature or 1.0) if drawn else 0.0


def _until(text: str, options: Mapping[str, Any]) -> str:
    stops = options.get("until") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        if stop:
            text = text.split(stop)[0]
    return text
