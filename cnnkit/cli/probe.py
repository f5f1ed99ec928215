"""`cnnkit probe`: asks the networks of a comparison why one wins."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.cli.completion import complete_study_or_folder
from cnnkit.cli.options import DeviceOption, JsonOption, RootOption, TrustOption, print_json

if TYPE_CHECKING:
    from cnnkit.comparison.probe_file import Probe


def probe_command(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY",
            help="Folder of a comparison.",
            autocompletion=complete_study_or_folder,
            show_default=False,
        ),
    ],
    images: Annotated[
        int | None,
        typer.Option(metavar="N", help="Ask so many test images.", show_default="2000", min=1),
    ] = None,
    device: DeviceOption = None,
    root: RootOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the networks of a comparison, without training, why one wins; the report shows it."""
    from cnnkit.comparison.trusted import trust_kept
    from cnnkit.report.page import write_report

    if trust:
        trust_kept(study)
    probe = probed(study, images, device, root)
    if as_json:
        print_json(probe.to_dict())
    else:
        show_probe(study, probe)
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out

    page = write_report(study, root=root)
    if not as_json:
        say(out, f"to look at: {page}#why")


def probed(
    study: Path, images: int | None = None, device: str | None = None, root: Path | None = None
) -> "Probe":
    """Probes, with a bar."""
    from cnnkit.api.progress import print_note
    from cnnkit.probe.measure import IMAGES
    from cnnkit.probe.study import probe_study

    return probe_study(study, images or IMAGES, device, print_note, root)


def show_probe(folder: Path, probe: "Probe") -> None:
    """The table of figures of whole networks, and what they support."""
    from cnnkit.api.progress import say
    from cnnkit.cli.console import make_table, out, print_table
    from cnnkit.cli.console_compare import in_percent
    from cnnkit.comparison.intervals import FEWEST_SEEDS, telling
    from cnnkit.comparison.results import read_results
    from cnnkit.probe.study import WHOLE, judged, reasons

    results = read_results(folder)
    levels = [level.name for level in results.levels]
    figures = judged(probe, levels)
    table = make_table(results.key, *WHOLE.values())
    for level in levels:
        cells, seeds = [], sum(trial.level == level for trial in probe.trials)
        for figure in map(figures.__getitem__, WHOLE):
            mean, real = figure.means[level], figure.differs(level, levels[0])
            told = in_percent(telling(mean, seeds), seeds, digits=1) if mean else "·"
            cells.append(f"{told}{'*' if real else ' '}")
        table.add_row(level, *cells)
    print_table(table)
    few = len(results.seeds) < FEWEST_SEEDS
    starred = f"an interval, and a star for differing from {levels[0]}, take {FEWEST_SEEDS} seeds"
    intervals = f"± and [ ]: 95 % intervals; *: differs from {levels[0]}, for other seeds, too"
    say(out, starred if few else intervals, "dim")
    say(out, probe.told)
    for reason in reasons(figures, levels):
        say(out, reason)
