"""How a run and a study show themselves in a notebook."""

import html
from pathlib import Path

HEIGHT = 640  # pixels


def embedded(page: Path) -> str:
    """A page that needs nothing but itself, as an element of another page."""
    content = html.escape(page.read_text(encoding="utf-8"), quote=True)
    return f'<iframe srcdoc="{content}" width="100%" height="{HEIGHT}" style="border: 0"></iframe>'
