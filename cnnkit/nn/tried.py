"""An own class, tried on small inputs before anything trains: what is wrong with it, in words.

What is said of a pooling holds for a head and an activation where it can.
"""

import copy
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS
from cnnkit.families.settings import Choice
from cnnkit.own.code import own_trace

CLOSE = 1e-3  # what another order of sums may change, relative to values around 1
POOLING, HEAD, ACTIVATION = "pooling", "head", "activation"


@dataclass(frozen=True)
class Case:
    """An own class as a network uses it. k, channels: where it has them."""

    family: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    k: int = 2
    channels: int = 4


class _Wrong(Exception):
    """What is wrong, in words."""


def problem_of(case: Case) -> str:
    """What is wrong with a class, in words; empty where nothing is found.

    Of an exception inside it its traceback, from its own file on.
    """
    try:
        for check in _checks(case):
            check()
    except _Wrong as wrong:
        return str(wrong)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # also SystemExit: it is the person's class that raises
        return f"it raises an exception:\n{own_trace(error) or f'{type(error).__name__}: {error}'}"
    return ""


def seconds_against_max(case: Case) -> float:
    """How many times as long a step through it takes as through max pooling of the same maps."""
    torch.manual_seed(0)
    maps = torch.randn(16, case.channels, 8 * case.k, 8 * case.k)
    module = _Built(case)
    own = _seconds(lambda x: module(x), maps.abs() if module.positive else maps)
    return own / _seconds(lambda x: F.max_pool2d(x, case.k), maps)


