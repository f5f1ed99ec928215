"""The report: all of it is there, its numbers are those of the files, and a browser shows it whole."""

import hashlib
import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsers import chromium
from conftest import TINY
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader
from support import Here, Tiny, call, finished_run, keep_json, kept_json

from cnnkit.additive import NOISY
from cnnkit.closed_testing import EXACT_LEVELS
from cnnkit.comparison.records import LevelResult, LevelTiming
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.config.load import parse_config
from cnnkit.errors import DataError, UsageError
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.poolings import POOLINGS
from cnnkit.filenames import MANIFEST, METRICS, PREDICTIONS, REPORT, RESULT, RESULTS, STUDY, TRIALS
from cnnkit.nn.layers import SameConv2d
from cnnkit.report.activations import activation_plots, values_and_slopes
from cnnkit.report.axes import BOTTOM, HEIGHT, WIDTH, Axis, accuracy_axis, axis_over, labels
from cnnkit.report.curves import HOW_MEASURED
from cnnkit.report.figures import points
from cnnkit.report.labels import LETTER, LINE, LONGEST
from cnnkit.report.page import write_report
from cnnkit.report.plots import (
    CostPoint,
    cost_panel,
    dashes_of,
    dot_rows,
    pareto_front,
    shape_of,
    spread_dots,
)
from cnnkit.report.pooled import pooled_maps
from cnnkit.report.study import study_view
from cnnkit.report.template import TEMPLATES, breakable
from cnnkit.sequential import ENOUGH, PRIOR
from cnnkit.stats import Interval
from cnnkit.words import listed

HOSTILE = "<script>alert(1)</script>&'\""
BROKEN = f"it broke {HOSTILE}"
SECTIONS = [
    "answer",
    "ranking",
    "seeds",
    "pairs",
    "growth",
    "costs",
    "poolings",
    "curves",
    "confusions",
    "gallery",
    "filters",
    "maps",
]
SECTIONS += ["evidence", "method", "warnings", "provenance"]
WITHOUT_POOLINGS = [name for name in SECTIONS if name != "poolings"]
COMPARING = ["ranking", "seeds", "pairs", "growth", "costs", "confusions", "gallery"]
WITH_DAMAGE = [SECTIONS[0], "damage", *SECTIONS[1:]]
RUN_SECTIONS = [
    "answer",
    "curves",
    "reliability",
    "confusions",
    "mistakes",
    "filters",
    "maps",
    "evidence",
    "dropout",
    "provenance",
]
STRATEGIES = ["stride", "max", "avg", "concat"]


def compared(
    folder: Path, key: str, values: Sequence[Any], seeds: int, *overrides: str, **options: Any
) -> Path:
    study = plan_study(parse_config(TINY, "tiny", overrides), key, values, seeds)
    run_study(study, folder, Here(folder / TRIALS, **options))
    return folder


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """Four strategies, two seeds, from a hostile data root. No test may change it: copy it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        folder = tmp_path_factory.mktemp("report") / "study"
        root = f"data.root={json.dumps(HOSTILE)}"
        return compared(folder, "model.pooling", STRATEGIES, 2, root)


@pytest.fixture(scope="session")
def of_two_keys(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """Seven networks with long names, as of `compare-pooling --orders`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        folder = tmp_path_factory.mktemp("report") / "orders"
        orders = {"model.order": ["activation_first", "pooling_first"]}
        base = parse_config(TINY, "tiny", ["training.epochs=1"])
        run_study(
            plan_study(base, "model.pooling", STRATEGIES, 2, beside=orders), folder, Here(folder / TRIALS)
        )
    return folder


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_study, tmp_path / "study"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    return finished_run(tmp_path_factory.mktemp("report") / "run", shared_cache, "model.pooling=concat")


def drawn(folder: Path) -> str:
    """The page that is drawn into a folder; what every page has to keep is checked here."""
    path = write_report(folder)
    assert path == folder / REPORT
    page = path.read_text(encoding="utf-8")
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    for source in re.findall(r"""(?:src|href)=["']?([^"'\s>]+)""", page):
        assert source.startswith(("data:", "#")), source
    anchors = re.findall(r'href="#([^"]+)"', page)
    assert set(anchors) <= set(re.findall(r'id="([^"]+)"', page))
    assert navigation(page) == re.findall(r'<section id="([^"]+)">\n<h2>([^<]+)</h2>', page)
    return page


