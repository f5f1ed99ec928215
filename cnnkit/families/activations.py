"""The functions after each stage and after each hidden dense layer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnkit.families.registry import Registry, load_class

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Activation:
    """name: the word in a configuration. path: `module:Class` of a torch module that takes no arguments.

    It must compute each value on its own: networks that train side by side share one.
    """

    name: str
    path: str

    @property
    def kind(self) -> str:
        """The name of its layer in `cnnkit summary`."""
        return self.path.partition(":")[2]

    def build(self) -> "nn.Module":
        return load_class(self.path)()  # type: ignore[no-any-return]


ACTIVATIONS: Registry[Activation] = Registry(
    "activation",
    Activation("relu", "torch.nn:ReLU"),
    Activation("leaky_relu", "torch.nn:LeakyReLU"),
    Activation("elu", "torch.nn:ELU"),
    Activation("gelu", "torch.nn:GELU"),
    Activation("silu", "torch.nn:SiLU"),
    Activation("mish", "torch.nn:Mish"),
    Activation("hardswish", "torch.nn:Hardswish"),
    Activation("tanh", "torch.nn:Tanh"),
    Activation("sigmoid", "torch.nn:Sigmoid"),
)
