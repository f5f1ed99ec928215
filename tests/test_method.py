"""The report's words about its method: they tell what was computed in this kind of study."""

import re
from html import unescape
from types import SimpleNamespace

import numpy as np
import pytest

from cnnkit.factorial import Design
from cnnkit.image_error import image_error_of_redrawn
from cnnkit.report.template import render

POOL, TESTED, FOLDS = 1797, 359, 5
ONE, SEVERAL, FOLDED, DRAWN, CALLS, ACCURACIES = "one key", "several", "folds", "drawn", "calls", "accuracies"
CALLS_OF_SEVERAL = "calls with several keys"
# What only some kinds of study may say.
WORDS = {
    "the same 359 test images": {ONE, SEVERAL, CALLS_OF_SEVERAL, CALLS},
    "kurtosis": {ONE, SEVERAL, CALLS_OF_SEVERAL, CALLS},
    "less than 0.5 points on these test images": {ONE, SEVERAL, CALLS_OF_SEVERAL, CALLS, ACCURACIES},
    "one of 5 folds": {FOLDED},
    "a test split that it draws": {DRAWN},
    "Nadeau & Bengio": {FOLDED, DRAWN},
    "Bouckaert & Frank": {FOLDED},
    "has no unbiased estimator (Bengio & Grandvalet": {FOLDED},
    "has no unbiased estimator (Nadeau & Bengio 2003; for folds Bengio & Grandvalet": {DRAWN},
    "more test images do": {ONE, SEVERAL, CALLS_OF_SEVERAL, CALLS},
    "only more images do": {FOLDED, DRAWN},
    "better, worse": {ONE, SEVERAL, CALLS_OF_SEVERAL, FOLDED, DRAWN, CALLS},
    "one test image's share": {ONE, SEVERAL, CALLS_OF_SEVERAL, FOLDED, DRAWN, CALLS},
    "accuracies alone": {ACCURACIES},
    "Call the function": {CALLS, CALLS_OF_SEVERAL, ACCURACIES},
    "Each table has 5 % of its own": {SEVERAL, CALLS_OF_SEVERAL},
    "stands for the whole study": {ONE, FOLDED, DRAWN, CALLS, ACCURACIES},
    "twice the residual variance": {ONE, FOLDED, DRAWN, CALLS, ACCURACIES},
    "A level is beaten": {ONE, FOLDED, DRAWN, CALLS, ACCURACIES},
    "beaten": {ONE, FOLDED, DRAWN, CALLS, ACCURACIES},
    "the best value of each key": {SEVERAL, CALLS_OF_SEVERAL},
    "four equal levels": {ONE, FOLDED, DRAWN, CALLS, ACCURACIES},
}


def told(kind: str) -> str:
    """What the page of such a study says of its verdicts."""
    pool = POOL if kind in (FOLDED, DRAWN) else 0
    results = SimpleNamespace(
        margin=0.5,
        function="f" if kind in (CALLS, CALLS_OF_SEVERAL, ACCURACIES) else "",
        pool=pool,
        test_images=0 if kind == ACCURACIES else TESTED,
        these_images="these images" if pool else "these test images",
        metric="accuracy",
        measure="accuracy",
        of_table=False,
    )
    level = SimpleNamespace(combinations=[[0, 0]] if kind in (SEVERAL, CALLS_OF_SEVERAL) else [])
    study = SimpleNamespace(factors=["a", "b"] if kind in (SEVERAL, CALLS_OF_SEVERAL) else [], levels=[level])
    data = SimpleNamespace(folds=FOLDS if kind == FOLDED else None)
    view = {"results": results, "study": study, "config": SimpleNamespace(data=data)}
    return unescape(re.sub("<[^>]+>", "", render("verdicts.html.j2", view)))


@pytest.mark.parametrize("kind", [ONE, SEVERAL, FOLDED, DRAWN, CALLS, CALLS_OF_SEVERAL, ACCURACIES])
def test_each_kind_of_study_tells_its_own_method(kind: str) -> None:
    page = told(kind)
    assert {words for words in WORDS if words in page} == {words for words, of in WORDS.items() if kind in of}


@pytest.mark.parametrize("kind", [FOLDED, DRAWN])
def test_the_error_of_the_images_that_is_told_is_the_one_that_is_computed(kind: str) -> None:
    found = re.search(r"e² = V · ([\d,]+) / ([\d,]+)", told(kind))
    assert found
    tested, rest = (int(number.replace(",", "")) for number in found.groups())
    assert image_error_of_redrawn(1.0, 9.0, TESTED, POOL - TESTED).error ** 2 == pytest.approx(tested / rest)


def test_the_variances_of_effects_that_are_told_are_those_of_the_design() -> None:
    found = re.search(r"(\d) for a pair of combinations, (\d) for an interaction", told(SEVERAL))
    assert found
    design = Design(np.arange(6).reshape(3, 2))
    assert {*(design.interaction(0, 1) ** 2).sum(1)} == {float(found[2])}
    pairs = design.networks.reshape(-1)[:, None] == np.arange(6)
    assert ((pairs[0].astype(float) - pairs[1]) ** 2).sum() == float(found[1])
    assert max((design.main(0) ** 2).sum(1)) < float(found[1])  # "less for means over several"
