"""An exported ONNX file is measured, asked and quantised as a run is; a script uses it without cnnkit."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from support import SCRIPTS, call, finished_run
from test_folder import COLOURS, own, picture
from test_own_pooling import forget

import cnnkit
from cnnkit.api.functions import open_run
from cnnkit.data.prepare import load_dataset
from cnnkit.errors import RunError, UsageError
from cnnkit.experiment.new_run import create_run
from cnnkit.experiment.train import run_experiment
from cnnkit.nn import tried_apart

try:
    import onnx
    import onnxruntime  # noqa: F401
    import onnxscript  # noqa: F401
except ImportError:
    pytest.skip("ONNX's libraries are not installed: pip install 'cnnkit[onnx]'", allow_module_level=True)

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finished(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of cropped digits, with its ONNX file and an int8 one."""
    options = ("data.crop=1", "training.epochs=6")
    folder = finished_run(tmp_path_factory.mktemp("finished") / "run", shared_cache, *options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        open_run(folder).export()
        open_run(folder).export(int8=True)
    return folder


@pytest.fixture(scope="module")
def of_photos(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learned three colours, with its ONNX file, which takes float32. In `photos`: 12 × 9."""
    home = tmp_path_factory.mktemp("photos")
    for name, colour in COLOURS.items():
        (home / "photos" / name).mkdir(parents=True)
        for number in range(20):
            image = picture(colour, number).resize((12, 9))
            image.save(home / "photos" / name / f"{number}.png")
    config = own(home / "photos", "training.epochs=20", "runtime.threads=1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        run_experiment(config, create_run(config, "own", home / "run"))
        open_run(home / "run").export(pixels="float32")
    return home


@pytest.fixture
def digits(tmp_path: Path) -> list[Path]:
    """Test digits as files, 8 × 8."""
    _, test = load_dataset("digits", tmp_path)
    paths = [tmp_path / f"{number}.png" for number in range(8)]
    for path, image in zip(paths, test.images, strict=False):
        Image.fromarray(image[0].numpy()).save(path)
    return paths


def test_eval_says_of_the_file_what_it_says_of_the_run(run: Path, capsys: Capture) -> None:
    of_run, of_file = call(capsys, "eval", run), call(capsys, "eval", run / "best.onnx")
    assert of_file.code == 0
    assert "best.onnx on the test split" in of_file.out
    assert of_run.out.splitlines()[1:] == of_file.out.splitlines()[1:]  # but for what was measured
    assert json.loads((run / "eval-best-test.json").read_text())["images"] == 360


def test_eval_measures_the_file_on_other_splits_and_images(of_photos: Path) -> None:
    run, file = open_run(of_photos / "run"), open_run(of_photos / "run" / "best.onnx")
    for arguments in ({"split": "validation"}, {"data": of_photos / "photos"}):
        wanted, found = (one.evaluate(**arguments).evaluation for one in (run, file))
        assert torch.equal(found.predictions, wanted.predictions)
        assert torch.allclose(found.logits, wanted.logits, atol=1e-4)


def test_predict_frames_and_answers_as_the_run_does(run: Path, digits: list[Path], picture: Path) -> None:
    paths = [*digits, picture]  # the last one is larger, and is centred
    wanted, found = (open_run(path).predict(paths) for path in (run, run / "best.onnx"))
    for one, other in zip(wanted, found, strict=True):
        assert one.classes[0] == other.classes[0]
        assert other.probabilities == pytest.approx(one.probabilities, abs=1e-5)
        assert torch.equal(other.seen[:, 1:-1, 1:-1], one.seen)  # the file crops inside


def test_the_command_takes_a_file_before_the_images(run: Path, digits: list[Path], capsys: Capture) -> None:
    of_run, of_file = (call(capsys, "predict", path, *digits, "--json") for path in (run, run / "best.onnx"))
    assert (of_file.code, of_file.err) == (0, "")
    tops = [
        [row["top"][0]["class"] for row in json.loads(outcome.out)["predictions"]]
        for outcome in (of_run, of_file)
    ]
    assert tops[0] == tops[1]


def test_float_images_are_rounded_for_a_file_of_bytes(run: Path) -> None:
    images = load_dataset("digits", run).test.images[:5]
    file = open_run(run / "best.onnx")
    assert file.predict(images.float() + 0.3) == file.predict(images)


def test_an_onnx_file_runs_on_the_cpu_alone(run: Path, digits: list[Path], capsys: Capture) -> None:
    for words in (["eval", run / "best.onnx"], ["predict", run / "best.onnx", digits[0]]):
        assert call(capsys, *words, "--device", "cpu").code == 0
        outcome = call(capsys, *words, "--device", "cuda")
        assert (outcome.code, "runs on the CPU, and not on cuda" in outcome.err) == (2, True)


def test_what_is_no_exported_file_is_told_in_words(run: Path) -> None:
    file = run / "best.onnx"
    with pytest.raises(UsageError, match=r"bst\.onnx does not exist; did you mean .*best\.onnx\?"):
        _ = open_run(run / "bst.onnx").weights
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, run / "other.onnx")
    with pytest.raises(RunError, match="was not written by cnnkit"):
        _ = open_run(run / "other.onnx").weights
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"best\.onnx is damaged"):
        _ = open_run(file).weights
    with pytest.raises(UsageError, match="is exported already"):
        open_run(Path(shutil.copy(run / "best-int8.onnx", run / "copy.onnx"))).export()


@pytest.mark.parametrize("name", ["best.onnx", "best-int8.onnx"])
def test_a_flipped_bit_anywhere_in_an_exported_file_is_noticed(run: Path, name: str, capsys: Capture) -> None:
    whole = (run / name).read_bytes()
    assert open_run(run / name).weights
    for share in (0.01, 0.3, 0.5, 0.8, 0.99):
        damaged = bytearray(whole)
        damaged[int(share * len(whole))] ^= 1
        (run / name).write_bytes(damaged)
        with pytest.raises(RunError, match="damaged"):
            _ = open_run(run / name).weights
    assert "damaged" in call(capsys, "eval", str(run / name)).err


def test_onnx_reads_the_checksum_as_an_entry_of_the_metadata(run: Path) -> None:
    model = onnx.load(run / "best.onnx")
    (entry,) = (e for e in model.metadata_props if e.key == "checksum")
    content = (run / "best.onnx").read_bytes()
    assert content.endswith(entry.value.encode())
    model.metadata_props.remove(entry)
    onnx.save(model, run / "written-anew.onnx")  # by another program, or by an older version: no checksum
    assert open_run(run / "written-anew.onnx").weights


def test_int8_tells_what_it_costs_and_gains(finished: Path, capsys: Capture) -> None:
    kept = json.loads((finished / "best-int8.onnx.json").read_text())["int8"]
    assert kept["calibration_images"] == 512
    assert kept["size"] == (finished / "best-int8.onnx").stat().st_size
    assert kept["float_size"] == (finished / "best.onnx").stat().st_size
    assert min(kept["images_per_second"], kept["float_images_per_second"]) > 0
    measured = open_run(finished / "best-int8.onnx").evaluate().evaluation
    assert kept["check"]["accuracy"] == pytest.approx(measured.accuracy)
    of_float = open_run(finished / "best.onnx").evaluate().evaluation
    assert kept["check"]["network_accuracy"] == pytest.approx(of_float.accuracy)
    assert abs(measured.accuracy - of_float.accuracy) < 0.05
    assert not torch.equal(measured.logits, of_float.logits)  # or else nothing was quantised


def test_int8_weights_are_integers(finished: Path) -> None:
    model = onnx.load(finished / "best-int8.onnx")
    kinds = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
    assert kinds == {onnx.TensorProto.INT8}


def test_int8_prints_its_cost_and_is_of_onnx_alone(run: Path, capsys: Capture) -> None:
    outcome = call(capsys, "export", run, "--int8", "--out", "a.onnx", "--check", 100)
    assert outcome.code == 0
    told = r"int8 +\d+\.\d\d% accuracy, [+-]\d+\.\d\d points; [\d,]+ images/s, \d+\.\d\d times float32's"
    assert re.search(told, outcome.out)
    with pytest.raises(UsageError, match="only ONNX files are quantised"):
        open_run(run).export(format="torch", int8=True)


def used(*arguments: object) -> list[list[str]]:
    """The script's lines in words. It runs where no cnnkit can be imported."""
    words = [sys.executable, SCRIPTS / "use_onnx.py", *arguments]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True)
    return [line.split("  ") for line in done.stdout.splitlines()]


def test_the_script_answers_as_cnnkit_does(run: Path, digits: list[Path], of_photos: Path) -> None:
    photos = sorted((of_photos / "photos").rglob("*.png"))[::7]
    for file, images in ((run / "best.onnx", digits), (of_photos / "run" / "best.onnx", photos)):
        found = open_run(file).predict(images)
        wanted = [[str(one.path), one.best, f"{one.probabilities[0]:.1%}"] for one in found]
        assert used(file, *images) == wanted


def test_the_script_is_short_and_needs_no_cnnkit() -> None:
    code = (SCRIPTS / "use_onnx.py").read_text().split('"""')[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    assert set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)) == {
        *("json", "sys", "numpy", "onnxruntime", "PIL")
    }
    assert cnnkit.__name__ not in code


