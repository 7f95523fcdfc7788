"""Is a GGUF file parsed once for all who open it, and to the same model?"""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
from tiny import make_tiny

from alignwright.model import load as load_module
from alignwright.model.gguf_file import write_gguf
from alignwright.model.gguf_once import parsed_once
from alignwright.model.load import load


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    return write_gguf(load(make_tiny(folder / "model")), folder / "a.gguf", "f16", facts={"name": "tiny"})


def test_one_parse_serves_all_and_the_package_is_as_before_then(file: Path, tmp_path: Path) -> None:
    before = gguf.GGUFReader, gguf.get_tensor_name_map
    other = tmp_path / "b.gguf"
    other.write_bytes(file.read_bytes())
    with parsed_once(file) as reader:
        assert gguf.GGUFReader(file) is gguf.GGUFReader(str(file), "r") is reader
        assert gguf.GGUFReader(other) is not reader
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
        assert gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2) is names
        assert gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 3) is not names
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == before
    with pytest.raises(RuntimeError, match="spoilt"), parsed_once(file):
        raise RuntimeError("spoilt")
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == before


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
