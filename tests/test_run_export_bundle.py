"""Does a bundle open elsewhere as the run that it was made of, and as nothing that was changed, added or
built to do harm?"""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from run_case import make_project
from stored_run import stored_run
from typer.testing import CliRunner

import alignwright as aw
from alignwright.cli import app
from alignwright.core.promises import Verdict
from alignwright.run.stored_samples import stored_samples

Members = dict[str, bytes]
BROKEN = Verdict(promise="attack.success < 10%", answer="broken", reason="66.7%")
KEPT = Verdict(promise="attack.success < 95%", answer="kept", reason="66.7%")
LINK = 0o120777 << 16


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (folder := tmp_path / "runs").mkdir()
    return stored_run(folder / "small-1", verdicts=(BROKEN, KEPT))


@pytest.fixture
def bundle(run: Path, tmp_path: Path) -> Path:
    (there := tmp_path / "there").mkdir()
    path = aw.export(run, to="bundle", quiet=True).path
    return Path(shutil.copy(path, there / "audit.zip"))


def members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, content: Members, **attributes: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, attributes.get(name, 0o100644 << 16)
            archive.writestr(info, data)


def noted(content: Members, name: str, data: bytes) -> Members:
    """With another file that the manifest knows of: what whoever forges a bundle would do."""
    manifest = json.loads(content["manifest.json"])
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return content | {"manifest.json": json.dumps(manifest).encode(), name: data}


def test_a_bundle_opens_elsewhere_with_the_same_findings_verdict_and_replies(run: Path, bundle: Path):
    results = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["report", str(bundle)])
    assert results.exit_code == 1
    assert "attack.success < 10%" in results.output
    assert hashlib.sha256(bundle.read_bytes()).hexdigest() in results.output
    opened = aw.Run(bundle.parent / "audit" / "small-1")
    assert (opened.findings, opened.promises, opened.exit_code) == (aw.Run(run).findings, (BROKEN, KEPT), 1)
    assert opened.report.is_file()
    assert stored_samples(opened.path, "baseline") == stored_samples(run, "baseline") != []
    again = aw.render_report(bundle, quiet=True)  # a second look takes the place of the first
    assert again.path == opened.path


def test_the_same_run_gives_the_same_bytes_and_no_weights(run: Path, tmp_path: Path):
    (run / "model").mkdir()
    (run / "model" / "model.safetensors").write_bytes(b"weights")
    one, two = (aw.export(run, to="bundle", out=tmp_path / f"{n}.zip", quiet=True).path for n in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    assert sorted(members(one)) == [
        "findings.jsonl", "ledger.json", "manifest.json", "promises.json", "spec/resolved.json",
        "stages/00-measure.0.value@baseline/outcomes.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m | {"findings.jsonl": m["findings.jsonl"].replace(b"0.25", b"0.75")}, "findings.jsonl was changed"),
        (lambda m: m | {"findings.jsonl": m["findings.jsonl"] + b"\n"}, "findings.jsonl was changed"),
        (lambda m: {n: d for n, d in m.items() if n != "spec/resolved.json"}, "spec/resolved.json is missing"),
        (lambda m: m | {"sections.jsonl": b""}, "sections.jsonl was added"),
        (lambda m: {n: d for n, d in m.items() if n != "manifest.json"}, "manifest.json is missing"),
        (lambda m: m | {"manifest.json": b'{"version": 2}'}, "manifest.json: version"),
        (lambda m: noted(m, "model/model.safetensors", b"x"), "a bundle holds no such file"),
        (lambda m: noted(m, "model/README.md", b"x"), "a bundle holds no such file"),
        (lambda m: noted(m, "../findings.jsonl", b"x"), "no plain path"),
        (lambda m: noted(m, "spec/../../x.json", b"x"), "no plain path"),
        (lambda m: noted(m, "/tmp/x.json", b"x"), "no plain path"),
        (lambda m: noted(m, "spec\\..\\x.json", b"x"), "no plain path"),
        (lambda m: noted(m, "spec/NUL.json", b"x"), "no plain path"),
        (lambda m: noted(m, "spec/RESOLVED.json", b"x"), "it is there twice"),
        (
            lambda m: m | {"manifest.json": m["manifest.json"].replace(b'"run": "small-1"', b'"run": "../../x"')},
            "no plain name of a folder",
        ),
        (
            lambda m: noted(m, "promises.json", m["promises.json"].replace(b'"broken"', b'"kept"')),
            "stored as kept, but the findings answer broken",
        ),
    ],
)  # fmt: skip
def test_what_was_changed_is_an_error_that_names_it_and_nothing_is_written(
    bundle: Path, change: Callable[[Members], Members], words: str
):
    write(bundle, change(members(bundle)))
    result = CliRunner().invoke(app, ["report", str(bundle)])
    assert isinstance(result.exception, ValueError)
    assert str(bundle) in str(result.exception)
    assert words in str(result.exception)
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["audit.zip"]


