"""The own classes that a configuration names, and those that a person names on a command line."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cnnkit.config.schema import Config
from cnnkit.errors import OwnCodeError
from cnnkit.events import Note, NoteListener
from cnnkit.families.activations import ACTIVATIONS
from cnnkit.families.heads import HEADS
from cnnkit.families.poolings import POOLINGS
from cnnkit.families.registry import Registry
from cnnkit.own.names import Reference
from cnnkit.own.sources import changes_of, references_in, trust

REGISTRIES: Mapping[str, Registry[Any]] = {
    "model.pooling": POOLINGS,
    "model.head": HEADS,
    "model.activation": ACTIVATIONS,
}


def own_classes_of(configs: Iterable[Config]) -> list[Reference]:
    """The own classes of some configurations, each once."""
    return list(dict.fromkeys(named for config in configs for named in config.model.own_classes))


def tell_of_changes(configs: Iterable[Config], notify: NoteListener) -> None:
    """Tells which files of own classes have changed since they were kept, and which copies are damaged."""
    tell_of(own_classes_of(configs), notify)


def tell_of(references: Iterable[Reference], notify: NoteListener) -> None:
    """The same of some classes."""
    for told in dict.fromkeys(told for named in references for told in changes_of(named)):
        notify(Note(told))


def trust_values(varied: Mapping[str, Any]) -> None:
    """Lets own classes run that a person names as values of keys. What is no value is told elsewhere."""
    for key, registry in REGISTRIES.items():
        for name in _names(varied.get(key, ())):
            with contextlib.suppress(KeyError, OwnCodeError):
                trust(references_in(registry.canonical(name)))


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _names(value.get("name", ()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _names(each)
