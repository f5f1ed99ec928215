"""What a configuration of an older schema means today.

A key that is new needs nothing here: its default must leave old work as it was. If a default changes, raise
`VERSION` and note the old default in `FORMER_DEFAULTS`: texts of the older versions then keep their meaning.
"""

from typing import Any

from cnnkit.config.yaml_tree import YamlTree

KEY = "schema"  # the first key of every text that cnnkit keeps
VERSION = 2  # 0: texts that 0.1.0 kept, which do not have the key
# For each version the defaults that changed after it, by dotted key.
FORMER_DEFAULTS: dict[int, dict[str, object]] = {1: {"model.order": "pooling_first"}}


def apply_version(tree: YamlTree, kept: bool) -> None:
    """Takes the version out of a text, and adds the defaults of that version for keys that it does not name.

    kept: whether cnnkit wrote the text; without a version it is then of version 0, otherwise of today's.
    """
    version = tree.values.pop(KEY, 0 if kept else VERSION)
    if (KEY,) in tree.broken:
        return
    if type(version) is not int or version < 0:
        tree.complain_of((KEY,), "is not a version of the schema", f"expected a whole number up to {VERSION}")
    elif version > VERSION:
        tree.complain_of(
            (KEY,),
            f"version {version} was written by a newer cnnkit",
            f"this cnnkit reads up to version {VERSION}: install a newer one",
        )
    else:
        for older in range(version, VERSION):  # the first entry from the text's version on is its default
            for key, value in FORMER_DEFAULTS.get(older, {}).items():
                _set_if_absent(tree.values, key, value)


def _set_if_absent(values: Any, key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        if not isinstance(values, dict):  # a wrong value, which is told later
            return
        values = values.setdefault(section, {})
    if isinstance(values, dict):
        values.setdefault(name, value)
