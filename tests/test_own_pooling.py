"""A person's own pooling: named, tried, kept, and run only where a person trusts it."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from support import Tiny, call, kept_json

import cnnkit
from cnnkit.comparison.on_ray import _train_somewhere
from cnnkit.comparison.study import plan_study
from cnnkit.comparison.trial import Trial, data_hash
from cnnkit.config.costs import layer_costs
from cnnkit.config.load import config_text, load_config, parse_config
from cnnkit.config.schema import Config
from cnnkit.data.prepare import load_data
from cnnkit.errors import ConfigError, OwnCodeError
from cnnkit.events import Note
from cnnkit.families.poolings import POOLINGS
from cnnkit.filenames import PROBE
from cnnkit.nn import tried_apart
from cnnkit.nn.tried import Case, problem_of
from cnnkit.nn.tried_apart import try_own_classes
from cnnkit.own import code, sources
from cnnkit.own.formulas import computed
from cnnkit.own.names import Reference
from cnnkit.report.image_captions import evidence_caption
from cnnkit.report.pooled import pooled_maps

Capture = pytest.CaptureFixture[str]
GOOD = '''
import torch
from torch import nn


class Quantile(nn.Module):
    """The q-quantile of each cell."""

    formula = "quantile x"
    products = "1"

    def __init__(self, k, *, q: float = 0.5):
        super().__init__()
        self.k, self.q = k, q

    def forward(self, maps):
        k, (height, width) = self.k, maps.shape[-2:]
        cells = maps[..., : height // k * k, : width // k * k].unfold(2, k, k).unfold(3, k, k)
        return cells.flatten(-2).float().quantile(self.q, dim=-1).to(maps.dtype)
'''
PLANTED = GOOD + "\n\nopen('planted', 'w').close()\n"
FORWARD = """
import torch, random
import torch.nn.functional as F
from torch import nn
class Own(nn.Module):
    {attributes}
    def __init__(self, k, channels):
        super().__init__()
        self.k, self.channels = k, channels
        {init}
    def forward(self, maps):
        k = self.k
        {body}
"""


def forget() -> None:
    """Forgets what ran and what may run, as a new process has."""
    sources._trusted.clear()
    sources._known.clear()
    tried_apart._fine.clear()
    for name in [name for name in sys.modules if name.startswith("cnnkit_own_")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    forget()


@pytest.fixture
def not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the process in which a class is tried."""
    monkeypatch.setattr(tried_apart, "_answers", lambda cases: [("", None)] * len(cases))


def own(body: str, attributes: str = "pass", init: str = "pass") -> str:
    return FORWARD.format(attributes=attributes, init=init, body=body)


def configured(text: str, name: str = "Own", family: str = "pooling", **settings: Any) -> Config:
    """A person's own configuration that names a class of this text."""
    Path("own.py").write_text(text)
    Path("tiny.yaml").write_text(TINY)
    value = json.dumps({"name": f"own.py:{name}", **settings} if settings else f"own.py:{name}")
    return load_config("tiny.yaml", [f"model.{family}={value}"])


def words_about(text: str, family: str = "pooling") -> str:
    """What a person is told of a class before anything trains."""
    try:
        config = configured(text, family=family)
    except ConfigError as error:
        return str(error)
    name = {
        "pooling": config.model.stages[0].choice.name,
        "head": config.model.head_choice.name,
        "activation": config.model.activation,
    }[family]
    return problem_of(Case(family, name))


