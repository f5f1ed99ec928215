"""The whole walk: configuration → data → model → training → one look at the test split → run directory."""

from pathlib import Path
from typing import Any

from cnnkit.config.schema import Config
from cnnkit.data.dataset import ImageDataset, Published, Splits
from cnnkit.data.own_images import load_image
from cnnkit.data.prepare import load_splits
from cnnkit.errors import UsageError
from cnnkit.events import Note, NoteListener, ignore
from cnnkit.experiment.weights import Weights
from cnnkit.filenames import BEST
from cnnkit.files import write_json
from cnnkit.training.device import Placement, out_of_memory_in_words
from cnnkit.training.evaluation import EVALUATION_BATCH, Evaluation, evaluate, predict


def resident_splits(
    config: Config, placement: Placement, notify: NoteListener = ignore, published: Published | None = None
) -> Splits:
    """A configuration's images, split by its seed and cropped, on the device."""
    splits = load_splits(config.data, config.training.seed, notify, published)
    device = placement.device
    return Splits(splits.train.to(device), splits.validation.to(device), splits.test.to(device))


def measure(weights: Weights, images: ImageDataset, placement: Placement) -> Evaluation:
    """What kept weights are worth on some images that lie on the device."""
    with out_of_memory_in_words(EVALUATION_BATCH):
        return evaluate(weights.model.to(placement.device), images, placement)


def evaluate_and_keep(
    weights: Weights, split: str, placement: Placement, notify: NoteListener = ignore
) -> dict[str, Any]:
    """Measures weights on a split; keeps numbers and a picture beside them where that folder allows it.

    Raises UsageError where the split holds no images.
    """
    from cnnkit.report.pictures import draw_confusion, most_confident_mistakes

    config, info = weights.config, weights.model.info
    images: ImageDataset = getattr(resident_splits(config, placement, notify), split)
    if not len(images):
        raise UsageError(f"the {split} split is empty: data.validation is 0")
    measured = measure(weights, images, placement)
    named = {"split": split, "weights": weights.source.name, "dataset": config.data.dataset}
    content = {**named, **measured.as_dict(info.class_names)}
    folder, stem = weights.source.parent, weights.source.stem
    name = split if weights.source.name == BEST else f"{stem}-{split}"
    mistakes = most_confident_mistakes(
        images.images.cpu(), images.labels.cpu(), measured.predictions, measured.confidences, info.class_names
    )
    title = f"{measured.accuracy:.2%} of {measured.images:,} {split} images right"
    try:
        write_json(folder / f"eval-{name}.json", content)
        draw_confusion(
            measured.confusion, info.class_names, mistakes, title, folder / f"confusion-{name}.svg"
        )
    except OSError as error:
        notify(Note(f"the evaluation could not be kept in {folder}: {error.strerror}"))
    return content


def predict_file(weights: Weights, path: Path, top: int, placement: Placement) -> list[dict[str, Any]]:
    """The likeliest classes of one image file, best first, with their probabilities.

    Raises ImageError where the file shows nothing that the network could be asked about.
    """
    info = weights.config.data.info
    image = load_image(path, info).to(placement.device)
    with out_of_memory_in_words(len(image)):
        probabilities = predict(weights.model.to(placement.device), image, placement)[0].cpu()
    best = probabilities.argsort(descending=True, stable=True)[:top].tolist()
    return [{"class": info.class_names[i], "probability": float(probabilities[i])} for i in best]
