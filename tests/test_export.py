"""A network that leaves cnnkit as a file answers as it did, and a file that does not is refused."""

import json
import shutil
from collections.abc import Iterator
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import Tiny, call, finished_run
from torch import Tensor, nn

import cnnkit
from cnnkit.api.functions import open_run
from cnnkit.calibrator import Calibrator
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset
from cnnkit.data.prepare import load_splits
from cnnkit.errors import RunError, UsageError
from cnnkit.experiment import onnx_file
from cnnkit.experiment.export_check import check, first_difference
from cnnkit.experiment.onnx_file import OnnxDraft
from cnnkit.experiment.torch_file import TorchDraft, traced
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS
from cnnkit.filenames import BEST
from cnnkit.nn.exported import Exported
from cnnkit.nn.model import build_model
from cnnkit.random import generator_for
from cnnkit.tensor_files import load_tensors, save_tensors

try:
    import onnx
    import onnxruntime
    import onnxscript  # noqa: F401
except ImportError:
    pytest.skip("ONNX's libraries are not installed: pip install 'cnnkit[onnx]'", allow_module_level=True)

Capture = pytest.CaptureFixture[str]
CROP = "data.crop=1"
FORMATS = {"onnx": ".onnx", "torch": ".pt2"}


@pytest.fixture(scope="module")
def finished(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of cropped images."""
    return finished_run(tmp_path_factory.mktemp("finished") / "run", shared_cache, CROP, "training.epochs=3")


@pytest.fixture(scope="module")
def onnx_of_run(finished: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its ONNX file, which no test may change."""
    path = tmp_path_factory.mktemp("exported") / "digits.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        open_run(finished).export(path)
    return path


def whole_test_images() -> ImageDataset:
    """The digits' test images, 8 × 8, before any crop."""
    return load_splits(cnnkit.load_config("digits").data, 0).test


def metadata_of(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def answers_of(path: Path, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What onnxruntime alone makes of a file, by the name of the output."""
    session = onnxruntime.InferenceSession(path)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": pixels}), strict=True))


def test_an_onnx_file_takes_whole_images_and_gives_the_logits_of_the_run(
    finished: Path, onnx_of_run: Path
) -> None:
    images = whole_test_images().images
    found = answers_of(onnx_of_run, images.numpy())
    with torch.inference_mode():
        logits = open_run(finished).model()(images[..., 1:7, 1:7])
    assert np.allclose(found["logits"], logits.numpy(), atol=1e-5)
    wanted = open_run(finished).weights.calibrator.probabilities(logits).numpy()
    assert np.allclose(found["probabilities"], wanted, atol=1e-6)


def test_each_format_gives_the_probabilities_of_the_calibrator(finished: Path, tmp_path: Path) -> None:
    tensors, told = load_tensors(finished / BEST)
    alone = tmp_path / "alone.safetensors"
    save_tensors(alone, tensors, {**told, "temperature": "0.5", "uniform_share": "0.25"})
    images = whole_test_images().images
    run = open_run(alone)
    run.export("a.onnx")
    run.export("a.pt2", format="torch")
    metadata = {"temperature": "", "uniform_share": ""}
    of_torch = torch.export.load("a.pt2", extra_files=metadata).module()(images)[1]
    assert [float(metadata[name]) for name in ("temperature", "uniform_share")] == [0.5, 0.25]
    of_onnx = answers_of(Path("a.onnx"), images.numpy())
    wanted = 0.75 * (torch.from_numpy(of_onnx["logits"]) / 0.5).softmax(1) + 0.25 / 10
    assert np.allclose(of_onnx["probabilities"], wanted, atol=1e-6)
    assert torch.allclose(of_torch, wanted, atol=1e-5)
    assert json.loads(Path("a.onnx.json").read_text())["uniform_share"] == 0.25
    assert open_run(Path("a.onnx")).weights.calibrator == Calibrator(0.5, 0.25)
    (shown,) = open_run(Path("a.onnx")).predict(images[:1])
    assert shown.probabilities[0] == pytest.approx(wanted[0].max().item(), abs=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_images_goes_through_at_once(onnx_of_run: Path, count: int) -> None:
    images = whole_test_images().images.numpy()
    together = answers_of(onnx_of_run, images[:8])["logits"]
    assert np.allclose(answers_of(onnx_of_run, images[:count])["logits"], together[:count], atol=1e-5)
    assert onnx.load(onnx_of_run).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_the_file_says_what_a_stranger_needs(finished: Path, onnx_of_run: Path) -> None:
    told, run = metadata_of(onnx_of_run), open_run(finished)
    assert json.loads(told["class_names"]) == list("0123456789")
    assert json.loads(told["input_shape"]) == [1, 8, 8]
    assert (told["channels"], told["pixels"]) == ("grey", "uint8, 0 to 255")
    framing = json.loads(told["framing"])
    assert (framing["kind"], framing["centred_by"]) == ("handwriting", run.config.data.info.centred_by)
    assert told["cnnkit"] == cnnkit.__version__
    assert onnx_file.parse_config(told["config"], "told", kept=True) == run.config
    assert float(told["test_accuracy"]) == run.result.test_accuracy
    assert Calibrator.from_dict(told) == run.weights.calibrator != Calibrator()


def test_no_file_tells_where_it_was_made(finished: Path, onnx_of_run: Path, tmp_path: Path) -> None:
    open_run(finished).export("run.pt2", format="torch")
    here = str(Path(cnnkit.__file__).parent).encode()
    assert here not in onnx_of_run.read_bytes()
    assert here not in Path("run.pt2").read_bytes()


def test_a_pt2_file_is_a_program_that_torch_opens_alone(finished: Path) -> None:
    exported = open_run(finished).export("run.pt2", format="torch", pixels="float32")
    told = {"class_names": ""}
    module = torch.export.load("run.pt2", extra_files=told).module()
    images = whole_test_images().images.float()
    logits, probabilities = module(images)
    wanted = open_run(finished).model()(images[..., 1:7, 1:7])
    assert torch.allclose(logits, wanted, atol=1e-5)
    assert torch.allclose(probabilities.sum(1), torch.ones(len(images)))
    assert json.loads(told["class_names"]) == list("0123456789")
    assert (exported.check.images, exported.check.agreement, exported.opset) == (360, 1.0, None)


def test_float_pixels_are_taken_where_they_are_asked_for(finished: Path, onnx_of_run: Path) -> None:
    open_run(finished).export("float.onnx", pixels="float32", check=20)
    images = whole_test_images().images.numpy()
    found = answers_of(Path("float.onnx"), images.astype(np.float32))["logits"]
    assert np.allclose(found, answers_of(onnx_of_run, images)["logits"], atol=1e-6)


def test_the_command_prints_what_it_keeps_beside_the_file(finished: Path, capsys: Capture) -> None:
    outcome = call(capsys, "export", finished, "--out", "a.onnx", "--check", 90)
    assert (outcome.code, outcome.err) == (0, "")
    kept = json.loads(Path("a.onnx.json").read_text())
    assert kept["check"]["images"] == kept["check"]["same_answers"] == 90
    assert kept["size"] == Path("a.onnx").stat().st_size
    assert f"opset {kept['opset']}" in outcome.out
    assert "N × 1 × 8 × 8, uint8" in outcome.out
    assert "on 90 test images: 100.00% of the answers agree" in outcome.out
    assert f"{kept['check']['largest_difference']:.1e}" in outcome.out
    as_json = call(capsys, "export", finished, "--out", "b.onnx", "--check", 90, "--json")
    assert json.loads(as_json.out) == {**kept, "file": "b.onnx"}


def test_without_out_the_file_lies_beside_the_weights_and_is_never_replaced(
    run: Path, capsys: Capture
) -> None:
    assert call(capsys, "export", run, "--format", "torch", "--check", 2).code == 0
    before = (run / "best.pt2").read_bytes()
    again = call(capsys, "export", run, "--format", "torch", "--check", 2)
    assert (again.code, "best.pt2 is there already" in again.err) == (2, True)
    assert (run / "best.pt2").read_bytes() == before
    assert open_run(run).evaluate().evaluation.images == 360  # the run is whole as before


def test_the_check_counts_ties_apart_from_other_answers() -> None:
    labels = torch.tensor([0, 1, 1, 0])
    images = ImageDataset(torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1), labels, INFO)
    network = torch.tensor([[2.0, 1.0], [1.0, 1.00005], [0.0, 3.0], [1.0, 2.0]])
    file = network + torch.tensor([[0.0, 0.0], [0.0001, 0.0], [0.0, 0.0], [0.0, 0.0]])
    found = check(lambda p: file[p.flatten().long()], lambda p: network[p.flatten().long()], images)
    assert (found.images, found.same_answers, found.ties, found.agreement) == (4, 3, 1, 1.0)
    assert (found.network_accuracy, found.accuracy) == (0.75, 0.5)
    assert found.largest_difference == pytest.approx(1e-4, rel=0.01)
    assert found.passed
    file[3] = torch.tensor([2.5, 2.0])  # an answer that is no tie
    found = check(lambda p: file[p.flatten().long()], lambda p: network[p.flatten().long()], images)
    assert (found.agreement, found.passed) == (2 / 3, False)


@pytest.mark.parametrize(("change", "passed"), [(0.0009, True), (0.0011, False), (float("nan"), False)])
def test_logits_may_differ_by_a_thousandth(change: float, passed: bool) -> None:
    images = ImageDataset(torch.zeros(1, 1, 1, 1, dtype=torch.uint8), torch.tensor([0]), INFO)
    logits = torch.tensor([[1.0, 0.0]])
    assert check(lambda _: logits + change, lambda _: logits, images).passed is passed


INFO = cnnkit.ImageInfo((1, 1, 1), ("a", "b"))


def spoiled_onnx(content: bytes, layer: str) -> bytes:
    """The file with another weight in the first node of a layer that has weights."""
    model = onnx.load_from_string(content)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        scopes = [prop.value for prop in node.metadata_props if layer in prop.value]
        named = [weights[name] for name in node.input if name in weights and scopes]
        if node.op_type in ("Conv", "Gemm") and named:
            values = onnx.numpy_helper.to_array(named[0]).copy()
            values.flat[0] += 1
            named[0].CopyFrom(onnx.numpy_helper.from_array(values, named[0].name))
            return bytes(model.SerializeToString())
    raise AssertionError(layer)


@pytest.mark.parametrize("layer", ["stages.0.norm", "stages.1.norm", "dense.linear1", "dense.linear2"])
def test_a_file_that_answers_otherwise_is_not_written_and_its_layer_is_named(
    layer: str, finished: Path, onnx_of_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    spoiled = OnnxDraft(spoiled_onnx(onnx_of_run.read_bytes(), layer))
    monkeypatch.setattr("cnnkit.experiment.export.traced", lambda *_: None)
    monkeypatch.setattr(OnnxDraft, "of", lambda *_: spoiled)
    outcome = call(capsys, "export", finished, "--out", "bad.onnx")
    assert outcome.code == 1
    assert "bad.onnx is not written" in outcome.err
    assert f"the difference begins in the layer {layer}" in " ".join(outcome.err.split())
    assert not list(Path().iterdir())


def test_a_pt2_file_that_answers_otherwise_names_its_layer(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = TorchDraft.of.__func__  # type: ignore[attr-defined]

    def spoil(cls: type[TorchDraft], program: Any, told: Any) -> TorchDraft:
        name = "network.stages.1.downsampling.convolution.weight"
        program.state_dict[name] = nn.Parameter(program.state_dict[name].detach() + 0.5)
        return write(cls, program, told)  # type: ignore[no-any-return]

    monkeypatch.setattr(TorchDraft, "of", classmethod(spoil))
    with pytest.raises(RunError, match=r"the layer stages\.1\.downsampling\.convolution$"):
        open_run(finished).export("bad.pt2", format="torch")
    assert not list(Path().iterdir())


def test_what_is_unknown_is_refused(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no format 'tflite'; expected onnx or torch"):
        open_run(finished).export(format="tflite")
    with pytest.raises(UsageError, match=r"net\.pt2: the name of such a file ends in \.onnx"):
        open_run(finished).export("net.pt2")
    with pytest.raises(UsageError, match="no pixels 'int8'; expected uint8 or float32"):
        open_run(finished).export(pixels="int8")
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'cnnkit\[onnx\]'"):
        open_run(finished).export()


def two_by_two(names: list[str], other: str) -> Iterator[tuple[str, str]]:
    """Each name once; beside the last of an odd number another one."""
    return zip_longest(names[::2], names[1::2], fillvalue=other)


def many_parts() -> Iterator[str]:
    """Networks that hold each pooling in each order, each head but gem and each activation.

    An export takes seconds: two poolings lie in a network, and beside those that take any value a head and
    an activation.
    """
    heads, activations = (
        [name for name in names if name not in ("gem", "relu")] for names in (HEADS, ACTIVATIONS)
    )
    beside = (
        f"model.head={head}|model.activation={activation}"
        for head, activation in zip_longest(heads, activations, fillvalue="avg")
    )
    for order in ("pooling_first", "activation_first"):
        picky = [e.name for e in POOLINGS.values() if e.no_negatives]
        names = [name for name in POOLINGS if not (name in picky and order == "pooling_first")]
        for pair in two_by_two(names, "max"):
            part = f"model.pooling=[{', '.join(pair)}]|model.order={order}"
            yield part if {*pair} & {*picky} else "|".join((part, *islice(beside, 1)))
    yield from beside


PARTS = [
    *many_parts(),
    "model.pooling=[{name: soft, beta: learned}, {name: lp, p: learned}]|model.order=activation_first",
    "model.head=gem",  # not after every activation
    "model.head={name: gem, p: learned}",
    "model.batch_norm=false|model.kernel_sizes=[2,4]|model.convolutions=2",
    "model.pool_size=3|data.crop=0|model.channels=[4]",
]


def of_random_weights(config: Config) -> Exported:
    """A network none of whose weights, means and deviations is 0 or 1, as of a fresh one some are."""
    info = config.data.info
    network = build_model(config.model, info, 0, 70.0, 60.0).eval()
    draw = generator_for(0, "weights of a test")
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if values.is_floating_point() and not name.startswith("normalize"):
                values.add_((torch.rand(values.shape, generator=draw) - 0.5) * 0.6)
    return Exported(network, info.crop, Calibrator(1.5, 0.1)).eval()


@pytest.mark.parametrize(
    "part", [pytest.param(p, marks=pytest.mark.slow) if "activation_first" in p else p for p in PARTS]
)
def test_every_part_of_a_network_is_the_same_in_an_onnx_file(part: str, tiny: Tiny) -> None:
    config = tiny(*part.split("|"))
    model = of_random_weights(config)
    shape = onnx_file.whole_images(config).data.info.shape
    images = torch.randint(
        0, 256, (40, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    draft = OnnxDraft.of(traced(model, images[:2]), {})
    with torch.inference_mode():
        logits = model(images)[0]
    assert logits.std(0).min() > 1e-4  # the images matter
    assert torch.allclose(draft.answers()(images), logits, atol=1e-4, rtol=1e-4)
    assert first_difference(draft.layers(images), model, images) == "a place that is no layer's output"


class Untraceable(nn.Module):
    """A person's own activation, which looks at its values to decide what to do."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps * 2 if maps.sum() > 0 else maps


class Halved(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return torch.where(maps > 0, maps / 2, maps / 3)


@pytest.fixture
def own_pooling(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`own_pooling(model, module)` puts a module behind the second stage's pooling."""

    def put(model: Exported, module: nn.Module) -> Exported:
        stage = model.network.stages[1].get_submodule("downsampling")
        stage.pooling = nn.Sequential(stage.pooling, module)
        return model

    return put


def test_a_pooling_of_ones_own_exports_where_its_operations_do(own_pooling: Any, tiny: Tiny) -> None:
    model = own_pooling(of_random_weights(tiny()), Halved())
    images = whole_test_images().images[:20]
    draft = OnnxDraft.of(traced(model, images[:2]), {})
    assert torch.allclose(draft.answers()(images), model(images)[0], atol=1e-5)


def test_a_layer_that_cannot_be_exported_is_named(own_pooling: Any, tiny: Tiny) -> None:
    model = own_pooling(of_random_weights(tiny()), Untraceable())
    told = r"the layer stages\.1\.downsampling\.pooling\.1 \(Untraceable\) cannot be exported: "
    with pytest.raises(RunError, match=told):
        traced(model, whole_test_images().images[:2])


def test_a_weights_file_alone_is_exported_too(finished: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copy(finished / "best.safetensors", tmp_path / "alone.safetensors"))
    open_run(alone).export(check=5)
    assert "test_accuracy" not in metadata_of(tmp_path / "alone.onnx")
