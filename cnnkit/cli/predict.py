"""`cnnkit predict`: what image files show."""

import collections
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnkit.cli.completion import complete_folder, complete_run
from cnnkit.cli.options import DeviceOption, JsonOption, TrustOption, csv_option, print_json
from cnnkit.cli.runs import latest_named, run_and_images
from cnnkit.errors import ImageError, UsageError
from cnnkit.words import counted

if TYPE_CHECKING:
    from cnnkit.api.run import Run
    from cnnkit.experiment.measure import Prediction
    from cnnkit.listing import PassedOver
    from cnnkit.tables import Table

LIKELIEST = 3  # classes that are shown of an image
FEW = 20  # images that each get a line; of more a table is printed
NAMED = 10  # errors, and warnings, that are told of many images

Found = tuple[Path, "Prediction | ImageError"]


def predict_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="[RUN] IMAGE",
            help="Run directory, weights or ONNX file, without it the latest run; then images of any size: "
            "files, folders, and globs in quotes.",
            autocompletion=complete_run,
        ),
    ],
    top: Annotated[
        int | None, typer.Option(min=1, help="How many classes to show.", show_default=str(LIKELIEST))
    ] = None,
    save_seen: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write there what the network saw of each image.",
            autocompletion=complete_folder,
        ),
    ] = None,
    table: Annotated[Path | None, csv_option("List each image with all probabilities")] = None,
    trust: TrustOption = False,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what your own images show."""
    from cnnkit.api.functions import open_run
    from cnnkit.api.progress import print_note
    from cnnkit.config.own_code import tell_of_changes
    from cnnkit.events import Note
    from cnnkit.listing import PassedOver, words_of_passed
    from cnnkit.tables import refuse_taken_table

    run, named = run_and_images(files)
    if table is not None:
        refuse_taken_table(table)
    opened = open_run(latest_named(print_note) if run is None else run, trust=trust)
    tell_of_changes([opened.config], print_note)
    if save_seen is not None:
        if save_seen.exists() and not save_seen.is_dir():
            raise UsageError(f"--save-seen {save_seen}: this is a file; name a folder")
        save_seen.mkdir(parents=True, exist_ok=True)
    passed = PassedOver()
    images = list(_files(named, passed))
    if others := words_of_passed(passed.told()):
        print_note(Note(f"Passed over: {others}."))
    if top is not None and len(images) > FEW and not as_json:
        raise UsageError(
            f"--top {top} cannot act: of more than {FEW} images only a table of answers is printed; leave it "
            "out, or list every probability with --csv FILE"
        )
    told = _Told(top or LIKELIEST, save_seen, silent=as_json, each=len(images) <= FEW)
    found = told.followed(_predicted(opened, images, device), len(images))
    if table is not None:
        table_of(found, opened.weights.model.info.class_names).write(table)
    collections.deque(found, 0)  # goes through what no table has
    told.close(table)
    raise typer.Exit(int(told.failed > 0))


def _files(named: Iterable[Path], passed: "PassedOver") -> Iterator[tuple[Path, ImageError | None]]:
    """Each image file, and each name that stands for none. passed: takes what lies beside them."""
    from cnnkit.data.named_files import image_files

    for name in named:
        try:
            yield from ((file, None) for file in image_files(name, passed))
        except ImageError as error:
            yield name, error


def _predicted(
    run: "Run", files: list[tuple[Path, ImageError | None]], device: str | None
) -> Iterator[Found]:
    from cnnkit.experiment.measure import predict_files

    there = [file for file, error in files if error is None]
    predictions = predict_files(run.weights, there, device)
    for file, error in files:
        yield file, error or next(predictions)


def table_of(found: Iterable[Found], class_names: tuple[str, ...]) -> "Table":
    """A row an image: path, answer, confidence, and each class's probability; of one that failed the path."""
    from cnnkit.tables import Column, Table, columns_after

    columns = [Column("path", str), Column("answer", str), Column("confidence", float)]

    def row(path: Path, shown: "Prediction | ImageError") -> list[Any]:
        if isinstance(shown, ImageError):
            return [str(path), *[None] * (2 + len(class_names))]
        of = dict(zip(shown.classes, shown.probabilities, strict=True))
        return [str(path), shown.best, of[shown.best], *(of[name] for name in class_names)]

    return Table(columns_after(columns, class_names, float), (row(path, shown) for path, shown in found))


@dataclass
class _Told:
    """What is said of the images while they are predicted. each: a line for each of them."""

    top: int
    save_seen: Path | None
    silent: bool
    each: bool
    rows: list[dict[str, object]] = field(default_factory=list)  # for --json
    confidences: dict[str, list[float]] = field(default_factory=dict)  # by answer
    failed: int = 0
    warned: int = 0

    def followed(self, found: Iterable[Found], images: int) -> Iterator[Found]:
        """The same, each one told of."""
        from rich.progress import MofNCompleteColumn

        from cnnkit.api.progress import LiveBar

        with LiveBar(MofNCompleteColumn(), quiet=self.each) as live:
            if live.bar:
                live.task = live.bar.add_task("images", total=images)
                live.bar.start()
            for path, shown in found:
                row = self._failure(path, shown) if isinstance(shown, ImageError) else self._tell(path, shown)
                if self.silent:
                    self.rows.append(row)
                yield path, shown
                if live.bar:
                    live.bar.advance(live.task)

    def _failure(self, path: Path, error: ImageError) -> dict[str, object]:
        from cnnkit.cli.console import print_error

        self.failed += 1
        if self.each or self.failed <= NAMED:
            print_error(error)
        return {"image": str(path), "error": str(error)}

    def _tell(self, path: Path, shown: "Prediction") -> dict[str, object]:
        from cnnkit.cli.console import print_prediction, print_warning
        from cnnkit.data.picture_files import write_beside

        likeliest = list(zip(shown.classes, shown.probabilities, strict=True))[: self.top]
        rows = [{"class": name, "probability": probability} for name, probability in likeliest]
        told: dict[str, object] = {"image": str(path), "top": rows, "warnings": list(shown.warnings)}
        if self.save_seen is not None:
            told["seen"] = str(write_beside(self.save_seen, path.stem, shown.seen))
        if self.each and not self.silent:
            print_prediction(str(path), likeliest)
        self.confidences.setdefault(shown.best, []).append(shown.probabilities[0])
        self.warned += bool(shown.warnings)
        for warning in shown.warnings:
            if self.each or self.warned <= NAMED:
                print_warning(f"{path}: {warning}")
        return told

    def close(self, table: Path | None) -> None:
        """What is said at the end."""
        from cnnkit.api.progress import err, say
        from cnnkit.cli.console import out, print_answers

        for count, what in ((self.failed, "could not be predicted"), (self.warned, "got a warning")):
            if not self.each and count > NAMED:
                say(err, f"{counted(count, 'image')} {what}; the first {NAMED} are told above")
        if self.silent:
            print_json({"predictions": self.rows, **({"csv": str(table)} if table else {})})
            return
        if not self.each:
            print_answers(self.confidences)
        if table is not None:
            say(out, f"each image: {table}")
        elif not self.each:
            say(out, "each image: --csv FILE lists them")
