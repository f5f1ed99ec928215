"""The keys of `runtime`: where a network is trained."""

from typing import Annotated

from pydantic import Field

from cnnkit.config.choices import OneOf
from cnnkit.config.types import Section


class RuntimeConfig(Section):
    """Where it runs."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = Field(
        "auto", description="auto: cuda, then mps, then cpu; or cpu, cuda, cuda:N, mps"
    )
    precision: Annotated[str, OneOf(("auto", "float32", "bf16"))] = Field(
        "auto", description="of convolutions and dense layers; auto: bf16 where the hardware runs it faster"
    )
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="CPU threads; null: one for each idle core"
    )
    record_steps: bool = Field(
        True, description="on CUDA: record a training step once as a CUDA graph, and replay it"
    )
    deterministic: bool = Field(
        False, description="refuse operations that vary from run to run; on a CPU none does"
    )
