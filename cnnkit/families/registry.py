"""`Registry`: the entries of one family by name. Also loads the classes that entries name."""

import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from cnnkit.errors import OwnCodeError, UsageError
from cnnkit.own.declared import Declared, declared
from cnnkit.own.names import reference
from cnnkit.own.sources import found, installed


class Named(Protocol):
    @property
    def name(self) -> str:
        """The word that a configuration uses for this entry."""


Entry = TypeVar("Entry", bound=Named)


class Registry(Mapping[str, Entry]):
    """The entries of one family by name, in the order in which they were registered.

    family: what an entry is called in messages, such as `pooling`. own: makes an entry of what a person's own
    class declares; it is found by its name, `my_pool.py:Quantile`, but is none of those that are counted.
    """

    def __init__(self, family: str, *entries: Entry, own: Callable[[Declared], Entry] | None = None) -> None:
        self.family = family
        self._of_own = functools.lru_cache(maxsize=256)(own) if own else None
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            self.register(entry)

    def register(self, entry: Entry) -> None:
        """Adds an entry; a configuration may name it from now on. Raises UsageError if the name is taken."""
        if entry.name in self._entries:
            raise UsageError(f"there is a {self.family} called {entry.name!r} already; choose another name")
        self._entries[entry.name] = entry

    @property
    def takes_own(self) -> bool:
        return self._of_own is not None

    def canonical(self, name: str) -> str:
        """The name as it is kept: of an own class with the hash of its file. KeyError: there is none.

        Raises OwnCodeError where an own class is named that cannot be read.
        """
        if name in self._entries or not self._of_own:
            return self._entries[name].name
        named = reference(name) or installed(self.family, name)
        if named is None and ":" in name:
            raise OwnCodeError(
                f"{name!r} names no class: write my_pool.py:Name or package.module:Name; no file's name may "
                "hold @ or ="
            )
        if named is None:
            raise KeyError(name)
        return str(found(named))

    def __getitem__(self, name: str) -> Entry:
        if name in self._entries or self._of_own is None:
            return self._entries[name]
        named = reference(self.canonical(name))
        assert named is not None
        return self._of_own(declared(named))

    def __contains__(self, name: object) -> bool:
        """Whether it is one of those that are counted."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def load_class(path: str) -> Any:
    """The class that `module:Class` names, such as `torch.nn:ReLU`. Imports its module."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
