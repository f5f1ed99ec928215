"""The pages that a run and a study draw of themselves."""

from pathlib import Path

from cnnkit.events import NoteListener, ignore


def as_path(named: str | Path | None) -> Path | None:
    return None if named is None else Path(named)


class Drawn:
    """path: the folder of a run or a study, or a weights file."""

    path: Path

    def report(self, *, root: str | Path | None = None) -> Path:
        """Draws `report.html` into the folder; returns its path. root: where the images lie now."""
        from cnnkit.report.page import write_report

        return write_report(self.path, root=as_path(root))

    def play(
        self,
        out: str | Path | None = None,
        *,
        float32: bool = False,
        notify: NoteListener = ignore,
        root: str | Path | None = None,
    ) -> Path:
        """Writes a page on which the network answers what a person draws; returns its path.

        Of a study each level's first network answers. out: None: `play.html` in the folder, or of a weights
        file in the folder one works in. float32: whole weights, in a page twice as large. notify: is told
        where the training has not ended, and of networks that are not on the page. root: where the images lie
        now. Raises UsageError where no network can be shown, RunError where there are no weights.
        """
        from cnnkit.play.page import write_play

        return write_play([self.path], as_path(out), float32=float32, notify=notify, root=as_path(root))
