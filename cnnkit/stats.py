"""Intervals and tests. Each function names its source."""

import math

Z_95 = 1.959963984540054  # the 97.5 % point of the standard normal distribution


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion, as fractions.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. The
    same as scipy.stats.binomtest(…).proportion_ci(method="wilson"), without scipy's 2 s of import.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials make no proportion")
    share, square = successes / trials, Z_95**2
    centre = share + square / (2 * trials)
    reach = Z_95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    scale = 1 + square / trials
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)
