"""`cnnkit pooling`: begin a pooling of your own, list all that are known, and see what one does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnkit.cli.command import App
from cnnkit.cli.completion import complete_folder, complete_pooling
from cnnkit.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from cnnkit.families.poolings import Pooling
    from cnnkit.families.settings import Choice

pooling_app = App(help="Poolings: list them, see what one does, begin your own.", no_args_is_help=True)
SHADES = " ░▒▓█"
K, CHANNELS = 2, 1  # of what is drawn
MAPS = 64  # of what is told of costs

START = '''"""A pooling of your own. Compare it: cnnkit compare-pooling fast --strategies max,{file}:{name}"""

from torch import Tensor, nn


class {name}(nn.Module):
    """Between the mean of a cell and its largest value."""

    formula = "s · max x + (1 − s) · mean x"  # for tables and reports
    products = "2"  # products, quotients, powers for each value that is made; leave it out if you do not know

    # k: the side of a cell. What else stands here, with a type, is a key: {{name: {file}:{name}, share: 0.7}}
    def __init__(self, k: int, *, share: float = 0.5) -> None:
        super().__init__()
        self.k, self.share = k, share

    # (N, C, H, W) -> (N, C, H // k, W // k). What k does not divide is dropped at the bottom and the right.
    def forward(self, maps: Tensor) -> Tensor:
        cells = maps.unfold(2, self.k, self.k).unfold(3, self.k, self.k).flatten(-2)  # (N, C, h, w, k²)
        return self.share * cells.amax(-1) + (1 - self.share) * cells.mean(-1)
'''


@pooling_app.command("new")
def new_command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.py", help="The file to begin.", autocompletion=complete_folder),
    ],
) -> None:
    """Write a small pooling of your own, which trains as it is."""
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out
    from cnnkit.files import write_atomically

    if file.suffix != ".py":
        raise UsageError(f"{file}: name a file that ends in .py")
    if file.exists():
        raise UsageError(f"{file} exists, and nothing is overwritten; name another file")
    words = [word for word in file.stem.replace("-", "_").split("_") if word]
    name = "".join(word[:1].upper() + word[1:] for word in words)
    name = name if name.isidentifier() else "MyPool"
    write_atomically(file, START.format(file=file, name=name))
    say(out, f"{file}: the pooling {name}")
    say(out, f"to try it: cnnkit train fast --set model.pooling={file}:{name}")
    say(out, f"to compare it: cnnkit compare-pooling fast --strategies max,{file}:{name}")


@pooling_app.command("list")
def list_command() -> None:
    """List all poolings that are known here, with formula and cost; those of installed packages, too."""
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out
    from cnnkit.errors import OwnCodeError
    from cnnkit.families.poolings import POOLINGS
    from cnnkit.own.sources import installed_names

    installed = installed_names("pooling")
    widest = max(map(len, [*POOLINGS, *installed]))
    for name in [*POOLINGS, *installed]:
        try:
            entry = POOLINGS[POOLINGS.canonical(name)]
            told = f"{entry.formula or 'formula not told'}; {_cost(entry)}; {entry.summary}"
        except OwnCodeError as error:
            told = f"cannot be used: {error}"
        except KeyError:
            told = "cannot be used: its package names no module:Class"
        say(out, f"{name:<{widest}}  {told}", hang=widest + 2)
    say(out, "")
    say(out, f"products and weights: for cells of {K} × {K} values, among {MAPS} maps")
    say(out, "your own: cnnkit pooling new my_pool.py")


def _cost(entry: "Pooling") -> str:
    """For cells of K × K values: those of one of `MAPS` maps."""
    from cnnkit.families.settings import Choice

    try:
        defaults = {one.name: one.default for one in entry.settings if one.default is not None}
        weights, products = entry.own_cost(Choice(entry.name, defaults), K, MAPS, 1)
    except UsageError as error:
        return str(error)
    each = f"products for a value: {products / MAPS:g}" if entry.counted else "products not known"
    return each + (f", weights for a map: {weights / MAPS:g}" if weights else "")


@pooling_app.command("show")
def show_command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A pooling, such as soft, my_pool.py:Quantile or '{name: soft, beta: 2}'.",
            autocompletion=complete_pooling,
        ),
    ],
) -> None:
    """Draw what a pooling makes of a feature map: in the terminal, and as a file."""
    choice = _chosen(name)
    from cnnkit.api.progress import say
    from cnnkit.cli.console import out
    from cnnkit.data.picture_files import write_beside
    from cnnkit.families.poolings import POOLINGS
    from cnnkit.own.names import in_file_names
    from cnnkit.report.pooled import made_of_sample, picture_of, sample_map

    entry = POOLINGS[choice.name]
    maps = [sample_map(), *made_of_sample(choice, K)]
    say(out, f"{choice}: {entry.summary}")
    say(out, f"formula: {entry.formula or 'not told'}; {_cost(entry)}")
    for title, drawn in zip(["a feature map", *entry.drawn_parts], maps, strict=True):
        say(out, f"\n{title}, {drawn.shape[0]} × {drawn.shape[1]} values")
        typer.echo(_drawn(drawn))
    path = write_beside(Path(), f"pooling-{in_file_names(choice.name)}", picture_of(maps))
    say(out, f"to look at: {path}")


def _chosen(text: str) -> "Choice":
    """The pooling that a person names, whose code may then run."""
    from cnnkit.config.load import load_config
    from cnnkit.nn.tried_apart import try_own_classes

    chosen = f"model.pooling={text}"
    try:
        model = load_config("digits", [chosen]).model
    except ConfigError as error:  # nobody typed the key
        raise UsageError(str(error).replace(f"--set {chosen}: model.pooling: ", "")) from error
    try_own_classes([model.model_copy(update={"pool_size": K, "channels": (CHANNELS,)})])
    return model.stages[0].choice


def _drawn(values: "Tensor") -> str:
    """Two letters a value, from empty (0 or less) to full (1 or more)."""
    steps = (values.clamp(0, 1) * (len(SHADES) - 1)).round().int().tolist()
    return "\n".join("".join(SHADES[step] * 2 for step in row) for row in steps)
