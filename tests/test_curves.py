"""`curves.svg`: a picture that needs nothing but itself, whatever there is to show."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cnnkit.calibration import calibration_of
from cnnkit.calibrator import Calibrator
from cnnkit.errors import RunError
from cnnkit.events import EpochRecord
from cnnkit.experiment.run_dir import RunDir, RunResult
from cnnkit.filenames import METRICS, RESULT
from cnnkit.report.curves import draw_curves
from cnnkit.report.reliability import reliability_panel, reliability_view
from cnnkit.stats import wilson_interval

FIRST = EpochRecord(
    epoch=1,
    step=10,
    learning_rate=0.01,
    train_loss=0.7,
    train_accuracy=0.8,
    val_loss=0.5,
    val_accuracy=0.9,
    seconds=1.5,
    images_per_second=1000.0,
)
SECOND = replace(FIRST, epoch=2, train_loss=0.3, train_accuracy=0.97, val_loss=0.2, val_accuracy=0.95)
HISTORIES = {
    "two epochs": [FIRST, SECOND],
    "one epoch": [FIRST],
    "no validation": [replace(record, val_loss=None, val_accuracy=None) for record in (FIRST, SECOND)],
    "nothing left to learn": [replace(FIRST, train_loss=0.0, val_loss=0.0, train_accuracy=1.0)],
    "losses of many sizes": [FIRST, replace(SECOND, train_loss=1e-6, val_loss=30.0)],
    "losses of twelve decades": [FIRST, replace(SECOND, train_loss=1e-11, val_loss=30.0)],
    "many epochs": [replace(FIRST, epoch=epoch) for epoch in range(1, 201)],
}
RESULT_OF_A_RUN = RunResult(
    run="run",
    test_accuracy=0.9,
    test_loss=0.3,
    val_accuracy=0.9,
    val_loss=0.3,
    best_epoch=1,
    epochs=2,
    train_seconds=1.0,
    eval_seconds=0.1,
    seed=0,
    device="cpu",
    precision="float32",
    threads=1,
    dataset="digits",
    train_images=20,
    val_images=5,
    test_images=10,
    parameters=100,
    macs=1000,
    setup_seconds=0.1,
)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(history: Sequence[EpochRecord], kept: int | None, folder: Path) -> str:
    """The picture of a run with these epochs. kept: its best one; None: the run has not ended."""
    run = RunDir(folder)
    run.write_metrics(history)
    (folder / RESULT).unlink(missing_ok=True)
    if kept is not None:
        result = replace(RESULT_OF_A_RUN, best_epoch=kept)
        (folder / RESULT).write_text(json.dumps(result.to_dict()))
    return draw_curves(run).read_text(encoding="utf-8")


def texts_of(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def lines_of(picture: str, series: int) -> list[list[tuple[float, float]]]:
    """The curves of a series, accuracy and loss: their points, as (x, y), y downwards."""
    found = ElementTree.fromstring(picture).iter(f"{SVG}polyline")
    lines = [line.attrib["points"] for line in found if line.attrib["class"] == f"line c{series}"]
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in line.split())] for line in lines]


@pytest.mark.parametrize("name", HISTORIES)
def test_curves_of_any_history_are_a_picture_that_needs_nothing_else(name: str, tmp_path: Path) -> None:
    picture = drawn(HISTORIES[name], 1, tmp_path)
    assert ElementTree.fromstring(picture).tag == f"{SVG}svg"
    assert picture.count("://") == 1  # the name of the format
    assert not re.search(r"<script|href|@import|url\(|var\(|\bnan\b|\binf\b", picture)
    style = picture[picture.index("<style>") : picture.index("</style>")]
    classes = {name for names in re.findall(r'class="([^"]+)"', picture) for name in names.split()}
    assert classes >= {"title", "name", "grid", "mark", "c0"}
    assert [name for name in classes if not re.search(rf"\.{name}\b", style)] == []


@pytest.mark.parametrize("name", HISTORIES)
def test_everything_lies_within_the_picture(name: str, tmp_path: Path) -> None:
    picture = ElementTree.fromstring(drawn(HISTORIES[name], 1, tmp_path))
    width, height = (float(picture.attrib[side]) for side in ("width", "height"))
    assert 700 < width < 900
    for group in picture.findall(f"{SVG}g"):
        left, top = map(float, re.findall(r"[\d.]+", group.attrib["transform"]))
        for element in group.iter():
            for side, end, start in (("x", width, left), ("y", height, top)):
                for key in (side, f"{side}1", f"{side}2"):
                    assert 0 <= start + float(element.attrib.get(key, 0)) <= end


def test_a_panel_of_each_kind_shows_a_curve_of_each_split(tmp_path: Path) -> None:
    picture = drawn(HISTORIES["two epochs"], 2, tmp_path)
    assert {"accuracy, %", "loss, cross-entropy in nats", "training", "validation", "epoch"} <= set(
        texts_of(picture)
    )
    for series in (0, 1):
        (start, end), (first_loss, last_loss) = lines_of(picture, series)
        assert start[0] < end[0]
        assert start[1] > end[1]  # the accuracy rose
        assert first_loss[1] < last_loss[1]  # the loss fell


def test_a_curve_lies_where_its_axis_says(tmp_path: Path) -> None:
    history = [FIRST, SECOND, replace(SECOND, epoch=3, train_accuracy=0.885)]
    picture = drawn(history, 2, tmp_path)
    (first, second, third), _ = lines_of(picture, 0)
    assert third[0] - second[0] == pytest.approx(second[0] - first[0], abs=0.11)
    assert third[1] == pytest.approx((first[1] + second[1]) / 2, abs=0.11)  # half-way, as its value
    panel = ElementTree.fromstring(picture).findall(f"{SVG}g")[-2]
    places = {text.text: float(text.attrib["y"]) for text in panel.iter(f"{SVG}text")}
    share = (places["80"] - places["95"]) / (95 - 80)
    assert places["80"] == pytest.approx(first[1], abs=0.11)
    assert places["80"] - second[1] == pytest.approx(17 * share, abs=0.2)


def test_validation_and_the_kept_epoch_are_shown_only_where_there_are_any(tmp_path: Path) -> None:
    whole = drawn(HISTORIES["two epochs"], 2, tmp_path)
    assert "epoch 2, which is kept" in texts_of(whole)
    assert "front" in whole[whole.index("</style>") :]
    for name, kept in (("no validation", 2), ("two epochs", None)):
        picture = drawn(HISTORIES[name], kept, tmp_path)
        texts = texts_of(picture)
        assert ("validation" in texts) == (len(lines_of(picture, 1)) == 2) == (name != "no validation")
        assert ("epoch 2, which is kept" in texts) == (kept is not None)
        assert ("front" in picture[picture.index("</style>") :]) == (kept is not None)


def test_the_kept_epoch_is_marked_where_its_point_is(tmp_path: Path) -> None:
    history = [FIRST, SECOND, replace(SECOND, epoch=3)]
    picture = drawn(history, 2, tmp_path)
    marks = [e for e in ElementTree.fromstring(picture).iter() if e.attrib.get("class") == "front"]
    assert [mark.attrib.get("x1") for mark in marks] == [None, *[str(lines_of(picture, 0)[0][1][0])] * 2]


def test_of_one_epoch_the_values_are_written(tmp_path: Path) -> None:
    texts = texts_of(drawn(HISTORIES["one epoch"], 1, tmp_path))
    assert {"80.00", "90.00", "0.7000", "0.5000", "after the one epoch"} <= set(texts)


def test_the_same_epochs_give_the_same_bytes_and_others_do_not(tmp_path: Path) -> None:
    first = drawn([FIRST, SECOND], 2, tmp_path)
    assert drawn([FIRST, SECOND], 2, tmp_path) == first
    assert drawn([FIRST, SECOND], 1, tmp_path) != first
    assert drawn([FIRST, replace(SECOND, val_accuracy=0.85)], 2, tmp_path) != first


def test_a_run_without_epochs_is_told_and_nothing_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=METRICS):
        drawn([], 1, tmp_path)
    (tmp_path / METRICS).unlink()
    with pytest.raises(RunError, match=METRICS):
        draw_curves(RunDir(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [RESULT]


def clean(record: EpochRecord, accuracy: float) -> EpochRecord:
    return replace(record, clean_train_loss=0.25, clean_train_accuracy=accuracy)


def test_the_training_curve_is_the_one_that_was_measured_without_dropout(tmp_path: Path) -> None:
    told = drawn([clean(FIRST, 0.93), clean(SECOND, 0.99)], 2, tmp_path)
    as_if = [
        replace(FIRST, train_accuracy=0.93, train_loss=0.25),
        replace(SECOND, train_accuracy=0.99, train_loss=0.25),
    ]
    assert told == drawn(as_if, 2, tmp_path)


def test_two_ways_of_measuring_are_never_one_curve(tmp_path: Path) -> None:
    mixed = [FIRST, clean(SECOND, 0.99)]  # resumed from what cnnkit 0.1.0 kept
    assert drawn(mixed, 2, tmp_path) == drawn([FIRST, SECOND], 2, tmp_path)


CALIBRATION = calibration_of(
    confidences=[0.99, 0.98, 0.97, 0.55],
    before=[0.75, 0.74, 0.74, 0.45],
    right=[True, True, True, False],
    calibrator=Calibrator(0.5, 0.0123),
)


def test_a_mark_of_the_reliability_diagram_lies_where_confidence_and_accuracy_say() -> None:
    panel = reliability_panel("", CALIBRATION.bins, 0)
    (unsure, sure) = panel.marks
    assert (unsure.x, unsure.y) == (panel.x(55), panel.y(0))
    assert (sure.x, sure.y) == (panel.x(98), panel.y(100))
    assert panel.bars[1].low == panel.y(100 * wilson_interval(3, 3)[0])
    assert "3 images, 98.0% sure on average, 100.0% are right" in sure.title
    ends = [tuple(map(float, point.split(","))) for point in panel.front.split()]
    assert ends == [(panel.x(0), panel.y(0)), (panel.x(100), panel.y(100))]


def test_the_diagram_shows_before_and_after_the_calibrator_and_tells_both_gaps() -> None:
    view = reliability_view(CALIBRATION)
    assert view is not None
    before, after = view["panels"]
    assert [mark.x for mark in before.marks] != [mark.x for mark in after.marks]
    assert (
        f"{CALIBRATION.error_before:.2%} before and {CALIBRATION.error:.2%} with temperature 0.5 and 1.23%"
        in view["caption"]
    )
    assert "with temperature 0.5 and 1.23% spread over all classes" in view["caption"]


def test_without_a_temperature_there_is_one_diagram_that_says_why() -> None:
    view = reliability_view(replace(CALIBRATION, temperature=None, uniform_share=0.0))
    assert view is not None
    assert len(view["panels"]) == 1
    assert "no validation images" in view["caption"]
    assert reliability_view(None) is None


@pytest.mark.parametrize(
    "damage",
    [{"bins": []}, {"bins": [{"images": 0, "confidence": 1.0, "accuracy": 1.0}]}, {"error": -1}, {"bins": 3}],
)
def test_a_damaged_calibration_is_told_and_not_drawn(damage: dict[str, object], tmp_path: Path) -> None:
    drawn([FIRST], 1, tmp_path)
    result = replace(RESULT_OF_A_RUN, calibration=CALIBRATION).to_dict()
    (tmp_path / RESULT).write_text(json.dumps(result))
    assert RunDir(tmp_path).result.calibration == CALIBRATION
    result["calibration"] |= damage
    (tmp_path / RESULT).write_text(json.dumps(result))
    with pytest.raises(RunError, match="damaged: calibration"):
        assert RunDir(tmp_path).result
