"""A pooling or a head by its name, or by its name and settings: read, refused, compared."""

import json
from typing import Any

import pytest
from support import Tiny, begun

from cnnkit.comparison.levels import refusals
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.study_records import StudyFile
from cnnkit.config.load import config_text, differing_keys, parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import ConfigError, UsageError
from cnnkit.families.poolings import POOLINGS

POOLING, HEAD, ACTIVATION = "model.pooling", "model.head", "model.activation"


def refused(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse_config(text, "a.yaml", overrides)
    return [f"{p.where}: {p.key}: {p.message}; {p.remedy}" for p in error.value.problems]


@pytest.mark.parametrize(
    ("value", "kept", "told", "folder"),
    [
        ("soft", "soft", "soft", "soft"),
        ("{name: soft, beta: 1}", "soft", "soft", "soft"),
        ("{name: soft, beta: 2}", {"name": "soft", "beta": 2.0}, "soft(beta=2)", "soft"),
        ("{beta: learned, name: soft}", {"name": "soft", "beta": "learned"}, "soft(beta=learned)", "soft"),
        ("[{name: lp, p: 2}, max]", [{"name": "lp", "p": 2.0}, "max"], "lp(p=2)/max", "lp-max"),
        ("[max, {name: max}]", ["max", "max"], "max", "max"),
    ],
)
def test_a_name_may_come_with_settings(value: str, kept: Any, told: str, folder: str) -> None:
    config = parse_config(f"model: {{pooling: {value}}}")
    assert config.model_dump(mode="json")["model"]["pooling"] == kept
    assert (config.model.strategies, config.model.strategy) == (told, folder)
    assert parse_config(config_text(config)) == config
    assert parse_config("model: {}", overrides=[f"{POOLING}={value}"]) == config
    assert json.loads(json.dumps(differing_keys(config))).get(POOLING, "max") == kept
    assert hash(config.model.stages) == hash(parse_config(config_text(config)).model.stages)


def test_every_wrong_setting_is_told_where_it_stands() -> None:
    text = "model:\n  pooling: {name: soft, beta: -1, bta: 2}\n  head: {name: top, t: 1.5}\n"
    assert refused(text) == [
        "a.yaml:2:31: model.pooling.beta: -1 is not valid; expected a number from 0 to 1000, or learned",
        "a.yaml:2:35: model.pooling.bta: unknown key 'bta'; expected name or beta; did you mean 'beta'?",
        "a.yaml:3:24: model.head.t: 1.5 is not valid; expected a whole number from 1 to 1e+06",
    ]
    (problem,) = refused("model:\n  pooling: [max, {name: sof}]\n")
    assert problem.startswith("a.yaml:2:25: model.pooling.1.name: unknown strategy 'sof'")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{beta: 2}", "has no name; such as {name: soft, beta: 2}"),
        ("{}", "has no name"),
        ("{name: soft, beta: true}", "model.pooling.beta: true is not valid"),
        ("{name: soft, beta: .inf}", "model.pooling.beta: inf is not valid"),
        ("{name: lp, p: 0.5}", "expected a number from 1 to 1000, or learned"),
        ("{name: lp, p: learnt}", 'model.pooling.p: "learnt" is not valid'),
        ("{name: max, k: 2}", "unknown key 'k'; expected name"),
        ("{name: sft}", "did you mean 'soft'?"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_in_words(value: str, message: str) -> None:
    (problem,) = refused("model: {}", f"{POOLING}={value}")
    assert message in problem


@pytest.mark.parametrize(
    ("overrides", "key", "message"),
    [
        ((f"{POOLING}=lp", f"{ACTIVATION}=silu"), POOLING, "lp takes only values of 0 or more, and silu"),
        ((f"{POOLING}=[max, stochastic]", f"{ACTIVATION}=elu"), POOLING, "stochastic takes only values"),
        ((f"{POOLING}=lp", "model.order=pooling_first"), POOLING, "comes before the activation"),
        ((f"{HEAD}=gem", f"{ACTIVATION}=tanh"), HEAD, "gem takes only values of 0 or more, and tanh"),
        ((f"{HEAD}=gem", f"{POOLING}=conv"), HEAD, "and conv gives it others"),
    ],
)
def test_what_takes_no_negatives_is_refused_where_it_gets_some(
    overrides: tuple[str, ...], key: str, message: str
) -> None:
    (problem,) = refused("model: {}", *overrides)
    assert f": {key}: " in problem
    assert message in problem


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("order", ["activation_first", "pooling_first"])
def test_it_is_taken_where_it_gets_none(activation: str, order: str) -> None:
    rest = [f"{ACTIVATION}={activation}"]
    for pooling in ("lp", "stochastic"):
        parse_config("model: {}", overrides=[*rest, f"{POOLING}={pooling}"])
    for pooling in ("max", "soft", "stride"):
        parse_config(
            "model: {}", overrides=[*rest, f"{POOLING}={pooling}", f"{HEAD}=gem", f"model.order={order}"]
        )


def test_of_all_strategies_those_that_do_not_fit_are_told() -> None:
    base = parse_config("model: {activation: silu}")
    assert {*refusals(base, {POOLING: [*POOLINGS]}, POOLING)} == {"lp", "stochastic"}
    assert refusals(Config(), {POOLING: [*POOLINGS]}, POOLING) == {}
    orders = {POOLING: [*POOLINGS], "model.order": ["activation_first", "pooling_first"]}
    assert "before the activation" in refusals(Config(), orders, POOLING)["lp"]


def test_a_study_names_and_keeps_values_with_settings(tiny: Tiny) -> None:
    values: list[Any] = ["soft", {"name": "soft", "beta": 2}, {"name": "lp", "p": "learned"}]
    study = plan_study(tiny(), POOLING, values, 2)
    assert [level.name for level in study.levels] == ["soft", "soft(beta=2)", "lp(p=learned)"]
    kept = json.loads(json.dumps(study.to_file().to_dict()))
    assert StudyFile.from_dict(kept).varied == {POOLING: ["soft", {"name": "soft", "beta": 2.0}, values[2]]}
    with pytest.raises(UsageError, match="soft is there twice"):
        plan_study(tiny(), POOLING, ["soft", {"name": "soft", "beta": 1}], 2)
    with pytest.raises(UsageError, match="it holds keys"):
        plan_study(tiny(), "model", [{}, {}], 2)


def test_products_of_a_pooling_count_when_costs_are_made_equal(tiny: Tiny) -> None:
    base = tiny("model.channels=[20, 20]", "model.hidden=[]")
    free = plan_study(base, POOLING, ["max", "blur"], 2)
    assert free.levels[1].cost.macs - free.levels[0].cost.macs == 20 * (4 * 4 + 2 * 2) * 9
    matched = plan_study(base, POOLING, ["max", "blur"], 2, match="macs")
    assert sum(matched.levels[1].config.model.channels) < 40


def test_a_network_that_draws_is_not_trained_beside_others_and_that_is_told(tiny: Tiny) -> None:
    stacked = {name: tiny(f"{POOLING}={name}").model.stacks for name in POOLINGS}
    assert [name for name, able in stacked.items() if not able] == ["stochastic"]
    study = plan_study(tiny(), POOLING, ["max", "stochastic"], 2)
    assert not any("one by one" in warning for warning in study.warnings())
    runtime = study.base.runtime.model_copy(update={"device": "cuda:0"})
    object.__setattr__(study, "base", study.base.model_copy(update={"runtime": runtime}))
    assert any("stochastic" in told and "one by one" in told for told in study.warnings())


def test_a_state_that_an_older_version_kept_has_no_stream_of_poolings(tiny: Tiny) -> None:
    training, _ = begun(tiny())
    state = training.state()
    del state["pooling_stream"]
    other, _ = begun(tiny())
    other.restore(state)
    assert other.pooling_generator.initial_seed() != training.pooling_generator.initial_seed()
