"""How does a run's model leave for Ollama, which renders prompts and samples in its own way?

A folder with the GGUF file and a Modelfile. Ollama takes a file's chat template for one of its own
where the two look alike, and those write other words; so the Modelfile holds the measured template
as Go's, where its form is known (`turn_form`), and else leaves it to Ollama and says so. Ollama
samples at 0.8 and punishes repetition unless it is told not to: the parameters are those of the
measurements, greedy over all tokens. No system message is given: the run was measured with what the
template itself writes.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alignwright.files.model_terms import licence_texts
from alignwright.job.ledger import write_text
from alignwright.run.export.modelfile import PLAIN, go_template, modelfile, stop
from alignwright.run.export.new_folder import new_folder, size
from alignwright.run.export.turn_form import probes, turn_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignwright.model.local_model import LocalModel
    from alignwright.model.tokens import Chat

KIND = "q8_0"
"""What matrices are written in where nothing is said."""
CONTEXT = 8192
"""Tokens of a conversation that Ollama keeps room for, where the model reads as many; at its own bound of
4096 it cuts longer ones without a word."""
MEASURED = (("temperature", "0"), ("top_k", "0"), ("top_p", "1"), ("min_p", "0"), ("repeat_penalty", "1"))
"""Ollama's parameters for replies as they were measured: the likeliest token, none left out or punished."""


def write_ollama(
    policy: LocalModel, model: Path, place: Path, kind: str, *, ours: bool, facts: Mapping[str, str]
) -> tuple[Path, list[str]]:
    """Write a model and its Modelfile into the folder `place`. `model`: the run's folder of it, whose
    licence goes along; `facts` as in `write_gguf`. Returns the GGUF file and what there is to say."""
    from alignwright.model.gguf_file import write_gguf

    name = f"{facts['name']}-{kind}.gguf"
    template, notes = _template(policy.chat)
    parameters = [*_stops(policy.chat), *MEASURED, ("num_ctx", str(min(CONTEXT, policy.longest)))]
    text = modelfile(name, template=template, parameters=parameters, licences=_licences(model, facts))
    with new_folder(place, ours=ours) as folder:
        write_gguf(policy, folder / name, kind, facts=facts)
        write_text(folder / "Modelfile", text)
    command = f"ollama create {facts['name'].lower()} -f {shlex.quote(str(place / 'Modelfile'))}"
    return place / name, [f"{place}: {name} ({size(place / name)}) and a Modelfile; {command}", *notes]


def _template(chat: Chat) -> tuple[str | None, list[str]]:
    """The Go template, and what somebody must know of it."""
    from alignwright.model.gguf_tokenizer import begins_prompts

    if not chat.writes:
        return PLAIN, ["the model reads plain text alone: use it with 'ollama run' on a text to go on with"]
    form = turn_form(chat.words, str(chat.tokenizer.bos_token or ""))
    if form is not None and begins_prompts(chat):  # llama.cpp puts the token that begins a text there
        form = replace(form, start="") if form.start else None
    if form is None:
        return None, [
            "no TEMPLATE is in the Modelfile: the chat template writes more than words around messages, which Go's"
            " templates of Ollama cannot say; Ollama renders the one in the file by llama.cpp (since May 2026; an older"
            " one takes one of its own that looks like it, or none)"
        ]
    notes = [f"its TEMPLATE writes {probes(form)} conversations letter for letter as the chat template does"]
    if form.trims:
        notes.append("the chat template strips spaces from the ends of messages, and Ollama's cannot: send none there")
    if form.system is None:
        notes.append("the chat template takes no system message, and Ollama leaves one out without a word: send none")
    return go_template(form), notes


def _stops(chat: Chat) -> list[tuple[str, str]]:
    return [stop(str(token)) for token in chat.tokenizer.convert_ids_to_tokens(sorted(chat.stop_ids))]


def _licences(model: Path, facts: Mapping[str, str]) -> Sequence[str]:
    """The licence's texts, or its name where the model has none of them."""
    texts = [file.read_text(encoding="utf-8", errors="replace").replace('"""', "'''") for file in licence_texts(model)]
    named = facts.get("license_name") or facts.get("license")
    return texts or ([named] if named and named != "see-base-model" else [])
