"""Muon: steps in which no direction of a layer learns faster than another."""

import inspect
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Jordan's: small singular values grow fastest
ROUNDS = 5
RMS = 0.2  # about that of a step of AdamW, so that both learn at the same rate


class Muon(torch.optim.AdamW):
    """Muon for filters and hidden layers; AdamW for biases, norms and the layer that makes the logits.

    The momentum M = U Σ Vᵀ of a matrix (outputs, inputs) becomes a step U Vᵀ: its singular values are all
    near 1. The step is scaled to the size of AdamW's, so learning rate and weight decay mean the same in
    both parts. A filter (outputs, channels, k, k) counts as a matrix (outputs, channels · k · k).

    matrices: those of `parameters` that learn so. networks: how many lie one after the other in the first
    dimension of each parameter. adamw: `betas`, `weight_decay`, `fused`.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; the scale is
    that of Liu et al., arXiv 2502.16982.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float,
        matrices: Iterable[Tensor],
        networks: int = 1,
        **adamw: Any,
    ) -> None:
        self.networks, matrices = networks, list(matrices)
        known = {id(matrix) for matrix in matrices}
        rest = [parameter for parameter in parameters if id(parameter) not in known]
        groups: list[dict[str, Any]] = [
            {"params": rest, "momentum": None},
            {"params": matrices, "momentum": momentum},
        ]
        super().__init__([group for group in groups if group["params"]], lr=lr, **adamw)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        groups = self.param_groups
        self.param_groups = [group for group in groups if group["momentum"] is None]
        inspect.unwrap(torch.optim.AdamW.step)(self)  # without the compiler; see optimizers.py
        self.param_groups = groups
        for group in groups:
            for matrix in group["params"] if group["momentum"] is not None else ():
                if matrix.grad is not None:
                    self._step(matrix, group["lr"], group["momentum"], group["weight_decay"])

    def _step(self, matrix: Tensor, rate: float | Tensor, momentum: float, decay: float) -> None:
        state, gradient = self.state[matrix], matrix.grad
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        each = gradient.lerp(mean, momentum).unflatten(0, (self.networks, -1)).flatten(2)  # Nesterov's
        step = orthogonal(each).mul_(RMS * math.sqrt(max(each.shape[1:])))
        matrix.mul_(1 - rate * decay).sub_(step.view(matrix.shape) * rate)


def orthogonal(matrices: Tensor) -> Tensor:
    """U Vᵀ of each U Σ Vᵀ, nearly: singular values end between 0.68 and 1.14. (N, m, n) -> (N, m, n)

    By Newton-Schulz rounds of a polynomial of degree 5, in bfloat16 on a GPU. Values below a hundredth of
    the largest may stay below 0.68.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype).contiguous()