def navigation(page: str) -> list[tuple[str, str]]:
    """The target and the words of each link in the navigation."""
    nav = page[page.index("<nav") : page.index("</nav>")]
    return re.findall(r'<a href="#([^"]+)">([^<]+)</a>', nav)


def sections(page: str) -> list[str]:
    return re.findall(r'<(?:section|header) id="([^"]+)"', page)


def results_of(folder: Path) -> dict[str, Any]:
    return kept_json(folder / RESULTS)


def rename(folder: Path, old: str, new: str) -> None:
    """Gives a level another name, in both files that hold it."""
    for name in (RESULTS, STUDY):
        text = json.dumps(kept_json(folder / name)).replace(json.dumps(old), json.dumps(new))
        (folder / name).write_text(text)


# --- a comparison -----------------------------------------------------------------------------------


def test_every_section_is_there_and_in_order(study: Path) -> None:
    page = drawn(study)
    assert sections(page) == SECTIONS
    assert page.count("<figcaption>") == 10
    for strategy in ("stride", "max", "avg"):
        assert page.count(f'alt="what {strategy} leaves of it"') == (strategy in STRATEGIES)


def test_the_ranked_table_tells_the_numbers_of_the_results(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drawn(study).count("too few seeds") >= len(STRATEGIES)
    monkeypatch.setattr("cnnkit.comparison.intervals.FEWEST_SEEDS", 2)
    page, results = drawn(study), results_of(study)
    rows = page[page.index('id="ranking"') : page.index('id="seeds"')].split("<tr>")[2:]
    assert len(rows) == len(STRATEGIES)
    for row, level in zip(rows, results["levels"], strict=True):
        assert f">{level['name']}<" in row
        assert f"{level['accuracy']['mean']:.3%}" in row
        assert f"{level['accuracy']['low'] * 100:.3f} to {level['accuracy']['high'] * 100:.3f}" in row
        assert f"{level['parameters']:,}" in row
        assert f"{points(level['train_gap']['mean'])} on training images" in row
        if level["to_best"]:
            assert points(level["to_best"]["difference"]["mean"]) in row
            assert level["to_best"]["verdict"] in row


def test_a_stage_tells_how_much_of_the_grid_it_leaves_and_how_strong_that_is(study: Path) -> None:
    page = drawn(study)
    levels = study_view(study)["networks"]["stages"][0]
    assert [level.grid for level in levels] == ["4 × 4"] * 4
    assert page.count("25 % of grid") == 2 * 5  # stages × (concat has two parts)
    for level in levels:
        for _, share in level.kept:
            assert f"strength {share:.2f}" in page
    assert "% left" not in page


def test_every_pair_and_every_seed_is_told(study: Path) -> None:
    page, results = drawn(study), results_of(study)
    for pair in results["pairs"]:
        size = f"{abs(pair['difference']['mean']) * 100:.3f}"
        assert page[page.index('id="pairs"') : page.index('id="growth"')].count(size) >= 2
    for level in results["levels"]:
        for seed, accuracy in zip(level["seeds"], level["accuracies"], strict=True):
            assert f"<title>seed {seed}: {accuracy:.2%}</title>" in page


def test_the_matrix_is_row_minus_column_in_the_order_of_the_ranks(study: Path) -> None:
    results = results_of(study)
    means = {level["name"]: level["accuracy"]["mean"] for level in results["levels"]}
    columns = [level["name"] for level in results["levels"][1:]]
    for name, cells in study_view(study)["matrix"]["rows"]:
        for column, cell in zip(columns, cells, strict=True):
            if cell:
                assert points(cell.row.difference.mean) == points(means[name] - means[column])


def test_the_gallery_counts_the_seeds_that_are_right(study: Path) -> None:
    labels = np.frombuffer((study / "labels.bin").read_bytes(), np.uint8)
    right: dict[str, Any] = dict.fromkeys(STRATEGIES, 0)
    for trial in results_of(study)["trials"]:
        path = study / TRIALS / trial["folder"] / PREDICTIONS
        right[trial["level"]] += np.frombuffer(path.read_bytes(), np.uint8) == labels
    gallery = study_view(study)["gallery"]
    spreads = []
    for card in gallery["cards"]:
        told = {row["name"]: row["right"] for row in card["rows"]}
        assert told == {name: int(counts[card["number"]]) for name, counts in right.items()}
        assert card["truth"] == str(labels[card["number"]])
        spreads.append(max(told.values()) - min(told.values()))
    assert all(before >= after > 0 for before, after in pairwise(spreads))


def test_the_same_files_give_the_same_bytes(study: Path) -> None:
    first = drawn(study)
    (study / REPORT).unlink()
    assert drawn(study) == first


def test_a_report_is_small(study: Path) -> None:
    assert len(drawn(study)) < 500_000


def test_names_and_folders_are_escaped(study: Path) -> None:
    rename(study, "max", HOSTILE)
    page = drawn(study)  # checks that there is no script
    assert page.count("alert(1)") > 20
    assert HOSTILE in unescape(page)


def test_a_level_keeps_its_colour_whoever_wins(study: Path) -> None:
    before = {name: number for number, name in study_view(study)["series"]}
    results = results_of(study)
    results["levels"][1:] = reversed(results["levels"][1:])
    (study / RESULTS).write_text(json.dumps(results))
    after = {name: number for number, name in study_view(study)["series"]}
    assert after == before == {name: number for number, name in enumerate(STRATEGIES)}
    assert list(after) == [level["name"] for level in results["levels"]] != list(before)


def test_without_the_data_the_rest_is_drawn(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise DataError(f"the digits are gone {HOSTILE}\nand more")

    monkeypatch.setattr("cnnkit.report.images.load_data", gone)
    page = drawn(study)
    assert sections(page) == SECTIONS
    assert page.count("could not be had, so this is not drawn: the digits are gone") == 3
    for strategy in STRATEGIES:
        assert f'alt="filter 0 of {strategy}, untrained"' in page
    assert 'alt="map 0 of' not in page


def test_accuracy_against_object_size_is_drawn_where_objects_have_sizes(study: Path) -> None:
    results = results_of(study)
    for level in results["levels"]:
        mean = level["accuracy"]["mean"]
        sizes = [{"size": s, "mean": mean - 0.1 / s, "low": None, "high": None} for s in (20, 8)]
        level["by_object_size"] = sizes
    (study / RESULTS).write_text(json.dumps(results))
    page, best = drawn(study), results["levels"][0]
    assert sections(page) == [*SECTIONS[:3], "sizes", *SECTIONS[3:]]
    assert f"At the smallest, 8 pixels: {best['name']} {best['accuracy']['mean'] - 0.1 / 8:.2%}" in page
    places = re.findall(r'transform="translate\((\S+) \S+\)"><title>\w+, (\d+) pixels', page)
    assert len(places) == 2 * len(results["levels"])
    assert len(set(places)) == 2  # every level stands at the same size at the same place
    assert f"<title>{best['name']}, 20 pixels: {best['accuracy']['mean'] - 0.1 / 20:.2%}</title>" in page


def test_other_images_than_the_tested_ones_are_not_shown(study: Path) -> None:
    labels = bytearray((study / "labels.bin").read_bytes())
    labels[0] = (labels[0] + 1) % 10
    (study / "labels.bin").write_bytes(labels)
    assert "labels.bin is damaged" in drawn(study)
    keep_json(study / STUDY, kept_json(study / STUDY) | {"labels": hashlib.sha256(labels).hexdigest()})
    assert ") are not those that were tested" in drawn(study)


def test_without_weights_and_epochs_the_statistics_are_drawn(study: Path) -> None:
    for path in (study / TRIALS).iterdir():
        (path / "best.safetensors").write_bytes(b"damaged")
        (path / "metrics.jsonl").unlink()
        (path / "environment.json").unlink()
    page = drawn(study)
    assert sections(page) == ["answer", "damage", *(n for n in SECTIONS[1:] if n != "evidence")]
    for sentence in ("weights could be read", "kept its epochs", "kept the command that started it"):
        assert f"No trial's {sentence}" in unescape(page) or f"No trial has {sentence}" in page


def test_without_a_trials_predictions_the_other_seeds_are_drawn(study: Path) -> None:
    trials = {(t["level"], t["seed"]): t["folder"] for t in results_of(study)["trials"]}
    (study / TRIALS / trials["max", 1] / PREDICTIONS).unlink()
    page = drawn(study)
    assert sections(page) == WITH_DAMAGE
    assert page.count(f"No whole {PREDICTIONS} is left of max, seed 1: this rests on 1 seed of 2.") == 2
    assert page.count('class="heat"') == len(STRATEGIES)
    assert "With one seed this may be chance" in page
    (study / TRIALS / trials["avg", 0] / PREDICTIONS).write_bytes(b"too short")
    page = drawn(study)
    assert sections(page) == WITH_DAMAGE
    assert page.count("is left of avg, seed 0; max, seed 1: this is not drawn.") == 2
    assert 'class="heat"' not in page
    assert "is right in more seeds" not in page


def test_results_are_computed_where_none_are_kept_yet(study: Path) -> None:
    with_file = drawn(study)
    (study / RESULTS).unlink()
    without = drawn(study)
    assert without == re.sub(r"  <dt>results.json</dt>.*\n", "", with_file)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"version": 99}'])
def test_damaged_results_are_told(content: str, study: Path) -> None:
    (study / RESULTS).write_text(content)
    told: list[str] = []
    write_report(study, lambda note: told.append(note.text))
    assert RESULTS in told[0]
    assert "computed again from the predictions" in drawn(study)


def test_a_failed_trial_is_told_and_its_seed_not_counted(tmp_path: Path) -> None:
    folder = compared(
        tmp_path / "s",
        "model.dropout",
        [0.0, 0.5],
        3,
        fails=lambda t: BROKEN * (t.level == "0.5" and t.seed == 1),
    )
    page = drawn(folder)
    assert sections(page) == WITHOUT_POOLINGS
    assert "2 levels × 3 seeds: 6 trainings, of which 1 failed." in page
    assert "the 2 seeds that every level has (seeds 0 and 2)" in page
    assert "training accuracy, %" in page
    assert "0.5, seed 1: it broke" in page
    assert "All levels cost the same by MACs" in page


def test_curves_are_over_the_seeds_that_every_level_has(study: Path) -> None:
    results = results_of(study)
    folders = {(trial["level"], trial["seed"]): trial["folder"] for trial in results["trials"]}
    (study / TRIALS / folders["max", 1] / METRICS).unlink()
    ends = {}
    for level in STRATEGIES:
        lines = (study / TRIALS / folders[level, 0] / METRICS).read_text().splitlines()
        ends[level] = json.loads(lines[-1])["val_accuracy"]
    caption = study_view(study)["curves"]["caption"]
    best = max(ends, key=lambda level: ends[level])
    assert "Lines are means over the one seed that every level has (seed 0)." in caption
    assert f"At the end {best} has the highest validation accuracy, {ends[best]:.2%}" in caption.replace(
        " %", "%"
    )


def test_a_beaten_level_is_pale_and_told(study: Path) -> None:
    results = results_of(study)
    last = results["levels"][-1]
    last["beaten_after"] = 2
    assert drawn(study).count("beaten after 2 seeds") == 0
    (study / RESULTS).write_text(json.dumps(results))
    page = drawn(study)
    assert "2 seeds, beaten after 2 seeds" in page
    assert "★</span> the best" in page
    pale = re.findall(r'<svg class="c\d beaten" .* aria-label="(.*)">', page)
    assert pale == [f"{last['name']}: {last['accuracy']['mean']:.2%}, beaten after 2 seeds"]


def test_the_method_tells_the_numbers_of_the_code(study: Path) -> None:
    page = drawn(study)
    method = page[page.index('id="method"') : page.index('id="warnings"')]
    assert f"g = {PRIOR:g}," in method
    assert f"reaches <b>{ENOUGH:g}</b> is at most 1 in {ENOUGH:g}" in method
    assert f"more than {NOISY:g} times the common one" in method
    assert f"more than {number_word(EXACT_LEVELS)} levels" in method


def number_word(number: int) -> str:
    return ["seven", "eight", "nine"][number - 7]


def test_a_study_without_a_complete_seed_says_so(tmp_path: Path) -> None:
    folder = compared(
        tmp_path / "s", "model.dropout", [0.0, 0.5], 1, fails=lambda t: BROKEN * (t.level == "0.5")
    )
    page = drawn(folder)
    assert sections(page) == [name for name in WITHOUT_POOLINGS if name not in COMPARING]
    assert page.count("nothing to compare") == 1
    assert "filter 0 of 0.0, trained" in page


def test_one_seed_without_validation_images_is_drawn(tmp_path: Path) -> None:
    values = ["relu", "tanh", "identity"]
    page = drawn(
        compared(tmp_path / "s", "model.activation", values, 1, "data.validation=0", "training.epochs=1")
    )
    assert sections(page) == [*WITHOUT_POOLINGS[:6], "activations", *WITHOUT_POOLINGS[6:]]
    assert "no activation: the control that shows why a non-linearity is needed" in page
    assert "too few seeds" in page
    assert "training accuracy, %" in page
    assert "validation accuracy, %" not in page


def test_what_a_crop_cuts_off_is_told_beside_every_image_shown(tmp_path: Path) -> None:
    overrides = ("data.crop=1", "training.epochs=1", "model.channels=[4]")
    for folder in (
        compared(tmp_path / "s", "model.pooling", ["max", "avg"], 1, *overrides),
        finished_run(tmp_path / "r", tmp_path / "c", *overrides),
    ):
        page = drawn(folder)
        assert page.count("data.crop cuts 1 pixel off each side") == 2  # gallery or mistakes, and evidence
        assert "data.crop cuts the grey border off" in page


# --- a run ------------------------------------------------------------------------------------------


def test_a_run_shows_its_result_and_its_mistakes(run: Path) -> None:
    page, result = drawn(run), json.loads((run / RESULT).read_text())
    assert sections(page) == RUN_SECTIONS
    assert f"{result['test_accuracy']:.2%} of 360" in page
    missed = 360 - round(result["test_accuracy"] * 360)
    assert f"{missed} of 360 test images are missed" in page
    told = result["calibration"]
    assert f"{told['error_before']:.2%} before and {told['error']:.2%} with temperature" in page
    assert HOW_MEASURED["clean_train"] in page
    assert page.count('alt="after max') == page.count('alt="after avg') > 0


def test_a_run_that_has_not_ended_shows_what_there_is(run: Path) -> None:
    for name in (RESULT, MANIFEST, PREDICTIONS):
        (run / name).unlink()
    page = drawn(run)
    assert sections(page) == RUN_SECTIONS
    assert "has not ended" in page
    assert "kept no predictions" in page
    assert "<polyline" in page


def test_a_run_of_which_only_the_configuration_is_left_is_drawn(run: Path) -> None:
    for path in run.iterdir():
        if path.name != "config.yaml":
            path.unlink()
    assert sections(drawn(run)) == [name for name in RUN_SECTIONS if name != "evidence"]


# --- the command ------------------------------------------------------------------------------------


def test_the_command_draws_and_prints_the_path(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = call(capsys, "report", run)
    assert (outcome.code, outcome.out.strip()) == (0, str(run / REPORT))


def test_a_folder_that_is_neither_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="name the folder of a comparison"):
            write_report(folder)
        assert call(capsys, "report", folder).code == 2
    assert not list(tmp_path.iterdir())


# --- plots ------------------------------------------------------------------------------------------

SOME = st.floats(1e-6, 1e6) | st.floats(1e-15, 1e-9) | st.floats(365_000, 367_000)


@given(st.lists(SOME, min_size=1, max_size=9), st.booleans(), st.booleans())
@example([366112.0, 365869.0], False, False)
@example([1e-13, 2e-13], False, False)
@example([1e-15, 1.0000000000000003e-15], False, False)
def test_values_and_ticks_lie_on_their_axis(values: list[float], log: bool, zero: bool) -> None:
    axis = axis_over(values, log=log, from_zero=zero)
    assert all(0 <= axis.share(value) <= 1 for value in values)
    ticks = axis.ticks()
    assert len(ticks) <= 7
    assert all(-1e-6 <= axis.share(tick) <= 1 + 1e-6 for tick in ticks if tick > 0)
    assert len(set(labels(ticks))) == len(ticks)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_no_accuracy_is_off_its_axis(accuracies: list[float]) -> None:
    axis = accuracy_axis(accuracies, [-5.0, None, 6.0])
    assert all(-1e-9 <= axis.share(100 * a) <= 1 + 1e-9 for a in accuracies)


def test_a_logarithmic_axis_has_round_ticks() -> None:
    assert Axis(900, 2e6, log=True).ticks() == [1e3, 1e4, 1e5, 1e6]


@pytest.mark.parametrize("low", [1e-9, 1e-12, 1e-300])
def test_a_logarithmic_axis_of_any_width_has_powers_of_ten_as_ticks(low: float) -> None:
    axis = axis_over([low, 30.0], log=True)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 6
    assert all(0 <= axis.share(tick) <= 1 for tick in ticks)
    assert all(tick == 10.0 ** round(math.log10(tick)) for tick in ticks)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=8))
