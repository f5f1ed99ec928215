"""ONNX files: a network written as one, opened again, and made of 8-bit integers."""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnnkit.calibrator import AS_TRAINED, Calibrator
from cnnkit.config.load import parse_config
from cnnkit.config.schema import Config
from cnnkit.errors import ConfigError, RunError, UsageError
from cnnkit.experiment.checkpoints import Weights, calibrator_in, learn_texts, load_weights
from cnnkit.experiment.no_run import did_you_mean
from cnnkit.experiment.torch_file import quiet
from cnnkit.filenames import ONNX_SUFFIX
from cnnkit.kept import sha256
from cnnkit.nn.exported import IMAGES, LOGITS, PROBABILITIES
from cnnkit.nn.onnx_network import OnnxNetwork, open_session

SCOPES = "pkg.torch.onnx.name_scopes"  # what torch calls the layers that a node belongs to

# One more entry of a model's metadata (field 14 of ONNX's ModelProto): "checksum", and the 64 digits that
# follow. Protobuf takes fields in any order, so the entry may stand behind the model whose SHA-256 it holds.
SEAL = b"\x72\x4c\x0a\x08checksum\x12\x40"
DIGITS = 64

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")  # of the extra `onnx`


@dataclass(frozen=True)
class OnnxFile:
    """An exported network that onnxruntime runs; the fields of `Weights`.

    config: that of the run, with whole images, which the file crops itself, on the CPU in float32.
    """

    model: OnnxNetwork
    config: Config
    source: Path
    calibrator: Calibrator = AS_TRAINED
    familiarity: None = None


def open_weights(path: Path) -> Weights | OnnxFile:
    """The weights of a run directory, of a weights file, or of an exported ONNX file."""
    return load_onnx(path) if is_onnx(path) else load_weights(path)


def is_onnx(path: Path) -> bool:
    return path.suffix.lower() == ONNX_SUFFIX and not path.is_dir()


def load_onnx(path: Path) -> OnnxFile:
    """Opens a file that cnnkit has exported.

    Raises UsageError where there is none, RunError where it is damaged or was not written by cnnkit.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such ONNX file{did_you_mean(path)}") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    _refuse_changed(content, path)
    session = _opened(content, path)
    told: dict[str, str] = session.get_modelmeta().custom_metadata_map
    if "config" not in told:
        raise RunError(f"{path} was not written by cnnkit: its metadata holds no configuration")
    learn_texts(told, path)  # the configuration names them; the file answers without them
    try:
        config = whole_images(parse_config(told["config"], str(path), kept=True))
    except ConfigError as error:
        raise RunError(f"the metadata of {path} is damaged, or of another version: {error}") from error
    runtime = config.runtime.model_copy(update={"device": "cpu", "precision": "float32"})
    if runtime.threads:
        session = _opened(content, path, runtime.threads)
    model = OnnxNetwork(session, config.model, config.data.info)
    return OnnxFile(model, config.model_copy(update={"runtime": runtime}), path, calibrator_in(told, path))


def _refuse_changed(content: bytes, path: Path) -> None:
    """Files of older versions, or that another program has written anew, need not end in a checksum."""
    model, seal, digits = content[: -DIGITS - len(SEAL)], content[-DIGITS - len(SEAL) :], content[-DIGITS:]
    if seal.startswith(SEAL) and digits != sha256(model).encode():
        raise RunError(f"{path} is damaged or was changed: it has another checksum; export the run again")


def _opened(content: bytes, path: Path, threads: int | None = None) -> Any:
    try:
        return open_session(content, threads)
    except UsageError:
        raise
    except Exception as error:  # of onnxruntime, which has a class of error for each of its codes
        raise RunError(f"{path} is damaged: onnxruntime cannot open it; export the run again") from error


def whole_images(config: Config) -> Config:
    """The same configuration, of images that are not cropped."""
    return config.model_copy(update={"data": config.data.model_copy(update={"crop": 0})})


@dataclass(frozen=True)
class OnnxDraft:
    """An ONNX file that is not written yet. model: as onnx serialises it."""

    model: bytes
    opset: int | None = None
    suffix = ONNX_SUFFIX

    @property
    def content(self) -> bytes:
        """What the file holds: the model with its checksum."""
        return self.model + SEAL + sha256(self.model).encode()

    @classmethod
    def of(cls, program: torch.export.ExportedProgram, metadata: Mapping[str, str]) -> "OnnxDraft":
        """program: of an `Exported`."""
        with quiet():
            made = torch.onnx.export(
                program,
                dynamo=True,
                input_names=[IMAGES],
                output_names=[LOGITS, PROBABILITIES],
                verbose=False,
            )
        assert made is not None
        model = made.model_proto
        _forget_where_it_was_made(model)
        for key, value in metadata.items():
            model.metadata_props.add(key=key, value=value)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "N"
        (opset,) = (entry.version for entry in model.opset_import if not entry.domain)
        return cls(model.SerializeToString(), opset)

    @staticmethod
    def refuse_missing() -> None:
        """Raises UsageError where a library is missing."""
        if any(find_spec(name) is None for name in LIBRARIES):
            raise UsageError("--format onnx needs the libraries of ONNX: pip install 'cnnkit[onnx]'")

    def answers(self) -> Callable[[Tensor], Tensor]:
        """What gives the logits of images."""
        session = open_session(self.model, torch.get_num_threads())
        return lambda pixels: torch.from_numpy(session.run([LOGITS], {IMAGES: pixels.numpy()})[0])

    def layers(self, pixels: Tensor) -> Iterator[tuple[str, Tensor]]:
        """What the nodes make of images, in their order: (layer as torch names it, values)."""
        import onnx

        model, places = onnx.load_from_string(self.model), dict[str, str]()
        for node in model.graph.node:
            scopes = next((prop.value for prop in node.metadata_props if prop.key == SCOPES), "[]")
            *layers, _ = ast.literal_eval(scopes) or [""]
            places[node.output[0]] = layers[-1] if layers else ""
        known = {output.name for output in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in places if name not in known)
        values = open_session(model.SerializeToString()).run(list(places), {IMAGES: pixels.numpy()})
        for layer, value in zip(places.values(), values, strict=True):
            yield layer, torch.from_numpy(np.array(value))


def _forget_where_it_was_made(model: Any) -> None:
    """Leaves out the lines of code, with their paths, that torch notes for each node."""
    for node in model.graph.node:
        kept = [(prop.key, prop.value) for prop in node.metadata_props if prop.key == SCOPES]
        del node.metadata_props[:]
        for key, value in kept:
            node.metadata_props.add(key=key, value=value)
    del model.graph.value_info[:]
    for place in (model, model.graph, *model.graph.input, *model.graph.output):
        del place.metadata_props[:]
