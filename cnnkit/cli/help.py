"""Makes `--help` twice as fast: modules that typer's help imports but never uses stay unloaded."""

import importlib
import sys
from types import ModuleType
from typing import Any

# For help that is written in Markdown and for tracebacks in colour; 45 of 150 ms, with all that they import.
UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}


def import_help() -> None:
    """Imports what draws typer's help, with stand-ins for modules that help imports but never uses."""
    missing = {module: name for module, name in UNUSED.items() if module not in sys.modules}
    sys.modules.update({module: _stand_in(module, name) for module, name in missing.items()})
    try:
        importlib.import_module("typer.rich_utils")
    finally:
        for module in missing:
            del sys.modules[module]  # any other import gets the real module


def _stand_in(module: str, name: str) -> ModuleType:
    stand_in = ModuleType(module)
    setattr(stand_in, name, _Later(name, (), {"__module__": module}))
    return stand_in


class _Later(type):
    """A class that, once it is used after all, is the one of the same name in the module of the same name."""

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        return _real(cls)(*arguments, **options)

    def __getattr__(cls, name: str) -> Any:
        return getattr(_real(cls), name)


def _real(stand_in: type) -> Any:
    return getattr(importlib.import_module(stand_in.__module__), stand_in.__name__)
