"""What was understood of a person's own images, in two lines."""

from pathlib import Path

from cnnkit.config.images import DataConfig
from cnnkit.listing import TEST, VALIDATION, Listing
from cnnkit.words import counted, listed

NAMED = 5  # classes that a line names


def understood(data: DataConfig, listing: Listing) -> tuple[str, str]:
    """What the source is and holds; and how many images are in each split, and who says which."""
    names = [*listing.classes[:NAMED]]
    if more := len(listing.classes) - len(names):
        names.append(f"{more:,} more")
    where = "" if listing.container in ("folder", "arrays") else f" in a .{listing.container}"
    classes = f"{len(listing.classes):,} classes ({listed(names)})"
    images = counted(len(listing.paths), "image")
    if listing.groups is not None:
        images += f" in {counted(len(set(listing.groups.tolist())), 'group')}"
    found = f"{Path(data.root or '').name}: {listing.kind}{where}, {classes}, {images}"
    return found, f"splits: {', '.join(_splits(data, listing))}"


def _splits(data: DataConfig, listing: Listing) -> list[str]:
    own = "as the source says"
    validation = test = own
    if data.redrawn:
        whole = "" if listing.groups is None else ", no group in two of them"
        validation = test = f"drawn anew for each seed{whole}"
    held_out = "held out" if listing.groups is None else "held out in whole groups"
    about = ""
    if VALIDATION not in listing.own_splits:
        validation = f"{held_out}, by the seed"
        about = "" if listing.groups is None else "about "  # no seed is known here, and groups differ in size
    if TEST not in listing.own_splits and not data.redrawn:
        test = f"{held_out}, the same for each seed"
    told = [f"{about}{data.train_images:,} images to train on"]
    if data.validation_images:
        told.append(f"{about}{data.validation_images:,} to validate on ({validation})")
    return [*told, f"{data.info.test_images:,} to test on ({test})"]