def test_the_front_is_what_no_other_beats(pairs: list[tuple[int, int]]) -> None:
    candidates = [
        CostPoint(i, str(i), cost, accuracy, None, None) for i, (cost, accuracy) in enumerate(pairs)
    ]
    front = pareto_front(candidates)
    for point in candidates:
        beaten = any(
            (o.cost <= point.cost and o.accuracy > point.accuracy)
            or (o.cost < point.cost and o.accuracy >= point.accuracy)
            for o in candidates
        )
        assert (point in front) != beaten
    panel = cost_panel("accuracy", "seconds", candidates)
    assert [mark.hollow for mark in panel.marks] == [point not in front for point in candidates]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=8))
def test_every_mark_stands_at_its_cost_and_its_name_beside_it_covers_nothing(
    pairs: list[tuple[int, int]],
) -> None:
    points = [
        CostPoint(i, ("max", "leaky_relu")[i % 2], cost, a, a - 0.1 * (i + 1), a + 0.1)
        for i, (cost, a) in enumerate(pairs)
    ]
    panel = cost_panel("accuracy", "seconds", points)
    places = [(panel.x(point.cost), panel.y(point.accuracy)) for point in points]
    assert [(mark.x, mark.y) for mark in panel.marks] == places
    assert {bar.x for bar in panel.bars} == {x for x, _ in places}
    of_equal_cost = [(bar.x, bar.width) for bar in panel.bars]
    assert len(set(of_equal_cost)) == len(points)
    assert sorted((label.x, label.y) for label in panel.labels) == sorted(places)
    boxes = []
    for label in panel.labels:
        left = label.text_x - (LETTER * len(label.text) if label.anchor == "end" else 0)
        boxes.append((left, left + LETTER * len(label.text), label.text_y))
    for i, (left, right, y) in enumerate(boxes):
        assert 0 <= left < right <= WIDTH
        assert 0 <= y <= HEIGHT - BOTTOM
        for other_left, other_right, other_y in boxes[:i]:
            assert abs(y - other_y) >= LINE or right <= other_left or other_right <= left