# Own classes --------------------------------------------------------------------------------------------

OWN_CLASSES = """
import torch
from torch import nn
open('planted', 'w').close()
class Least(nn.Module):
    def __init__(self, k, *, share: float = 0.5):
        super().__init__()
        self.k, self.share = k, share
    def forward(self, maps):
        k, (height, width) = self.k, maps.shape[-2:]
        cells = maps[..., : height // k * k, : width // k * k].unfold(2, k, k).unfold(3, k, k)
        return {least}
class Peak(nn.Module):
    def __init__(self, channels):
        super().__init__()
    def forward(self, maps):
        return maps.amax((2, 3))
class Bend(nn.Module):
    def forward(self, x):
        return x.clamp(min=-0.1)
"""
PLAIN = "cells.amax((-2, -1)) - self.share * cells.amin((-2, -1))"
CHOOSES = "cells.amax((-2, -1)) if float(maps.detach().sum()) > 0 else cells.amin((-2, -1))"


def run_of_own_classes(least: str, monkeypatch: pytest.MonkeyPatch) -> cnnkit.Run:
    """A run of an own pooling, head and activation, which are trusted here."""
    monkeypatch.setattr(tried_apart, "_answers", lambda cases: [("", None)] * len(cases))
    Path("mine.py").write_text(OWN_CLASSES.format(least=least))
    named = {"model.pooling": "mine.py:Least", "model.head": "mine.py:Peak"}
    config = cnnkit.load_config("digits", {"training.epochs": 1, "model.activation": "mine.py:Bend", **named})
    return cnnkit.train(config, out="run", progress=False)