def _seconds(forward: Callable[[Tensor], Tensor], maps: Tensor, repeats: int = 5) -> float:
    """Of a forward and a backward step, the least of some."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        forward(maps.clone().requires_grad_()).sum().backward()
        times.append(time.perf_counter() - started)
    return min(times[1:])


class _Built:
    """A class with what cnnkit gives it, as a function of maps whose random numbers begin anew each time."""

    def __init__(self, case: Case) -> None:
        self.case = case
        registries: dict[str, Mapping[str, Any]] = {POOLING: POOLINGS, HEAD: HEADS, ACTIVATION: ACTIVATIONS}
        self.entry = registries[case.family][case.name]
        self.module = self.build()
        self.positive = case.family != ACTIVATION and self.entry.no_negatives
        self.draws = case.family == POOLING and self.entry.draws

    def build(self) -> Any:
        choice = Choice(self.case.name, self.case.settings)
        if self.case.family == POOLING:
            return self.entry.build(choice, self.case.k, self.case.channels)
        if self.case.family == HEAD:
            return self.entry.build(choice, self.case.channels)
        return self.entry.build()

    def __call__(self, maps: Tensor) -> Tensor:
        if self.draws:
            self.module.generator = torch.Generator().manual_seed(1)
        made = self.module(maps)
        if not isinstance(made, Tensor):
            raise _Wrong(f"forward returns {type(made).__name__}, not a tensor")
        return made

    def shape(self, maps: Tensor) -> tuple[int, ...]:
        """What it has to make of maps."""
        n, channels, height, width = maps.shape
        if self.case.family == ACTIVATION:
            return tuple(maps.shape)
        made = channels * self.entry.multiplies_channels
        if self.case.family == HEAD:
            return n, made
        return n, made, height // self.case.k, width // self.case.k

    def maps(self, n: int, height: int, width: int) -> Tensor:
        values = torch.randn(n, self.case.channels, height, width, generator=torch.Generator().manual_seed(2))
        return values.abs() if self.positive else values

    def sizes(self) -> list[tuple[int, int]]:
        k = self.case.k
        sizes = [(4 * k, 6 * k), (4 * k + 1, 3 * k + 1), (5 * k + k - 1, 3 * k)]
        return [*sizes, (1, 1)] if self.case.family == HEAD else sizes


def _checks(case: Case) -> Iterator[Callable[[], None]]:
    torch.manual_seed(0)
    built = _Built(case)
    if isinstance(built.module, nn.Module) and "_parameters" not in vars(built.module):
        raise _Wrong("its __init__ does not call super().__init__(), which has to come first")
    if not isinstance(built.module, nn.Module):
        raise _Wrong("it is no torch.nn.Module: derive the class from it, and call super().__init__()")
    yield from (functools.partial(check, built) for check in (_weights, _shapes, _values, _sameness))
    yield from (functools.partial(check, built) for check in (_neighbours, _gradients, _half_precision))
    yield from (functools.partial(check, built) for check in (_sees, _each_value))


def _weights(built: _Built) -> None:
    module, case = built.module, built.case
    own = dict(module.named_parameters())
    found = sum(weights.numel() for weights in own.values())
    told = 0
    if case.family != ACTIVATION:
        sizes = (case.k, case.channels, 1) if case.family == POOLING else (case.channels, 1)
        told = built.entry.own_cost(Choice(case.name, case.settings), *sizes)[0]
    if found != told:
        per = f", {found // case.channels} for each channel" * (found % case.channels == 0 and found > 0)
        known = (
            'say so in the class: weights = "…", a formula of k, channels and its settings'
            if case.family != ACTIVATION
            else "an activation here has none"
        )
        raise _Wrong(
            f"it has {found} weights for {case.channels} channels{per}, and declares {told}: {known}"
        )
    torch.manual_seed(1)
    again = dict(built.build().named_parameters())
    layers = {
        f"{name}.{kind}".lstrip(".")
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
        for kind in ("weight", "bias")
    }
    for name, weights in own.items():
        if name not in layers and not torch.equal(weights, again[name]):
            raise _Wrong(
                f"its weights {name} begin at random, and no seed decides how: begin with fixed numbers, "
                "or use nn.Conv2d or nn.Linear, whose weights cnnkit draws by the seed"
            )


def _shapes(built: _Built) -> None:
    before = [*built.module.state_dict()]
    for height, width in built.sizes():
        maps = built.maps(3, height, width)
        made = built(maps)
        if tuple(made.shape) != built.shape(maps):
            raise _Wrong(_words_of_shape(built, maps, made))
        if not made.is_floating_point():
            raise _Wrong(f"it makes {made.dtype} of float32: no gradient passes through that")
    if [*built.module.state_dict()] != before:
        raise _Wrong("forward makes weights or buffers: make them in __init__, else no optimizer knows them")


def _words_of_shape(built: _Built, maps: Tensor, made: Tensor) -> str:
    expected = built.shape(maps)
    words = f"of maps of shape {tuple(maps.shape)} it makes {tuple(made.shape)}, and not {expected}"
    if built.case.family == POOLING:
        words += f": height and width divided by k = {built.case.k}, rounding down"
    share = made.shape[1] / maps.shape[1] if made.dim() > 1 else 0
    if built.case.family != ACTIVATION and share > 1 and share == int(share) and made.shape[1] != expected[1]:
        words += f"; if it makes several maps of one, say multiplies_channels = {int(share)} in the class"
    return words


def _values(built: _Built) -> None:
    for maps in (built.maps(2, 4 * built.case.k, 4 * built.case.k), built.maps(2, 8, 8) * 0):
        given = maps.clone()
        made = built(maps)
        if not torch.equal(maps, given):
            raise _Wrong(
                "it changes the maps that it is given: use no function that ends in _, and no maps[…] ="
            )
        if not made.isfinite().all():
            of = "zeros" if not given.any() else "ordinary maps"
            raise _Wrong(f"of {of} it makes values that are not finite (NaN or infinite)")


def _sameness(built: _Built) -> None:
    maps = built.maps(3, 4 * built.case.k + 1, 4 * built.case.k)
    for training in (True, False):
        built.module.train(training)
        first, second = built(maps.clone()).clone(), built(maps.clone())
        if not torch.equal(first, second):
            when = "while it trains" if training else "when it is evaluated"
            raise _Wrong(
                f"the same maps give two results {when}: it remembers something, or draws random numbers "
                "that no seed decides. Say draws = True in the class, and draw from self.generator"
            )
    built.module.train()


def _neighbours(built: _Built) -> None:
    maps = built.maps(4, 4 * built.case.k, 4 * built.case.k + 1)
    for training in (False,) if built.draws else (True, False):
        built.module.train(training)
        whole = built(maps.clone())
        for i in range(len(maps)):
            if not torch.allclose(whole[i : i + 1], built(maps[i : i + 1].clone()), rtol=CLOSE, atol=CLOSE):
                raise _Wrong("what it makes of one image depends on the other images of the batch")
    built.module.train()


def _gradients(built: _Built) -> None:
    maps = built.maps(3, 4 * built.case.k, 4 * built.case.k).requires_grad_()
    made = built(maps * 1.0)
    if not made.requires_grad:
        raise _Wrong("no gradient passes through it: it detaches its maps, or works outside of torch")
    weights = torch.randn(made.shape, generator=torch.Generator().manual_seed(3))
    built.module.zero_grad()
    (made * weights).sum().backward()
    if maps.grad is None or not maps.grad.any():
        raise _Wrong("the gradient of its maps is 0 everywhere: nothing before it would learn")
    for name, gradient in [("its maps", maps.grad), *_gradients_of_weights(built.module)]:
        if gradient is None:
            raise _Wrong(f"its weights {name} get no gradient: forward does not use them")
        if not gradient.isfinite().all():
            raise _Wrong(f"the gradient of {name} is not finite (NaN or infinite)")


def _gradients_of_weights(module: nn.Module) -> Iterator[tuple[str, Tensor | None]]:
    for name, weights in module.named_parameters():
        if weights.requires_grad:
            yield name, weights.grad


def _half_precision(built: _Built) -> None:
    module = copy.copy(built)
    module.module = built.build()
    maps = built.maps(2, 4 * built.case.k, 4 * built.case.k).bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = module(maps * 1.0)
    if not made.isfinite().all():
        raise _Wrong("in bf16 it makes values that are not finite (NaN or infinite)")
    made.float().sum().backward()
    if maps.grad is None or not maps.grad.isfinite().all():
        raise _Wrong("in bf16 its gradient is not finite (NaN or infinite)")


def _sees(built: _Built) -> None:
    """Which values a cell depends on, as far as a gradient tells: no more than is declared."""
    if built.case.family != POOLING or built.entry.sees_all:
        return
    k = built.case.k
    told = built.entry.seen(Choice(built.case.name, built.case.settings), k)
    cells = max(5, 2 * (-(-told // k)) + 3)
    maps = built.maps(2, cells * k, cells * k).requires_grad_()
    made = built(maps * 1.0)
    (gradient,) = torch.autograd.grad(made[:, :, cells // 2, cells // 2].sum(), maps)
    places = gradient.abs().amax((0, 1)).nonzero()
    if not len(places):
        return
    sees = int((places.amax(0) - places.amin(0)).max()) + 1
    if sees > told:
        raise _Wrong(
            f"one value that it makes depends on {sees} × {sees} values of a map, with k = {k}, and not "
            f'on {told} × {told}: say so in the class: values_seen = "2 * k + 1", or None for the whole map'
        )


def _each_value(built: _Built) -> None:
    if built.case.family == ACTIVATION:
        maps = built.maps(2, 6, 7)
        if not torch.allclose(built(maps).flatten(1), built(maps.flatten(1)), rtol=CLOSE, atol=CLOSE):
            raise _Wrong(
                "what it makes of one value depends on others: an activation computes each on its own"
            )
