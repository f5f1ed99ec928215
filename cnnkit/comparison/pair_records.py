"""How two values compare, as `results.json` keeps it: the words of verdicts, and pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnkit.errors import UsageError
from cnnkit.records import Record
from cnnkit.stats import Interval
from cnnkit.words import span

BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"
BETTER_HERE, WORSE_HERE = "better on these images", "worse on these images"
OPPOSITE = {BETTER: WORSE, BETTER_HERE: WORSE_HERE, EQUIVALENT: EQUIVALENT, UNDECIDED: UNDECIDED}
OPPOSITE |= {other: one for one, other in OPPOSITE.items()}
APART, APART_HERE = "different", "different on these images"  # verdicts on interactions
THE_BEST = "the best"  # in the place of a verdict
NOT_KNOWN = "not known"  # of an interaction: a combination that it rests on failed


@dataclass(frozen=True)
class ToBest(Record):
    """How a level stands to the best: its difference, and the verdict on it."""

    difference: Interval
    verdict: str


FEWEST_TOLD = 8  # seeds: with fewer, no number that would decide is told; it is too rough


@dataclass(frozen=True)
class SeedRange(Record):
    """How many seeds in all would decide. high: None beyond what is worth waiting for."""

    low: int
    high: int | None

    def __str__(self) -> str:
        if self.high is None:
            return f"{self.low:,} seeds or more"
        return f"about {span(f'{self.low:,}', f'{self.high:,}')} seeds"


@dataclass(frozen=True)
class PairResult(Record):
    """Two levels, over the seeds that both have finished.

    difference: what is compared, a minus b, with the interval that makes the verdict. verdict: of a against
    b. different, equivalent: the evidence of a difference, and of one that is less than the margin: e-values,
    20 is enough. image_error: standard error of the difference from having measured on just these test
    images; None for fewer than two seeds. seeds_needed: for an undecided pair; None where that is not known,
    or where no number of seeds would decide it soon.
    """

    a: str
    b: str
    seeds: int
    difference: Interval
    verdict: str
    different: float
    equivalent: float
    image_error: float | None
    seeds_needed: SeedRange | None

    def seen_from(self, level: str) -> ToBest:
        """Difference and verdict of one of both against the other."""
        if level == self.a:
            return ToBest(self.difference, self.verdict)
        return ToBest(self.difference.negated(), OPPOSITE[self.verdict])


def to_leader(pairs: Sequence[PairResult], name: str, leader: str) -> ToBest | None:
    """How a level stands to the leader; None for the leader itself, and where they are no pair."""
    pair = next((pair for pair in pairs if {pair.a, pair.b} == {name, leader}), None)
    return pair.seen_from(name) if pair else None


def pair_in(pairs: Sequence[PairResult], one: str, other: str) -> PairResult:
    """The pair of two levels, in whichever order it is kept. Raises UsageError where there is none."""
    for pair in pairs:
        if {pair.a, pair.b} == {one, other}:
            return pair
    raise UsageError(f"the study has no pair {one!r} and {other!r}")
