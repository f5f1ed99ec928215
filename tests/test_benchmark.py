"""The benchmark measures in turn, computes as by hand, and trains the networks that it says it does."""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from support import Tiny, info, script_module

from benchmarks import (
    commands,
    gpu,
    grown,
    growth,
    images,
    peer_settings,
    reference,
    reference_examples,
    reference_recipe,
    speed,
    throughput,
    warm,
)
from benchmarks import training as training_part
from benchmarks.parts import Contestant, Options, Part, measure
from benchmarks.processes import Finished, cnnkit, interleaved, python, run
from benchmarks.report import content, remarks
from benchmarks.speed import no_target
from benchmarks.summary import Row, Verdict, deviation, difference, ratio, seconds
from cnnkit.config.load import load_config, parse_config
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.hardest import hardest_first
from cnnkit.data.prepare import load_data
from cnnkit.training.device import choose_device
from cnnkit.training.optimizers import learning_rate_at

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "benchmark"


def row(name: str, *values: float, accuracies: tuple[float, ...] = ()) -> Row:
    samples = [{"value": value} for value in values]
    for sample, accuracy in zip(samples, accuracies, strict=False):
        sample["test_accuracy"] = accuracy
    return Row(name, "s", samples)


def contestant(name: str, code: str, rounds: int) -> Contestant:
    return Contestant(
        name,
        lambda number: python("-c", code.format(number)),
        lambda done: {"value": float(done.out)},
        rounds,
    )


@pytest.fixture
def script() -> ModuleType:
    return script_module("benchmark")


def test_contestants_take_turns_until_their_rounds_are_used_up() -> None:
    turns = list(interleaved({"fast": 3, "examples": 1, "none": 0, "recipe": 2}))
    first, second, third = ["fast", "examples", "recipe"], ["fast", "recipe"], ["fast"]
    assert turns == [(name, 0) for name in first] + [(name, 1) for name in second] + [(third[0], 2)]


def test_medians_spread_and_ratios_are_those_computed_by_hand() -> None:
    rows = {"a": row("a", 1.0, 9.0, 2.0), "b": row("b", 6.0, 4.0, accuracies=(0.99, 0.98))}
    assert rows["a"].median == 2.0
    assert (ratio(rows, "b", "a"), difference(rows, "b", "a")) == (2.5, 3.0)
    assert deviation([2.0, 4.0, 4.0, 6.0]) == pytest.approx(math.sqrt(8 / 3))
    assert deviation([5.0]) == 0
    told = rows["b"].as_dict()
    assert (told["median"], told["low"], told["high"]) == (5.0, 4.0, 6.0)
    assert told["mean_accuracy"] == pytest.approx(0.985)


def test_a_target_is_met_at_its_bound_and_missed_beyond_it() -> None:
    def met(value: float, wanted: str) -> bool:
        return Verdict("it", value, wanted, 2.0, seconds).met

    assert [met(v, "≤") for v in (1.99, 2.0, 2.01)] == [True, True, False]
    assert [met(v, "≥") for v in (1.99, 2.0, 2.01)] == [False, True, True]
    assert str(Verdict("training", 3.0, "≤", 2.0, seconds)) == "training 3.00 s (≤ 2.00 s): MISSED"


def test_trainings_are_held_against_the_references_and_their_mean_accuracy() -> None:
    rows = {
        "fast": row("fast", 1.0, 1.0, 1.2, accuracies=(0.989, 0.991, 0.992)),
        "recipe": row("recipe", 9.5),
        "examples": row("examples", 130.0, accuracies=(0.99,)),
        "mnist": row("mnist", 19.0, accuracies=(0.994,)),
        "accurate": row("accurate", 76.0, accuracies=(0.997,)),
        "keras": Row("keras", "s", note="not installed"),
    }
    verdicts = training_part.judge(rows)
    assert [verdict.met for verdict in verdicts["fast"]] == [True, False, True]
    assert [verdict.value for verdict in verdicts["fast"][1:]] == [9.5, 130.0]
    assert [(verdict.value, verdict.met) for verdict in verdicts["mnist"]] == [(0.994, True), (2.0, False)]
    assert [(verdict.value, verdict.met) for verdict in verdicts["accurate"]] == [(0.997, True), (8.0, True)]
    assert verdicts.keys() == {"fast", "mnist", "accurate"}


