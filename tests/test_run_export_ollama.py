"""Does a Modelfile say what the chat template says, and does Ollama's grammar read it as it was meant?

Ollama itself is not here. Its templates are Go's, and Go writes them here; its Modelfiles are read by
the states of its own parser (`parser/parser.go`), written again below.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import gguf
import pytest
from export_case import aligned, project
from go_template import written_by_go
from llama_server import ask
from tiny import TEMPLATE, make_base, make_base_tokenizer, make_tokenizer
from typer.testing import CliRunner

import alignwright as aw
from alignwright.cli import app
from alignwright.core.records import Conversation, Message
from alignwright.files.chat_format import KNOWN, ChatFormat
from alignwright.model.gguf_file import write_gguf
from alignwright.model.gguf_tokenizer import begins_prompts
from alignwright.model.given_template import give_template
from alignwright.model.load import load
from alignwright.model.tokens import Chat
from alignwright.run.export.modelfile import PLAIN, go_template, modelfile, stop
from alignwright.run.export.turn_form import probes, turn_form
from alignwright.run.llama_cpp import serving

TURN = "{{ '<|im_start|>' + role + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
LOOP = "{% for message in messages %}{% set role = message['role'] %}"
HEADER = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
REFUSING = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system message') }}{% endif %}"
UNASKED = (
    LOOP + "{% if loop.first and role != 'system' %}{{ '<|im_start|>system\nBe {{ kind }}.<|im_end|>\n' }}{% endif %}"
    + TURN + "{% endfor %}" + HEADER
)  # fmt: skip
WITHIN = (  # as Gemma's: the system message stands in the first user's turn, and spaces are trimmed
    "{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set first = '' %}{% endif %}" + LOOP +
    "{{ '<|im_start|>' + ('model' if role == 'assistant' else role) + '\n' + (first if loop.first else '')"
    " + message['content'] | trim + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>model\n' }}{% endif %}"
)  # fmt: skip
THINKING = (  # as Qwen3's: a new reply's header is longer than that of the replies before
    LOOP + "{% if role == 'assistant' and loop.last %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' +"
    " message['content'] + '<|im_end|>\n' }}{% else %}" + TURN + "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}{% endif %}"
)  # fmt: skip
ODD = TEMPLATE.replace("+ '\n' }}", '+ \'\u3000"""{\u00a0\U000e0001\\t{{ .Role }}\' }}', 1)
COUNTING = TEMPLATE.replace("{{ '<|im_start|>'", "{{ loop.index0 ~ '<|im_start|>'")
FORMS = {
    "plain": TEMPLATE, "unasked": UNASKED, "within": WITHIN, "refusing": REFUSING + TEMPLATE, "thinking": THINKING,
    "odd": ODD,
}  # fmt: skip


def chat_of(template: str) -> Chat:
    return Chat(make_tokenizer(template))


def conversations(chat: Chat, count: int, *, spaced: bool) -> list[list[Message]]:
    """Conversations of texts that a template or a parser could stumble over, with a system message
    where the template takes one."""
    dice, pieces = (
        random.Random(5),
        ["a", "Zoë ", "{{ .Role }}", '"""', "\\n", "\n\n", "<b>", "-}}", "{%", "0", "%s", "'"],
    )
    form = turn_form(chat.words)
    made: list[list[Message]] = []
    for _ in range(count):
        roles = ["system"] * (form is not None and form.system is not None and dice.random() < 0.5)
        roles += ["user", "assistant"] * dice.randrange(3) + ["user"]
        texts = ["x" + "".join(dice.choices(pieces, k=dice.randrange(6))) + "x" for _ in roles]
        made.append([Message(role=r, content=f"  {t}\n" if spaced else t) for r, t in zip(roles, texts, strict=True)])
    return made


def test_go_writes_what_the_chat_template_writes(tmp_path: Path) -> None:
    chats = {name: chat_of(template) for name, template in FORMS.items()}
    asked = {name: conversations(chat, 40, spaced=name != "within") for name, chat in chats.items()}
    forms = {name: turn_form(chat.words) for name, chat in chats.items()}
    texts = {name: go_template(form) for name, form in forms.items() if form is not None}
    assert texts.keys() == FORMS.keys()
    written = written_by_go(tmp_path, [(texts[name], asked[name]) for name in FORMS])
    for name, rows in zip(FORMS, written, strict=True):
        assert rows == [chats[name].words(messages) for messages in asked[name]], name
    (wrong,) = written_by_go(tmp_path, [(texts["plain"], asked["unasked"])])
    assert wrong != [chats["unasked"].words(messages) for messages in asked["unasked"]]  # the control