@pytest.mark.parametrize(("letters", "named"), [(LONGEST, True), (LONGEST + 1, False)])
def test_names_beside_marks_stay_in_the_plot_and_none_is_cut(letters: int, named: bool) -> None:
    names = ["x" * letters, "avg", "max"]
    points = [CostPoint(i, name, 4.5 * i, 90 + i / 2, None, None) for i, name in enumerate(names)]
    shown = cost_panel("accuracy", "seconds", points).labels
    assert {label.text for label in shown} == ({*names} if named else set())
    for label in shown:
        width = LETTER * len(label.text)
        assert label.text_x - width * (label.anchor == "end") >= 0
        assert label.text_x + width * (label.anchor == "start") <= WIDTH


def test_a_ninth_series_has_another_tone_of_the_first_colour() -> None:
    page = Environment(loader=FileSystemLoader(TEMPLATES)).get_template("plot.svg.j2").module
    assert [page.color(series) for series in (0, 7, 8, 17)] == ["c0", "c7", "c0 tone1", "c1 tone2"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("stride, a_first/b", 'stride, a_<wbr class="inner">first/<wbr>b'),
        ("0.25", "0.25"),
        ("<b>&", "&lt;b&gt;&amp;"),
    ],
)
def test_a_name_may_be_broken_after_its_words_alone(name: str, shown: str) -> None:
    assert breakable(name) == shown


