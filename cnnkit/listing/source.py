"""A person's own source of images, whatever it is → its listing."""

import os
import posixpath
from pathlib import Path

from cnnkit.errors import SourceError
from cnnkit.listing import archives, arrays, folders, layout, tables
from cnnkit.listing.finish import finished, for_training
from cnnkit.listing.names import ending, some, whole
from cnnkit.listing.records import Listing, Rows, Tree, joined

UNDERSTOOD = "a folder, a table (.csv, .tsv), an archive (.zip, .tar), or arrays (.npz)"
PACKED = ("gz", "tgz", "bz2", "tbz2", "xz", "txz", "zst", "7z", "rar")
NOT_NAMED = "images that the table does not name"


def list_images(
    root: Path, test: float | None = None, test_seed: int = 0, *, trained: bool = True
) -> Listing:
    """What the source at `root` holds. No image is decoded.

    root: a folder, a table, a .zip, a .tar, or a .npz. test: the share of the training images that is held
    out as the test split where the source has none, by class, and by group where there are groups.
    test_seed: 0 or more; another seed holds out other images. trained: False where the images are only
    measured, so that one class, or test images alone, will do.

    Raises SourceError where the source is missing, cannot be understood, or no training can work with it.
    """
    root = Path(os.path.expanduser(root)).absolute()  # noqa: PTH111 - Path's raises for an unknown user
    name = whole(root)
    try:
        listing = _listed(root, name, test, test_seed)
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror or error}") from error
    return for_training(listing) if trained else listing


def _listed(root: Path, name: str, test: float | None, test_seed: int) -> Listing:
    if root.is_dir():
        tree = folders.tree_of(root)
        if tree.arrays and not any(tree.folders.values()) and not tree.tables:
            if all(ending(path) == "npz" for path in tree.arrays):
                raise SourceError(f"{name} holds {some(tree.arrays)} and no images; name that file")
            return arrays.listing_of(root, tree, test, test_seed)
        return _of_tree(tree, root, name, test, test_seed)
    if not root.exists():
        raise SourceError(f"{name} is not there; name {UNDERSTOOD}")
    if not root.is_file():
        raise SourceError(f"{name} is neither a file nor a folder; name {UNDERSTOOD}")
    kind = ending(root.name)
    if kind in folders.TABLES:
        return _of_table_alone(root, name, test, test_seed)
    if kind in ("zip", "tar"):
        return _of_archive(archives.tree_of(root, kind), root, name, test, test_seed)
    if kind == "npz":
        return arrays.listing_of(root, None, test, test_seed)
    if kind == "npy":
        raise SourceError(f"{name} is one array of a pair; name the folder of images.npy and labels.npy")
    if kind in PACKED:
        raise SourceError(
            f"{name} is packed as a whole: no image in it can be read alone; unpack it, and name the folder"
        )
    raise SourceError(f"{name} is no source of images that is known; name {UNDERSTOOD}")


def _of_table_alone(root: Path, name: str, test: float | None, test_seed: int) -> Listing:
    """A table as the root: only the files that it names are looked at."""
    tree = folders.beside(root.parent)
    text = tables.text_of(tree, root.name, name)
    rows = tables.rows_of(tree, root.name, text, tables.columns_of(text, name), name)
    return finished(rows, root, tree.container, tree.passed, None, test, test_seed)


def _of_archive(tree: Tree, root: Path, name: str, test: float | None, test_seed: int) -> Listing:
    if tree.arrays and not any(tree.folders.values()) and not tree.tables:
        raise SourceError(
            f"{name} holds arrays, {some(tree.arrays)}, which cannot be mapped from an archive; "
            "unpack it, and name the .npz, or the folder of .npy files"
        )
    return _of_tree(tree, root, name, test, test_seed)


def _of_tree(tree: Tree, root: Path, name: str, test: float | None, test_seed: int) -> Listing:
    """Told by a table at the top; without one, or where it is of something else, by folders."""
    top = _table_folder(tree)
    found = [table for table in tree.tables if posixpath.dirname(table) == top]
    rows = None
    try:
        if len(found) > 1:
            raise tables.NoTable(
                f"{name} holds {len(found)} tables, {some(found)}; name the one that is meant"
            )
        if found:
            rows = _table_rows(tree, root, found[0])
    except tables.NoTable as error:
        rows = _rows_of_folders(tree, name, error)
    else:
        rows = rows or layout.rows_of(tree, name)
    used = found if rows.kind == "table" else ()
    tree.passed.note(folders.OTHER_KIND, [path for path in (*tree.tables, *tree.arrays) if path not in used])
    return finished(rows, root, tree.container, tree.passed, tree.offsets, test, test_seed)


def _rows_of_folders(tree: Tree, name: str, error: SourceError) -> Rows:
    """Class or split folders beside a table of something else. Raises its error where there are none."""
    try:
        rows = layout.rows_of(tree, name)
    except SourceError:
        raise error from None
    if len(set(rows.names)) < 2:
        raise error
    rows.warnings.append(f"Classes are told by folders, not by a table: {str(error).partition(';')[0]}.")
    return rows


def _table_rows(tree: Tree, root: Path, table: str) -> Rows:
    name = whole(root / table)
    text = tables.text_of(tree, table, name)
    rows = tables.rows_of(tree, table, text, tables.columns_of(text, name), name)
    named = set(rows.paths)
    for folder, images in tree.folders.items():
        paths = (joined(folder, image) for image in images.names)
        tree.passed.note(NOT_NAMED, [path for path in paths if path not in named])
    return rows


def _table_folder(tree: Tree) -> str:
    """The top; of an archive with one folder around all, that folder."""
    inner = {path.split("/")[0] for path in (*tree.tables, *filter(None, tree.folders))}
    at_top = bool(tree.folders.get("")) or any("/" not in table for table in tree.tables)
    return inner.pop() if tree.container != "folder" and len(inner) == 1 and not at_top else ""