def test_what_a_form_says_of_its_template() -> None:
    forms = {name: turn_form(chat_of(template).words) for name, template in FORMS.items()}
    assert {name for name, form in forms.items() if form and form.trims} == {"within"}
    assert {name for name, form in forms.items() if form and form.within} == {"within"}
    assert {name for name, form in forms.items() if form and form.system is None} == {"refusing"}
    assert {name for name, form in forms.items() if form and form.unasked} == {"unasked"}
    assert forms["thinking"] is not None
    assert probes(forms["thinking"]) == 30


@pytest.mark.parametrize(
    "template",
    [
        COUNTING,
        TEMPLATE.replace("message['content']", "message['content'] | replace('<', '&lt;')"),
        TEMPLATE.replace("{{ '<|im_start|>'", "{{ ('again ' if loop.index > 3 else '') + '<|im_start|>'"),
    ],
)
def test_a_template_that_writes_more_than_words_around_messages_has_no_form(template: str) -> None:
    def write(messages: Any, header: bool) -> str:
        asked = [{"role": m.role, "content": m.content} for m in messages]
        return make_tokenizer(template).apply_chat_template(asked, add_generation_prompt=header, tokenize=False)

    assert turn_form(write) is None


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_the_token_that_begins_a_text_is_written_once(name: str, tmp_path: Path) -> None:
    """llama.cpp puts it there, and the known templates write it: the Go template leaves it to llama.cpp."""
    given = give_template(make_base_tokenizer(), ChatFormat(name, KNOWN[name]))
    chat = Chat(given.tokenizer)
    form = turn_form(chat.words, "<s>")
    assert form is not None
    assert begins_prompts(chat)
    assert form.start == "<s>"
    assert form.trims == (name == "llama3")


@pytest.mark.model
@pytest.mark.parametrize("template", ["", "{{ bos_token }}"])
def test_llama_cpp_reads_as_many_tokens_as_the_measured_model(template: str, tmp_path: Path) -> None:
    """A tokenizer that begins texts with a token, with a template that writes it and one that does not."""
    pytest.importorskip("xllamacpp", reason="llama.cpp's server is not installed: pip install xllamacpp")
    (tmp_path / "chat.jinja").write_text(template + TEMPLATE)
    format_ = ChatFormat("./chat.jinja", template + TEMPLATE)
    measured = load(make_base(tmp_path / "base"), chat=format_)
    path = write_gguf(measured, tmp_path / "m.gguf", "f16", facts={"name": "m"})
    with serving(path, slots=1, context=512, threads=1) as (address, _):
        body = {"messages": [{"role": "user", "content": "a b"}], "max_tokens": 1, "temperature": 0}
        _, answer = ask(f"{address}/v1/chat/completions", body)
    assert answer["usage"]["prompt_tokens"] == len(measured.chat.prompt(Conversation.user("a b")))


# ---- Modelfiles ----------------------------------------------------------------------------------
def read_modelfile(text: str) -> list[tuple[str, str]]:
    """The instructions of a Modelfile as Ollama's parser reads them, state by state."""
    commands: list[tuple[str, str]] = []
    state, name, held = "nil", "", ""
    for sign in text:
        new, kept = _next(state, sign)
        if new != state:
            if state == "name":
                name = held.lower()
                assert name in ("from", "template", "parameter", "license", "system"), name
                new = "parameter" if name == "parameter" else new
            elif state == "parameter":
                name = held
            elif state == "value":
                value, whole = _unquoted(held.strip())
                if not whole or sign in " \t":
                    held += sign
                    continue
                commands.append((name, value))
            held, state = "", new
        if kept and (kept == " " or kept.isprintable()):
            held += kept
    assert state == "nil", f"it ends within a {state}"
    assert any(name == "from" for name, _ in commands)
    return commands