def test_each_round_trains_another_seed_alike_for_all_and_none_that_settings_were_chosen_with() -> None:
    commands = {c.name: c.command(3) for c in training_part.contestants(Options())}
    assert "training.seed=1003" in commands.pop("fast")
    assert "training.seed=1003" in commands.pop("mnist")
    assert "training.seed=1003" in commands.pop("accurate")
    assert all(command[-2:] == ["--seed", "1003"] for command in commands.values())


def test_nothing_is_judged_against_what_was_not_measured() -> None:
    empty = {name: Row(name, "s") for name in (*training_part.NAMES, commands.IMPORT, commands.FAST)}
    for judge in (
        training_part.judge,
        commands.judge_process,
        commands.judge_memory,
        commands.judge_help,
        commands.judge_comparison,
        gpu.judge,
        images.judge,
    ):
        assert judge(empty) == {}


def test_the_cost_of_twice_the_seeds_is_told_for_each_doubling() -> None:
    taken = {1: 10.0, 2: 20.0, 4: 44.0, 5: 44.0, 8: 80.0}
    rows = {commands.study(count): row("study", value) for count, value in taken.items()}
    verdicts = commands.judge_comparison(rows)
    assert {name: (v.value, v.met) for name, (v,) in verdicts.items()} == {
        commands.study(2): (2.0, True),
        commands.study(4): (2.2, False),
        commands.study(5): (44.0, True),
        commands.study(8): (pytest.approx(80 / 44), True),
    }


