"""`cnnkit eval`: a trained network, measured again."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.cli.completion import complete_folder
from cnnkit.cli.options import (
    DeviceOption,
    JsonOption,
    RootOption,
    TrustOption,
    csv_option,
    print_json,
    run_argument,
)
from cnnkit.cli.runs import latest_named

if TYPE_CHECKING:
    from cnnkit.experiment.measure import Measured


class Split(str, Enum):
    test = "test"
    validation = "validation"
    train = "train"


def eval_command(
    run: Annotated[Path | None, run_argument("Run directory, weights or ONNX file")] = None,
    split: Annotated[
        Split | None,
        typer.Option(
            metavar="NAME",
            help="Which images: test, validation or train.",
            show_default="test, with --data all",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Measure on other labelled images: a folder with a folder for each class, a table, a .zip …",
            autocompletion=complete_folder,
        ),
    ] = None,
    root: RootOption = None,
    trust: TrustOption = False,
    table: Annotated[Path | None, csv_option("List each image with truth and answer")] = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a trained network again: accuracy, calibration, confusion."""
    from cnnkit.api.functions import open_run
    from cnnkit.api.progress import print_note
    from cnnkit.tables import refuse_taken_table

    if table is not None:
        refuse_taken_table(table)
    chosen = open_run(latest_named(print_note) if run is None else run, trust=trust)
    measured = chosen.evaluate(
        None if split is None else split.value, device, print_note, data=data, root=root
    )
    if table is not None:
        measured.table().write(table)
    _show(measured, table, as_json)


def _show(measured: "Measured", table: Path | None, as_json: bool) -> None:
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out, print_evaluation

    if as_json:
        print_json({**measured.to_dict(), **({"csv": str(table)} if table else {})})
        return
    where = f"{measured.split} split" if measured.other is None else measured.which
    print_evaluation(measured.to_dict(), f"{measured.weights.source} on the {where}")
    if table is not None:
        say(out, f"each image: {table}")
