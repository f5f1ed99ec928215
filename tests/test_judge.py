"""`cnnkit judge` gives a table of accuracies the verdict that a comparison gives the same numbers."""

import html
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import call

import cnnkit
from cnnkit.api.judge import judge
from cnnkit.errors import DataError, UsageError
from cnnkit.report.page import write_report

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
    assert json.loads(call(capsys, "judge", table, "--json").out)["function"] == "table.csv"


FOUR = "level,seed,accuracy\na,1,0.5\nb,1,0.6\na,2,0.5\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("level,seed\na,1\n", "there is no accuracy in 'level; seed'"),
        ("0.5,0.6,0.7\n", r"table\.csv:1: expected a line that names the columns level, seed and accuracy"),
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("level,seed,accuracy\n", "0 levels and 0 seeds"),
        ("level,seed,accuracy\na,1,0.5\n", "1 level and 1 seed; a verdict takes at least two of each"),
        ("level,seed,accuracy\na,1,0.5\na,1,0.6\n", r"table\.csv:3: a with seed 1 is there twice"),
        ("level,seed,accuracy\na,1,high\n", r"table\.csv:2: 'high' is no accuracy"),
        ("level,seed,accuracy\na,1,0.5\na,2,0.5\n", "1 level and 2 seeds"),
        ("level,seed,accuracy\n\na,1,0.5\nb,1,nan\n", r"table\.csv:4: 'nan' is no accuracy"),
        ("level,seed,accuracy\na,1,0.5\nb,1,\n", r"table\.csv:3: '' is no accuracy"),
        ("level,seed,accuracy\na,1,1_0\n", r"table\.csv:2: '1_0' is no accuracy"),
        ("level,seed,accuracy\na,1,50\nb,1,101\n", r"table\.csv:3: an accuracy is 0 to 1.* '101' is not"),
        ("level,seed,accuracy\na,1,-0.1\n", r"table\.csv:2: an accuracy is .* '-0.1' is not"),
        ("level,seed,accuracy\na,1,50\nb,1,0.5\n", r"table\.csv:3: '0.5' is a fraction, and other"),
        ("level,seed,accuracy\na,1,50%\nb,1,50\n", r"table\.csv:3: '50' has no %, and other"),
        ("level,seed,accuracy\na,1\n", r"table\.csv:2: the line has 2 of 3 columns"),
        (
            "level,seed,accuracy\na,1,0,91\n",
            r"table\.csv:2: the line has 4 cells, .* 3 columns; decimal",
        ),
        ("level,seed,accuracy\n,1,0.5\n", r"table\.csv:2: the level is empty"),
        ("level,seed,accuracy\na,,0.5\n", r"table\.csv:2: the seed is empty"),
        ("level,seed,seed,accuracy\na,1,1,0.5\n", "the column seed is there twice"),
        ("level,seed,accuracy,seconds\na,1,0.5,-3\n", r"table\.csv:2: '-3' is no number of seconds"),
        ("level,seed,accuracy\na,1,0.5\na,2,0.5\nb,3,0.5\nb,4,0.5\n", "a shares 0 seeds with any other"),
        (FOUR, "a shares 1 seed with any other level"),
        ("a/0,b/0,b/0\n1,1,1\n", "the column b/0 is there twice"),
        ("a/0,b_0\n1,1\n", "the column 'b_0' is named neither level/seed"),
        ("a/0,b/0\n", "holds no image"),
        ("a/0,b/0\n1,0\n1,2\n", r"table\.csv:3: '2' in the column b/0 is neither 1, right, nor 0, wrong"),
        ("a/0,b/0\n1,0\n1\n", r"table\.csv:3: the line has 1 columns, and the first line 2"),
    ],
)
def test_what_is_no_such_table_is_told_in_words(text: str, told: str) -> None:
    Path("table.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        judge(Path("table.csv"))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "is a binary file; name a CSV file"),
        (b"level\0seed", "is a binary file"),
        (b"PK\x03\x04rest", "is a spreadsheet: save it as CSV"),
        ("level,seed,accuracy\né,1,0.5\n".encode("cp1252"), "is not UTF-8"),
        (b'level,seed,accuracy\n"a,1,0.5' + b"x" * 200_000, "this is no CSV"),
    ],
)
def test_a_file_of_another_kind_is_told(raw: bytes, told: str) -> None:
    Path("table.csv").write_bytes(raw)
    with pytest.raises(DataError, match=told):
        judge(Path("table.csv"))


