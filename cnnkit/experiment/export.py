"""A trained network leaves cnnkit: as an ONNX file or a program of torch, checked on the test images."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cnnkit.config.load import config_text
from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset, Splits
from cnnkit.data.prepare import load_splits
from cnnkit.data.sources import with_root
from cnnkit.errors import RunError, UsageError
from cnnkit.events import NoteListener, ignore
from cnnkit.experiment.checkpoints import Weights
from cnnkit.experiment.export_check import Checked, check, first_difference
from cnnkit.experiment.int8 import CALIBRATED_ON, Int8, compared, quantized
from cnnkit.experiment.onnx_file import OnnxDraft, OnnxFile, whole_images
from cnnkit.experiment.run_dir import RunDir
from cnnkit.experiment.torch_file import EXAMPLES, TorchDraft, traced
from cnnkit.families.datasets import DatasetInfo
from cnnkit.filenames import BEST, OWN
from cnnkit.files import write_atomically, write_json
from cnnkit.nn.exported import Exported
from cnnkit.own.sources import packed
from cnnkit.records import Record
from cnnkit.training.device import choose_device
from cnnkit.version import __version__
from cnnkit.words import counted, listed

Draft = OnnxDraft | TorchDraft
FORMATS: dict[str, type[Draft]] = {"onnx": OnnxDraft, "torch": TorchDraft}
PIXELS = {"uint8": torch.uint8, "float32": torch.float32}
LOOKED_AT = 16  # images with which the layer is found at which a file differs


@dataclass(frozen=True)
class ExportedFile(Record):
    """What `<file>.json` holds. file: its path. opset: of ONNX, else None. size: bytes.

    pixels: "uint8" or "float32". shape: (C, H, W) of an image that the file takes, before the crop.
    check: in float32. int8: what the file costs and gains beside that, where it is made of integers.
    """

    file: str
    format: str
    opset: int | None
    size: int
    pixels: str
    shape: tuple[int, int, int]
    classes: int
    temperature: float | None
    check: Checked
    int8: Int8 | None = None
    uniform_share: float = 0.0


def export(
    weights: Weights | OnnxFile,
    out: Path | None = None,
    root: Path | None = None,
    *,
    kind: str = "onnx",
    pixels: str = "uint8",
    most: int | None = None,
    int8: bool = False,
    notify: NoteListener = ignore,
) -> ExportedFile:
    """Writes a network as a file, and what a check on the test images finds, `<file>.json`, beside it.

    out: None: beside the weights. kind: "onnx" or "torch". pixels: what the file takes, "uint8" or "float32",
    0 … 255 both. most: test images that are looked at; None: all. root: where the run's images lie now.
    int8: quantise an ONNX file, with training images, after its check; what that costs and gains is measured.
    Raises UsageError where `out` is there already or has the ending of something else, or a library is
    missing, DataError where the images are not to be had, RunError where a layer cannot be exported or the
    file answers otherwise than the network; then nothing is left of it.
    """
    if isinstance(weights, OnnxFile):
        raise UsageError(f"{weights.source} is exported already; name the run, or its weights")
    _refuse_unknown("pixels", pixels, PIXELS)
    draft_of = _format(kind, int8)
    named = f"{weights.source.stem}{'-int8' if int8 else ''}{draft_of.suffix}"
    path = out or weights.source.with_name(named)
    _refuse_path(path, draft_of.suffix)
    splits = _whole_splits(weights.config, root, notify)
    images = _spread(splits.test, most)
    runtime = weights.config.runtime.model_copy(update={"device": "cpu", "precision": "float32"})
    cost, dtype = None, PIXELS[pixels]
    with choose_device(runtime).in_force():
        model = Exported(weights.model.cpu(), weights.config.data.info.crop, weights.calibrator).eval()
        example = torch.zeros(EXAMPLES, *images.info.shape, dtype=dtype)
        draft = draft_of.of(traced(model, example), metadata(weights, pixels))
        checked = _checked(draft, model, images, dtype, path)
        if int8 and isinstance(draft, OnnxDraft):
            draft, cost = _in_integers(draft, splits, images, dtype)
    write_atomically(path, draft.content)
    exported = ExportedFile(
        file=str(path),
        format=kind,
        opset=draft.opset,
        size=len(draft.content),
        pixels=pixels,
        shape=images.info.shape,
        classes=images.info.classes,
        temperature=weights.calibrator.temperature,
        check=checked,
        int8=cost,
        uniform_share=weights.calibrator.uniform_share,
    )
    write_json(beside(path), exported.to_dict())
    return exported


def _format(kind: str, int8: bool) -> type[Draft]:
    """Raises UsageError where there is no such format, it has no integers, or its library is missing."""
    _refuse_unknown("format", kind, FORMATS)
    found = FORMATS[kind]
    if int8 and found is not OnnxDraft:
        raise UsageError(f"int8 does not go with the format {kind}: only ONNX files are quantised")
    found.refuse_missing()
    return found


def _in_integers(
    draft: OnnxDraft, splits: Splits, images: ImageDataset, dtype: torch.dtype
) -> tuple[OnnxDraft, Int8]:
    """The quantised file, and how it compares with the other on these images."""
    known = _spread(splits.train, CALIBRATED_ON)
    smaller = quantized(draft, known.images.to(dtype))
    return smaller, compared(smaller, draft, images, dtype, len(known))


def _refuse_unknown(what: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise UsageError(f"there is no {what} {name!r}; expected {listed([*known], 'or')}")


def beside(path: Path) -> Path:
    """Where is kept what is known of an exported file."""
    return path.with_name(f"{path.name}.json")


def _refuse_path(path: Path, suffix: str) -> None:
    """Raises UsageError where a name does not end so, or a file would be overwritten."""
    if path.suffix.lower() != suffix:
        raise UsageError(f"{path}: the name of such a file ends in {suffix}, by which it is known")
    for taken in (path, beside(path)):
        if taken.is_symlink() or taken.exists():
            raise UsageError(f"{taken} is there already; name another file with --out, or remove it")


def _whole_splits(config: Config, root: Path | None, notify: NoteListener) -> Splits:
    """The run's images, before the crop. root: where they lie now."""
    data = with_root(whole_images(config).data, root, notify)
    return load_splits(data, config.training.seed, notify)