POOLED = "F.max_pool2d(maps, k)"
BROKEN: dict[str, tuple[str, str]] = {  # by what is wrong: the file, and a part of what is told
    "not rounded down": (own("return F.max_pool2d(maps, k, ceil_mode=True)"), "rounding down"),
    "the grid kept": (own("return maps"), "rounding down"),
    "an edge dropped": (own("return F.max_pool2d(maps[..., 1:, 1:], k)"), "rounding down"),
    "twice the maps": (own(f"return torch.cat([{POOLED}] * 2, 1)"), "multiplies_channels = 2"),
    "half the maps": (own(f"return {POOLED}[:, ::2]"), "and not (3, 4,"),
    "fewer maps than told": (own(f"return {POOLED}", "multiplies_channels = 2"), "and not (3, 8,"),
    "flat": (own(f"return {POOLED}.flatten(1)"), "and not (3, 4,"),
    "one number": (own("return maps.mean()"), "and not (3, 4,"),
    "a tuple": (own(f"return {POOLED}, 1"), "tuple, not a tensor"),
    "nothing": (own(f"{POOLED}"), "NoneType, not a tensor"),
    "whole numbers": (own(f"return {POOLED}.long()"), "no gradient"),
    "NaN": (own(f"return {POOLED} * float('nan')"), "not finite"),
    "NaN of zeros": (own("m = F.avg_pool2d(maps, k); return m * m / m"), "of zeros it makes"),
    "infinite": (own(f"return {POOLED} / 0"), "not finite"),
    "the root of a negative": (own("return F.avg_pool2d(maps, k).sqrt()"), "not finite"),
    "detached": (own(f"return {POOLED}.detach()"), "no gradient passes"),
    "by NumPy": (own(f"return torch.from_numpy({POOLED}.detach().numpy())"), "no gradient passes"),
    "a constant": (own(f"return {POOLED} * 0"), "0 everywhere"),
    "rounded": (own(f"return {POOLED}.round()"), "0 everywhere"),
    "no gradient allowed": (own("with torch.no_grad(): return " + POOLED), "no gradient passes"),
    "an infinite gradient": (
        own("return (F.avg_pool2d(maps, k) * 0).abs().sqrt() + " + POOLED),
        "gradient of",
    ),
    "in place": (own(f"maps.clamp_(min=0); return {POOLED}"), "changes the maps"),
    "in place by index": (own(f"maps[0] = 1; return {POOLED}"), "changes the maps"),
    "mean over the batch": (own(f"return {POOLED} - maps.mean(0).mean()"), "other images of the batch"),
    "batch norm": (
        own(f"return F.batch_norm({POOLED}, None, None, training=True)"),
        "other images of the batch",
    ),
    "neighbours mixed": (own(f"return {POOLED} + 0.1 * {POOLED}.roll(1, 0)"), "other images of the batch"),
    "random": (own(f"return {POOLED} + torch.rand(1)"), "no seed decides"),
    "random by Python": (own(f"return {POOLED} * random.random()"), "no seed decides"),
    "random though it has a stream": (
        own(f"return {POOLED} + torch.rand(1)", "draws = True"),
        "no seed decides",
    ),
    "it counts": (own(f"self.n += 1; return {POOLED} * self.n", init="self.n = 0"), "remembers"),
    "weights not told": (
        own(f"return {POOLED} * self.w", init="self.w = nn.Parameter(torch.ones(channels, 1, 1))"),
        "1 for each channel",
    ),
    "weights not used": (
        own(f"return {POOLED}", "weights = 1", "self.w = nn.Parameter(torch.ones(1))"),
        "get no gradient",
    ),
    "weights at random": (
        own(f"return {POOLED} * self.w", "weights = 1", "self.w = nn.Parameter(torch.rand(1))"),
        "begin at random",
    ),
    "weights made late": (
        own("self.late = nn.Parameter(torch.ones(1)); return self.late * " + POOLED),
        "make them in __init__",
    ),
    "it sees more": (
        own("return F.max_pool2d(maps, 3, k, 1)[..., :maps.shape[2]//k, :maps.shape[3]//k]"),
        "3 × 3",
    ),
    "an error in forward": (own("return maps.nothing"), "line 13, in forward"),
    "an error in __init__": (own(f"return {POOLED}", init="self.x = 1 / 0"), "ZeroDivisionError"),
    "super not called": (own(f"return {POOLED}").replace("super().__init__()", "pass"), "super"),
    "an import that is not there": (
        "import not_there\n" + own(f"return {POOLED}"),
        "No module named 'not_there'",
    ),
    "exit": (own("raise SystemExit(3)"), "SystemExit"),
    "float64 alone": (own(f"return {POOLED} @ torch.eye(maps.shape[-1] // k, dtype=torch.double)"), "dtype"),
    "not in bf16": (own(f"assert maps.dtype == torch.float32; return {POOLED}"), "AssertionError"),
    "no module": (
        own(f"return {POOLED}").replace("(nn.Module)", "").replace("super().__init__()", "pass"),
        "nn.Module",
    ),
    # read without being run:
    "a syntax error": (own("return ("), "own.py:13"),
    "no such class": ("class Other: pass\n", "its classes are Other"),
    "no class": ("x = 1\n", "there is no class in it"),
    "no annotation": (own("return maps").replace("channels):", "channels, p=2):"), "write p: float"),
    "a default to compute": (
        own("return maps").replace("channels):", "channels, p: float = 1 / 2):"),
        "written out",
    ),
    "a default of another type": (
        own("return maps").replace("channels):", "channels, p: int = 0.5):"),
        "written out",
    ),
    "channels to compute": (own("return maps", "multiplies_channels = 1 + 1"), "written out"),
    "a formula that is none": (own(f"return {POOLED}", "weights = 'k ** k'"), "a formula has"),
    "more parts than maps": (
        own(f"return {POOLED}", 'parts = ("peak", "rest")'),
        "own.py:5: Own: parts names 2 maps, and multiplies_channels is 1",
    ),
    "fewer parts than maps": (
        own(f"return torch.cat([{POOLED}] * 2, 1)", 'multiplies_channels = 2; parts = ("one",)'),
        "parts names 1 maps, and multiplies_channels is 2",
    ),
    "a formula with text": (
        own(f"return {POOLED}", 'weights = "2 * how"').replace("channels):", 'channels, how: str = "a"):'),
        "weights is a formula of numbers, and how is text",
    ),
    "not text": ("\x00", "null bytes"),
    "nested too deeply": ("x = " + "(" * 5000 + ")" * 5000, "own.py"),
}
TAKING_ALONG = [
    ("\n        while True: pass", "does not end: it was stopped after 2 s, and was at line"),
    ("import os; os._exit(7)", "exit code 7"),
    ("import os; os.kill(os.getpid(), 9)", "exit code -9"),
]


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_class_gets_words(what: str) -> None:
    text, told = BROKEN[what]
    assert told in words_about(text)


