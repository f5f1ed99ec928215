"""Runs own classes that a person trusts, and tells of an exception in one by its own lines."""

import linecache
import sys
import traceback
from types import ModuleType
from typing import Any

from cnnkit.errors import OwnCodeError
from cnnkit.own.declared import declared
from cnnkit.own.names import Reference
from cnnkit.own.sources import is_trusted, source_of
from cnnkit.words import in_one_line

_files: set[str] = set()  # names of the files whose code has run


def build(named: Reference, **arguments: Any) -> Any:
    """An object of the class, with what it asks for and its settings.

    Raises OwnCodeError where nobody has said that this code may run, and whatever the code raises.
    """
    asks = declared(named).asks
    given = {key: value for key, value in arguments.items() if key in asks or key not in ("k", "channels")}
    return class_of(named)(**given)


def class_of(named: Reference) -> Any:
    """The class. Its module is run once in a process; raises as `build` does."""
    refuse_untrusted(named)
    name = f"cnnkit_own_{named.hash}"
    if name not in sys.modules:
        sys.modules[name] = _run(named, name)
    return getattr(sys.modules[name], named.name)


def refuse_untrusted(*references: Reference) -> None:
    """Raises OwnCodeError where a person has not said that this code may run."""
    for named in references:
        if is_trusted(named):
            continue
        source = source_of(named)
        lines, name = len(source.text.splitlines()), in_one_line(named.shown)
        raise OwnCodeError(
            f"this needs code of its own, {name}, and loading runs none by itself: it would run "
            f"{in_one_line(source.origin)} ({lines} lines, SHA-256 {named.hash[:12]}…). Read that, and "
            "if you trust it, repeat with --trust (in Python: trust=True)"
        )


def not_run(named: Reference) -> str:
    """Why something could not be made without a person's trust, in one line."""
    return f"it needs the code in {source_of(named).origin}, which was not run; --trust lets it run"


def _run(named: Reference, name: str) -> ModuleType:
    """Runs the text that was kept, not the file of today; tracebacks show that text, too."""
    source = source_of(named)
    file = source.origin
    linecache.cache[file] = (len(source.text), None, source.text.splitlines(keepends=True), file)
    _files.add(file)
    module = ModuleType(name)
    module.__file__ = file
    if not named.is_file:
        module.__package__ = named.place.rpartition(".")[0]
    sys.modules[name] = module
    try:
        exec(compile(source.text, file, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def own_trace(error: BaseException) -> str:
    """The traceback of an error in own code, from its file on; empty where none of it was running."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, frame in enumerate(frames) if frame.filename in _files), None)
    if first is None:
        return ""
    lines = traceback.format_list(frames[first:])
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
