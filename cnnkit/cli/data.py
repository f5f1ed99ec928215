"""`cnnkit data`: a published data set, a person's own images, or what is in the cache."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnkit.cli.completion import complete_data_set, complete_folder
from cnnkit.cli.options import JsonOption, print_json
from cnnkit.errors import UsageError
from cnnkit.families.datasets import DATASETS, FOLDER, published_names
from cnnkit.families.table_columns import GROUP_COLUMNS, LABEL_COLUMNS, PATH_COLUMNS, SPLIT_COLUMNS
from cnnkit.words import listed

OWN = "a path, such as ./photos"
COLUMNS = "A table's columns, each by one of these names. " + " ".join(
    f"{what}: {', '.join(names)}."
    for what, names in (
        ("Image", PATH_COLUMNS),
        ("Class", LABEL_COLUMNS),
        ("Split (may be missing)", SPLIT_COLUMNS),
        ("Images that belong together (may be missing)", GROUP_COLUMNS),
    )
)


def data_command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|PATH]",
            help=f"{listed(published_names(), 'or')}; or the path of your own images: a folder, "
            "table (.csv), .zip, .tar or .npz, or a configuration of them.",
            autocompletion=complete_data_set,
            show_default=False,
        ),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder of the data sets.", autocompletion=complete_folder)
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw examples of each class there, as PNG; else in the cache."),
    ] = None,
    yaml: Annotated[
        Path | None,
        typer.Option("--yaml", metavar="FILE", help="Write the configuration to begin with there."),
    ] = None,
    cache: Annotated[bool, typer.Option("--cache", help="List what is prepared in the cache.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="With --cache: remove it, without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Find or download a data set, check it and prepare it; or look at your own images."""
    if cache:
        _show_cache(clear, as_json)
    elif name is None:
        raise UsageError(f"name a data set, {listed(published_names(), 'or')}, or {OWN}")
    elif is_path(name):
        if root is not None:
            raise UsageError(f"--root does not go with {name}, which is a path itself; leave out --root")
        _show_own(Path(name).expanduser(), sheet, yaml, as_json)
    else:
        for option, value in (("--sheet", sheet), ("--yaml", yaml)):
            if value is not None:
                raise UsageError(f"{option} goes with your own images; name {OWN}, or leave out {option}")
        _prepare_published(name, root, as_json)


def is_path(name: str) -> bool:
    """Whether the argument means a person's own images. Raises UsageError for `folder` alone."""
    if name in published_names():
        return False
    if name == FOLDER:
        raise UsageError(f"{FOLDER} stands for your own images: name where they are, such as ./{FOLDER}")
    separators = {"/", os.sep, os.altsep or os.sep}
    return name.startswith((".", "~")) or any(s in name for s in separators) or Path(name).exists()


def _prepare_published(name: str, root: Path | None, as_json: bool) -> None:
    if name not in (known := published_names()):
        from cnnkit.config.suggestions import guess

        raise UsageError(
            f"unknown data set {name!r}; there are {', '.join(known)}; your own images are named by {OWN}"
            f"{guess(name, known)}"
        )
    from cnnkit.api.progress import print_note, say
    from cnnkit.cli.console import out
    from cnnkit.data.prepare import load_dataset
    from cnnkit.data.sources import data_root

    info = DATASETS[name]
    if root is not None and not info.folder:
        raise UsageError(f"--root does not go with {name}, which comes with scikit-learn; leave out --root")
    folder = data_root(str(root) if root else None)
    train, test = load_dataset(name, folder, print_note)
    where = str(folder) if info.folder else "scikit-learn"
    if as_json:
        print_json({"dataset": name, "training": len(train), "test": len(test), "from": where})
    else:
        say(out, f"{info.title}: {len(train):,} training and {len(test):,} test images from {where}")


def _refuse_unwritable(option: str, file: Path | None) -> None:
    if file is not None and (file.exists() or not file.absolute().parent.is_dir()):
        why = "this is there already" if file.exists() else "its folder is not there"
        raise UsageError(f"{option} {file}: {why}; name another file")


def _show_own(path: Path, sheet: Path | None, yaml: Path | None, as_json: bool) -> None:
    _refuse_unwritable("--sheet", sheet)
    _refuse_unwritable("--yaml", yaml)
    text, config = _configuration(path, yaml)
    from cnnkit.api.progress import print_note
    from cnnkit.cli.console_data import print_inspection, print_kept
    from cnnkit.data.inspection import inspect
    from cnnkit.data.sheet import draw_sheet

    found = inspect(config.data, config.training.seed, print_note)
    drawn = draw_sheet(found, sheet)
    if as_json:
        print_json(found.to_dict() | {"sheet": str(drawn), "configuration": text or None})
    else:
        print_inspection(found)
        print_kept(f"examples of each class are drawn in {drawn}", as_json)
    if yaml is not None:
        with yaml.open("x", encoding="utf-8") as out:
            out.write(text)
        print_kept(f"written to {yaml}; next: cnnkit train {yaml}", as_json)
    elif text and not as_json:
        print_kept(f"\na configuration to begin with, for `--yaml FILE` to write:\n\n{text}", as_json)


def _configuration(path: Path, yaml: Path | None) -> tuple[str, Any]:
    """The text to begin with, and what it means; of a configuration that is there, its meaning alone."""
    from cnnkit.config.load import load_config, parse_config

    if path.suffix in (".yaml", ".yml") and path.is_file():
        config = load_config(path)
        if not config.data.own:
            raise UsageError(f"{path} is of {config.data.dataset}; look at it by `cnnkit data NAME`")
        if yaml is not None:
            raise UsageError(f"--yaml does not go with {path}, which is a configuration; leave out --yaml")
        return "", config
    from cnnkit.data.inspection import configuration_for

    text = configuration_for(path)
    return text, parse_config(text, "the configuration to begin with")


def _show_cache(clear: bool, as_json: bool) -> None:
    from cnnkit.cli.console_data import print_cache, print_cleared
    from cnnkit.data import cache
    from cnnkit.data.sources import cache_folder

    folder = cache_folder()
    kept = cache.cached(folder)
    left = cache.clear(folder) if clear else []
    if as_json:
        names = {files for one, _ in left for files in one.files}
        rows = [
            {"source": one.source, "bytes": one.bytes, "used": one.used, "files": list(map(str, one.files))}
            for one in kept
            if not clear or names & set(one.files)
        ]
        print_json({"folder": str(folder / "prepared"), "kept": rows})
    elif clear:
        print_cleared(folder / "prepared", kept, left)
    else:
        print_cache(folder / "prepared", kept)
