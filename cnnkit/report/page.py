"""`report.html`: a comparison, or a single run, as one page that needs nothing but itself."""

from pathlib import Path

from cnnkit.comparison.function_study import is_of_function
from cnnkit.errors import DataError, UsageError
from cnnkit.events import NotDrawn, Note, NoteListener, ignore
from cnnkit.experiment.no_run import did_you_mean, what_is_no_run
from cnnkit.experiment.run_dir import open_run
from cnnkit.filenames import CONFIG, PLAY, REPORT, STUDY
from cnnkit.files import write_atomically
from cnnkit.report.damage import without_folder
from cnnkit.report.images import refuse_root
from cnnkit.report.own_function import function_view
from cnnkit.report.run import run_view
from cnnkit.report.study import study_view
from cnnkit.report.template import render


def write_report(folder: Path, notify: NoteListener = ignore, root: Path | None = None) -> Path:
    """Draws `report.html` into a study's folder or a run directory, from what they hold; returns its path.

    The same files give the same bytes. notify: is told of each file that is damaged, and of each part that
    could not be drawn; the page is drawn without them. root: where the images lie now.
    Raises UsageError where the folder is neither, or a root cannot act, RunError where too little can be
    read, DataError where a root does not hold the images of then.
    """
    if is_of_function(folder):
        refuse_root(folder, root)
        template, view = "own_function.html.j2", function_view(folder)
    elif (folder / STUDY).is_file():
        template, view = "study.html.j2", study_view(folder, root)
    elif (folder / CONFIG).is_file():
        template, view = "run.html.j2", run_view(open_run(folder), root)
    else:
        what = f"holds neither {STUDY} nor {CONFIG}" if folder.is_dir() else what_is_no_run(folder)
        remedy = "name the folder of a comparison (cnnkit compare --out DIR) or of a run"
        raise UsageError(f"{folder} {what.partition(';')[0]}{did_you_mean(folder) or f'; {remedy}'}")
    if root is not None and (missing := view["images_missing"]):
        raise DataError(missing)
    damage: list[str] = view["damage"]
    play = PLAY if (folder / PLAY).is_file() else ""
    page = render(template, {**view, "damage": without_folder(damage, folder), "play": play})
    write_atomically(folder / REPORT, page)
    for sentence in damage:
        notify(Note(sentence))
    for section, why in view["failures"].items():
        notify(NotDrawn(f"{section} could not be drawn: {why}; the page says so"))
    return folder / REPORT
