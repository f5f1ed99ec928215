"""`play.html`: trained networks that compute in the browser, and the lesson, in one page."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnkit.events import Note, NoteListener, ignore
from cnnkit.experiment import digit_check
from cnnkit.experiment.checkpoints import Weights
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.datasets import DatasetInfo
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS
from cnnkit.filenames import PLAY
from cnnkit.files import write_atomically
from cnnkit.play.chosen import Chosen, chosen
from cnnkit.play.networks import network_view
from cnnkit.play.samples import samples_view
from cnnkit.report.plots import shape_of
from cnnkit.report.template import render

ASSETS = Path(__file__).parent / "assets"
COMPUTING = ("tensors", "layers", "pools", "heads", "network")
FRAMING = ("resizing", "clean_paper", "main_strokes", "framing", "digit_check")
SHOWING = ("elements", "pictures", "drawing", "sources", "answers", "arithmetic", "inside", "last_layers")
LESSON = (
    "lesson",
    "chapter_filter",
    "chapter_channels",
    "chapter_activation",
    "chapter_pooling",
    "chapter_bear",
    "chapter_dropout",
    "chapter_dense",
)
SCRIPTS = (*COMPUTING, *FRAMING, *SHOWING, *LESSON, "link", "main")


def write_play(
    paths: Sequence[Path],
    out: Path | None = None,
    *,
    float32: bool = False,
    notify: NoteListener = ignore,
    root: Path | None = None,
) -> Path:
    """Writes the page of a study's folder, or of runs; returns its path.

    out: by default `play.html` in the folder, or of several runs in the folder one works in.
    float32: weights as they are; else in float16, which makes the page half as large. notify: is told of
    networks that are left out, or whose training has not ended. root: where the images lie now.
    Raises UsageError where a path is neither a run nor a study, RunError where weights are damaged,
    DataError where a root does not hold the images of then.
    """
    shown = chosen(paths)
    inside = len(paths) == 1 and paths[0].is_dir()
    page = out or (paths[0] / PLAY if inside else Path(PLAY))
    write_atomically(page, page_of(shown, float32, root))
    for remark in shown.remarks():
        notify(Note(remark))
    return page


def page_of(shown: Chosen, float32: bool = False, root: Path | None = None) -> str:
    """The whole page. Its policy allows the page's own script and style, and no request at all."""
    samples, missing = samples_view(shown, root)
    content = {
        "networks": [_network(name, weights, shown, float32) for name, weights in shown.weights.items()],
        "digit_check": _digit_check() if any(map(_of_digits, shown.weights.values())) else None,
        "samples": samples,
        "families": families(),
        "measured": dict(shown.measured),
    }
    script = script_of(SCRIPTS)
    style = render("report.css", {}) + (ASSETS / "play.css").read_text(encoding="utf-8")
    view = {
        "title": shown.title,
        "names": list(shown.weights),
        "remarks": shown.remarks(),
        "missing": missing,
        "content": in_script(content),
        "script": f"\n{script}",
        "style": f"\n{style}",
        "policy": policy_of(f"\n{script}", f"\n{style}"),
    }
    return render("play.html.j2", view, ASSETS)


def script_of(names: Sequence[str]) -> str:
    """Scripts of `assets`, one after the other: functions of one see those of all."""
    parts = [(ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return '"use strict";\n' + "\n".join(parts)


def policy_of(script: str, style: str) -> str:
    """A content security policy by which only these texts act, and nothing is fetched or sent."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; script-src 'sha256-{digest(script)}'; style-src 'sha256-{digest(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def in_script(content: Any) -> str:
    """JSON that no text in it can end or leave: `<` and `&` are written as escapes."""
    text = json.dumps(content, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("&", "\\u0026").replace(">", "\\u003e")


def _network(name: str, weights: Weights, shown: Chosen, float32: bool) -> dict[str, object]:
    info = weights.config.data.info
    return {
        "name": name,
        "series": shown.series[name] % 8,
        "marker": shape_of(shown.series[name]),
        "classes": list(info.class_names),
        "frame": frame_of(info),
        "of_digits": _of_digits(weights),
        **network_view(weights.model, weights.calibrator, float32),
    }


def _of_digits(weights: Weights) -> bool:
    return digit_check.acts_on(weights.config.data.info)


def _digit_check() -> dict[str, object]:
    return {"side": digit_check.SIDE, **network_view(digit_check.network().model)}


def frame_of(info: DatasetInfo) -> dict[str, object]:
    """How a picture becomes what a network of this data set takes: what `framing.js` must know."""
    names = ("crop", "photographs", "strokes", "ink_share", "centred_by", "resampling", "fit")
    return {name: getattr(info, name) for name in names} | {
        "shape": list(info.shape),
        "as_is": info.shown_as_is,
    }


def families() -> dict[str, object]:
    """What the lesson tells of each pooling, head and activation, from the registries."""

    def told(entries: Any) -> dict[str, dict[str, str]]:
        return {name: {"summary": e.summary, "formula": e.formula} for name, e in entries.items()}

    activations = {name: {"summary": entry.summary} for name, entry in ACTIVATIONS.items()}
    return {"poolings": told(POOLINGS), "heads": told(HEADS), "activations": activations}