def test_at_least_forty_broken_classes_are_tried() -> None:
    assert len(BROKEN) + len(TAKING_ALONG) >= 40


def test_a_whole_class_gets_none() -> None:
    assert words_about(GOOD.replace("Quantile", "Own")) == ""
    assert words_about(own(f"return {POOLED}")) == ""


def test_a_pooling_that_draws_from_its_stream_gets_none() -> None:
    drawn = "return F.avg_pool2d(maps, k) * torch.rand(1, generator=self.generator)"
    assert words_about(own(drawn, "draws = True")) == ""


@pytest.mark.parametrize("family", ["head", "activation"])
def test_a_head_and_an_activation_are_tried_too(family: str) -> None:
    whole = {"head": "maps.amax((2, 3))", "activation": "maps.clamp(min=0)"}[family]
    wrong = {"head": "maps", "activation": "maps - maps.mean()"}[family]
    text = own("{}").replace("k, channels", "channels" if family == "head" else "").replace("k = self.k", "")
    text = text.replace("self.k, self.channels = channels", "").replace("self.k, self.channels = ", "")
    assert words_about(text.format(f"return {whole}"), family) == ""
    assert words_about(text.format(f"return {wrong}"), family)


@pytest.mark.parametrize(("body", "told"), TAKING_ALONG)
def test_a_class_that_takes_its_process_along_is_told_of(
    body: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tried_apart, "LIMIT", 2.0)
    with pytest.raises(OwnCodeError, match=r"own.py:Own cannot be trained with") as caught:
        try_own_classes([configured(own(body)).model])
    assert told in str(caught.value)


def test_seconds_are_told_against_those_of_max() -> None:
    notes: list[Note] = []
    slow = own(f"[maps.sort().values for _ in range(50)]; return {POOLED}")
    try_own_classes([configured(slow).model], notes.append)
    assert [note.text.partition(" takes ")[0] for note in notes] == ["own.py:Own"]


def test_only_a_persons_own_lines_are_shown() -> None:
    told = words_about(own("return maps.nothing"))
    assert 'File "own.py", line 13, in forward' in told
    assert "tried.py" not in told


# Keys, read from annotations ----------------------------------------------------------------------------


def test_keyword_arguments_are_keys_of_their_types() -> None:
    text = own(f"return {POOLED}").replace(
        "channels):", 'channels, *, a: float, b: "int" = 2, c: bool = False, d: Literal["x", 3] = "x"):'
    )
    assert configured(text, a=1).model.stages[0].choice.settings == {"a": 1.0}
    settings = {"a": 0.5, "b": 3, "c": True, "d": 3}
    assert configured(text, **settings).model.stages[0].choice.settings == settings
    for key, value in {"a": "x", "b": 0.5, "c": 1, "d": "y", "e": 1}.items():
        with pytest.raises(ConfigError, match=f"model.pooling.{key}"):
            configured(text, **{"a": 1.0, key: value})
    with pytest.raises(ConfigError, match="a has no value"):
        configured(text)


def test_checking_a_configuration_runs_nothing(capsys: Capture) -> None:
    config = configured(PLANTED, "Quantile")
    Path("mine.yaml").write_text(config_text(config))
    assert call(capsys, "config", "check", "mine.yaml").code == 0
    assert call(capsys, "summary", "tiny.yaml", "--set", "model.pooling=own.py:Quantile").code == 0
    assert not Path("planted").exists()


def test_a_class_is_tried_without_the_files_of_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    for name in ("queue.py", "json.py"):
        Path(name).write_text(f"open({str(Path('ran').absolute())!r}, 'w').close()\n")
    try_own_classes([configured(GOOD, "Quantile").model])
    assert not Path("ran").exists()


def test_a_kept_configuration_means_the_same_code(tmp_path: Path) -> None:
    text = config_text(configured(GOOD, "Quantile", q=0.9))
    assert config_text(parse_config(text, kept=True)) == text
    Path("own.py").write_text(GOOD + "# changed\n")
    assert config_text(parse_config(text, kept=True)) == text  # its text is known in this process
    sources._known.clear()
    with pytest.raises(ConfigError, match=r"own.py has changed"):
        parse_config(text, kept=True)


