"""`Registry`: the entries of one family by name. Also loads the classes that entries name."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

from cnnkit.errors import UsageError


class Named(Protocol):
    @property
    def name(self) -> str:
        """The word that a configuration uses for this entry."""


Entry = TypeVar("Entry", bound=Named)


class Registry(Mapping[str, Entry]):
    """The entries of one family by name, in the order in which they were registered.

    family: what an entry is called in messages, such as `pooling`.
    """

    def __init__(self, family: str, *entries: Entry) -> None:
        self.family = family
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            self.register(entry)

    def register(self, entry: Entry) -> None:
        """Adds an entry; a configuration may name it from now on. Raises UsageError if the name is taken."""
        if entry.name in self._entries:
            raise UsageError(f"there is a {self.family} called {entry.name!r} already; choose another name")
        self._entries[entry.name] = entry

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def load_class(path: str) -> Any:
    """The class that `module:Class` names, such as `torch.nn:ReLU`. Imports its module."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
