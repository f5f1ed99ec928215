"""Which own classes of a kept study a person lets run."""

from pathlib import Path

from cnnkit.comparison.study_file import load_study
from cnnkit.config.own_code import tell_of
from cnnkit.events import NoteListener, ignore
from cnnkit.own.sources import references_in, trust


def trust_kept(folder: Path, notify: NoteListener = ignore) -> None:
    """Lets the own classes of a kept study run; notify is told where a file has changed or is damaged.

    Raises as `load_study` does.
    """
    study = load_study(folder)
    varied = [[level.value for level in study.levels], [factor.values for factor in study.factors]]
    named = [*study.base().model.own_classes, *references_in(varied)]
    trust(named)
    tell_of(named, notify)
