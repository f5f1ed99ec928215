"""Keys that act only beside certain values of others: what does not act is no value to compare or to set."""

from pathlib import Path

import pytest
import torch
from conftest import TINY
from support import Tiny, call

from cnnkit.api.functions import train
from cnnkit.comparison.levels import combined, levels_of
from cnnkit.config.uses import CONDITIONAL, unused_in_all, why_unused
from cnnkit.errors import UsageError
from cnnkit.experiment.checkpoints import load_weights

# key, two values, what makes it act
ACTING = [
    ("training.weight_decay", 0.0, 0.5, "training.optimizer=adagrad"),
    ("training.momentum", 0.5, 0.9, "training.optimizer=sgd"),
    ("training.betas", "[0.5, 0.9]", "[0.9, 0.999]", "training.optimizer=adam"),
    ("training.gamma", 0.5, 0.9, "training.schedule=step"),
]
IDLE = [
    ("training.momentum", 0.5, 0.9, "training.optimizer=adam"),
    ("training.betas", "[0.5, 0.9]", "[0.9, 0.999]", "training.optimizer=sgd"),
    ("training.gamma", 0.5, 0.9, "training.schedule=one_cycle"),
    ("data.augment.saturation", 0.1, 0.9, "data.augment.brightness=0.1"),
    ("data.scene.clutter", 2, 9, "data.dataset=digits"),
]


def weights(tiny: Tiny, home: Path, *keys: str) -> dict[str, torch.Tensor]:
    train(tiny("training.epochs=2", *keys), home, progress=False)
    return dict(load_weights(home).model.state_dict())


@pytest.mark.parametrize(("acts", "case"), [*((True, c) for c in ACTING), *((False, c) for c in IDLE)])
def test_a_key_changes_the_weights_exactly_where_it_is_said_to_act(
    acts: bool, case: tuple[str, object, object, str], tiny: Tiny, tmp_path: Path
) -> None:
    key, one, other, beside = case
    assert bool(why_unused(tiny(beside), key)) == (not acts)
    first, second = (
        weights(tiny, tmp_path / str(i), beside, f"{key}={v}") for i, v in enumerate((one, other))
    )
    assert all(torch.equal(first[name], second[name]) for name in first) == (not acts)


def test_each_of_the_keys_is_tried() -> None:
    tried = {key for key, *_ in (*ACTING, *IDLE)}
    assert {key for key in CONDITIONAL if not any(one.startswith(key) for one in tried)} == set()


def test_one_configuration_that_uses_a_key_is_enough(tiny: Tiny) -> None:
    adam, sgd = tiny("training.optimizer=adam"), tiny("training.optimizer=sgd")
    assert unused_in_all([adam, adam], "training.momentum") == (
        "it is of the optimizer sgd, muon and rmsprop, not of adam"
    )
    assert unused_in_all([adam, sgd], "training.momentum") == ""
    assert unused_in_all([adam], "training.epochs") == ""


def test_values_that_nothing_uses_are_not_compared(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match=r"0\.9 and 0\.5 train the same network here: it is of the schedule"):
        levels_of(tiny(), "training.gamma", [0.5, 0.9])
    with pytest.raises(UsageError, match=r"clutter: 9 and 2 .* here: it is of small-object, .* are digits"):
        combined(tiny(), {"model.dropout": [0, 0.5], "data.scene.clutter": [2, 9]})


def test_beside_the_optimizer_that_does_not_use_them_two_values_are_one_network(tiny: Tiny) -> None:
    varied = {"training.optimizer": ["adam", "sgd"], "training.momentum": [0.5, 0.9]}
    _, levels = combined(tiny(), varied)
    assert [level.name for level in levels] == ["adam, 0.5/0.9", "sgd, 0.5", "sgd, 0.9"]


@pytest.mark.parametrize("command", [["train"], ["compare", "--vary", "model.dropout=0,0.5"]])
def test_a_setting_that_cannot_act_is_refused_before_anything_trains(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    done = call(capsys, *command, "--config", "tiny.yaml", "--set", "training.gamma=0.5", "--out", "out")
    assert done.code == 2
    told = " ".join(done.err.split())
    assert "--set training.gamma=0.5 cannot act: it is of the schedule step, not of one_cycle" in told
    assert not Path("out").exists()


def test_a_setting_acts_in_a_comparison_where_one_of_the_values_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    schedules = ["--vary", "training.schedule=one_cycle,step", "--seeds", "1", "--set", "training.epochs=1"]
    assert (
        call(capsys, "compare", "--config", "tiny.yaml", *schedules, "--set", "training.gamma=0.5").code == 0
    )
