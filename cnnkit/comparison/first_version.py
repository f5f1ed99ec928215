"""`results.json` of version 1."""

from dataclasses import dataclass, field
from typing import Any

from cnnkit.comparison.study_file import Earlier
from cnnkit.comparison.trial_records import TrialResult
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
