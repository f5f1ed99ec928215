"""Studies: what is compared, at which cost, and what their trials share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import begun

from cnnkit.comparison.going_on import planned_again, refuse_another_study
from cnnkit.comparison.study import StudyPlan, plan_study
from cnnkit.comparison.study_file import load_study
from cnnkit.comparison.trial import Trial, shared_hashes
from cnnkit.comparison.widths import TOLERANCE, cost_of
from cnnkit.config.schema import Config
from cnnkit.errors import CnnkitError, UsageError
from cnnkit.experiment.train import prepare
from cnnkit.filenames import STUDY
from cnnkit.files import write_json

STRATEGIES = ["stride", "max", "avg", "concat"]
Tiny = Callable[..., Config]


def pooling_study(tiny: Tiny, seeds: int = 2, **options: Any) -> StudyPlan:
    return plan_study(tiny(), "model.pooling", STRATEGIES, seeds, **options)


def test_all_levels_of_one_seed_come_before_the_next_seed_the_costliest_first(tiny: Tiny) -> None:
    order = [(level.name, config.training.seed) for level, config in pooling_study(tiny).trials()]
    assert order == [(name, seed) for seed in (0, 1) for name in ("concat", "max", "avg", "stride")]


def test_trials_differ_in_the_factor_and_the_seed_alone(tiny: Tiny) -> None:
    study = plan_study(tiny("training.seed=7"), "model.dropout", [0, 0.5], 3)
    for level, config in study.trials():
        plain = study.base.model_dump()
        plain["model"]["dropout"] = level.value
        plain["training"]["seed"] = config.training.seed
        assert config.model_dump() == plain
    assert [config.training.seed for _, config in study.trials()] == [7, 7, 8, 8, 9, 9]


def hashes(config: Config) -> dict[str, Any]:
    return shared_hashes(Trial("any", config, "data"), prepare(config))


def test_trials_of_one_seed_share_split_order_augmentation_and_the_layers_whose_shapes_agree(
    tiny: Tiny,
) -> None:
    study = plan_study(tiny("data.augment.rotate=10"), "model.pooling", STRATEGIES, 1)
    found = [hashes(config) for _, config in study.trials()]
    shapes = [{n: p.shape for n, p in begun(c)[0].model.named_parameters()} for _, c in study.trials()]
    for name in ("split", "order", "augmentation"):
        assert len({hashed[name] for hashed in found}) == 1
    for hashed, shape in zip(found[1:], shapes[1:], strict=True):
        # a bias is drawn within a bound that its layer's weights set: it is layers that agree
        layer = {name: shape[f"{name.rpartition('.')[0]}.weight"] for name in shape}
        agreeing = [
            name for name in shape if layer[name] == shapes[0].get(f"{name.rpartition('.')[0]}.weight")
        ]
        assert len(agreeing) >= 3
        assert all(hashed["weights"][name] == found[0]["weights"][name] for name in agreeing)


def test_trials_of_two_seeds_share_nothing_that_is_drawn(tiny: Tiny) -> None:
    first, second = (hashes(tiny(f"training.seed={seed}")) for seed in (0, 1))
    for name in ("split", "order", "augmentation"):
        assert first[name] != second[name]
    convolution = "stages.0.downsampling.convolution.weight"
    assert first["weights"][convolution] != second["weights"][convolution]


def test_the_hash_of_the_order_covers_every_epoch(tiny: Tiny) -> None:
    assert hashes(tiny("training.epochs=1"))["order"] != hashes(tiny("training.epochs=2"))["order"]


def test_a_trial_is_known_by_configuration_seed_and_data_but_not_by_where_the_data_lie(tiny: Tiny) -> None:
    trial = Trial("max", tiny(), "data")
    assert Trial("max", tiny("data.root=/elsewhere"), "data").id == trial.id
    others = [
        Trial("max", tiny("training.seed=1"), "data"),
        Trial("max", tiny("model.pooling=avg"), "data"),
        Trial("max", tiny("training.learning_rate=0.02"), "data"),
        Trial("max", tiny("runtime.precision=bf16"), "data"),
        Trial("max", tiny(), "other data"),
    ]
    assert len({trial.id, *(other.id for other in others)}) == 6


@pytest.mark.parametrize("level", ["[5, 3]", "../../up", "0.25", "ä/ö"])
def test_a_trials_folder_is_one_plain_name(tiny: Tiny, level: str) -> None:
    folder = Trial(level, tiny(), "data").folder
    assert Path(folder).name == folder
    assert folder.isascii()
    assert not folder.startswith(".")


@pytest.mark.parametrize("match", ["parameters", "macs"])
def test_matched_levels_cost_the_same_within_3_percent(tiny: Tiny, match: Any) -> None:
    base = tiny("model.channels=[24, 48]")
    study = plan_study(base, "model.pooling", STRATEGIES, 8, match=match)
    goal = getattr(study.levels[0].cost, match)
    for level in study.levels:
        assert getattr(cost_of(level.config), match) == pytest.approx(goal, rel=TOLERANCE)
        assert bool(level.changed) == (level.config.model.channels != (24, 48))
    assert study.levels[0].config.model.channels == (24, 48)
    assert any(level.changed for level in study.levels)
    assert not any(f"times the {match}" in warning for warning in study.warnings())


@pytest.mark.parametrize("match", ["parameters", "macs"])
def test_a_deeper_level_is_matched_by_making_it_narrower(tiny: Tiny, match: Any) -> None:
    study = plan_study(tiny("model.channels=[24, 48]"), "model.convolutions", [1, 2], 8, match=match)
    flat, deep = study.levels
    assert getattr(deep.cost, match) == pytest.approx(getattr(flat.cost, match), rel=TOLERANCE)
    assert all(narrow < wide for narrow, wide in zip(deep.config.model.channels, (24, 48), strict=True))


def test_unmatched_levels_carry_a_warning_with_the_ratio(tiny: Tiny) -> None:
    study = pooling_study(tiny, seeds=8)
    parameters = [level.cost.parameters for level in study.levels]
    ratio = f"{max(parameters) / min(parameters):.2f} times the parameters of stride"
    assert any(ratio in warning for warning in study.warnings())


def test_a_study_that_cannot_decide_says_so(tiny: Tiny) -> None:
    assert not any("whatever comes out" in warning for warning in pooling_study(tiny, 3).warnings())
    assert any("whatever comes out" in warning for warning in pooling_study(tiny, 2).warnings())


def test_a_study_can_be_planned_again_from_its_file(tiny: Tiny, tmp_path: Path) -> None:
    for seeds in ({"seeds": 3}, {"min_seeds": 4, "max_seeds": 9}):
        study = plan_study(tiny(), "model.pooling", STRATEGIES, match="parameters", margin=0.2, **seeds)
        write_json(tmp_path / STUDY, study.to_file().to_dict())
        assert planned_again(load_study(tmp_path)) == study


def test_how_many_seeds_can_be_changed_either_way(tiny: Tiny, tmp_path: Path) -> None:
    fixed = pooling_study(tiny, 12).to_file()
    assert (planned_again(fixed, max_seeds=20).min_seeds, planned_again(fixed, min_seeds=5).seeds) == (3, 40)
    open_ended = plan_study(tiny(), "model.pooling", STRATEGIES).to_file()
    assert (open_ended.min_seeds, open_ended.seeds) == (3, 40)
    again = planned_again(open_ended, seeds=5)
    assert (again.min_seeds, again.seeds) == (None, 5)


def test_the_margin_is_fixed_beforehand_and_no_finer_than_two_images(tiny: Tiny) -> None:
    assert pooling_study(tiny).margin == 0.56  # 2 / 360 is 0.556 %
    large = plan_study(tiny("data.dataset=mnist", "data.validation=5000"), "model.pooling", STRATEGIES)
    assert large.margin == 0.1


def test_more_seeds_more_values_and_another_margin_are_the_same_study(tiny: Tiny, tmp_path: Path) -> None:
    first = plan_study(tiny(), "model.pooling", ["max", "avg"], 2)
    write_json(tmp_path / STUDY, first.to_file().to_dict())
    refuse_another_study(pooling_study(tiny, 5, margin=0.3), tmp_path)
    refuse_another_study(plan_study(tiny("model.pooling=avg"), "model.pooling", ["max", "avg"], 2), tmp_path)


@pytest.mark.parametrize(
    ("key", "values", "overrides", "told"),
    [
        ("model.dropout", [0, 0.5], [], "key is model.pooling there and model.dropout here"),
        ("model.pooling", ["max", "avg"], ["training.epochs=9"], "training.epochs is 2 there and 9 here"),
        ("model.pooling", ["max", "avg"], ["training.seed=9"], "training.seed is 0 there and 9 here"),
    ],
)
def test_another_study_is_refused_with_what_differs(
    tiny: Tiny, tmp_path: Path, key: str, values: list[Any], overrides: list[str], told: str
) -> None:
    write_json(tmp_path / STUDY, pooling_study(tiny).to_file().to_dict())
    before = (tmp_path / STUDY).read_bytes()
    with pytest.raises(UsageError, match="holds another study") as failure:
        refuse_another_study(plan_study(tiny(*overrides), key, values, 2), tmp_path)
    assert told in str(failure.value)
    assert (tmp_path / STUDY).read_bytes() == before


def test_a_folder_of_something_else_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no study"):
        refuse_another_study(pooling_study(tiny), tmp_path)
    with pytest.raises(UsageError, match="is not empty"):
        refuse_another_study(pooling_study(tiny), tmp_path / "notes.txt")


@pytest.mark.parametrize(
    ("key", "values", "options", "told"),
    [
        ("model.pooling", ["max", "mx"], {}, "unknown strategy 'mx'"),
        ("model.pooling", ["max"], {}, "two values or more, not 1"),
        ("model.pooling", [], {}, "two values or more, not 0"),
        ("model.pooling", ["max", "avg", "max"], {}, "max is there twice"),
        ("model.dropout", [0, 0.0], {}, "0.0 is there twice"),
        ("model.dropout", [0, 1.5], {}, "less than 1"),
        ("model.poling", ["max", "avg"], {}, "did you mean 'pooling'"),
        ("model", [{"dropout": 0}, {"dropout": 0.5}], {}, "it holds keys, not a value"),
        ("training.seed", [1, 2], {}, "has to share it"),
        ("data.dataset", ["mnist", "digits"], {}, "has to share it"),
        ("data.scene.object_sizes", [[8], [12]], {}, "has to share it"),
        ("model.pooling", ["max", ["max", "max"]], {}, "and max train the same network here"),
        ("model.convolutions", [2, [2, 2]], {}, "and 2 train the same network here"),
        ("model.pooling", STRATEGIES, {"seeds": 10**8}, "1000 are the most"),
        ("model.pooling", STRATEGIES, {"seeds": 0}, "at least one"),
        ("model.pooling", STRATEGIES, {"seeds": None, "min_seeds": 1}, "--min-seeds 1: expected 2 or more"),
        (
            "model.pooling",
            STRATEGIES,
            {"seeds": None, "min_seeds": 4, "max_seeds": 3},
            "at most --max-seeds, which is 3",
        ),
        ("model.pooling", STRATEGIES, {"seeds": None, "max_seeds": 10**8}, "1000 are the most"),
        ("model.pooling", STRATEGIES, {"seeds": None, "max_seeds": 1}, "--max-seeds 1: a study that ends"),
        ("model.pooling", STRATEGIES, {"margin": 0}, "above 0"),
        ("model.pooling", STRATEGIES, {"margin": float("nan")}, "above 0"),
        ("model.head", ["flatten", "avg"], {"match": "macs"}, "no width"),
    ],
)
def test_what_makes_no_study_is_refused_in_words(
    tiny: Tiny, key: str, values: list[Any], options: dict[str, Any], told: str
) -> None:
    base = tiny("model.channels=[1, 1]") if options.get("match") else tiny()
    with pytest.raises(UsageError, match=told):
        plan_study(base, key, values, **{"seeds": 3, **options})


@pytest.mark.parametrize("content", ["", "[]", "{", '{"version": 9}', '{"version": 1}'])
def test_a_damaged_study_is_told_in_words(tmp_path: Path, content: str) -> None:
    (tmp_path / STUDY).write_text(content)
    with pytest.raises(CnnkitError, match=r"study\.json is damaged"):
        load_study(tmp_path)
