"""How a stage shrinks its feature maps: what the rest of cnnkit must know of each pooling.

All poolings start from the same convolution with "same" padding and give the same grid: height and width
divided by k, rounding down, for every input size, kernel size and k. They differ only in how k × k cells
become one. A stage reduces the maps of its convolution, or what norm and activation make of them: `ORDERS`.

To add one, write a class in `cnnkit/nn/pools.py` and a row of `POOLINGS` here. Nothing else in cnnkit needs
to know its name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cnnkit.families.registry import Registry, load_class
from cnnkit.families.settings import AnySetting, Choice, Setting
from cnnkit.own import code
from cnnkit.own.declared import Declared
from cnnkit.own.names import shown

if TYPE_CHECKING:
    from torch import nn

ACTIVATION_FIRST, POOLING_FIRST = "activation_first", "pooling_first"
# What follows the convolution of a stage.
ORDERS = {
    ACTIVATION_FIRST: "norm and activation, and then downsampling: what is reduced are activations",
    POOLING_FIRST: "downsampling, and then norm and activation on the smaller grid, which is less work",
}


def _none(k: int, channels: int) -> int:
    return 0


@dataclass(frozen=True)
class Pooling:
    """One way to shrink feature maps.

    name: the word in a configuration. path: `module:Class` of a torch module, built with k, the number of
    channels and the settings: (N, C, H, W) -> (N, multiplies_channels · C, ⌊H/k⌋, ⌊W/k⌋).
    kind: the name of its layer in `cnnkit summary`. summary: one line for a person who chooses.
    formula: of one cell x, k × k values. source: who described it.
    settings: what a configuration may set beside the name.
    weights, products: of (k, channels): how many weights it has for each map, and how many products,
    quotients, powers and exponentials its formula takes for each value that it makes. Sums, comparisons and
    the mean's constant factor count nothing, nor do activations.
    multiplies_channels: how many maps it makes of one map.
    parts: the name of each of the maps that it makes of one map; empty if it makes one, which has its name.
    values_seen: of k: how many values of the convolution's grid one cell depends on, along one side.
    skips: whether the convolution has stride k, so that the other values are not computed.
    keeps_one_value: whether a cell of one value stays as it is: with k = 1 such poolings are one network.
    only_order: the only of the `ORDERS` that it has, if it has one: both are then one network.
    no_negatives: whether it takes only values of 0 or more. makes_negatives: whether it makes others of them.
    draws: whether it draws random numbers, from a generator that the module has as `generator`.
    maps_apart: whether no map reaches another, so that the maps of several networks can lie side by side in
    one module. groups: whether the class takes `groups` for the same purpose.
    counted: whether its products are known. sees_all: whether a cell may depend on all of its map.
    """

    name: str
    path: str
    kind: str
    summary: str
    formula: str
    source: str = ""
    settings: tuple[AnySetting, ...] = ()
    weights: Callable[[int, int], int] = _none
    products: Callable[[int, int], int] = _none
    multiplies_channels: int = 1
    parts: tuple[str, ...] = ()
    values_seen: Callable[[int], int] = lambda k: k
    skips: bool = False
    keeps_one_value: bool = False
    only_order: str = ""
    no_negatives: bool = False
    makes_negatives: bool = False
    draws: bool = False
    maps_apart: bool = False
    groups: bool = False
    counted: bool = True
    sees_all: bool = False

    @property
    def title(self) -> str:
        """Its name, as a person writes it."""
        return shown(self.name)

    @property
    def drawn_parts(self) -> tuple[str, ...]:
        """What pictures call each of the maps that it makes of one map."""
        if self.parts or self.multiplies_channels == 1:
            return self.parts or (self.title,)
        return tuple(f"{self.title} {part + 1}" for part in range(self.multiplies_channels))

    @property
    def stacks(self) -> bool:
        """Whether the networks of several seeds can be trained as one, each as if it were alone."""
        return (self.maps_apart or self.groups) and not self.draws

    def build(self, choice: Choice, k: int, channels: int, networks: int = 1) -> "nn.Module":
        """channels: of all networks, which lie side by side. Loads torch."""
        groups = {"groups": networks} if self.groups else {}
        return load_class(self.path)(k, channels, **choice.settings, **groups)  # type: ignore[no-any-return]

    def seen(self, choice: Choice, k: int) -> int:
        """How many values of the convolution's grid one cell depends on, along one side."""
        return self.values_seen(k)

    def own_cost(self, choice: Choice, k: int, channels: int, cells: int) -> tuple[int, int]:
        """(parameters, multiply-accumulates for one image) without those of the convolution.

        channels: of the maps that it is given. cells: of the grid that it makes.
        """
        weights = self.weights(k, channels) + choice.learned
        return channels * weights, channels * cells * self.products(k, channels)


@dataclass(frozen=True)
class OwnPooling(Pooling):
    """A person's own. Its costs are those that the class declares; it sees k × k values unless it says so."""

    declared: Declared = field(kw_only=True)

    def build(self, choice: Choice, k: int, channels: int, networks: int = 1) -> "nn.Module":
        named = self.declared.reference
        return code.build(named, k=k, channels=channels, **choice.settings)  # type: ignore[no-any-return]

    def seen(self, choice: Choice, k: int) -> int:
        return self.declared.number("values_seen", {"k": k, **choice.settings}) or k

    def own_cost(self, choice: Choice, k: int, channels: int, cells: int) -> tuple[int, int]:
        weights, products = self.declared.cost(k=k, channels=channels, **choice.settings)
        return weights, products * channels * self.multiplies_channels * cells


