"""What a study can show at all: told before training, after three seeds, and in the report."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Here

from cnnkit.additive import fit_pairs
from cnnkit.api.study_progress import StudyProgress
from cnnkit.closed_testing import pair_indices
from cnnkit.comparison.can_tell import ImagesOfSeed
from cnnkit.comparison.pair_records import BETTER
from cnnkit.comparison.results import analyse
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.verdicts import Observed, judge
from cnnkit.config.schema import Config
from cnnkit.events import SeedDone, StudyBegun
from cnnkit.filenames import TRIALS
from cnnkit.image_error import DISAGREE, assumed_error
from cnnkit.report.page import write_report
from cnnkit.scores import image_share
from cnnkit.sequential import SHARE, Watch, least_decided

Tiny = Callable[..., Config]


def share_decided(levels: int, most: int, times: float, studies: int, seed: int) -> float:
    """Of pairs with the leader, which is ahead of all by `times` what three seeds say that is decided."""
    found, first = 0.0, pair_indices(levels)[0]
    for study in range(studies):
        generator = np.random.default_rng([seed, study])
        values = generator.normal(size=(levels, most)) + 2 * generator.normal(size=most)
        least = least_decided(fit_pairs(values[:, :3]), most)
        assert least is not None
        values[0] += times * least
        watch = Watch(levels, 1e-9)
        for seeds in range(2, most + 1):
            watch.look(values[:, :seeds])
        found += watch.different[first == 0].mean()
    return found / studies


@pytest.mark.parametrize(("levels", "most"), [(2, 12), (4, 12), (4, 25)])
def test_a_difference_that_is_told_to_be_decided_is_in_two_of_three_studies(levels: int, most: int) -> None:
    """Two in three, or more, because a look before the last may decide; half of it is in one of three."""
    assert SHARE - 0.1 < share_decided(levels, most, 1.0, 100, 0) < SHARE + 0.2
    assert share_decided(levels, most, 0.5, 100, 0) < 0.42


def test_more_seeds_decide_smaller_differences_and_two_seeds_tell_none() -> None:
    values = np.random.default_rng(1).normal(size=(3, 5))
    told = [least_decided(fit_pairs(values), seeds) for seeds in (5, 10, 20, 40)]
    assert told == sorted(filter(None, told), reverse=True)
    assert least_decided(fit_pairs(values[:, :1]), 40) is None


def share_better(tested: ImagesOfSeed, times: float, studies: int) -> float:
    """Of studies of ten seeds, of two levels that differ by `times` what the images are told to tell.

    They disagree on `DISAGREE` of all images that there are, whatever the seed. Seeds change little.
    """
    least = tested.least([2])
    assert least is not None
    gap, found, images = times * least, 0, tested.images
    for study in range(studies):
        generator = np.random.default_rng([2, study])
        kind = generator.choice(3, images, p=[(DISAGREE + gap) / 2, (DISAGREE - gap) / 2, 1 - DISAGREE])
        right = np.stack([kind != 1, kind != 0])[:, None].repeat(10, 1)
        right ^= generator.random(right.shape) < 5 / images**1.2
        observed = Observed(["a", "b"], right.mean(2), np.zeros((2, 10), bool), right, images)
        found += judge(observed, 1e-6)[2][0].verdict == BETTER
    return found / studies


def test_a_difference_that_the_images_are_told_to_tell_is_better_in_two_of_three_studies() -> None:
    tested = ImagesOfSeed(10_000, 0, 1 / 10_000)
    assert SHARE - 0.12 < share_better(tested, 1.0, 120) < SHARE + 0.12
    assert share_better(tested, 0.5, 120) < 0.35


def test_images_tell_by_the_square_root_of_their_number_and_drawn_ones_by_those_that_teach() -> None:
    assert assumed_error(1 / 10_000, 10_000) == pytest.approx(math.sqrt(DISAGREE / 10_000))
    many, more = ImagesOfSeed(10_000, 0, 1e-4).least([2]), ImagesOfSeed(40_000, 0, 2.5e-5).least([2])
    drawn = ImagesOfSeed(10_000, 50_000, 1e-4).least([2])
    assert many is not None
    assert (more, drawn) == (pytest.approx(many / 2), pytest.approx(many / 2))
    four = ImagesOfSeed(10_000, 0, 1e-4).least([4])
    assert four is not None
    assert four > many
    assert ImagesOfSeed(0, 0, 0.0).least([2]) is None


def test_no_difference_is_larger_than_the_share_of_images_that_it_rests_on() -> None:
    """Of few images the assumption alone would promise a difference of more images than disagree."""
    least = ImagesOfSeed(100, 0, 0.01).least([2])
    assert least is not None
    assert least > DISAGREE
    assert least == pytest.approx((1.959964 + 0.430727) * math.sqrt(least / 100), rel=1e-5)


def test_unequal_classes_tell_less_where_they_count_alike() -> None:
    equal = ImagesOfSeed(400, 0, image_share("macro_f1", [100] * 4)).least([2])
    unequal = ImagesOfSeed(400, 0, image_share("macro_f1", [340, 20, 20, 20])).least([2])
    assert equal is not None
    assert unequal is not None
    assert unequal > equal


def test_it_is_told_before_training_after_three_seeds_and_kept(tiny: Tiny, tmp_path: Path) -> None:
    events: list[object] = []
    plan = plan_study(tiny("training.epochs=1"), "model.pooling", ["stride", "max"], 5)
    results = run_study(plan, tmp_path, Here(tmp_path / TRIALS), events.append)
    (begun,) = (event for event in events if isinstance(event, StudyBegun))
    assert begun.can_tell.startswith("360 test images tell a difference of ")
    told = {event.seeds: event.can_tell for event in events if isinstance(event, SeedDone)}
    assert [bool(told[seeds]) for seeds in (2, 3, 4, 5)] == [False, True, True, False]
    assert told[3].startswith("with 5 seeds in all, a difference of ")
    kept = results.can_tell
    assert kept is not None
    assert kept.images == ImagesOfSeed(360, 0, 1 / 360).least([2])
    accuracies = np.array([level.accuracies for level in results.levels])
    assert kept.seeds == least_decided(fit_pairs(accuracies, 1 / 360), 5)
    error = results.pairs[0].image_error
    assert error is not None
    assert kept.images_seen == pytest.approx((1.959964 + 0.430727) * error, rel=1e-5)
    assert analyse(tmp_path).can_tell == kept
    page = write_report(tmp_path).read_text()
    assert "What this study can show" in page
    assert begun.can_tell in page


def test_the_terminal_tells_it_once(capsys: pytest.CaptureFixture[str]) -> None:
    progress = StudyProgress()
    progress(StudyBegun("title", "cpu", 10, 0, True, [], can_tell="of images"))
    for seeds in (2, 3, 4):
        progress(SeedDone(seeds, [], False, "of seeds" if seeds > 2 else ""))
    told = capsys.readouterr().err
    assert (told.count("of images"), told.count("of seeds")) == (1, 1)
    assert told.index("after 2 seeds") < told.index("of seeds") < told.index("after 3 seeds")