@pytest.mark.parametrize("beside", ["beside.py", "beside/__init__.py"])
@pytest.mark.parametrize("line", ["import beside", "from beside.x import y", "import os, beside.x as z"])
def test_a_file_that_imports_one_beside_it_is_refused(beside: str, line: str) -> None:
    Path(beside).parent.mkdir(exist_ok=True)
    Path(beside).write_text("")
    with pytest.raises(ConfigError, match=f"imports {beside}, which a run would not keep"):
        configured(f"{line}\n{GOOD}", "Quantile")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("./evil:Evil", r"\./evil is neither a file that ends in \.py nor a module; write my_pool\.py:Name"),
        ("./there:Evil", r"\./there is neither .* nor a module; name the file: there\.py"),
        ("there:Evil", r"Python finds no module there; name the file: there\.py"),
        ("code.txt:Evil", r"code\.txt is neither a file that ends in \.py"),
        ("..:X", r"\.\. is neither a file that ends in \.py"),
        (".:X", r"\. is neither a file that ends in \.py"),
        ("a..b:X", r"a\.\.b is neither a file that ends in \.py"),
        ("there.py:X@1", r"'there\.py:X@1' names no class: write my_pool\.py:Name"),
        ("there.py:X@y", r"no file's name may hold @ or ="),
        ("a@b.py:X", r"no file's name may hold @ or ="),
        ("there.py:1", r"names no class: write my_pool\.py:Name"),
        ("gone.py:X", r"there is no file gone\.py in "),
        (f"gone.py:X@{32 * 'a'}", r"the kept copy of gone\.py:X is not whole or not there"),
    ],
)
@pytest.mark.parametrize("family", ["pooling", "head", "activation"])
def test_a_name_that_names_no_class_is_told(name: str, told: str, family: str) -> None:
    Path("there.py").write_text("")
    Path("code.txt").write_text("")
    with pytest.raises(ConfigError, match=told):
        parse_config(TINY, "tiny", [f"model.{family}={name}"])


