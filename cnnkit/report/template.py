"""A template and what it names → text: the one room that knows the template language."""

from pathlib import Path
from typing import Any

from cnnkit.report.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from cnnkit.report.heat import CELL
from cnnkit.report.plots import DASHES, MARKERS

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, view: dict[str, Any]) -> str:
    """The page of one of `templates/`. view: what it names; a name that is missing raises UndefinedError."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals |= {
        "markers": MARKERS,
        "dashes": DASHES,
        "cell": CELL,
        "box": {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM},
    }
    return environment.get_template(template).render(view)