def test_a_missing_table_is_told() -> None:
    with pytest.raises(UsageError, match=r"none\.csv: no such file"):
        judge(Path("none.csv"))
    with pytest.raises(UsageError, match=r"\. is a folder; name a CSV file"):
        judge(Path())


def test_what_a_table_does_not_tell_is_not_printed(tmp_path: Path, capsys: Capture) -> None:
    rows = [f"{level},{seed},{accuracy}" for seed in range(3) for level, accuracy in (("a", 0.9), ("b", 0.8))]
    (tmp_path / "table.csv").write_text("\n".join(["level,seed,accuracy", *rows]))
    out = call(capsys, "judge", tmp_path / "table.csv").out
    assert "verdict" in out
    assert not {"training", "parameters", "images/s"} & set(out.split())


def german(rows: dict[tuple[str, int], float]) -> str:
    lines = [
        f"{level};{seed};{100 * value:.12f} %".replace(".", ",") for (level, seed), value in rows.items()
    ]
    return "\n".join(["level;seed;accuracy", *lines, ";;"]) + "\n"


@pytest.mark.parametrize(
    "form",
    [
        lambda rows: german(rows).encode(),
        lambda rows: ("sep=;\r\n" + german(rows).replace("\n", "\r\n")).encode("utf-8-sig"),
        lambda rows: german(rows).replace(";", "\t").encode("utf-16"),
        lambda rows: german(rows).replace(" %", "%").replace(";", "; ").encode(),
    ],
    ids=["semicolons", "excel", "tabs", "spaces"],
)
def test_what_spreadsheets_write_means_the_same(form: Any) -> None:
    rows = made(0.02)
    plain = judge(write(rows))
    Path("table.csv").write_bytes(form(rows))
    other = judge(Path("table.csv"))
    assert [pair.verdict for pair in other.pairs] == [pair.verdict for pair in plain.pairs]
    for one, same in zip(plain.levels, other.levels, strict=True):
        assert same.accuracies == pytest.approx(one.accuracies)
        assert (one.name, one.seeds) == (same.name, same.seeds)


RIGHT = {
    (level, seed): np.random.default_rng([number, seed]).random(400) < 0.9 - 0.3 * number
    for number, level in enumerate(("max", "a/b"))
    for seed in range(3, 9)
}


def write_images(right: dict[tuple[str, int], Any], index: bool = True) -> Path:
    names = [f"{level}/{seed}" for level, seed in right]
    rows = [[f"{i}.png", *(str(int(of[i])) for of in right.values())] for i in range(400)]
    lines = [",".join(row if index else row[1:]) for row in [["image", *names], *rows]]
    path = Path("images.csv")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("index", [True, False])
def test_a_table_of_images_is_judged_as_a_comparison_of_the_same_answers(index: bool) -> None:
    found = judge(write_images(RIGHT, index))
    wanted = cnnkit.compare(
        lambda level, seed: RIGHT[level, seed + 3],
        {"level": ["max", "a/b"]},
        seeds=6,
        out="own",
        progress=False,
    ).results
    assert [pair.to_dict() for pair in found.pairs] == [pair.to_dict() for pair in wanted.pairs]
    assert (found.pairs[0].verdict, found.test_images, found.margin) == ("better", 400, wanted.margin)
    assert (found.seeds, wanted.seeds) == ([*range(3, 9)], [*range(6)])
    accuracies = [[float(RIGHT[level.name, seed].mean()) for seed in range(3, 9)] for level in found.levels]
    assert [level.accuracies for level in found.levels] == accuracies


def test_accuracies_of_the_same_answers_say_no_more_than_on_these_images() -> None:
    found = judge(write({key: float(right.mean()) for key, right in RIGHT.items()}))
    assert (found.pairs[0].verdict, found.test_images) == ("better on these images", 0)


def test_more_seeds_are_asked_for_without_an_option_that_the_command_does_not_have(capsys: Capture) -> None:
    told = call(capsys, "judge", write({(level, seed): 0.5 for level in "ab" for seed in (1, 2)})).err
    assert ("that takes 4\n" in told, "--seeds" in told) == (True, False)


def test_a_line_may_end_with_empty_cells() -> None:
    lines = [f"{level},{seed},0.{seed}5,," for level in "ab" for seed in (1, 2)]
    Path("table.csv").write_text("\n".join(["level,seed,accuracy", *lines]))
    assert [level.accuracy.mean for level in judge(Path("table.csv")).levels] == pytest.approx([0.2, 0.2])


