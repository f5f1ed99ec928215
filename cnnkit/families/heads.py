"""What the dense layers see of the last feature maps: what the rest of cnnkit must know of each head.

To add a head, write a class in `cnnkit/nn/heads.py` and a row of `HEADS` here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cnnkit.families.poolings import POWER
from cnnkit.families.registry import Registry, load_class
from cnnkit.families.settings import AnySetting, Choice, Setting
from cnnkit.own import code
from cnnkit.own.declared import Declared
from cnnkit.own.names import shown

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Head:
    """One way from maps to features.

    name: the word in a configuration. path: `module:Class` of a torch module, built with the number of
    channels and the settings: (N, C, H, W) -> (N, features).
    kind: the name of its layer in `cnnkit summary`. summary: one line for a person who chooses.
    formula: of a map x, H × W values. source: who described it.
    settings: what a configuration may set beside the name.
    weights: how many weights it has for each map. products: of the number of cells: how many products,
    quotients, powers, exponentials and logarithms its formula takes for each map; sums, comparisons and the
    mean's constant factor count nothing. products_of_all: the same, of what is computed once for all maps.
    multiplies_channels: how many features it makes of one map, or of one cell if it keeps them.
    keeps_cells: whether each cell of the grid has features, and so weights, of its own.
    no_negatives: whether it takes only values of 0 or more. counted: whether its products are known.
    """

    name: str
    path: str
    kind: str
    summary: str
    formula: str
    source: str = ""
    settings: tuple[AnySetting, ...] = ()
    weights: int = 0
    products: Callable[[int], int] = lambda cells: 0
    products_of_all: Callable[[int], int] = lambda cells: 0
    multiplies_channels: int = 1
    keeps_cells: bool = False
    no_negatives: bool = False
    counted: bool = True

    @property
    def title(self) -> str:
        """Its name, as a person writes it."""
        return shown(self.name)

    def build(self, choice: Choice, channels: int) -> "nn.Module":
        """Loads torch."""
        return load_class(self.path)(channels, **choice.settings)  # type: ignore[no-any-return]

    def features(self, channels: int, grid: tuple[int, int]) -> int:
        """How many features it makes of that many maps of (height, width)."""
        cells = grid[0] * grid[1] if self.keeps_cells else 1
        return channels * self.multiplies_channels * cells

    def own_cost(self, choice: Choice, channels: int, cells: int) -> tuple[int, int]:
        """(parameters, multiply-accumulates for one image). cells: of the grid that it is given."""
        macs = channels * self.products(cells) + self.products_of_all(cells)
        return channels * (self.weights + choice.learned), macs


@dataclass(frozen=True)
class OwnHead(Head):
    """A person's own. Its costs are those that the class declares."""

    declared: Declared = field(kw_only=True)

    def build(self, choice: Choice, channels: int) -> "nn.Module":
        named = self.declared.reference
        return code.build(named, channels=channels, **choice.settings)  # type: ignore[no-any-return]

    def own_cost(self, choice: Choice, channels: int, cells: int) -> tuple[int, int]:
        weights, products = self.declared.cost(channels=channels, cells=cells, **choice.settings)
        return weights, products * channels


def own_head(declared: Declared) -> Head:
    """The entry of a person's own class."""
    known = ("multiplies_channels", "no_negatives")
    others = {name: value for name, value in declared.attributes.items() if name in known}
    return OwnHead(**declared.entry("head"), **others)


HERE = "cnnkit.nn.heads"
HEADS: Registry[Head] = Registry(
    "head",
    Head(
        "flatten",
        f"{HERE}:Flatten",
        "FlattenHead",
        "every cell of the grid, each with weights of its own",
        "x",
        keeps_cells=True,
    ),
    Head(
        "avg", f"{HERE}:Average", "AvgHead", "the mean of each map: how much of a feature is there", "mean x"
    ),
    Head(
        "max",
        f"{HERE}:Max",
        "MaxHead",
        "the largest value of each map: whether a feature is anywhere",
        "max x",
    ),
    Head(
        "concat",
        f"{HERE}:Concat",
        "ConcatHead",
        "the largest values, then the means",
        "(max x, mean x)",
        multiplies_channels=2,
    ),
    Head(
        "gem",
        f"{HERE}:PowerMean",
        "PowerMeanHead",
        "the p-th root of the mean p-th power, of values of 0 or more",
        "(mean x^p)^(1/p)",
        "Radenović, Tolias & Chum 2018, arXiv:1711.02512",
        (POWER,),
        products=lambda cells: cells + 1,
        no_negatives=True,
    ),
    Head(
        "logsumexp",
        f"{HERE}:LogSumExp",
        "LogSumExpHead",
        "a smooth maximum: the larger its sharpness r, the less the small values count",
        "log(mean e^(rx)) / r",
        "Pinheiro & Collobert 2015, arXiv:1411.6228",
        (Setting("sharpness", 5.0, "r; near 0: the mean, large: the maximum", least=0.001),),
        products=lambda cells: 2 * cells + 2,
    ),
    Head(
        "attention",
        f"{HERE}:Attention",
        "AttentionHead",
        "a mean in which each cell weighs as much as it answers to one learned query q",
        "Σ a·x, a = softmax over the cells of qᵀx / √C",
        "Ilse, Tomczak & Welling 2018, arXiv:1802.04712, with the score of Vaswani et al. 2017",
        weights=1,
        products=lambda cells: 2 * cells,
        products_of_all=lambda cells: 3 * cells,
    ),
    Head(
        "top",
        f"{HERE}:Top",
        "TopHead",
        "the mean of the t largest values of each map; of a grid of fewer cells, of all",
        "mean of the t largest x",
        settings=(Setting("t", 3, "how many", least=1, most=1_000_000, whole=True),),
    ),
    own=own_head,
)
COMPARED = ("avg", "max", "concat", "flatten")  # by `compare-pooling --where head`, where none are named
