"""Is the import graph free of circles, imports for type checkers and those inside functions included?

A circle of imports is a group of modules none of which can be read, tested or moved without the
others. They are the strongly connected components of the graph (Tarjan 1972), found over the syntax
trees of `src` and of `benchmarks`; a test double shows that one is found where there is one.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def module_name(path: Path, top: Path) -> str:
    parts = path.relative_to(top).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path, module: str) -> Iterator[str]:
    """Every dotted name that a file imports, as `package.module.name`, relative ones made whole."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) + 1 - node.level] if node.level else []
            yield from (".".join([*parents, *filter(None, [node.module]), alias.name]) for alias in node.names)


def import_graph(top: Path, folder: Path) -> dict[str, set[str]]:
    """Module -> the modules of the same tree that it imports. A name is looked up from its longest
    beginning that is a module."""
    paths = {module_name(path, top): path for path in sorted(folder.rglob("*.py"))}

    def resolve(name: str) -> str | None:
        parts = name.split(".")
        return next((m for n in range(len(parts), 0, -1) if (m := ".".join(parts[:n])) in paths), None)

    return {
        module: {m for name in imported_names(path, module) if (m := resolve(name)) is not None and m != module}
        for module, path in paths.items()
    }


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            component = stack[stack.index(module) :]
            del stack[-len(component) :]
            components.append(sorted(component))

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return [component for component in components if len(component) > 1]


@pytest.mark.parametrize(("top", "folder"), [("src", "src/alignwright"), ("benchmarks", "benchmarks")])
def test_no_module_imports_itself_through_others(top: str, folder: str) -> None:
    graph = import_graph(ROOT / top, ROOT / folder)
    edges = sum(map(len, graph.values()))
    assert len(graph) > 20
    assert edges > len(graph) / 2  # a graph that lost its edges would have no circle either
    assert circles(graph) == []


def test_a_circle_is_found_through_a_type_import_and_a_function(tmp_path: Path) -> None:
    package = tmp_path / "house"
    (package / "room").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "room/__init__": "",
        "door": "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from house.room.wall import Wall\n",
        "room/wall": "from . import stone\nclass Wall: ...\n",
        "room/stone": "def carry():\n    import house.door\n",
        "roof": "from .door import x\nfrom house.room import stone\n",
    }.items():
        (package / f"{name}.py").write_text(text)
    graph = import_graph(tmp_path, package)
    assert graph["house.roof"] == {"house.door", "house.room.stone"}
    assert circles(graph) == [["house.door", "house.room.stone", "house.room.wall"]]
    (package / "door.py").write_text("")
    assert circles(import_graph(tmp_path, package)) == []


def test_the_spec_imports_of_a_section_its_knobs_alone() -> None:
    graph = import_graph(ROOT / "src", ROOT / "src" / "alignwright")
    sections = tuple(
        f"alignwright.{name}."
        for name in ("feedback", "aggregate", "train", "attack", "measure", "lens", "oversee", "worlds")
    )
    edges = [
        (module, other)
        for module, others in graph.items()
        if module.startswith("alignwright.experiment.")
        for other in others
        if other.startswith(sections)
    ]
    assert len(edges) > 5  # the control: there are such imports at all
    assert [edge for edge in edges if not edge[1].rpartition(".")[2].startswith("knobs")] == []


@pytest.mark.parametrize("adapter", [False, True])
def test_a_model_is_loaded_asked_and_written_without_peft_until_an_adapter_is_put_over_it(
    adapter: bool, tmp_path: Path
) -> None:
    """peft imports bitsandbytes and torch's compiler with it: a second of every command."""
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "tests")!r})
from tiny import make_tiny
from alignwright.core.records import Conversation
from alignwright.model.gguf_file import write_gguf
from alignwright.model.load import load
import alignwright.run.context, alignwright.run.execute, alignwright.run.judges, alignwright.run.chat
import alignwright.run.serve, alignwright.run.serve_model, alignwright.run.export.verify
policy = load(make_tiny(Path({str(tmp_path)!r})))
policy.generate([Conversation.user("a")], max_new_tokens=2)
policy.save(Path({str(tmp_path)!r}) / "saved")
write_gguf(policy, Path({str(tmp_path)!r}) / "a.gguf", "f16", facts={{"name": "tiny"}})
if {adapter}:
    from alignwright.model.adapters import add_lora
    add_lora(policy, rank=2, seed=0)
print(*[name for name in ("peft", "bitsandbytes", "torch._inductor.lowering") if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ("peft" in shown.stdout.split()) == adapter
    assert adapter or shown.stdout.split() == []
