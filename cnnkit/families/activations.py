"""The functions after each stage and after each hidden dense layer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnkit.errors import OwnCodeError
from cnnkit.families.registry import Registry, load_class
from cnnkit.own import code
from cnnkit.own.declared import Declared
from cnnkit.own.names import Reference

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Activation:
    """name: the word in a configuration. path: `module:Class` of a torch module that takes no arguments.

    It must compute each value on its own: networks that train side by side share one.
    summary: one line for a person who chooses; a report writes it under the function's plot.
    no_negatives: whether no value of it is below 0, as some poolings need. own: of a person's own class.
    """

    name: str
    path: str
    summary: str = ""
    no_negatives: bool = False
    own: Reference | None = None

    @property
    def kind(self) -> str:
        """The name of its layer in `cnnkit summary`."""
        return self.path.partition(":")[2]

    def build(self) -> "nn.Module":
        if self.own:
            return code.build(self.own)  # type: ignore[no-any-return]
        return load_class(self.path)()  # type: ignore[no-any-return]


def own_activation(declared: Declared) -> Activation:
    """The entry of a person's own class."""
    named, summary = declared.reference, declared.summary or "an own activation"
    if asked := [*declared.asks, *(word.name for word in declared.keywords if word.required)]:
        raise OwnCodeError(f"{named.shown}: an activation is built without {asked[0]}: give that a default")
    never = declared.attributes.get("no_negatives", False)
    return Activation(str(named), f"{named.place}:{named.name}", summary, never, named)


ACTIVATIONS: Registry[Activation] = Registry(
    "activation",
    Activation("relu", "torch.nn:ReLU", "0 below 0, else the value", no_negatives=True),
    Activation("leaky_relu", "torch.nn:LeakyReLU", "a hundredth of the value below 0, else the value"),
    Activation("elu", "torch.nn:ELU", "bends towards −1 below 0, else the value"),
    Activation("gelu", "torch.nn:GELU", "the value times the share of a bell curve that lies below it"),
    Activation("silu", "torch.nn:SiLU", "the value times its sigmoid"),
    Activation("mish", "torch.nn:Mish", "the value times the tanh of its softplus"),
    Activation("hardswish", "torch.nn:Hardswish", "like silu, but exactly 0 below −3 and the value above 3"),
    Activation("tanh", "torch.nn:Tanh", "an S from −1 to 1, flat far from 0: little can be learned there"),
    Activation(
        "sigmoid",
        "torch.nn:Sigmoid",
        "an S from 0 to 1, flat far from 0: little can be learned there",
        no_negatives=True,
    ),
    Activation(
        "identity",
        "torch.nn:Identity",
        "no activation: the control that shows why a non-linearity is needed",
    ),
    own=own_activation,
)