def test_no_two_of_many_levels_share_colour_and_shape_or_colour_and_dashes() -> None:
    for drawn_as in (shape_of, dashes_of):
        assert len({(series % 8, drawn_as(series)) for series in range(64)}) == 64


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_no_dot_lies_on_another(places: list[float]) -> None:
    offsets = spread_dots(places, closest=2.0)
    for i, j in product(range(len(places)), repeat=2):
        assert i == j or abs(places[i] - places[j]) >= 2.0 or offsets[i] != offsets[j]


def test_fifty_equal_seeds_stay_in_their_row() -> None:
    level = LevelResult(
        name="a",
        value="a",
        parameters=1,
        macs=1,
        changed="",
        accuracy=Interval(0.5, 0.5, 0.5),
        accuracies=[0.5] * 50,
        seeds=list(range(50)),
        failures=0,
        beaten_after=None,
        seed_deviation=0.0,
        sampling_error=0.0,
        by_object_size=[],
        to_best=None,
        timing=LevelTiming(1.0, 1.0),
    )
    (row,), ticks = dot_rows([level], {"a": 0})
    assert row.height < 150
    assert max(abs(dot.dy) for dot in row.dots) <= row.height / 2
    assert ticks


@pytest.mark.parametrize(
    ("kernel", "stride", "side"), [(3, 2, 8), (2, 2, 7), (5, 3, 28), (4, 3, 9), (1, 2, 5)]
)
def test_the_dense_convolution_holds_the_strided_one(kernel: int, stride: int, side: int) -> None:
    convolution = SameConv2d(2, 3, kernel, stride)
    maps = torch.rand(1, 2, side, side)
    dense = convolution.dense(maps)
    assert dense.shape[-2:] == (side, side)
    torch.testing.assert_close(dense[..., ::stride, ::stride], convolution(maps))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_plotted_activation_and_its_slope_are_those_of_the_network(name: str) -> None:
    curve = values_and_slopes(ACTIVATIONS[name])
    xs = torch.tensor(curve.xs, dtype=torch.float64)
    assert (xs[0], xs[-1]) == (-4, 4)
    torch.testing.assert_close(torch.tensor(curve.values, dtype=torch.float64), ACTIVATIONS[name].build()(xs))
    rises = (torch.tensor(curve.values[2:]) - torch.tensor(curve.values[:-2])) / 0.2
    close = (rises - torch.tensor(curve.slopes[1:-1])).abs() < 0.02
    assert close.float().mean() > 0.95  # a kink has no one slope


