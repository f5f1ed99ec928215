"""Independent random generators: one seed, and a name for each use.

Two uses never share numbers, so turning dropout on leaves the data order as it was, and two networks
of one seed start from equal weights wherever their shapes agree.
"""

import hashlib

import torch


def number_for(seed: int, *names: str | int) -> int:
    """The seed of one use, 0 … 2⁶⁴ - 1, for generators of another library."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return int.from_bytes(digest[:8], "little")


def generator_for(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of one use, such as `generator_for(seed, "order", epoch)`."""
    return torch.Generator(device).manual_seed(number_for(seed, *names))
