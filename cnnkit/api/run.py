"""`cnnkit.Run`: one trained network, and what it has kept."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnkit.api.drawn import Drawn, as_path
from cnnkit.api.notebook import embedded
from cnnkit.api.progress import shown
from cnnkit.config.own_code import tell_of_changes
from cnnkit.config.schema import Config
from cnnkit.config.validation import known_trackers
from cnnkit.data.named_files import image_files
from cnnkit.data.sources import with_root
from cnnkit.errors import CnnkitError, ImageError, UsageError
from cnnkit.events import EpochRecord, Listener, Note, NoteListener, ignore
from cnnkit.experiment.checkpoints import Weights, kept_config
from cnnkit.experiment.latest import point_latest_at
from cnnkit.experiment.measure import Measured, Prediction, measure_split, predict_files, predict_images
from cnnkit.experiment.onnx_file import OnnxFile, is_onnx, open_weights
from cnnkit.experiment.run_dir import RunDir, RunResult, open_run
from cnnkit.experiment.train import prepare, run_experiment
from cnnkit.locks import alone_at
from cnnkit.nn.model import CNN
from cnnkit.nn.onnx_network import OnnxNetwork
from cnnkit.own.code import refuse_untrusted
from cnnkit.report.parts import reason
from cnnkit.tracking.run import tracked_before, tracked_run

if TYPE_CHECKING:
    from cnnkit.experiment.export import ExportedFile


@dataclass(frozen=True)
class Run(Drawn):
    """A run directory; or a weights or ONNX file, of which only the model and its configuration are known.

    Whatever is read from it raises RunError where it is missing or damaged. In a notebook a run shows its
    report.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_file():
            open_run(self.path)  # raises UsageError where there is no run

    @property
    def folder(self) -> RunDir:
        """The run directory. Raises UsageError where `path` is a weights file, or nothing."""
        if self.path.is_file():
            raise UsageError(f"{self.path} is a file; name the run directory")
        return open_run(self.path)

    @property
    def config(self) -> Config:
        return self.weights.config if is_onnx(self.path) else kept_config(self.path)

    @property
    def result(self) -> RunResult:
        """Test and validation accuracy (fractions), loss (nats), times (seconds), and the rest."""
        return self.folder.result

    @property
    def metrics(self) -> list[EpochRecord]:
        """One record an epoch."""
        return self.folder.metrics()

    @functools.cached_property
    def weights(self) -> Weights | OnnxFile:
        """The best weights, with the configuration that they were trained with; or the exported file."""
        return open_weights(self.path)

    def model(self) -> CNN | OnnxNetwork:
        """The network with its best weights, in evaluation mode: pixels (N, C, H, W), 0 … 255, to logits.

        Every call gives a network of its own. That of an ONNX file takes whole images, which it crops itself.
        """
        return open_weights(self.path).model.eval()

    def evaluate(
        self,
        split: str | None = None,
        device: str | None = None,
        notify: NoteListener = ignore,
        *,
        data: str | Path | None = None,
        root: str | Path | None = None,
    ) -> Measured:
        """Measures the best weights on a split: "test", which None means, "validation" or "train".

        data: another folder of labelled images, or another source of them; None as split then means all of
        its images. root: where the run's own images lie now. `.accuracy` is a fraction; `.evaluation` holds
        loss, confusion and the rest, `.other` which classes do not match, `.table()` a row an image. Numbers
        and a picture are kept as `eval-<name>.json` and `confusion-<name>.svg` beside the weights, where
        that folder takes files; notify is told where it does not. device: instead of the configured one.
        Raises UsageError where the split is empty, DataError where the images are not to be had.
        """
        from cnnkit.report.confusion import draw_confusion

        tell_of_changes([self.weights.config], notify)
        measured = measure_split(self.weights, split, device, notify, as_path(data), as_path(root))
        with _not_hiding_what_is_known(notify):
            draw_confusion(measured)
        return measured

    def predict(
        self, images: str | Path | Sequence[str | Path] | Tensor, device: str | None = None
    ) -> list[Prediction]:
        """What images show: files of any size, folders of them, globs, or a tensor (N, C, H, W), 0 … 255.

        Each prediction has its `.path`, its `.warnings`, and in `.seen` what the network saw: (C, H, W),
        pixels 0 … 255. Files come in natural order, also of folders below.
        Raises ImageError where a file cannot be read or shows nothing, or a tensor has another shape than
        the network takes.
        """
        if hasattr(images, "__array__"):  # a tensor, or an array of NumPy's
            return predict_images(self.weights, torch.as_tensor(images), device)
        paths = [images] if isinstance(images, str | Path) else images
        files = [file for path in paths for file in image_files(Path(path))]
        return [_not_an_error(found) for found in predict_files(self.weights, files, device)]

    def export(
        self,
        out: str | Path | None = None,
        *,
        format: str = "onnx",  # noqa: A002 - as the option of the command is called
        pixels: str = "uint8",
        check: int | None = None,
        int8: bool = False,
        root: str | Path | None = None,
        notify: NoteListener = ignore,
    ) -> "ExportedFile":
        """Writes the network as a file for other programs, and checks it on the test images.

        The file takes whole images, (N, C, H, W), 0 … 255, as `pixels` says "uint8" or "float32"; crop and
        normalisation are inside. It gives `logits` and `probabilities`, (N, classes), and tells in its
        metadata the class names and how images are framed. out: None: beside the weights. format: "onnx",
        or "torch", a program that `torch.export.load` opens. check: how many test images; None: all.
        int8: quantise the ONNX file with training images; `.int8` is what that costs and gains. root: where
        the run's own images lie now. What is returned is kept beside the file as `<file>.json`.
        Raises UsageError where the file is there already or a library is missing, RunError where a layer
        cannot be exported, or where the file does not answer as the network does: then it is not written.
        """
        from cnnkit.experiment.export import export

        paths = as_path(out), as_path(root)
        tell_of_changes([self.weights.config], notify)
        return export(self.weights, *paths, kind=format, pixels=pixels, most=check, int8=int8, notify=notify)

    def resume(
        self,
        device: str | None = None,
        progress: bool | Listener = True,
        *,
        root: str | Path | None = None,
        track: Sequence[str] = (),
    ) -> RunResult:
        """Goes on with an interrupted run; the weights become those of a run that was never interrupted.

        device: instead of the configured one; another device rounds differently. root: where the
        run's own images lie now. track: trackers that are told besides those that were. A run that is
        finished is left as it is, and checked. progress, and what is raised: as for `cnnkit.train`; also
        UsageError where a finished run is to be tracked.
        """
        folder, more = self.folder, known_trackers(track, "track=")
        if folder.finished and more:
            raise UsageError(f"{self.path} is finished: no tracker is told of it now; leave out track")
        if folder.finished:
            with contextlib.suppress(OSError), alone_at(folder.path, "run"):  # it may take no files
                folder.remove_leftovers()  # of a picture or a page
        else:
            with alone_at(folder.path, "run"), shown(progress) as listener:
                if not folder.finished:  # another process may have ended it
                    config = folder.config
                    refuse_untrusted(*config.model.own_classes)
                    tell_of_changes([config], listener)
                    data = with_root(config.data, as_path(root), listener)
                    found = config.model_copy(update={"data": data})
                    setting = prepare(found, listener, device, threads=folder.threads)
                    point_latest_at(folder.path)
                    names = [*config.tracking, *tracked_before(folder.path), *more]
                    labels = setting.splits.test.labels.cpu().numpy()
                    with tracked_run(names, folder, config, labels, listener) as told:
                        run_experiment(config, folder, told, setting)
            self.__dict__.pop("weights", None)  # those of before
        folder.check()
        return folder.result

    def draw_curves(self, notify: NoteListener = ignore) -> None:
        """Draws `curves.svg` into the run directory; notify is told where that cannot be."""
        from cnnkit.report.curves import draw_curves

        with _not_hiding_what_is_known(notify):
            draw_curves(self.folder)

    def _repr_html_(self) -> str | None:
        """None where there is no report, for a weights file alone; a notebook then shows the plain form."""
        return None if self.path.is_file() else embedded(self.report())


def _not_an_error(found: Prediction | ImageError) -> Prediction:
    if isinstance(found, ImageError):
        raise found
    return found


@contextlib.contextmanager
def _not_hiding_what_is_known(notify: NoteListener) -> Iterator[None]:
    """Tells of an error while something is drawn, instead of raising it: the numbers are what counts."""
    try:
        yield
    except CnnkitError:
        raise
    except OSError as error:
        notify(Note(f"{error.filename or 'the picture'} could not be drawn: {error.strerror}"))
    except Exception as error:
        notify(Note(f"the picture could not be drawn: {reason(error)}"))