def test_a_comparison_of_poolings_draws_what_each_makes_of_one_map(tiny: Tiny) -> None:
    values = [*POOLINGS, {"name": "lp", "p": 2}, ["max", "avg"]]
    drawing = pooled_maps(plan_study(tiny(), "model.pooling", values, 2).to_file())
    assert drawing is not None
    assert [level.name for level in drawing.levels] == [*POOLINGS, "lp(p=2)"]
    assert [part for part, _ in drawing.levels[3].images] == ["max", "avg"]
    assert {level.grid for level in drawing.levels} == {"12 × 12"}
    assert drawing.guessed == ["conv", "mixed", "gated"]
    picture = {level.name: [drawn for _, drawn in level.images] for level in drawing.levels}
    assert picture["concat"] == picture["max"] + picture["avg"]
    assert picture["gated"] == picture["mixed"]  # before training
    assert len({drawn for images in picture.values() for drawn in images}) == len(picture) - 2
    assert pooled_maps(plan_study(tiny(), "model.dropout", [0, 0.5], 2).to_file()) is None


def test_only_a_comparison_of_activations_plots_them_all_in_one_scale() -> None:
    names = ["relu", "identity", "no longer registered"]
    plots = activation_plots("model.activation", names, {name: i for i, name in enumerate(names)})
    assert [plotted.name for plotted in plots] == names[:2]
    assert plots[0].panel.y_axis == plots[1].panel.y_axis
    assert activation_plots("model.pooling", ["relu"], {"relu": 0}) == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a", "b", "c"], "a, b and c"),
        (["a, x", "b, y"], "a, x; and b, y"),
        (["a, x", "b, y", "c"], "a, x; b, y; and c"),
        (["a, x"], "a, x"),
        (["1,000", "2"], "1,000 and 2"),
    ],
)
def test_names_with_commas_are_told_apart(names: list[str], told: str) -> None:
    assert listed(names) == told


