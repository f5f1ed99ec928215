"""Processes that others start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def main_module_hidden() -> Iterator[None]:
    """Keeps processes that are started in the block from running the user's script again.

    multiprocessing has each new process import the main module. Workers need nothing of it, and a script
    without `if __name__ == "__main__"` would train and compare once more in each of them.
    """
    main = sys.modules["__main__"]
    names = [name for name in ("__file__", "__spec__") if name in main.__dict__]
    hidden: dict[str, object] = {name: main.__dict__.pop(name) for name in names}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)