def _next(state: str, sign: str) -> tuple[str, str]:
    if state == "nil":
        return ("comment", "") if sign == "#" else ("nil", "") if sign in " \t\r\n" else ("name", sign)
    if state == "comment":
        return ("nil", "") if sign in "\r\n" else ("comment", "")
    if state == "value":
        return ("nil", sign) if sign in " \t\r\n" else ("value", sign)
    assert sign in " \t" or (sign.isascii() and (sign.isalnum() or sign == "_")), (state, sign)
    return ("value", "") if sign in " \t" else (state, sign)


def _unquoted(text: str) -> tuple[str, bool]:
    for quote in ('"""', '"'):
        if text.startswith(quote):
            whole = len(text) >= 2 * len(quote) and text.endswith(quote)
            return (text[len(quote) : -len(quote)], True) if whole else ("", False)
    return text, True


@pytest.mark.parametrize("name", FORMS)
def test_the_parser_reads_the_template_that_was_written(name: str) -> None:
    form = turn_form(chat_of(FORMS[name]).words)
    assert form is not None
    template = go_template(form)
    licence = 'Use "it",\nbut \t not 北京.\n'
    text = modelfile("a b.gguf", template=template, parameters=[stop("<|im_end|>"), ("top_p", "1")], licences=[licence])
    assert read_modelfile(text) == [
        ("from", "./a b.gguf"), ("template", template), ("stop", "<|im_end|>"), ("top_p", "1"), ("license", licence),
    ]  # fmt: skip


def test_what_a_modelfile_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="three quotes"):
        modelfile("a.gguf", template='x"""', parameters=[], licences=[])
    with pytest.raises(ValueError, match="does not print"):
        stop("\u200b")


# ---- the folder ----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> aw.Run:
    return aligned(project(tmp_path_factory.mktemp("project")))


def test_the_folder_holds_the_measured_model_and_how_it_is_asked(run: aw.Run, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", str(run.path), "--to", "ollama", "--no-verify"])
    assert done.exit_code == 0, done.output
    folder = run.path / "export" / "ollama"
    assert f"ollama create small -f {folder / 'Modelfile'}" in done.output.replace("\n", "")
    commands = read_modelfile((folder / "Modelfile").read_text())
    said = dict(commands)
    form = turn_form(run.model().chat.words)
    assert form is not None
    assert said["template"] == go_template(form)
    assert [value for name, value in commands if name == "stop"] == ["<|im_end|>"]
    assert (said["temperature"], said["repeat_penalty"], said["num_ctx"]) == ("0", "1", "2048")
    reader = gguf.GGUFReader(folder / said["from"])
    assert {str(t.tensor_type.name) for t in reader.tensors if t.name.endswith("ffn_up.weight")} == {"Q8_0"}
    assert "license" not in said


def test_the_promises_are_answered_on_the_file(run: aw.Run, tmp_path: Path) -> None:
    done = aw.export(run.path, to="ollama:f16", out=tmp_path / "o", engine="transformers", quiet=True)
    assert done.verification is not None
    assert [(p.before, p.now.answer) for p in done.verification.promises] == [("kept", "kept")]
    assert done.path == tmp_path / "o" / "small-f16.gguf"


def test_a_template_without_a_form_is_left_to_ollama_and_said(tmp_path: Path) -> None:
    long = "{{ 'long\n' if messages | length > 4 else '' }}"
    (tmp_path / "odd.jinja").write_text(long + TEMPLATE)
    spec = project(tmp_path / "project")
    spec.write_text(spec.read_text().replace("model: ./model", f"model: ./model\nchat: {tmp_path / 'odd.jinja'}"))
    done = aw.export(aligned(spec).path, to="ollama", verify=False, quiet=True)
    assert any(line.startswith("no TEMPLATE is in the Modelfile") for line in done.lines)
    assert "template" not in dict(read_modelfile((done.path.parent / "Modelfile").read_text()))


def test_a_model_of_plain_text_is_asked_in_plain_text(tmp_path: Path) -> None:
    spec = project(tmp_path / "project")
    make_base(tmp_path / "project" / "base")
    text = spec.read_text().replace("model: ./model", "model: ./base\nchat: none")
    spec.write_text(text.replace("{by: sft, data: chats.jsonl, ", "{by: pretrain, text: [text.jsonl], "))
    done = aw.export(aligned(spec).path, to="ollama", verify=False, quiet=True)
    assert dict(read_modelfile((done.path.parent / "Modelfile").read_text()))["template"] == PLAIN
