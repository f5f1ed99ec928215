"""The reliability diagram of a run: how often its answers are right, by how sure it says it is."""

from collections.abc import Sequence

from cnnkit.calibration import Calibration, ConfidenceBin
from cnnkit.calibrator import calibrator_of
from cnnkit.report.axes import Axis, Bar, Mark, Panel
from cnnkit.stats import wilson_interval

FRACTIONS = Axis(-3.0, 103.0)  # percent, with room for the marks at the ends
READING = (
    "A mark is a group of test images of which the network is similarly sure; its bar is the 95 % interval. "
    "On the dotted line it is right as often as it says; above the line more often, below it less often."
)


def reliability_view(calibration: Calibration | None) -> dict[str, object] | None:
    """Panels before and after the calibrator, and a caption; None where the run kept no calibration."""
    if calibration is None:
        return None
    error, before, chance = (
        f"{share:.2%}" for share in (calibration.error, calibration.error_before, calibration.error_by_chance)
    )
    surest = calibration.bins[-1]
    images = sum(held.images for held in calibration.bins)
    last = (
        f"Of {images:,} images {surest.images:,} lie in the last group: it is {surest.confidence:.2%} "
        f"sure of them on average, and {surest.accuracy:.2%} are right. By chance a network that is right "
        f"exactly as often as it says would show a mean gap of {chance}."
    )
    own = reliability_panel("the network's own confidence", calibration.bins_before, series=1)
    calibrator = calibrator_of(calibration)
    if calibrator.temperature is None:
        told = f"On average the gap is {error}. No temperature was fitted: there were no validation images."
        return {"panels": [own], "caption": f"{READING} {told} {last}"}
    told = (
        f"The mean gap is {before} before and {error} with {calibrator}, which was fitted on the validation "
        "images and changes no answer."
    )
    after = reliability_panel("after calibration", calibration.bins, series=0)
    return {"panels": [own, after], "caption": f"{READING} {told} {last}"}


def reliability_panel(title: str, bins: Sequence[ConfidenceBin], series: int) -> Panel:
    """Right answers against confidence, both in percent, with a mark and an interval for each bin."""
    panel = Panel(f"{title}: right, %", "confidence, %", FRACTIONS, FRACTIONS)
    panel.front = panel.points([0, 100], [0, 100])
    for held in bins:
        x = panel.x(100 * held.confidence)
        low, high = wilson_interval(round(held.accuracy * held.images), held.images)
        panel.bars.append(Bar(series, x, panel.y(100 * low), panel.y(100 * high)))
        title = (
            f"{held.images:,} images, {held.confidence:.1%} sure on average, {held.accuracy:.1%} are right"
        )
        panel.marks.append(Mark(series, x, panel.y(100 * held.accuracy), False, title))
    return panel
