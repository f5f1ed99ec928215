"""`cnnkit judge` gives a table of accuracies the verdict that a comparison gives the same numbers."""

import json
import random
from pathlib import Path

import pytest
from support import call

import cnnkit
from cnnkit.api.judge import judge
from cnnkit.errors import DataError, UsageError

Capture = pytest.CaptureFixture[str]


def write(rows: dict[tuple[str, int], float], header: str = "level,seed,accuracy") -> Path:
    lines = [header, *(f"{level},{seed},{accuracy!r}" for (level, seed), accuracy in rows.items())]
    path = Path("table.csv")
    path.write_text("\n".join(lines) + "\n")
    return path


def made(gap: float) -> dict[tuple[str, int], float]:
    draw = random.Random(0)
    base = {"sgd": 0.9, "adam": 0.9 + gap}
    return {(level, seed): base[level] + draw.gauss(0, 0.002) for level in base for seed in range(10, 22)}


@pytest.mark.parametrize(("gap", "verdict"), [(0.0, "equivalent"), (0.02, "worse on these images")])
def test_the_verdict_is_that_of_a_comparison(gap: float, verdict: str) -> None:
    rows = made(gap)
    found = judge(write(rows), 0.5)
    wanted = cnnkit.compare(
        lambda level, seed: rows[level, seed + 10],
        {"level": ["sgd", "adam"]},
        seeds=12,
        margin=0.5,
        out="own",
        progress=False,
    ).results
    assert [pair.to_dict() for pair in found.pairs] == [pair.to_dict() for pair in wanted.pairs]
    assert [(pair.a, pair.b, pair.verdict) for pair in found.pairs] == [("sgd", "adam", verdict)]
    assert {level.name: level.accuracy for level in found.levels} == {
        level.name: level.accuracy for level in wanted.levels
    }


def test_percentages_and_other_orders_mean_the_same() -> None:
    rows = made(0.02)
    fractions = judge(write(rows))
    percent = {key: 100 * value for key, value in reversed(rows.items())}
    percentages = judge(write(percent, "Level, Seed, Accuracy"))
    for one, other in zip(fractions.levels, percentages.levels, strict=True):
        assert (one.name, one.accuracy.mean) == (other.name, pytest.approx(other.accuracy.mean))


def test_the_command_prints_and_keeps_what_a_comparison_does(capsys: Capture) -> None:
    table = write(made(0.02))
    told = call(capsys, "judge", table, "--out", "kept")
    assert (told.code, told.out.startswith("level adam")) == (0, True)
    assert str(cnnkit.open_study("kept")) in " ".join(told.out.split())
    assert json.loads(call(capsys, "judge", table, "--json").out)["function"] == "cnnkit.api.judge.accuracy"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("level,seed\na,1\n", "there is no accuracy"),
        ("", "there is no level, seed and accuracy"),
        ("level,seed,accuracy\na,1,0.5\na,1,0.6\n", r"table\.csv:3: a with seed 1 is there twice"),
        ("level,seed,accuracy\na,1,high\n", r"table\.csv:2: 'high' is no accuracy"),
        ("level,seed,accuracy\na,1,0.5\na,2,0.5\nb,1,0.5\n", "there is no b with seed 2"),
        ("level,seed,accuracy\na,1,0.5\na,2,0.5\n", "1 level and 2 seeds"),
        ("level,seed,accuracy\na,1,0.5\nb,1,nan\n", "nan is not"),
        ("level,seed,accuracy\na,1,50\nb,1,101\n", "101 is not"),
    ],
)
def test_what_is_no_such_table_is_told_in_words(text: str, told: str) -> None:
    Path("table.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        judge(Path("table.csv"))


def test_a_missing_table_is_told() -> None:
    with pytest.raises(UsageError, match=r"none\.csv: no such file"):
        judge(Path("none.csv"))


def test_what_a_table_does_not_tell_is_not_printed(tmp_path: Path, capsys: Capture) -> None:
    rows = [f"{level},{seed},{accuracy}" for seed in range(3) for level, accuracy in (("a", 0.9), ("b", 0.8))]
    (tmp_path / "table.csv").write_text("\n".join(["level,seed,accuracy", *rows]))
    out = call(capsys, "judge", tmp_path / "table.csv").out
    assert "verdict" in out
    assert not {"training", "parameters", "images/s"} & set(out.split())