@pytest.mark.parametrize("int8", [False, True])
def test_an_exported_network_of_own_classes_answers_without_them(
    int8: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    trained = run_of_own_classes(PLAIN, monkeypatch)
    trained.export("model.onnx", int8=int8, check=90)
    accuracy = trained.evaluate().evaluation.accuracy
    for gone in ("mine.py", "planted"):
        Path(gone).unlink()
    shutil.rmtree("run")
    forget()
    drawn = Image.new("L", (28, 28), 255)
    drawn.paste(0, (12, 4, 16, 24))
    drawn.save("one.png")
    asked = call(capsys, "predict", "model.onnx", "one.png")
    assert asked.code == 0, asked.err
    measured = call(capsys, "eval", "model.onnx", "--json")
    assert measured.code == 0, measured.err
    assert json.loads(measured.out)["accuracy"] == pytest.approx(accuracy, abs=0.03)
    assert not Path("planted").exists()


def test_a_program_of_own_classes_is_opened_by_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = run_of_own_classes(PLAIN, monkeypatch)
    trained.export("model.pt2", format="torch", check=90)
    pixels = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    wanted = trained.model()(pixels)
    Path("planted").unlink()
    forget()
    logits, _ = torch.export.load("model.pt2").module()(pixels)
    assert torch.allclose(logits, wanted, atol=1e-4)
    assert not Path("planted").exists()


def test_what_cannot_be_exported_of_an_own_class_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = run_of_own_classes(CHOOSES, monkeypatch)
    with pytest.raises(RunError, match=r"pooling \(Least\) cannot be exported: it decides by the values"):
        trained.export("model.onnx", check=9)
    assert not Path("model.onnx").exists()