def test_long_names_stand_once_above_the_gallery_and_short_ones_beside_each_count(
    of_two_keys: Path, study: Path
) -> None:
    for folder, short in ((of_two_keys, False), (study, True)):
        gallery = drawn(folder).partition('<section id="gallery">')[2].partition("</section>")[0]
        cards = gallery.partition('<div class="card">')[2].partition("<figcaption>")[0]
        assert ('<ul class="legend">' in gallery) == (not short)
        assert ("max" in cards) == short


def test_a_network_that_is_two_combinations_is_told(of_two_keys: Path) -> None:
    told = "stride, activation_first/pooling_first is one network: it was trained once for a seed"
    assert told in drawn(of_two_keys)


# --- in a browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


# Elements whose content is wider than they are, and text that sticks out of the page.
OVERFLOWING = """() => {
  const wide = [...document.querySelectorAll('body *')].filter(e =>
    !e.closest('.scroll') && !e.closest('svg') && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0
    && getComputedStyle(e).display !== 'inline');
  const out = [...document.querySelectorAll('svg text')].filter(e => {
    const box = e.getBoundingClientRect();
    return !e.closest('.scroll') && (box.left < -1 || box.right > innerWidth + 1);
  });
  const page = document.documentElement;
  return [...wide, ...out].map(e => e.outerHTML.slice(0, 120))
    .concat(page.scrollWidth > innerWidth ? ['the page'] : []);
}"""


