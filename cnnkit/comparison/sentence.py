"""A comparison's result in a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from cnnkit.comparison.verdicts import EQUIVALENT, UNDECIDED, WORSE
from cnnkit.words import listed

SEEDS_TO_GUESS_FROM = 3  # fewer have hardly a spread to guess from


def answer(results: Mapping[str, Any]) -> str:
    """Which level wins, by how much, and whether that is real; and if not, what would tell."""
    if not results["levels"]:
        return "No seed has been trained for every level: there is nothing to compare yet."
    best, *others = results["levels"]
    key = results["key"].rpartition(".")[2]
    head = f"{key} {best['name']} is ahead with {best['accuracy']['mean']:.2%}"
    told = {verdict: [o for o in others if o["to_best"]["verdict"] == verdict] for verdict in ORDER}
    if len(told[WORSE]) == len(others):
        least = -max(other["to_best"]["difference"]["mean"] for other in others) * 100
        lead = f"{least:.2f} points or more ahead of every other, and that is real"
        return f"{key} {best['name']} wins with {best['accuracy']['mean']:.2%}: {lead}."
    parts = [text(told[verdict], results) for verdict, text in ORDER.items() if told[verdict]]
    return f"{head}: " + "; ".join(parts) + "."


def _worse(levels: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> str:
    return f"it is really better than {_names(levels)}"


def _equivalent(levels: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> str:
    return f"{_names(levels)} {_is(levels)} as good, within ±{results['margin']:g} points"


def _undecided(levels: Sequence[Mapping[str, Any]], results: Mapping[str, Any]) -> str:
    best = results["levels"][0]["name"]
    pairs = {frozenset((pair["a"], pair["b"])): pair for pair in results["pairs"]}
    needed = [pairs[frozenset((best, level["name"]))]["seeds_needed"] for level in levels]
    if len(results["seeds"]) < SEEDS_TO_GUESS_FROM:
        more = "and so few seeds do not say how many would tell"
    elif None in needed:
        more = "and no number of seeds would tell soon"
    else:
        more = f"about {max(needed):,} seeds would tell"
    return f"whether it is better than {_names(levels)} is undecided, {more}"


ORDER = {WORSE: _worse, EQUIVALENT: _equivalent, UNDECIDED: _undecided}


def _names(levels: Sequence[Mapping[str, Any]]) -> str:
    return listed([level["name"] for level in levels])


def _is(levels: Sequence[object]) -> str:
    return "is" if len(levels) == 1 else "are"
