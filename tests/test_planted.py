"""scripts/planted, on studies whose truth is known: it counts what is false, and little is."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats
from support import script_module

import planted_studies

CELLS = {cell.name: cell for cell in planted_studies.CELLS}
FALSE = ("false_different", "false_equivalent", "false_better")
STUDIES = 12


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("planted")


def row_of(script: ModuleType, cell: planted_studies.Cell) -> dict[str, Any]:
    outcomes = [script.watched(cell, np.random.default_rng([3, study])) for study in range(STUDIES)]
    row: dict[str, Any] = script.summary(cell, outcomes)
    return row


@pytest.mark.parametrize(("name", "decided"), [("equal-pair", 0.0), ("pair-3", 0.9), ("equal-360", 0.0)])
def test_hardly_any_study_tells_what_is_not_so(script: ModuleType, name: str, decided: float) -> None:
    row = row_of(script, CELLS[name])
    most = stats.binom.ppf(0.999, STUDIES, 0.05)
    assert [kind for kind in FALSE if row[kind][0] * STUDIES > most] == []
    assert row["all_covered"] * STUDIES >= STUDIES - most
    assert row["decided"] >= decided
    assert row["first"] <= row["trainings"] <= len(CELLS[name].gaps) * planted_studies.MOST_SEEDS


def test_a_large_difference_is_decided_with_few_trainings(script: ModuleType) -> None:
    cell = replace(CELLS["pair-3"], gaps=(30.0, 0.0))
    assert row_of(script, cell)["trainings"] <= 4 * len(cell.gaps)


def test_what_is_false_is_counted(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies whose second level is the better one, held against the truth that the first one is."""
    cell = CELLS["pair-3"]

    def swapped(_: planted_studies.Cell, generator: np.random.Generator) -> planted_studies.Planted:
        drawn = planted_studies.study_of(cell, generator)
        return replace(drawn, accuracies=drawn.accuracies[::-1])

    monkeypatch.setattr(script, "study_of", swapped)
    row = row_of(script, cell)
    assert row["false_different"][0] >= 0.9
    assert row["all_covered"] <= 0.1


def test_the_script_prints_a_line_and_json_for_a_cell(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "CHUNK", 1)
    monkeypatch.setattr(script, "ProcessPoolExecutor", lambda: ThreadPoolExecutor(1))
    monkeypatch.setattr(sys, "argv", ["planted", "--cell", "pair-3", "--studies", "2", "--json"])
    script.main()
    told = capsys.readouterr()
    (row,) = json.loads(told.out)
    assert (row["cell"], row["studies"], row["known"]) == ("pair-3", 2, 12)
    assert told.err.splitlines()[-1].startswith("pair-3 ")