def test_what_a_cost_depends_on_is_told_where_it_has_no_value(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class_with = own(f"return {POOLED}", 'weights = "2 * deep"').replace(
        "channels):", "channels, deep: int):"
    )
    Path("own.py").write_text(class_with)
    monkeypatch.setattr(sources, "installed_names", lambda family: ["theirs"])
    monkeypatch.setattr("cnnkit.families.registry.installed", lambda *_: Reference("own.py", "Own"))
    listed = " ".join(call(capsys, "pooling", "list").out.split())
    assert "own.py:Own: weights: it depends on deep, which has no default" in listed


def test_costs_are_those_that_the_class_declares() -> None:
    text = own(
        f"return {POOLED} * self.w",
        'weights = "channels * k"; products = "k * k"; values_seen = "2 * k"',
        "self.w = nn.Parameter(torch.ones(channels, 1, 1))",
    )
    config, plain = configured(text), configured(own(f"return {POOLED}"))
    costs, without = (
        next(row for row in layer_costs(one.model, one.data.info) if row.kind == "Own")
        for one in (config, plain)
    )
    cells = 4 * 4  # of an image of 8 × 8, with k = 2
    assert (costs.parameters, costs.macs) == (4 * 2, 4 * cells * 2 * 2)
    assert (without.parameters, without.macs) == (0, 0)


@pytest.mark.parametrize(
    "formula", ["k ** k", "__import__('os')", "k.real", "(lambda: 1)()", "q", "1 / 2", "-1", "1 // 0", "["]
)
def test_a_formula_is_no_code(formula: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        computed(formula, {"k": 2})


def test_a_formula_is_computed() -> None:
    assert computed("2 * (k + 1) - channels // 3", {"k": 5, "channels": 7}) == 10


# A run, and who may let its code run --------------------------------------------------------------------


@pytest.fixture
def a_run(not_tried: None, capsys: Capture) -> Path:
    """A stranger's run, whose code leaves a file behind where it runs."""
    configured(PLANTED, "Quantile")
    done = call(capsys, "train", "tiny.yaml", "--set", "model.pooling=own.py:Quantile", "--out", "run", "-q")
    assert done.code == 0, done.err
    Path("planted").unlink()
    Path("own.py").unlink()
    forget()
    return Path("run")


def test_a_run_keeps_a_copy(a_run: Path) -> None:
    assert (a_run / "own" / "own.py").read_text() == PLANTED


@pytest.mark.parametrize("command", ["eval", "predict", "resume", "report"])
def test_a_strangers_run_runs_nothing_without_trust(
    command: str, a_run: Path, picture: Path, capsys: Capture
) -> None:
    (a_run / "result.json").rename(a_run / "was.json") if command == "resume" else None
    line = {
        "eval": ["eval", a_run],
        "predict": ["predict", a_run, picture],
        "resume": ["train", "--resume", a_run],
        "report": ["report", a_run],
    }[command]
    done = call(capsys, *line)
    assert done.code == (0 if command == "report" else 2)
    assert "run/own/own.py" in done.err
    assert "--trust" in done.err
    assert not Path("planted").exists()
    forget()
    assert call(capsys, *line, "--trust").code == 0
    assert Path("planted").exists()


def test_a_strangers_configuration_is_no_persons_own_though_its_run_is_not_whole(
    a_run: Path, capsys: Capture
) -> None:
    (a_run / "environment.json").unlink()
    Path("own.py").write_text(PLANTED)
    done = call(capsys, "train", a_run / "config.yaml", "--out", "again", "--yes")
    assert (done.code, "--trust" in done.err) == (2, True)
    assert not Path("planted").exists()


def test_a_page_to_draw_on_says_what_it_cannot_run(a_run: Path, capsys: Capture) -> None:
    done = call(capsys, "play", a_run)
    assert done.code == 2
    assert "own.py:Quantile is Python code of your own, which a page cannot run" in done.err
    assert not Path("planted").exists()


def test_line_breaks_in_a_strangers_names_stay_in_their_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "is_trusted", lambda _: False)
    monkeypatch.setattr(code, "source_of", lambda _: sources.Source(b"text", "a\nerror: fine.py"))
    with pytest.raises(OwnCodeError, match=r"a\\nerror: fine") as refused:
        code.refuse_untrusted(Reference("own.py", "Quantile", 32 * "a"))
    assert "\n" not in str(refused.value)


def test_a_weights_file_alone_holds_its_code(a_run: Path, capsys: Capture) -> None:
    Path("elsewhere").mkdir()
    shutil.copy(a_run / "best.safetensors", "elsewhere/a.safetensors")
    shutil.rmtree(a_run)
    done = call(capsys, "eval", "elsewhere/a.safetensors")
    assert done.code == 2
    assert "elsewhere/a.safetensors" in done.err
    assert not Path("planted").exists()
    assert call(capsys, "eval", "elsewhere/a.safetensors", "--trust").code == 0


def test_a_file_that_has_changed_is_told_and_not_used(a_run: Path, capsys: Capture) -> None:
    Path("own.py").write_text("raise ValueError\n" + PLANTED)
    done = call(capsys, "eval", a_run, "--trust")
    assert done.code == 0
    assert "own.py has changed since own.py:Quantile was trained" in done.err


def test_a_changed_copy_is_not_run(a_run: Path, capsys: Capture) -> None:
    (a_run / "own" / "own.py").write_text(PLANTED.replace("planted", "other"))
    assert call(capsys, "eval", a_run, "--trust").code == 2 or not Path("other").exists()
    assert not Path("other").exists()


@pytest.mark.parametrize("spoilt", ["damaged", "missing"])
def test_the_text_in_the_weights_stands_in_for_a_copy_and_that_is_told(
    spoilt: str, a_run: Path, picture: Path, capsys: Capture
) -> None:
    copy = a_run / "own" / "own.py"
    copy.write_text(PLANTED.replace("planted", "other")) if spoilt == "damaged" else copy.unlink()
    told = f"the copy of own.py in {a_run}/own is damaged or missing: the text that {a_run}/best.safetensors"
    refused = call(capsys, "eval", a_run)
    assert (refused.code, "own.py, whose text run/best.safetensors holds" in refused.err) == (2, True)
    for line in (["eval", a_run], ["predict", a_run, picture], ["report", a_run]):
        forget()
        done = call(capsys, *line, "--trust")
        assert (done.code, told in done.err) == (0, True), (line, done.err)
    assert not Path("other").exists()


def test_python_opens_a_run_that_is_trusted(a_run: Path) -> None:
    for path in (a_run, a_run / "best.safetensors"):
        assert cnnkit.open_run(path).config.model.strategies == "own.py:Quantile"
        with pytest.raises(OwnCodeError, match="trust=True"):
            cnnkit.open_run(path).model()
    assert not Path("planted").exists()
    cnnkit.open_run(a_run, trust=True).model()
    assert Path("planted").exists()


@pytest.mark.usefixtures("not_tried")
def test_an_own_head_and_activation_are_trained_with_and_reported(capsys: Capture) -> None:
    Path("tiny.yaml").write_text(TINY)
    begins = "from torch import nn\nclass {}(nn.Module):\n    def __init__(self{}): super().__init__()\n"
    head = begins.format("Peak", ", channels") + "    def forward(self, maps): return maps.amax((2, 3))\n"
    bend = begins.format("Bend", "") + "    def forward(self, x): return x.clamp(min=0)\n"
    Path("both.py").write_text(head + bend)
    named = ["--set", "model.head=both.py:Peak", "--set", "model.activation=both.py:Bend"]
    done = call(capsys, "train", "tiny.yaml", *named, "--out", "run", "--report", "-q")
    assert done.code == 0, done.err
    assert "could not be drawn" not in (Path("run") / "report.html").read_text()


# A comparison -------------------------------------------------------------------------------------------


@pytest.fixture
def a_study(not_tried: None, trials_here: None, capsys: Capture) -> Path:
    configured(PLANTED, "Quantile")
    line = ["tiny.yaml", "--set", "training.epochs=1", "--seeds", 2, "--out", "study", "--workers", 1]
    done = call(capsys, "compare-pooling", *line, "--strategies", "max,{name: own.py:Quantile, q: 0.9}")
    assert done.code == 0, done.err
    assert "own.py:Quantile(q=0.9)" in done.out
    Path("planted").unlink()
    Path("own.py").unlink()
    forget()
    return Path("study")


def test_a_strangers_study_is_reported_and_verified_without_running_any_of_it(
    a_study: Path, capsys: Capture
) -> None:
    assert call(capsys, "report", a_study).code == 0
    assert "Not drawn, nor below: own.py:Quantile(q=0.9)" in (a_study / "report.html").read_text()
    assert call(capsys, "compare", "--verify", a_study).code == 0
    assert call(capsys, "compare", "--verify", a_study, "--deep").code == 2
    assert call(capsys, "compare", "--resume", "--out", a_study, "--seeds", 3, "--workers", 1).code == 2
    assert not Path("planted").exists()
    assert call(capsys, "compare", "--verify", a_study, "--deep", "--trust").code == 0
    assert Path("planted").exists()


def test_a_copy_in_a_trial_stands_in_for_that_of_the_study(a_study: Path, capsys: Capture) -> None:
    (a_study / "own" / "own.py").write_text("raise ValueError")
    done = call(capsys, "compare", "--verify", a_study, "--deep", "--trust")
    assert (done.code, "a copy in study/own is damaged or missing: that in" in done.err) == (0, True)


STRANGERS = {  # by what a command is given; the planted code lies beside it, and its files name it
    "a run": [
        ["eval", "run"],
        ["eval", "run/best.safetensors"],
        ["predict", "run", "one.png"],
        ["report", "run"],
        ["train", "--resume", "run"],
        ["train", "run/config.yaml", "--out", "again", "--yes"],
        ["export", "run", "--format", "torch", "--out", "m.pt2"],
        ["play", "run"],
        ["summary", "run/config.yaml"],
        ["runs", "."],
        ["runs", "--json"],
        ["config", "check", "run/config.yaml"],
        ["config", "show", "run/config.yaml"],
        ["config", "check", "theirs.yaml"],
        ["config", "show", "theirs.yaml"],
        ["config", "copy", "theirs.yaml", "mine.yaml"],
        ["summary", "theirs.yaml"],
        ["data", "."],
        ["data", "run"],
        ["judge", "table.csv"],
        ["doctor"],
        ["pooling", "list"],
    ],
    "a study": [
        ["report", "study"],
        ["report", "study", "--csv-images", "right.csv"],
        ["compare", "--verify", "study"],
        ["compare", "--verify", "study", "--deep"],
        ["compare", "--resume", "--out", "study", "--seeds", "3", "--workers", "1"],
        ["compare", "--resume", "--out", "study", "--seeds", "3", "--workers", "1", "--probe"],
        ["probe", "study"],
        ["play", "study"],
        ["runs", "study"],
        ["runs", "."],
        ["eval", "study/trials"],
        ["config", "show", "study/study.json"],
    ],
}


@pytest.mark.parametrize("given", STRANGERS)
def test_planted_code_runs_through_no_command(
    given: str, request: pytest.FixtureRequest, picture: Path, capsys: Capture
) -> None:
    assert picture.name == "one.png"
    request.getfixturevalue("a_run" if given == "a run" else "a_study")
    Path("own.py").write_text(PLANTED)  # as a stranger sends a folder: the code beside the rest
    Path("theirs.yaml").write_text(TINY.replace("model: {", "model: {pooling: 'own.py:Quantile', "))
    Path("table.csv").write_text("level,seed,accuracy\na,1,0.5\na,2,0.6\nb,1,0.7\nb,2,0.8\n")
    for line in STRANGERS[given]:
        forget()
        done = call(capsys, *line)
        assert done.code in (0, 1, 2), line
        assert "Traceback" not in done.err, line
        assert not Path("planted").exists(), line


def test_other_levels_are_probed_where_one_has_code_that_is_not_trusted(
    a_study: Path, capsys: Capture
) -> None:
    done = call(capsys, "probe", a_study, "--images", 5)
    assert done.code == 0, done.err
    told = " ".join(done.err.split())
    assert "own.py:Quantile(q=0.9) is not probed: it needs the code in study/own/own.py" in told
    assert told.count("--trust lets it run") == 1
    assert not Path("planted").exists()
    assert {trial["level"] for trial in kept_json(a_study / PROBE)["trials"]} == {"max"}
    forget()
    assert call(capsys, "probe", a_study, "--images", 5, "--trust").code == 0
    assert len(kept_json(a_study / PROBE)["trials"]) == 4


def test_a_page_of_a_study_leaves_own_code_out_and_that_is_told(a_study: Path, capsys: Capture) -> None:
    done = call(capsys, "play", a_study)
    assert done.code == 0, done.err
    told = (
        "own.py:Quantile(q=0.9) is not on this page: own.py:Quantile is Python code of your own, which a page"
    )
    assert told in " ".join(done.err.split())
    assert not Path("planted").exists()


def test_a_study_goes_on_with_the_code_that_it_kept(a_study: Path, capsys: Capture) -> None:
    line = ["compare", "--resume", "--out", a_study, "--seeds", 3, "--workers", 1, "--trust"]
    assert call(capsys, *line).code == 0
    assert len(json.loads((a_study / "results.json").read_text())["trials"]) == 6


def test_workers_get_the_code(not_tried: None, capsys: Capture) -> None:
    configured(GOOD, "Quantile")
    line = ["tiny.yaml", "--set", "training.epochs=1", "--seeds", 2, "--out", "study", "--workers", 2]
    done = call(capsys, "compare-pooling", *line, "--strategies", "max,own.py:Quantile")
    assert done.code == 0, done.err


def test_a_machine_of_a_cluster_gets_the_code_and_sends_its_copy_back() -> None:
    config = configured(GOOD, "Quantile")
    published = load_data(config.data)
    trial = Trial("own", config, data_hash(published), code=sources.handed_over(config.model.own_classes))
    sent = pickle.dumps(trial)
    Path("own.py").unlink()
    forget()
    files, error = _train_somewhere(pickle.loads(sent), published)
    assert error is None
    assert files["own/own.py"].decode() == GOOD


def test_an_exception_while_it_trains_is_told_by_its_own_lines(not_tried: None, capsys: Capture) -> None:
    configured(own("raise ValueError('later')"))
    done = call(capsys, "train", "tiny.yaml", "--set", "model.pooling=own.py:Own", "--out", "run", "-q")
    assert done.code == 1
    assert "ValueError: later" in done.err
    assert "cnnkit/" not in done.err


def test_the_pooling_computes_the_quantile() -> None:
    config = configured(GOOD, "Quantile", q=0.25)
    from cnnkit.nn.model import build_model

    pooling: Callable[[torch.Tensor], torch.Tensor] = (
        build_model(config.model, config.data.info, 0).stages[0].downsampling.pooling
    )
    maps = torch.rand(2, 4, 5, 6)
    cell = maps[1, 2, 2:4, 4:6].flatten()
    assert pooling(maps).shape == (2, 4, 2, 3)
    assert torch.isclose(pooling(maps)[1, 2, 1, 2], cell.quantile(0.25))


def test_what_a_class_does_not_say_of_its_cost_is_told(capsys: Capture) -> None:
    configured(own(f"return {POOLED}"))
    line = ["tiny.yaml", "--set", "model.pooling=own.py:Own"]
    assert "the multiply-accumulates of own.py:Own itself are not known" in call(capsys, "summary", *line).err
    line = ["tiny.yaml", "--strategies", "max,own.py:Own", "--match", "macs"]
    assert "--match macs: the cost of own.py:Own is not known" in call(capsys, "compare-pooling", *line).err


def test_a_cell_may_depend_on_all_of_its_map() -> None:
    body = "return F.avg_pool2d(maps, k) - maps.mean((2, 3), keepdim=True)"
    assert "values_seen" in words_about(own(body))
    assert words_about(own(body, "values_seen = None")) == ""
    cells = configured(own(body, "values_seen = None")).model.cells((1, 8, 8))
    assert cells.sees == 0
    assert "pixels whose number is not known" in evidence_caption({"own": "avg"}, 0, [cells], [])


@pytest.mark.parametrize("family", ["pooling", "head", "activation"])
def test_networks_with_an_own_class_are_not_trained_as_one(family: str) -> None:
    text = (
        own(f"return {POOLED}")
        .replace("k, channels):", "k=2, channels=1):")
        .replace("(self, k=2, ", "(self, ")
    )
    text = text if family != "activation" else text.replace("channels=1", "")
    assert not configured(text.replace("self.k, self.channels = k, channels", ""), family=family).model.stacks


def test_one_module_is_run_once() -> None:
    config = configured(GOOD, "Quantile")
    (named,) = sources.references_in(config.model.stages[0].choice.name)
    assert code.class_of(named) is code.class_of(named)


# `cnnkit pooling` ---------------------------------------------------------------------------------------


def test_what_new_writes_trains_as_it_is(capsys: Capture) -> None:
    assert call(capsys, "pooling", "new", "own.py").code == 0
    text = Path("own.py").read_text()
    assert len(text.splitlines()) <= 20
    assert words_about(text) == ""
    assert call(capsys, "pooling", "new", "own.py").code == 2
    assert Path("own.py").read_text() == text


def test_all_that_are_known_are_listed_with_formula_and_cost(capsys: Capture) -> None:
    listed = call(capsys, "pooling", "list").out
    for name, entry in POOLINGS.items():
        assert f"\n{name} " in f"\n{listed}"
        assert entry.formula.split()[0] in listed
    assert "products for a value: 13" in " ".join(listed.split())  # soft: 3k² + 1
    assert "products for a value: 256" in " ".join(listed.split())  # conv: k² of each map
    assert "for cells of 2 × 2 values, among 64 maps" in listed


def test_one_is_drawn_in_the_terminal_and_as_a_file(capsys: Capture) -> None:
    Path("own.py").write_text(GOOD)
    shown = call(capsys, "pooling", "show", "{name: own.py:Quantile, q: 0}")
    assert shown.code == 0, shown.err
    assert "formula: quantile x; products for a value: 1" in shown.out
    assert Path("pooling-Quantile.png").is_file()
    assert sum(line.count("█") for line in shown.out.splitlines()) > 0


@pytest.mark.parametrize("parts", ["pass", 'parts = ("peak", "mean")'])
def test_a_pooling_of_several_parts_is_drawn_whether_they_have_names_or_not(
    parts: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tiny: Tiny
) -> None:
    monkeypatch.setattr(tried_apart, "_answers", lambda cases: [("", None)] * len(cases))
    body = f"return torch.cat([{POOLED}, F.avg_pool2d(maps, k)], 1)"
    configured(own(body, f"multiplies_channels = 2; {parts}"))
    done = call(capsys, "pooling", "show", "own.py:Own")
    assert done.code == 0, done.err
    names = ["peak", "mean"] if "peak" in parts else ["own.py:Own 1", "own.py:Own 2"]
    assert all(f"{name}, 12 × 12 values" in done.out for name in names)
    drawing = pooled_maps(plan_study(tiny(), "model.pooling", ["max", "own.py:Own"], 2).to_file())
    assert drawing is not None
    assert [[part for part, _ in level.images] for level in drawing.levels] == [["max"], names]


def test_an_own_pooling_that_cannot_be_drawn_leaves_the_others_their_pictures(tiny: Tiny) -> None:
    configured(own(f"assert self.channels > 1, 'no less'; return {POOLED}"))
    study = plan_study(tiny(), "model.pooling", ["own.py:Own", "max"], 2).to_file()
    drawing = pooled_maps(study)
    assert drawing is not None
    assert [level.name for level in drawing.levels] == ["max"]
    assert drawing.failed == ["own.py:Own (AssertionError: no less)"]
    forget()
    Path("own.py").unlink()
    drawing = pooled_maps(study)
    assert drawing is not None
    assert [level.name for level in drawing.levels] == ["max"]
    assert "own.py:Own (the kept copy of own.py:Own is not whole or not there" in drawing.failed[0]


# Packages that others install ---------------------------------------------------------------------------


@pytest.fixture
def a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip leaves one: a module, and a folder of metadata that names an entry point."""
    place = tmp_path / "site"
    (place / "their").mkdir(parents=True)
    (place / "their" / "__init__.py").write_text("open('imported', 'w').close()\n")
    (place / "their" / "pools.py").write_text(PLANTED)
    (place / "their-1.0.dist-info").mkdir()
    (place / "their-1.0.dist-info" / "METADATA").write_text("Name: their\nVersion: 1.0\n")
    one = "their.pools:Quantile"
    points = f"[cnnkit.poolings]\nquantile = {one}\n[cnnkit.heads]\nlate = {one}\n"
    (place / "their-1.0.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(place))


def test_a_package_names_its_poolings(a_package: None, capsys: Capture) -> None:
    config = parse_config(TINY, "tiny", ["model.pooling={name: quantile, q: 0.9}"])
    assert config.model.strategies == "quantile(q=0.9)"
    assert parse_config(TINY, "tiny", ["model.pooling=their.pools:Quantile"]).model.strategy == "Quantile"
    assert "quantile " in call(capsys, "pooling", "list").out
    assert not Path("planted").exists()
    assert not Path("imported").exists()
    with pytest.raises(ConfigError, match="unknown strategy 'late'"):
        parse_config(TINY, "tiny", ["model.pooling=late"])


def wheel_of(text: str, folder: Path) -> Path:
    """A wheel of a package `their`, whose module `pools` has this text and whose entry point names it."""
    path, about = folder / "their-1.0-py3-none-any.whl", "their-1.0.dist-info"
    files = {
        "their/__init__.py": "open('imported', 'w').close()\n",
        "their/pools.py": text,
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: their\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": "[cnnkit.poolings]\nquantile = their.pools:Quantile\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in {**files, f"{about}/RECORD": record}.items():
            wheel.writestr(name, content)
    return path


@pytest.mark.slow
def test_a_wheel_in_a_fresh_environment_is_found_and_compared(tmp_path: Path) -> None:
    venv.create(tmp_path / "fresh", with_pip=True)
    python = str(tmp_path / "fresh" / "bin" / "python")
    (site,) = (tmp_path / "fresh").glob("lib/python*/site-packages")
    known = [str(Path(cnnkit.__file__).parents[1]), sysconfig.get_path("purelib")]
    (site / "known.pth").write_text("\n".join(known))
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index"]
    subprocess.run([*pip, "--no-deps", str(wheel_of(PLANTED, tmp_path))], check=True)
    Path("tiny.yaml").write_text(TINY)
    line = ["compare-pooling", "tiny.yaml", "--strategies", "max,quantile", "--seeds", "2", "--out", "study"]
    words = ["--set", "training.epochs=1", "--workers", "1", "--yes"]
    surroundings = {**os.environ, "PYTHONPATH": "", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [python, "-m", "cnnkit", *line, *words],
        capture_output=True,
        text=True,
        env=surroundings,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "quantile" in done.stdout
    assert (Path("study") / "own" / "their.pools.py").read_text() == PLANTED
    assert not Path("imported").exists()  # the class's module is run, and the package around it is not


@pytest.mark.usefixtures("a_package", "not_tried", "trials_here")
def test_a_pooling_of_a_package_is_compared(capsys: Capture) -> None:
    Path("tiny.yaml").write_text(TINY)
    line = ["tiny.yaml", "--set", "training.epochs=1", "--seeds", 2, "--out", "study", "--workers", 1]
    done = call(capsys, "compare-pooling", *line, "--strategies", "max,quantile")
    assert done.code == 0, done.err
    assert "quantile" in done.out
    assert (Path("study") / "own" / "their.pools.py").read_text() == PLANTED