def own_pooling(declared: Declared) -> Pooling:
    """The entry of a person's own class."""
    counted = ("formula", "weights", "products", "values_seen")
    others = {name: value for name, value in declared.attributes.items() if name not in counted}
    sees_all = declared.attributes.get("values_seen", "k") is None
    return OwnPooling(**declared.entry("pooling"), sees_all=sees_all, **others)


HERE = "cnnkit.nn.pools"
BETA = Setting("beta", 1.0, "0: the mean; the larger, the nearer to the maximum", learnable=True)
POWER = Setting("p", 3.0, "1: the mean; the larger, the nearer to the maximum", least=1.0, learnable=True)
MIXED = "Lee, Gallagher & Tu 2016, arXiv:1509.08985"
POOLINGS: Registry[Pooling] = Registry(
    "pooling",
    Pooling(
        "stride",
        f"{HERE}:Stride",
        "StridedConv",
        "the convolution skips: its value at the cell's first corner; the others are not computed",
        "x₁",
        values_seen=lambda k: 1,
        skips=True,
        keeps_one_value=True,
        only_order=POOLING_FIRST,
        maps_apart=True,
    ),
    Pooling(
        "max",
        f"{HERE}:Max",
        "MaxPool",
        "the largest value of the cell",
        "max x",
        keeps_one_value=True,
        maps_apart=True,
    ),
    Pooling(
        "avg",
        f"{HERE}:Average",
        "AvgPool",
        "the mean of the cell",
        "mean x",
        keeps_one_value=True,
        maps_apart=True,
    ),
    Pooling(
        "concat",
        f"{HERE}:Concat",
        "ConcatPool",
        "the largest value and the mean, stacked: twice the channels",
        "(max x, mean x)",
        "fastai's AdaptiveConcatPool2d does the same at the head",
        multiplies_channels=2,
        parts=("max", "avg"),
        maps_apart=True,
    ),
    Pooling(
        "conv",
        f"{HERE}:Conv",
        "ConvPool",
        "after the activation, a learned k × k convolution with stride k over all maps",
        "Σ w·x over the cells of all maps, + b",
        "Springenberg et al. 2015, arXiv:1412.6806",
        weights=lambda k, channels: channels * k * k + 1,
        products=lambda k, channels: channels * k * k,
        only_order=ACTIVATION_FIRST,
        makes_negatives=True,
        groups=True,
    ),
    Pooling(
        "mixed",
        f"{HERE}:Mixed",
        "MixedPool",
        "between the largest value and the mean: each map learns a share a, the same for all its cells",
        "a · max x + (1 − a) · mean x",
        MIXED,
        weights=lambda k, channels: 1,
        products=lambda k, channels: 2,
        maps_apart=True,
    ),
    Pooling(
        "gated",
        f"{HERE}:Gated",
        "GatedPool",
        "the same, and the share a depends on the cell: each map learns a weight for each of its places",
        "a · max x + (1 − a) · mean x, a = σ(wᵀx)",
        MIXED,
        weights=lambda k, channels: k * k,
        products=lambda k, channels: k * k + 2,
        maps_apart=True,
    ),
    Pooling(
        "soft",
        f"{HERE}:Soft",
        "SoftPool",
        "a mean in which larger values weigh more, as a softmax with sharpness beta says",
        "Σ x·e^(βx) / Σ e^(βx)",
        "Stergiou, Poppe & Kalliatakis 2021, arXiv:2101.00440",
        (BETA,),
        products=lambda k, channels: 3 * k * k + 1,
        maps_apart=True,
    ),
    Pooling(
        "lp",
        f"{HERE}:PowerMean",
        "PowerMeanPool",
        "the p-th root of the mean p-th power, of values of 0 or more",
        "(mean x^p)^(1/p)",
        "Radenović, Tolias & Chum 2018, arXiv:1711.02512 (GeM)",
        (POWER,),
        products=lambda k, channels: k * k + 1,
        no_negatives=True,
        maps_apart=True,
    ),
    Pooling(
        "blur",
        f"{HERE}:Blur",
        "BlurPool",
        "the maxima at every place, then a fixed binomial filter with stride k: less aliasing",
        "Σ b·m over (2k − 1)² places around the first corner, m = max of the k × k values from a place on",
        "Zhang 2019, arXiv:1904.11486",
        products=lambda k, channels: (2 * k - 1) ** 2,
        values_seen=lambda k: 3 * k - 2,
        keeps_one_value=True,
        maps_apart=True,
    ),
    Pooling(
        "stochastic",
        f"{HERE}:Stochastic",
        "StochasticPool",
        "while training one value, drawn in proportion to its size; afterwards the expectation",
        "training: xᵢ with probability xᵢ / Σ x; else Σ x² / Σ x",
        "Zeiler & Fergus 2013, arXiv:1301.3557",
        products=lambda k, channels: k * k + 1,
        no_negatives=True,
        draws=True,
        maps_apart=True,
    ),
    Pooling(
        "median",
        f"{HERE}:Median",
        "MedianPool",
        "the median of the cell: of an even number of values, the mean of the two in the middle",
        "median x",
        keeps_one_value=True,
        maps_apart=True,
    ),
    own=own_pooling,
)
COMPARED = ("stride", "max", "avg", "concat")  # by `compare-pooling`, where none are named
