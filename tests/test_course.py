"""The course of a study: what is trained next, what no more, and when it ends."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import call

from cnnkit.comparison.course import GIVEN_UP, Course
from cnnkit.comparison.pair_records import EQUIVALENT, THE_BEST, UNDECIDED
from cnnkit.comparison.results import analyse, read_results
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.trial import Trial
from cnnkit.comparison.verdicts import BEATEN
from cnnkit.config.schema import Config
from cnnkit.events import SeedDone

Tiny = Callable[..., Config]
STRATEGIES = ["stride", "max", "avg", "concat"]
TRUTH = {"stride": 0.90, "max": 0.95, "avg": 0.949, "concat": 0.94}
NOISE = 0.001


def course_of(tiny: Tiny, **options: Any) -> Course:
    study = plan_study(tiny(), "model.pooling", STRATEGIES, **{"margin": 0.5, **options})
    return Course(study, [Trial(level.name, config, "data") for level, config in study.trials()], 1e-4)


def accuracy(trial: Trial) -> float:
    noise = np.random.default_rng([trial.seed, STRATEGIES.index(trial.level)]).normal()
    return TRUTH[trial.level] + NOISE * float(noise)


def ran(
    course: Course, at_once: int | None = None, result: Callable[[Trial], float | None] = accuracy
) -> tuple[list[tuple[str, int]], list[SeedDone]]:
    """What is trained, one trial after the other, and what is told."""
    trained, told = [], []
    for batch in course.batches(at_once):
        for trial in batch:
            trained.append((trial.level, trial.seed))
            told += course.ended(trial, result(trial))
            if course.over:
                break
    return trained, told


def test_a_fixed_number_of_seeds_trains_every_level_with_each(tiny: Tiny) -> None:
    trained, told = ran(course_of(tiny, seeds=7))
    assert sorted(trained) == sorted((level, seed) for level in STRATEGIES for seed in range(7))
    assert [done.seeds for done in told] == list(range(2, 8))


def test_a_level_that_is_beaten_is_dropped_and_the_end_is_when_it_is_decided(tiny: Tiny) -> None:
    course = course_of(tiny)
    trained, told = ran(course)
    last = told[-1]
    assert last.decided
    assert not any(done.decided for done in told[1:-1])  # told[0] is of two seeds, and three are the fewest
    assert len(trained) < 4 * 40
    states = {row.level: row.state for row in last.standings}
    assert (states["stride"], states["concat"]) == (BEATEN, BEATEN)
    assert {states["max"], states["avg"]} <= {THE_BEST, EQUIVALENT, UNDECIDED}
    beaten_at = next(
        done.seeds for done in told if {row.level: row.state for row in done.standings}["stride"] == BEATEN
    )
    assert ("stride", beaten_at) not in trained  # seeds are counted from 0: that would be the next
    assert next(row for row in last.standings if row.state == THE_BEST) == last.standings[0]


def test_nothing_ends_before_the_fewest_seeds(tiny: Tiny) -> None:
    far = {"stride": 0.1, "max": 0.3, "avg": 0.5, "concat": 0.9}
    course = course_of(tiny, min_seeds=6)
    trained, told = ran(course, result=lambda trial: far[trial.level] + 1e-5 * trial.seed)
    assert sorted(trained) == sorted((level, seed) for level in STRATEGIES for seed in range(6))
    assert [row.state for row in told[2].standings].count(BEATEN) == 3  # and yet they go on
    assert told[-1].seeds == 6


def test_a_study_that_cannot_decide_ends_with_the_most_seeds(tiny: Tiny) -> None:
    course = course_of(tiny, margin=0.001, max_seeds=5)
    trained, told = ran(
        course,
        result=lambda trial: 0.9 + 0.01 * np.random.default_rng(trial.seed + 7 * len(trial.level)).normal(),
    )
    assert len(trained) == 20
    assert not told[-1].decided


def test_the_next_seed_is_chosen_only_when_there_is_room(tiny: Tiny) -> None:
    """Two workers: the second starts the next seed while the first ends this one."""
    course = course_of(tiny)
    (waiting,) = course.batches(None)
    running = [next(waiting), next(waiting)]
    assert {trial.seed for trial in running} == {0}
    for _ in range(2):
        list(course.ended(running[0], accuracy(running[0])))
        running = [running[1], next(waiting)]
    list(course.ended(running[0], accuracy(running[0])))
    assert next(waiting).seed == 1
    assert course.looked_at == 0  # the last of seed 0 still runs


def test_on_a_device_that_trains_seeds_as_one_they_come_in_groups(tiny: Tiny) -> None:
    course = course_of(tiny, min_seeds=3)
    batches = course.batches(5)
    first = list(next(batches))
    assert sorted({trial.seed for trial in first}) == [0, 1, 2, 3, 4]
    assert len(first) == 20
    assert len(list(next(course_of(tiny, seeds=9).batches(5)))) == 36


def test_a_level_that_always_fails_is_given_up(tiny: Tiny) -> None:
    trained, told = ran(course_of(tiny), result=lambda t: None if t.level == "max" else accuracy(t))
    assert [seed for level, seed in trained if level == "max"] == list(range(GIVEN_UP))
    assert told[-1].decided
    assert "max" not in {row.level for row in told[-1].standings}


def test_if_only_one_level_can_be_trained_the_study_ends(tiny: Tiny) -> None:
    course = course_of(tiny)
    trained, told = ran(course, result=lambda t: accuracy(t) if t.level == "avg" else None)
    assert course.over
    assert told == []
    assert len(trained) <= 4 * GIVEN_UP


def test_what_is_there_already_is_not_trained_again(tiny: Tiny) -> None:
    whole, told = ran(course_of(tiny))
    again = course_of(tiny)
    for trial in again.trials:
        if (trial.level, trial.seed) in whole[:9]:
            list(again.ended(trial, accuracy(trial)))
    trained, rest = ran(again)
    assert trained == whole[9:]
    assert rest[-1] == told[-1]


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.usefixtures("trials_here", "undrawn")
def test_a_study_ends_where_its_kept_results_say_that_it_is_decided(
    tiny_file: Path, tmp_path: Path, fixed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The course while it runs and the results computed from the files come to the same."""
    options = ["--set", "training.epochs=3", "--strategies", "stride,max", "--margin", 20, "--workers", 1]
    seeds = ["--seeds", 4] if fixed else ["--max-seeds", 12]
    study = tmp_path / "study"
    outcome = call(capsys, "compare-pooling", tiny_file, *options, *seeds, "--out", study)
    assert outcome.code == 0
    results = read_results(study)
    assert results == analyse(study)
    assert [look.decided for look in results.looks[1:-1]].count(True) == 0 or fixed
    assert results.decided or len(results.seeds) == 12 or fixed
    told = re.search(rf"after {len(results.seeds)} seeds: (\w+) [\d.]+% \((.*?)\)", outcome.err)
    assert told
    assert told.groups() == (results.best.name, THE_BEST)
    assert results.looks[-1].trainings == sum(len(level.seeds) for level in results.levels)
    more = call(capsys, "compare", "--resume", "--out", study, "--workers", 1)
    assert more.code == 0
    assert read_results(study).trials == results.trials
