"""`results.json` as it is kept, and what one of version 1 held."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnkit.comparison.records import VERSION, StudyResults
from cnnkit.comparison.study_records import Earlier
from cnnkit.comparison.trial_records import TrialResult
from cnnkit.errors import DamagedFile, RunError
from cnnkit.filenames import RESULTS
from cnnkit.kept import parse_json, read_kept, read_sealed
from cnnkit.records import Record


@dataclass(frozen=True)
class FirstResults(Record):
    """`results.json` of version 1, as far as it is still looked at: its verdicts came from other tests.

    levels: `name` and `accuracies`, one for each of `seeds`.
    """

    version: int
    key: str
    margin: float
    match: str
    warnings: list[str]
    test_images: int
    seeds: list[int]
    levels: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    friedman_p: float | None
    trials: list[TrialResult]
    history: list[Earlier] = field(default_factory=list)


def kept_results(path: Path) -> StudyResults | FirstResults:
    """Raises FileNotFoundError, or RunError where it is damaged or of a newer version."""
    try:
        version = _version(path)
        if version == 1:
            first: FirstResults = read_sealed(path, FirstResults)
            return first
        results: StudyResults = read_sealed(path, StudyResults)
    except DamagedFile as error:
        raise RunError(str(error)) from error
    if results.version != VERSION:
        raise RunError(f"{path} is of version {version}, and this cnnkit reads up to version {VERSION}")
    return results


def _version(path: Path) -> Any:
    raw = read_kept(path)
    try:
        return parse_json(raw).get("version")
    except DamagedFile as error:
        raise DamagedFile(f"{path} is damaged or was changed: {error}") from error


def first_results(folder: Path) -> FirstResults | None:
    """What `results.json` holds where it is of version 1."""
    kept = kept_results(folder / RESULTS)
    return kept if isinstance(kept, FirstResults) else None
