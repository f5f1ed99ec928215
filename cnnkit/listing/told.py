"""What a person is told of a listing, besides what it holds."""

from collections.abc import Iterable

from cnnkit.listing.layout import LOOSE
from cnnkit.listing.records import Listing


def remarks(listing: Listing) -> tuple[str, ...]:
    """Whole sentences: the listing's warnings, and in one sentence what was passed over."""
    passed = words_of_passed(each for each in listing.passed_over if each[0] != LOOSE)  # a warning tells them
    return (*listing.warnings, *([f"Passed over: {passed}."] if passed else []))


def words_of_passed(passed: Iterable[tuple[str, int, tuple[str, ...]]]) -> str:
    """`files of other kinds: 7 (a.heic, b.mp4, …)`; empty where nothing is passed over."""
    return "; ".join(
        f"{reason}: {count:,} ({', '.join(names)}{', …' if count > len(names) else ''})"
        for reason, count, names in passed
    )
