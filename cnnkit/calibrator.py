"""The two numbers that make a network as sure as it is right."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field

from cnnkit.records import Record

if TYPE_CHECKING:
    from torch import Tensor

COLDEST, HOTTEST = 0.05, 20.0
UniformShare = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class Calibrator(Record):
    """How logits z become the probabilities of K classes: (1 - e) · softmax(z / T) + e / K.

    temperature: T; None where none was fitted: 1. uniform_share: e, a fraction; 0 in files of cnnkit 0.3 and
    before. No class changes its rank, so every answer stays. This is Ensemble Temperature Scaling without its
    middle term: Zhang, Kailkhura & Han, "Mix-n-Match: ensemble and compositional methods for uncertainty
    calibration in deep learning", ICML 2020.
    """

    temperature: Annotated[float, Field(ge=COLDEST, le=HOTTEST)] | None = None
    uniform_share: UniformShare = 0.0

    def __str__(self) -> str:
        if self.temperature is None:
            return "no temperature"
        spread = f" and {self.uniform_share:.2%} spread over all classes" if self.uniform_share else ""
        return f"temperature {self.temperature:.3g}{spread}"

    def probabilities(self, logits: "Tensor") -> "Tensor":
        """(N, classes) -> (N, classes)."""
        shares = (logits / (self.temperature or 1.0)).softmax(1)
        if not self.uniform_share:  # an exported file has no step that does nothing
            return shares
        return (1 - self.uniform_share) * shares + self.uniform_share / logits.shape[1]

    def texts(self) -> dict[str, str]:
        """For the metadata of a file; `from_dict` reads them."""
        return {} if self.temperature is None else {name: repr(value) for name, value in vars(self).items()}


AS_TRAINED = Calibrator()


class Calibrated(Protocol):
    """A record that keeps the numbers of a calibrator among its own."""

    @property
    def temperature(self) -> float | None: ...
    @property
    def uniform_share(self) -> float: ...


def calibrator_of(record: Calibrated) -> Calibrator:
    return Calibrator(record.temperature, record.uniform_share)
