"""`cnnkit predict`: what image files show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit.cli.completion import complete_folder, complete_run
from cnnkit.cli.options import DeviceOption, JsonOption, print_json
from cnnkit.cli.runs import latest_named, run_and_images
from cnnkit.errors import ImageError, UsageError

if TYPE_CHECKING:
    from cnnkit.api.run import Run


def predict_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] IMAGE",
            help="Run directory or weights file, without it the latest run; then image files, of any size.",
            autocompletion=complete_run,
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 3,
    save_seen: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write there what the network saw of each image.",
            autocompletion=complete_folder,
        ),
    ] = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what your own image files show."""
    from cnnkit.api.functions import open_run
    from cnnkit.api.progress import print_note

    run, images = run_and_images(files)
    opened = open_run(latest_named(print_note) if run is None else run)
    if save_seen is not None:
        if save_seen.exists() and not save_seen.is_dir():
            raise UsageError(f"--save-seen {save_seen}: this is a file; name a folder")
        save_seen.mkdir(parents=True, exist_ok=True)
    told = [_predicted(opened, image, top, save_seen, device, as_json) for image in images]
    if as_json:
        print_json({"predictions": told})
    raise typer.Exit(int(any("error" in row for row in told)))


def _predicted(
    run: "Run", image: Path, top: int, save_seen: Path | None, device: str | None, silent: bool
) -> dict[str, Any]:
    """One image's row of the JSON; printed as well, unless `silent`. Errors and warnings are always told."""
    from cnnkit.cli.console import print_error, print_prediction, print_warning
    from cnnkit.data.picture_files import write_beside

    try:
        (prediction,) = run.predict(image, device)
    except ImageError as error:
        print_error(error)
        return {"image": str(image), "error": str(error)}
    likeliest = list(zip(prediction.classes, prediction.probabilities, strict=True))[:top]
    rows = [{"class": name, "probability": probability} for name, probability in likeliest]
    told = {"image": str(image), "top": rows, "warnings": list(prediction.warnings)}
    if save_seen is not None:
        told["seen"] = str(write_beside(save_seen, image.stem, prediction.seen))
    if not silent:
        print_prediction(str(image), likeliest)
    for warning in prediction.warnings:
        print_warning(f"{image}: {warning}")
    return told
