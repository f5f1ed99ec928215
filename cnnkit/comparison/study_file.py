"""`study.json`: what was planned, enough to plan it again and to report on it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnkit.comparison.records import Earlier
from cnnkit.comparison.widths import Match
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import DamagedFile, RunError, UsageError
from cnnkit.filenames import STUDY
from cnnkit.records import Record

VERSION = 1


@dataclass(frozen=True)
class LevelPlan(Record):
    """A value of the factor and what its network costs. changed: what `--match` did to it, in words."""

    name: str
    value: Any
    parameters: int
    macs: int
    changed: str


@dataclass(frozen=True)
class TrialEntry(Record):
    """One training of the study. folder: its name, below `trials`."""

    level: str
    seed: int
    folder: str


@dataclass(frozen=True)
class StudyFile(Record):
    """What `study.json` holds. margin: percentage points. config: YAML, with the study's first seed.

    history: what was decided with other margins, the oldest first.
    object_sizes: pixels; test image i holds an object of size i % len. Empty where objects have no sizes.
    """

    version: int
    key: str
    seeds: int
    first_seed: int
    margin: float
    match: Match
    levels: list[LevelPlan]
    object_sizes: list[int]
    warnings: list[str]
    config: str
    trials: list[TrialEntry] = field(default_factory=list)
    history: list[Earlier] = field(default_factory=list)

    @property
    def all_seeds(self) -> range:
        return range(self.first_seed, self.first_seed + self.seeds)

    def base(self) -> Config:
        """The configuration that was varied. Raises ConfigError where it is damaged."""
        return parse_config(self.config, STUDY, kept=True)


def load_study(folder: Path) -> StudyFile:
    """Reads `study.json`. Raises UsageError where there is none, RunError where it is damaged."""
    path = folder / STUDY
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{folder} holds no study: there is no {STUDY} in it") from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise RunError(f"{path} is damaged, or of another version of cnnkit")
    try:
        return StudyFile.from_dict(content)
    except DamagedFile as error:
        raise RunError(f"{path} is damaged: {error}") from error