def test_on_a_gpu_seeds_that_train_together_are_held_against_one_alone() -> None:
    rows = {
        gpu.FAST: Row("", "s", [{"value": 0.04, "whole_seconds": 0.3, "test_accuracy": 0.9905}]),
        gpu.RECIPE: row("", 0.18),
        gpu.TOGETHER: Row("", "s", [{"value": 0.16, "whole_seconds": 1.5, "test_accuracy": 0.9905}]),
        gpu.ACCURATE: row("", 3.0, accuracies=(0.9969,)),
    }
    told = {name: [(v.value, v.met) for v in verdicts] for name, verdicts in gpu.judge(rows).items()}
    assert told == {
        gpu.FAST: [(0.9905, True), (0.04, True), (pytest.approx(4.5), False)],
        gpu.TOGETHER: [(pytest.approx(4.0), True), (pytest.approx(5.0), False)],
        gpu.ACCURATE: [(0.9969, False)],
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_without_a_gpu_its_part_says_so() -> None:
    rows: dict[str, Row] = {}
    measure(gpu.contestants(Options()), rows, print)
    assert {row.note for row in rows.values()} == {"torch finds no CUDA device"}
    assert not any(row.failed or row.samples for row in rows.values())


def test_seeds_that_are_measured_together_are_those_that_train_alone(tiny: Tiny) -> None:
    configs = [tiny("runtime.threads=1", f"training.seed={seed}") for seed in (0, 1)]
    published = load_data(configs[0].data)
    taken, whole, together = warm.train(configs, published)
    assert 0 < taken < whole < 60
    for config, accuracy in zip(configs, together, strict=True):
        assert warm.train([config], published)[2] == pytest.approx([accuracy], abs=0.005)


def test_memory_and_process_are_counted_above_import_torch() -> None:
    rows = {commands.IMPORT: row("", 600e6), commands.FAST: row("", 1101e6), commands.MNIST: row("", 900e6)}
    verdicts = commands.judge_memory(rows)
    assert [verdicts[name][0].met for name in (commands.FAST, commands.MNIST)] == [False, True]
    rows = {commands.IMPORT: row("", 3.0), commands.FAST: row("", 5.4), commands.HELP: row("", 0.31)}
    assert commands.judge_process(rows)[commands.FAST][0].value == pytest.approx(2.4)
    assert not commands.judge_help(rows)[commands.HELP][0].met


def test_seeds_asked_for_by_name_go_before_those_of_all_and_long_trainings_take_no_more_than_their_own() -> (
    None
):
    def seeds(name: str, options: Options) -> int:
        return training_part.seeds_of(name, options)

    assert [seeds(name, Options()) for name in ("fast", "accurate", "examples")] == [10, 3, 10]
    few = Options(seeds=2, seeds_of={"examples": 3, "keras": 0})
    assert [seeds(name, few) for name in ("fast", "accurate", "examples", "keras")] == [2, 2, 3, 0]
    assert seeds("accurate", Options(seeds=20)) == 3


def test_no_speed_is_claimed_over_an_examples_script_that_never_got_there() -> None:
    rows = {"fast": row("fast", 1.0, accuracies=(0.991,)), "examples": row("e", 200.0, accuracies=(0.989,))}
    assert [verdict.what for verdict in training_part.judge(rows)["fast"]] == ["mean accuracy"]
    rows["examples"] = row("e", 200.0, accuracies=(0.99,))
    assert len(training_part.judge(rows)["fast"]) == 2


def test_a_failure_ends_its_own_row_and_no_other() -> None:
    rows: dict[str, Row] = {}
    told: list[str] = []
    broken = contestant("broken", "raise SystemExit('error: no {}')", 3)
    absent = Contestant("absent", lambda _: [], lambda _: {}, 2, missing="not installed")
    measure([broken, contestant("sound", "print({})", 2), absent], rows, told.append)
    assert [sample["value"] for sample in rows["sound"].samples] == [0.0, 1.0]
    assert (rows["broken"].samples, rows["broken"].note) == ([], "failed: error: no 0")
    assert rows["broken"].failed
    assert not rows["absent"].failed
    assert remarks(rows["absent"], []) == "not installed"
    assert len(told) == 3


def test_ctrl_c_leaves_what_was_measured_in_the_table_and_in_the_json(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def stopping(done: Finished) -> dict[str, float]:
        raise KeyboardInterrupt

    contestants = [
        contestant("first", "print(7)", 1),
        Contestant("second", lambda _: python("-c", ""), stopping, 1),
    ]
    part = Part("demo", "A demonstration", lambda _: contestants, no_target, needs_data=False)
    file = tmp_path / "figures.json"
    monkeypatch.setattr(script, "PARTS", {"demo": part, "later": part})
    monkeypatch.setattr(sys, "argv", ["benchmark", "--json", str(file)])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert script.main() == 130
    first, second = json.loads(file.read_text())["parts"]["demo"]["rows"]
    assert (first["median"], second["samples"]) == (7.0, [])
    assert "7.00 s" in capsys.readouterr().out


def test_a_part_that_does_not_exist_is_refused_with_those_that_do() -> None:
    for words in (["--part", "hepl"], ["--part", "10"], ["--seeds", "hepl=1"], ["--repeats", "0"]):
        done = run(python(str(SCRIPT), *words))
        assert done.code == 2
        assert words[1] in done.err
    assert "8 images, 9 growth" in run(python(str(SCRIPT), "--part", "10")).err


def test_help_is_measured_in_turn_with_import_torch_into_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = run(python(str(SCRIPT), "--part", "6", "--repeats", "1", "--json", str(file)))
    assert done.code == 0, done.err
    measured = json.loads(file.read_text())
    imported, helped = measured["parts"]["help"]["rows"]
    assert min(helped["median"], imported["median"]) > 0
    assert helped["targets"][0]["value"] == pytest.approx(helped["median"] / imported["median"])
    assert measured["machine"]["packages"]["torch"] == torch.__version__.split("+")[0]
    assert [line.split(",")[0] for line in done.err.splitlines()] == [
        "help: import torch",
        "help: cnnkit --help",
    ]


def test_the_benchmark_itself_never_loads_torch_whose_memory_would_count_as_its_children_s() -> None:
    code = (
        "import sys; from benchmarks import commands, gpu, report, speed, training\n"
        "from benchmarks.processes import python, run\n"
        "assert 'torch' not in sys.modules\n"
        "print(run(python('-c', 'x = bytes(1) * 400_000_000')).peak, run(python('-c', '')).peak)"
    )
    done = subprocess.run(python("-c", code), cwd=SCRIPT.parent, check=True, capture_output=True, text=True)
    large, small = map(int, done.stdout.split())
    assert 400e6 < large < 430e6
    assert small < 60e6  # what the benchmark itself holds


def test_a_process_is_timed_from_its_start_to_its_end() -> None:
    done = run(python("-c", "import time; time.sleep(0.3); print('said'); raise SystemExit(3)"))
    assert done.seconds > 0.3
    assert (done.code, done.out) == (3, "said\n")


def test_the_networks_have_the_parameters_of_those_that_were_published() -> None:
    recipe = (24 * 25 + 24) + (32 * 24 * 9 + 32) + (800 * 256 + 256) + (256 * 10 + 10)
    examples = (32 * 9 + 32) + (64 * 32 * 9 + 64) + (9216 * 128 + 128) + (128 * 10 + 10)
    assert examples == 1_199_882
    for network, expected in (
        (reference_recipe.network(), recipe),
        (reference_examples.network(), examples),
    ):
        assert sum(parameter.numel() for parameter in network.parameters()) == expected
        log_probabilities = network(torch.rand(3, 1, 28, 28))
        assert log_probabilities.exp().sum(1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


@pytest.mark.parametrize("config", ["fast", "mnist", "accurate"])
def test_speed_is_measured_on_images_that_fit_the_network(config: str) -> None:
    settings = load_config(config)
    images = torch.zeros(20, 1, 28, 28, dtype=torch.uint8)
    test = ImageDataset(images, torch.zeros(20, dtype=torch.int64), info((1, 28, 28))).cropped(
        settings.data.crop
    )
    model, placement = throughput.network(settings), choose_device(settings.runtime, "cpu")
    for way in speed.WAYS:
        one_pass, count = throughput.passes(way, model, test, placement)
        one_pass()
        assert 0 < count <= 20


def test_the_recipe_takes_a_step_for_each_batch_and_ends_with_finite_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[int] = []
    scheduler = torch.optim.lr_scheduler.OneCycleLR

    def counted(*arguments: object, total_steps: int, **options: object) -> object:
        steps.append(total_steps)
        return scheduler(*arguments, total_steps=total_steps, **options)

    monkeypatch.setattr(torch.optim.lr_scheduler, "OneCycleLR", counted)
    images, labels = torch.randn(300, 1, 28, 28), torch.randint(0, 10, (300,))
    model, taken = reference_recipe.train(images, labels)
    reference.print_result(taken, reference.accuracy(model, images, labels))
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert steps == [2]
    assert all(math.isfinite(value) for value in told.values())
    assert told["train_seconds"] > 0
    assert 0 <= told["test_accuracy"] <= 1


def test_the_examples_script_stops_after_the_first_epoch_that_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reached = iter([0.5, 0.98, 0.99, 1.0])
    monkeypatch.setattr(reference_examples, "train_epoch", lambda *_: None)
    monkeypatch.setattr(reference_examples, "test_accuracy", lambda *_: next(reached))
    monkeypatch.setattr(torch.optim.lr_scheduler.StepLR, "step", lambda *_: None)
    assert reference_examples.train([], [])[1:] == (0.99, 3)


def test_a_peer_s_one_cycle_has_the_peak_and_the_ends_of_the_configured_one() -> None:
    settings = ["training.warmup=0.2", "training.schedule=one_cycle", "training.batch_size=110"]
    config = load_config("fast", settings)  # 200 steps
    peer = peer_settings.Peer(config, seed=0)
    assert peer.first_rate == pytest.approx(learning_rate_at(config.training, 0, peer.steps))
    peak = learning_rate_at(config.training, round(peer.warmup * peer.steps), peer.steps)
    assert peak == pytest.approx(config.training.learning_rate)


def test_a_peer_trains_on_as_many_images_as_cnnkit_and_mixes_them_by_the_seed() -> None:
    config = parse_config("data: {validation: 7000}", "peer")
    order, other = (peer_settings.Peer(config, seed).training_order() for seed in (0, 1))
    assert sorted(order) == list(range(60_000))
    assert order != other
    assert peer_settings.Peer(config, 0).steps == 5 * math.ceil(53_000 / 256)


def test_a_peer_is_shown_the_hardest_images_where_cnnkit_is() -> None:
    config = parse_config("data: {dataset: digits, validation: 0.1}\ntraining: {hardest: 0.5}", "peer")
    peer = peer_settings.Peer(config, 0)
    kept = peer.training_order()[: config.data.train_images]
    order = hardest_first(peer.published.train[kept])
    assert peer.shown == [kept[index] for index in order[: round(len(kept) / 2)]]
    assert peer.steps == 5 * math.ceil(len(peer.shown) / 256)


def test_a_peer_says_which_optimizers_it_follows() -> None:
    config = parse_config("training: {optimizer: sgd}", "peer")
    with pytest.raises(SystemExit, match="sgd; the peers follow adam and adamw"):
        _ = peer_settings.Peer(config, 0).optimizer


def test_cnnkit_s_own_figures_are_read_from_its_result() -> None:
    result = {"train_seconds": 1.5, "test_accuracy": 0.991, "val_accuracy": None, "epochs": 1}
    result |= {"precision": "bf16", "threads": 2, "device": "cpu", "setup_seconds": 0.1, "run": "somewhere"}
    sample = training_part.read_result(Finished(0, 5.0, 1, json.dumps(result), ""))
    assert (sample["value"], sample["test_accuracy"], sample["precision"]) == (1.5, 0.991, "bf16")
    assert cnnkit("--help")[-1] == "--help"
    part = Part("demo", "", lambda _: [], no_target)
    told = content({}, {"demo": (part, {"a": Row("a", "s", [sample])})})
    assert told["parts"]["demo"]["rows"][0]["samples"] == [sample]


def test_exponents_are_those_of_powers_and_where_a_curve_bends_they_differ() -> None:
    """Seconds grow as the square of the side up to 32 pixels, then as its cube; memory by a constant."""
    rows = {}
    for side in growth.AXES["side"].values:
        seconds_taken = side**2 if side <= 32 else side**3 / 32
        name = growth.row_name("side", side)
        rows[name] = Row(name, "s", [{"value": float(seconds_taken), "peak": 100 + 0.0 * side}] * 3)
    verdicts = growth.judge(rows)
    grew = {name: (time.value, memory.value, time.met) for name, (time, memory) in verdicts.items()}
    assert list(grew) == [growth.row_name("side", side) for side in (16, 32, 64, 128, 224)]
    assert [time for time, *_ in grew.values()] == pytest.approx([2, 2, 3, 3, 3])
    assert [memory for _, memory, _ in grew.values()] == pytest.approx([0] * 5)
    assert [met for *_, met in grew.values()] == [True, True, False, False, False]


def test_made_up_images_are_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    grown.make_images(30, 9)
    settings = ["data.dataset=folder", "data.root=images", "data.channels=1", "data.size=9", "data.crop=0"]
    train, test = load_data(load_config("fast", [*settings, "data.duplicates=keep"]).data)
    assert (len(train), len(test)) == (30, grown.FEW_TESTED)
    assert train.images.shape[1:] == (1, 9, 9)
    assert train.labels.bincount().tolist() == [3] * 10


def test_the_picture_of_growth_has_a_panel_for_each_axis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, file = script_module("draw-growth"), tmp_path / "measured.json"
    rows = [
        {"samples": [{"value": 0.5 * value, "peak": 1e9, "axis": name, "at": value}]}
        for name, axis in growth.AXES.items()
        for value in axis.values
    ]
    file.write_text(json.dumps({"parts": {"growth": {"rows": rows}}}))
    monkeypatch.setattr(script, "TARGET", tmp_path / "growth.svg")
    monkeypatch.setattr(sys, "argv", ["draw-growth", str(file)])
    script.main()
    drawn = (tmp_path / "growth.svg").read_text()
    assert [drawn.count(f">{axis.what}<") for axis in growth.AXES.values()] == [1] * len(growth.AXES)
    assert drawn.count("<polyline") == 2 * len(growth.AXES)