# Words of names that stand on two lines, and what lies outside of its box or cannot be scrolled to.
BROKEN_OR_CUT = """() => {
  const broken = [];
  for (const name of document.querySelectorAll('#seeds .name, #pairs .matrix .name'))
    for (const node of name.childNodes)
      for (const word of (node.textContent || '').matchAll(/[^ _/,]+/g)) {
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        if (range.getClientRects().length > 1) broken.push(word[0]);
      }
  const box = document.querySelector('#pairs .scroll');
  box.scrollLeft = box.scrollWidth;
  const around = box.getBoundingClientRect();
  const shown = [...box.querySelectorAll('tbody th'), ...box.querySelectorAll('td:last-child')];
  const cut = shown.filter(e => e.getBoundingClientRect().left < around.left - 5
    || e.getBoundingClientRect().right > around.right + 5);
  return [...broken, ...cut.map(e => e.innerText)];
}"""


@pytest.mark.parametrize("width", [1200, 400])
def test_seven_long_names_are_not_broken_and_every_pair_can_be_seen(
    width: int, browser: Any, of_two_keys: Path
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(write_report(of_two_keys).as_uri())
    assert page.evaluate("document.querySelectorAll('#pairs tbody th').length") >= 6
    assert page.evaluate(BROKEN_OR_CUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    scrolled = page.evaluate("document.querySelector('#pairs .scroll').scrollLeft")
    assert (scrolled > 0) == (width == 400)
    page.close()


# What the columns of the ranking hold in a study of ten poolings: the longest values, in each row.
LONGEST_VALUES = [
    '<span class="muted">10</span>&ensp;stochastic<span class="small">40 seeds, beaten after 14 seeds</span>',
    '<b>92.917%</b><span class="small">92.311 to 93.512</span>'
    '<span class="small">−0.369 on training images</span>',
    '−12.500<span class="small">−13.212 to −11.733</span>',
    '<span class="sign">?</span> worse on these images',
    *("12,104,298", "1,234.5 M", "1,161.6 s", "119,104"),
]
FILL_RANKING = """values => document.querySelectorAll('#ranking tbody tr').forEach(
  row => [...row.cells].forEach((cell, i) => { cell.innerHTML = values[i]; }))"""
# Figures and intervals that stand on two lines.
BROKEN_FIGURES = """() => [...document.querySelectorAll(
    '#ranking td.right, #ranking b, #ranking b + .small, #ranking td:nth-child(3) .small')].filter(e => {
  const range = document.createRange();
  range.selectNodeContents(e);
  return new Set([...range.getClientRects()].map(box => box.top)).size > 1;
}).map(e => e.innerText)"""


@pytest.mark.parametrize("width", [861, 1000, 1400])
def test_a_ranking_is_no_wider_than_the_page_and_numbers_keep_their_units(
    width: int, browser: Any, study: Path
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(write_report(study).as_uri())
    assert page.evaluate("document.querySelector('#ranking tr').cells.length") == len(LONGEST_VALUES)
    page.evaluate(FILL_RANKING, LONGEST_VALUES)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate(BROKEN_FIGURES) == []
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", ["study", "run"])
def test_a_browser_shows_it_whole(
    kind: str, width: int, theme: str, browser: Any, request: pytest.FixtureRequest
) -> None:
    path = write_report(request.getfixturevalue(kind))
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith("data:") else complaints.append(r.url))
    page.goto(path.as_uri())
    assert complaints == [path.as_uri()]
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate(OVERFLOWING) == []
    pictures = "[...document.images].every(i => i.complete && i.naturalWidth > 0)"
    assert page.evaluate(pictures)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper)[:3])) > 380) == (theme == "light")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 1000})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.close()