def _spread(images: ImageDataset, most: int | None) -> ImageDataset:
    """At most so many of the images, evenly spread over them."""
    count = len(images)
    return images if most is None or most >= count else images[torch.arange(most) * count // most]


def _checked(draft: Draft, model: Exported, images: ImageDataset, dtype: torch.dtype, path: Path) -> Checked:
    """Raises RunError where a file that is to be written does not answer as the network does."""
    answers = draft.answers()
    checked = check(lambda given: answers(given.to(dtype)), lambda given: model(given.to(dtype))[0], images)
    if checked.passed:
        return checked
    looked_at = images[range(min(LOOKED_AT, len(images)))].images.to(dtype)
    layer = first_difference(draft.layers(looked_at), model, looked_at)
    raise RunError(
        f"{path} is not written: on {counted(checked.images, 'test image')} it answers otherwise than the "
        f"network: {in_words(checked)}; the difference begins in the layer {layer}"
    )


def in_words(checked: Checked) -> str:
    """How two networks differ."""
    difference = checked.largest_difference
    largest = "are no numbers" if difference is None else f"differ by up to {difference:.1e}"
    ties = f", {counted(checked.ties, 'tie')} left out" if checked.ties else ""
    return f"{checked.agreement:.2%} of the answers agree{ties}, logits {largest}"


def metadata(weights: Weights, pixels: str) -> dict[str, str]:
    """What a file says of itself, as texts; what has parts is JSON."""
    info = whole_images(weights.config).data.info
    told = {
        "cnnkit": __version__,
        "config": config_text(weights.config),
        "class_names": json.dumps(info.class_names, ensure_ascii=False),
        "input_shape": json.dumps(info.shape),
        "channels": "RGB" if info.shape[0] == 3 else "grey",
        "pixels": f"{pixels}, 0 to 255",
        "framing": json.dumps(_framing(info)),
        **weights.calibrator.texts(),
    }
    if info.photographs:
        told["fit"] = info.fit
    if own := weights.config.model.own_classes:
        told[OWN] = json.dumps(packed(own))  # the file runs without it; its configuration names it
    run = RunDir(weights.source.parent)
    if weights.source.name == BEST and run.finished:
        told["test_accuracy"] = repr(run.result.test_accuracy)
    return told


def _framing(info: DatasetInfo) -> dict[str, object]:
    """How a person's own image becomes one of the training images' kind; see `DatasetInfo`."""
    if info.photographs:
        return {"kind": "photograph"}
    return {
        "kind": "handwriting" if info.strokes else "drawing",
        "ink": "light on black",
        "ink_share": info.ink_share,
        "centred_by": info.centred_by,
        "resampling": info.resampling,
    }
