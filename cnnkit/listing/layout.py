"""The folders of a tree → classes and splits, from their names alone."""

from collections.abc import Iterable

from cnnkit.errors import SourceError
from cnnkit.listing.names import SPLITS, TRAIN, natural, some, split_of
from cnnkit.listing.records import Files, Rows, Tree, joined
from cnnkit.words import counted

LOOSE = "images outside a class folder"


class Layout:
    """Where the images of a tree lie. Folders without an image anywhere below them are not seen.

    below: folder -> the names of the folders in it. empty: folders without an image below them.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.below: dict[str, set[str]] = {}
        for folder, images in tree.folders.items():
            while images and folder:
                above, _, name = folder.rpartition("/")
                known = self.below.setdefault(above, set())
                if name in known:
                    break
                known.add(name)
                folder = above

    def folders(self, folder: str) -> list[str]:
        return sorted(self.below.get(folder, ()), key=lambda name: (natural(name), name))

    def loose(self, folder: str) -> Files:
        return self.tree.folders.get(folder, Files())

    def has_classes(self, folder: str) -> bool:
        return folder in self.below

    def holds_splits(self, folder: str) -> bool:
        """Whether there are folders, all are named as splits, and class folders lie in one of them."""
        names = self.folders(folder)
        return (
            bool(names)
            and all(split_of(name) is not None for name in names)
            and any(self.has_classes(joined(folder, name)) for name in names)
        )

    def top(self) -> str:
        """The folder that holds the classes or the splits.

        A single folder around the splits is looked through; in an archive also one around the classes.
        """
        folder = ""
        while not self.loose(folder) and not self.holds_splits(folder):
            names = self.folders(folder)
            inner = joined(folder, names[0]) if len(names) == 1 else folder
            looked_through = self.holds_splits if self.tree.container == "folder" else self.has_classes
            if inner == folder or not looked_through(inner):
                break
            folder = inner
        return folder

    def images(self, folder: str) -> Iterable[tuple[str, Files]]:
        """Each folder from this one down, and the images in it."""
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            yield here, self.loose(here)
            waiting.extend(joined(here, name) for name in self.below.get(here, ()))


def rows_of(tree: Tree, name: str) -> Rows:
    """Class folders, or split folders of class folders. name: the source, as words call it.

    Raises SourceError where there are no class folders, or class folders beside split folders.
    """
    layout = Layout(tree)
    top = layout.top()
    names = layout.folders(top)
    if not names:
        _refuse_without_folders(layout, top, name)
    if layout.holds_splits(top):
        rows = _split_rows(layout, top, names, name)
    else:
        rows = _class_rows(layout, top, names, name)
    if layout.loose(top):
        _pass_over_loose(layout, top, rows, name)
    return rows


def _refuse_without_folders(layout: Layout, top: str, name: str) -> None:
    images = len(layout.loose(top))
    if images:
        raise SourceError(
            f"{name} holds {counted(images, 'image')} and no class folders; "
            "move the images of each class into a folder with the class's name, or add a table of path,label"
        )
    passed = layout.tree.passed.told()
    seen = ", ".join(f"{reason} ({number:,}: {some(first)})" for reason, number, first in passed)
    raise SourceError(
        f"{name} holds no images{f', only {seen}' if seen else ''}; "
        "images end in .jpg, .jpeg, .png, .webp, .bmp, .gif, .tif or .tiff"
    )


def _class_rows(layout: Layout, top: str, names: list[str], name: str) -> Rows:
    splits = [other for other in names if split_of(other) is not None]
    if any(layout.has_classes(joined(top, split)) for split in splits):
        others = [other for other in names if other not in splits]
        raise SourceError(
            f"{name} holds split folders ({some(splits)}) and beside them {some(others)}; "
            "put every class folder into a split folder, or move the others away"
        )
    if splits and len(splits) == len(names):
        raise SourceError(
            f"{name} holds images in {some(splits)} and no class folders there; "
            "put the images of each class into a folder with the class's name, or add a table of path,label"
        )
    if len(names) == 1 and layout.has_classes(inner := joined(top, names[0])):
        raise SourceError(
            f"{name} holds a single class folder, {some(names)}; if {some(layout.folders(inner))} are the "
            f"classes, name {some([inner])} in it"
        )
    rows = Rows("class folders", frozenset({TRAIN}))
    for folder in names:
        _add(rows, layout, joined(top, folder), folder, TRAIN)
    _tell_empty(layout, top, names, rows)
    return rows


def _split_rows(layout: Layout, top: str, names: list[str], name: str) -> Rows:
    by_split: dict[int, list[str]] = {}
    for folder in names:
        by_split.setdefault(split_of(folder) or TRAIN, []).append(folder)
    for split, folders in by_split.items():
        if len(folders) > 1:
            raise SourceError(
                f"{name} holds {some(folders)}, which are all for {SPLITS[split]} images; make them one"
            )
    rows = Rows("split folders", frozenset())
    _tell_empty(layout, top, names, rows)
    for split, (folder,) in by_split.items():
        place = joined(top, folder)
        classes = layout.folders(place)
        for each in classes:
            _add(rows, layout, joined(place, each), each, split)
        if classes:
            rows.own_splits |= {split}
        if layout.loose(place):
            _pass_over_loose(layout, place, rows, some([place]))
        _tell_empty(layout, place, classes, rows)
    return rows


def _add(rows: Rows, layout: Layout, folder: str, name: str, split: int) -> None:
    """The images of one class: those in folders below its folder are of the class too."""
    for here, images in layout.images(folder):
        rows.paths += [f"{here}/{image}" for image in images.names]
        rows.sizes += images.sizes
        rows.changed += images.changed
        rows.names += [name] * len(images)
        rows.splits += [split] * len(images)


def _pass_over_loose(layout: Layout, folder: str, rows: Rows, name: str) -> None:
    images = [joined(folder, image) for image in layout.loose(folder).names]
    layout.tree.passed.note(LOOSE, images)
    rows.warnings.append(
        f"{counted(len(images), 'image')} in {name} outside a class folder will not be used: {some(images)}."
    )


def _tell_empty(layout: Layout, top: str, used: list[str], rows: Rows) -> None:
    """Folders beside the class folders that hold no image anywhere."""
    start = f"{top}/" if top else ""
    empty = {
        folder[len(start) :].split("/")[0]
        for folder in layout.tree.folders
        if folder.startswith(start) and folder != top
    } - set(used)
    if empty:
        found = sorted(empty, key=natural)
        rows.warnings.append(
            f"{counted(len(found), 'folder')} without an image: {some(joined(top, name) for name in found)}."
        )
