"""Is a GGUF file parsed once for all who open it, and to the same model?"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from tiny import make_tiny
from transformers import modeling_gguf_pytorch_utils as header_reader

from alignwright.model import load as load_module
from alignwright.model.gguf_file import write_gguf
from alignwright.model.gguf_once import parsed_once
from alignwright.model.load import load


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    return write_gguf(load(make_tiny(folder / "model")), folder / "a.gguf", "f16", facts={"name": "tiny"})


def test_one_parse_serves_all_and_the_package_is_as_before_then(file: Path, tmp_path: Path) -> None:
    before, value_of = (gguf.GGUFReader, gguf.get_tensor_name_map), vars(header_reader)["_gguf_parse_value"]
    other = tmp_path / "b.gguf"
    other.write_bytes(file.read_bytes())
    with parsed_once(file) as reader:
        assert gguf.GGUFReader(file) is gguf.GGUFReader(str(file), "r") is reader
        assert gguf.GGUFReader(other) is not reader
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
        assert gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2) is names
        assert gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 3) is not names
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == before
    assert vars(header_reader)["_gguf_parse_value"] is value_of
    with pytest.raises(RuntimeError, match="spoilt"), parsed_once(file):
        raise RuntimeError("spoilt")
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == before
    assert vars(header_reader)["_gguf_parse_value"] is value_of


def test_every_field_and_tensor_is_as_the_package_reads_it(file: Path) -> None:
    plain = gguf.GGUFReader(file)
    with parsed_once(file) as reader:
        assert list(reader.fields) == list(plain.fields)
        for name, field in plain.fields.items():
            other = reader.fields[name]
            assert (other.offset, other.types) == (field.offset, field.types)
            assert other.contents() == field.contents()
        for one, other in zip(plain.tensors, reader.tensors, strict=True):
            assert (one.name, one.tensor_type, list(one.shape)) == (other.name, other.tensor_type, list(other.shape))
            assert np.array_equal(one.data, other.data)


def test_the_folder_is_the_same_to_the_byte_and_the_header_is_read_once(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parses: list[str] = []
    plain_init = gguf.GGUFReader.__init__

    def counting(self: gguf.GGUFReader, path: object, mode: object = "r") -> None:
        parses.append(str(path))
        plain_init(self, path, mode)  # type: ignore[arg-type]

    monkeypatch.setattr(gguf.GGUFReader, "__init__", counting)
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
    load_module._dequantise(file, tmp_path / "once")
    assert len(parses) == 1
    parses.clear()
    monkeypatch.setattr(load_module, "parsed_once", lambda _: __import__("contextlib").nullcontext())
    load_module._dequantise(file, tmp_path / "again")
    assert len(parses) > 1  # the control
    once, again = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("once", "again"))
    assert once == again


def test_a_header_that_ends_within_a_list_of_words_is_said_so(file: Path, tmp_path: Path) -> None:
    data, short = file.read_bytes(), tmp_path / "short.gguf"
    short.write_bytes(data[: data.index(b"tokenizer.ggml.tokens") + 200])
    with pytest.raises(ValueError, match=r"the file ends within word \d+ of \d+ of a list"), parsed_once(short):
        pass


def test_the_file_that_was_named_is_opened_and_none_of_its_name_in_the_working_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers takes a bare name for a file of the working folder where there is one."""
    other = load(make_tiny(tmp_path / "other", seed=9))
    write_gguf(other, tmp_path / "here" / file.name, "f16", facts={"name": "other"})
    monkeypatch.setenv("ALIGNWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "here")
    weight = load(file).model.get_input_embeddings().weight
    own = load(file.parent / "model").model.get_input_embeddings().weight
    assert (weight - own).abs().max() < 1e-3
    assert (other.model.get_input_embeddings().weight - own).abs().max() > 0.1  # the control
