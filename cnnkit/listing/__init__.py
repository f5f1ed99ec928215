"""A person's own images, told from a listing: classes, splits and groups, without decoding an image.

`list_images` understands class folders, split folders, tables, archives and arrays; `reader` reads one
image of them. Importing this package loads neither torch nor Pillow.
May import: the other modules on the ground (`cnnkit.errors`, `cnnkit.words`).
"""

from cnnkit.listing.held_out import held_out_by_class, held_out_by_group
from cnnkit.listing.names import IMAGE_ENDINGS, SPLIT_NAMES, TEST, TRAIN, VALIDATION, some
from cnnkit.listing.reading import ReadMember, reader, source_reader
from cnnkit.listing.records import Listing, PassedOver
from cnnkit.listing.source import list_images
from cnnkit.listing.told import remarks, words_of_passed

__all__ = [
    "IMAGE_ENDINGS",
    "SPLIT_NAMES",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Listing",
    "PassedOver",
    "ReadMember",
    "held_out_by_class",
    "held_out_by_group",
    "list_images",
    "reader",
    "remarks",
    "some",
    "source_reader",
    "words_of_passed",
]
