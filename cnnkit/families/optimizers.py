"""The rules that turn gradients into steps."""

from dataclasses import dataclass

from cnnkit.families.registry import Registry


@dataclass(frozen=True)
class Optimizer:
    """name: the word in a configuration. path: `module:Class` of a torch optimizer.

    Networks that train side by side share one, so it must step each value by its own gradient alone; the
    exception is `by_matrix`.
    settings: the keys of the section `training` that it uses besides `learning_rate`. Each is also the name
    of the class's argument. fused: whether the class has a kernel for all weights at once.
    by_matrix: whether the class must be told which weights are matrices, and of how many networks.
    decoupled: whether `weight_decay` shrinks the weights themselves, and is no part of the gradient.
    """

    name: str
    path: str
    settings: tuple[str, ...] = ("weight_decay",)
    fused: bool = False
    by_matrix: bool = False
    decoupled: bool = False


ADAM_SETTINGS = ("betas", "weight_decay")
OPTIMIZERS: Registry[Optimizer] = Registry(
    "optimizer",
    Optimizer("sgd", "torch.optim:SGD", ("momentum", "weight_decay"), fused=True),
    Optimizer("adam", "torch.optim:Adam", ADAM_SETTINGS, fused=True),
    Optimizer("adamw", "torch.optim:AdamW", ADAM_SETTINGS, fused=True, decoupled=True),
    Optimizer(
        "muon",
        "cnnkit.training.muon:Muon",
        ("momentum", *ADAM_SETTINGS),
        fused=True,
        by_matrix=True,
        decoupled=True,
    ),
    Optimizer("nadam", "torch.optim:NAdam", ADAM_SETTINGS),
    Optimizer("rmsprop", "torch.optim:RMSprop", ("momentum", "weight_decay")),
    Optimizer("adagrad", "torch.optim:Adagrad"),
    Optimizer("adadelta", "torch.optim:Adadelta"),
)