def test_the_zip_written_anew_without_a_change_opens(bundle: Path):
    """The control of the test above."""
    write(bundle, members(bundle))
    assert aw.render_report(bundle, quiet=True).verdict == "broken"


def test_links_bombs_and_twins_are_refused(bundle: Path):
    content = members(bundle)
    write(bundle, content, **{"promises.json": LINK})
    assert stat.S_ISLNK(LINK >> 16)
    with pytest.raises(ValueError, match=r"promises.json.*no plain file"):
        aw.render_report(bundle, quiet=True)
    write(bundle, noted(content, "attacks.jsonl", b"\0" * (33 * 2**20)))
    with pytest.raises(ValueError, match="it would unpack to"):
        aw.render_report(bundle, quiet=True)
    write(bundle, content)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("findings.jsonl", b"")
    with pytest.raises(ValueError, match=r"findings.jsonl.*twice"):
        aw.render_report(bundle, quiet=True)
    write(bundle, content)
    whole = bundle.read_bytes()
    for data in (whole[:-30], b"not a zip"):
        bundle.write_bytes(data)
        with pytest.raises(ValueError, match="no zip file, or a damaged one"):
            aw.render_report(bundle, quiet=True)
    place = whole.index(b"promises.json") + 60  # within the packed bytes
    bundle.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
    with pytest.raises(ValueError, match=r"promises.json (is damaged|was changed)"):
        aw.render_report(bundle, quiet=True)


def test_a_size_in_the_directory_that_is_too_small_unpacks_no_more(bundle: Path):
    """The directory of a zip is the sender's word: what is unpacked is counted, too."""
    write(bundle, noted(members(bundle), "attacks.jsonl", b"\n" * 1000))
    data = bundle.read_bytes()
    place = data.rindex(b"PK\1\2", 0, data.rindex(b"attacks.jsonl"))
    bundle.write_bytes(data[: place + 24] + (10).to_bytes(4, "little") + data[place + 28 :])
    with pytest.raises(ValueError, match=r"attacks.jsonl (is damaged|was changed)"):
        aw.render_report(bundle, quiet=True)


def test_other_peoples_files_stay(bundle: Path):
    (bundle.parent / "audit").mkdir()
    (bundle.parent / "audit" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is in the way"):
        aw.render_report(bundle, quiet=True)
    assert (bundle.parent / "audit" / "mine.txt").read_text() == "mine"


def test_keys_secrets_and_uncommitted_code_stay_out(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (run / "spec" / "provenance.json").write_text(
        json.dumps({"git": {"commit": "abc", "diff": "+ private"}, "seed": 1})
    )
    (run / "spec" / "spec.yaml").write_text("model: https://me:pass@host/v1?key=abc#m\n")
    content = members(aw.export(run, to="bundle", out=tmp_path / "a.zip", quiet=True).path)
    assert json.loads(content["spec/provenance.json"]) == {"git": {"commit": "abc", "diff": None}, "seed": 1}
    assert content["spec/spec.yaml"] == b"model: https://...@host/v1?...#m\n"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-key")
    (run / "spec" / "spec.yaml").write_text("notes: sk-planted-key\n")
    with pytest.raises(ValueError, match=r"spec/spec.yaml holds the value of OPENAI_API_KEY"):
        aw.export(run, to="bundle", out=tmp_path / "b.zip", quiet=True)
    assert not (tmp_path / "b.zip").exists()


def test_a_stage_that_was_changed_is_not_bundled(run: Path):
    with (run / "stages" / "00-measure.0.value@baseline" / "outcomes.jsonl").open("a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match=r"outcomes.jsonl has .* bytes"):
        aw.export(run, to="bundle", quiet=True)


def test_a_whole_run_is_bundled_judged_again_there_and_never_taken_over(tmp_path: Path):
    spec = make_project(tmp_path / "project")
    run = aw.audit(spec, model=spec.parent / "model", runs=tmp_path / "runs", quiet=True)
    bundle = aw.export(run.path, to="bundle", out=tmp_path / "there.zip", quiet=True).path
    opened = aw.render_report(bundle, quiet=True)
    assert (opened.exit_code, opened.findings) == (run.exit_code, run.findings)
    assert not list(opened.path.rglob("*.safetensors"))
    one, two = (aw.rejudge(path, judge="rules", quiet=True).agreements for path in (run.path, opened.path))
    assert one == two != {}
    assert not list(tmp_path.glob("*/ledger.json"))
