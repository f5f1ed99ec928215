"""`cnnkit export`: a trained network as a file for other programs."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.cli.completion import complete_folder
from cnnkit.cli.options import JsonOption, RootOption, TrustOption, print_json, run_argument
from cnnkit.cli.runs import latest_named

if TYPE_CHECKING:
    from cnnkit.experiment.export import ExportedFile
    from cnnkit.experiment.int8 import Int8


class Format(str, Enum):
    onnx = "onnx"
    torch = "torch"


class Pixels(str, Enum):
    uint8 = "uint8"
    float32 = "float32"


def export_command(
    run: Annotated[Path | None, run_argument("Run directory or weights file")] = None,
    kind: Annotated[
        Format,
        typer.Option("--format", metavar="NAME", help="onnx, or torch: what torch.export.load opens."),
    ] = Format.onnx,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where to write it.",
            autocompletion=complete_folder,
            show_default="beside the weights",
        ),
    ] = None,
    pixels: Annotated[
        Pixels,
        typer.Option(metavar="TYPE", help="What the file takes, uint8 or float32; 0 to 255 both."),
    ] = Pixels.uint8,
    most: Annotated[
        int | None,
        typer.Option("--check", metavar="N", min=1, help="Test images to check it on.", show_default="all"),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise it; what that costs and gains is measured.")
    ] = False,
    root: RootOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a network as a file for other programs, and check it on the test images."""
    from cnnkit.api.functions import open_run
    from cnnkit.api.progress import print_note

    chosen = open_run(latest_named(print_note) if run is None else run, trust=trust)
    exported = chosen.export(
        out, format=kind.value, pixels=pixels.value, check=most, int8=int8, root=root, notify=print_note
    )
    if as_json:
        print_json(exported.to_dict())
    else:
        _show(exported)


def _show(exported: "ExportedFile") -> None:
    from cnnkit.calibrator import calibrator_of
    from cnnkit.cli.console import print_pairs
    from cnnkit.experiment.export import beside, in_words
    from cnnkit.nn.exported import IMAGES, LOGITS, PROBABILITIES
    from cnnkit.words import counted

    checked, batch = exported.check, " × ".join(map(str, ("N", *exported.shape)))
    opset = "" if exported.opset is None else f", opset {exported.opset}"
    rows = {
        "written": f"{exported.file} ({exported.size / 1e6:,.1f} MB{opset})",
        "takes": f"{IMAGES}: {batch}, {exported.pixels}, pixels 0 to 255",
        "gives": f"{LOGITS} and {PROBABILITIES}, with {calibrator_of(exported)}: N × {exported.classes}",
        "checked": f"on {counted(checked.images, 'test image')}: {in_words(checked)}",
        "accuracy": f"{checked.accuracy:.2%} of the file, {checked.network_accuracy:.2%} of the network, "
        "both in float32",
        **({} if exported.int8 is None else {"int8": _cost(exported.int8)}),
        "kept in": str(beside(Path(exported.file))),
    }
    print_pairs(rows)


def _cost(int8: "Int8") -> str:
    points = 100 * (int8.check.accuracy - int8.check.network_accuracy)
    return (
        f"{int8.check.accuracy:.2%} accuracy, {points:+.2f} points; {int8.images_per_second:,.0f} images/s, "
        f"{int8.speedup:.2f} times float32's; {int8.size / int8.float_size:.2f} times its size"
    )