def test_a_difference_is_over_the_seeds_that_both_have_and_what_is_missing_is_told(capsys: Capture) -> None:
    rows = made(0.02)
    less = {key: value for key, value in rows.items() if key not in {("sgd", 21), ("adam", 10)}}
    table = write(less)
    found = judge(table)
    (pair,) = found.pairs
    assert (pair.seeds, {len(level.seeds) for level in found.levels}) == (10, {11})
    both = [rows["sgd", seed] - rows["adam", seed] for seed in range(11, 21)]
    assert abs(pair.difference.mean) == pytest.approx(-sum(both) / 10, rel=0.05)
    told = "the table has no sgd with seed 21 and adam with seed 10: a difference is over the seeds"
    assert told in found.warnings[0]
    assert f"warning: {told}" in call(capsys, "judge", table).err


def test_seeds_that_are_no_numbers_in_a_row_are_numbered_and_that_is_told() -> None:
    rows = {(level, seed): 0.5 + 0.01 * seed / 1000 for level in "ab" for seed in (1, 42, 1337)}
    found = judge(write(rows))
    assert (found.seeds, len(found.trials)) == ([0, 1, 2], 6)
    assert found.warnings[-1] == "the seeds of the table, 1 to 1337, are numbered from 0 on"


def test_seconds_are_taken_where_the_table_tells_them(capsys: Capture) -> None:
    rows = [f"{level},{seed},0.{8 + (level == 'a')}{seed},{9 + seed}" for seed in range(3) for level in "ab"]
    Path("table.csv").write_text("\n".join(["level,seed,accuracy,seconds", *rows]))
    assert {level.timing.train_seconds for level in judge(Path("table.csv")).levels} == {10.0}
    assert "10.0 s" in call(capsys, "judge", "table.csv", "--out", "kept").out
    assert "10.0 s" in words_of(Path("kept"))


def words_of(study: Path) -> str:
    """The report, without marks."""
    page = write_report(study).read_text(encoding="utf-8")
    page = re.sub(r"<(style|script).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.mark.parametrize("of_images", [True, False])
def test_the_report_speaks_of_the_table_and_of_no_function(of_images: bool) -> None:
    table = write_images(RIGHT) if of_images else write(made(0.02))
    judge(table, out=Path("kept"))
    told = words_of(Path("kept"))
    assert told.startswith(f"level in {table.name}: cnnkit comparison")
    assert f"The numbers are those of the table {table.name}" in told
    for word in ("function", "0.0 s", "judge.accuracy", "was called", "each call", "this is not drawn"):
        assert word not in told
    assert ("are named by their place in the table" in told) == of_images
    assert ("better on these images ." in told) != of_images


def test_what_a_judged_study_does_not_hold_is_told(capsys: Capture) -> None:
    judge(write(made(0.02)), out=Path("kept"))
    none = "kept compares the numbers in the table table.csv: there are no networks to"
    for words in (("play", "kept"), ("probe", "kept")):
        outcome = call(capsys, *words)
        assert (outcome.code, none in outcome.err) == (2, True)
    outcome = call(capsys, "report", "kept", "--csv", "a.csv", "--csv-images", "b.csv")
    assert (outcome.code, "the table holds accuracies alone" in outcome.err) == (1, True)
    assert not [path for path in ("a.csv", "b.csv", "kept/report.html") if Path(path).exists()]
    assert call(capsys, "report", "kept", "--csv", "a.csv").code == 0
    assert Path("a.csv").read_bytes() == Path("kept/trials.csv").read_bytes()
    assert "whether the table was right" in call(capsys, "compare", "--verify", "kept").out
    resumed = call(capsys, "compare", "--resume", "--out", "kept").err
    assert "the numbers in the table table.csv; cnnkit trained nothing of it" in resumed
    assert not list(Path("kept").rglob("environment.json"))  # that of the trainings is not known


def test_nothing_is_overwritten(capsys: Capture) -> None:
    table = write(made(0.02))
    judge(table, out=Path("kept"))
    before = Path("kept/results.json").read_bytes()
    outcome = call(capsys, "judge", write(made(0.0)), "--out", "kept")
    assert (outcome.code, "kept holds a study, and nothing is overwritten" in outcome.err) == (2, True)
    assert Path("kept/results.json").read_bytes() == before
    assert call(capsys, "judge", table, "--out", ".").code == 2


def test_the_table_of_trials_of_a_study_can_be_judged(capsys: Capture) -> None:
    judged = judge(write(made(0.02)), out=Path("kept"))
    again = judge(Path("kept/trials.csv"))
    assert [pair.verdict for pair in again.pairs] == [pair.verdict for pair in judged.pairs]
    assert again.seeds == judged.seeds
