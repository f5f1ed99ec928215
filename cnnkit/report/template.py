"""Renders the templates; the only module that knows the template language."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cnnkit.comparison.pair_records import BETTER, BETTER_HERE, EQUIVALENT, UNDECIDED, WORSE, WORSE_HERE
from cnnkit.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from cnnkit.report.colours import DARK, LIGHT
from cnnkit.report.figures import evidence, percent_range, points, points_range, seeds_needed
from cnnkit.report.heat import CELL
from cnnkit.report.plots import dashes_of, shape_of
from cnnkit.words import counted

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

SIGNS = {BETTER: "▲", WORSE: "▼", BETTER_HERE: "△", WORSE_HERE: "▽", EQUIVALENT: "=", UNDECIDED: "?"}
TEMPLATES = Path(__file__).parent / "templates"
BREAKS = re.compile(r"(?<=[/,])(?=\w)")
INNER_BREAKS = re.compile(r"(?<=_)(?=\w)|(?<=\.)(?=[A-Za-z])")  # 0.25 stays whole


def breakable(name: str) -> "Markup":
    """A name, escaped, that a browser may break; on a narrow screen within `pooling_first`, too."""
    from markupsafe import Markup, escape

    return Markup(INNER_BREAKS.sub('<wbr class="inner">', BREAKS.sub("<wbr>", str(escape(name)))))


def render(template: str, view: Mapping[str, object], folder: Path = TEMPLATES) -> str:
    """The page of one of `templates/`. view: what it names; a name that is missing raises UndefinedError.

    folder: where the template lies; what it includes may lie in `templates/`, too.
    """
    return _environment(folder).get_template(template).render(view)


@cache  # it keeps the templates compiled
def _environment(folder: Path) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        f.__name__: f
        for f in (breakable, counted, evidence, percent_range, points, points_range, seeds_needed)
    }
    environment.globals |= {
        "signs": SIGNS,
        "shape": shape_of,
        "dashes": dashes_of,
        "cell": CELL,
        "light": LIGHT,
        "dark": DARK,
        "box": {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
    }
    return environment
