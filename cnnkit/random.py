"""Independent random generators: one seed, and a name for each use.

Two uses never share numbers, so turning dropout on leaves the data order as it was, and two networks
of one seed start from equal weights wherever their shapes agree.
"""

import hashlib

import torch


def generator_for(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of one use, such as `generator_for(seed, "order", epoch)`."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little"))
