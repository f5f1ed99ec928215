"""Commands that drop no option in silence: one that cannot act is refused."""

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from cnnkit.cli.exclusions import NEEDS, TAKES_ALL, exclusions_of, told
from cnnkit.errors import UsageError

Function = TypeVar("Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command whose every option acts or is refused."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        args = list(_one_by_one(args, TAKES_ALL.get(self.name or "", "")))
        words = list(args)
        if not ctx.resilient_parsing:
            _refuse_missing_values(self, words)
        try:
            rest: list[str] = super().parse_args(ctx, args)
        except Exception as error:
            if isinstance(told := getattr(error, "message", None), str):
                error.message = self._in_plain_words(told)  # type: ignore[attr-defined]
            raise
        if not ctx.resilient_parsing:  # while a shell completes, a line may be wrong
            _refuse_two_values(self, ctx, words)
            _refuse_exclusions(self, ctx)
        return rest

    def _in_plain_words(self, message: str) -> str:
        """What the parser tells, with a hint."""
        message = message.removeprefix("Value error, ")  # of Pydantic, by which Typer reads values
        if choice := re.fullmatch(r"'(.*)' is not one of (.*)\.", message):
            from cnnkit.config.suggestions import guess

            return message.removesuffix(".") + (guess(choice[1], re.findall("'(.*?)'", choice[2])) or ".")
        if message.startswith("Got unexpected extra argument"):
            alone = " ".join(str(p.metavar) for p in self.params if p.param_type_name == "argument")
            return f"{message}; beside {alone or 'its name'} the command takes options alone, as --help tells"
        return message


class App(typer.Typer):
    """A group of such commands."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        return super().command(name, cls=Command, **options)


def _one_by_one(words: list[str], option: str) -> Iterator[str]:
    """`--option A B` -> `--option A --option B`: the parser takes one word after an option."""
    collecting = False
    for place, word in enumerate(words):
        if word.startswith("-"):
            collecting = bool(option) and word.partition("=")[0] == option
        elif collecting and words[place - 1] != option:
            yield option
        yield word


def _refuse_missing_values(command: Command, words: list[str]) -> None:
    """The parser would take an option that follows for the value."""
    options: list[Any] = [p for p in command.params if p.param_type_name == "option"]
    names = {name for option in options for name in option.opts}
    of_value = {name for option in options if not (option.is_flag or option.count) for name in option.opts}
    for word, following in itertools.pairwise(words):
        if word == "--":
            return
        if word in of_value and following in names:
            raise UsageError(f"{word} needs a value, and {following} follows it")


def _refuse_two_values(command: Command, ctx: Any, words: list[str]) -> None:
    """An option of one value may be repeated only with the same value: the parser would take the last."""
    twin = copy.copy(command)
    twin.params = [_collecting(parameter) for parameter in command.params]
    given, _, _ = twin.make_parser(ctx).parse_args(words)
    for parameter in command.params:
        if not _takes_one(parameter):
            continue
        first, *others = dict.fromkeys(given.get(parameter.name) or [None])
        if others:
            raise UsageError(
                f"{parameter.opts[0]} is given as {first} and as {others[0]}: it can be given once; "
                "leave one of them out"
            )


def _takes_one(parameter: Any) -> bool:
    option = parameter.param_type_name == "option"
    return option and not (parameter.multiple or parameter.is_flag or parameter.count)


def _collecting(parameter: Any) -> Any:
    """The same option, but one that keeps every value that it is given."""
    if not _takes_one(parameter):
        return parameter
    twin = copy.copy(parameter)
    twin.multiple = True
    return twin


def _refuse_exclusions(command: Command, ctx: Any) -> None:
    for one, other, why in exclusions_of(command):
        if _is_given(command, ctx, one) and _is_given(command, ctx, other):
            raise UsageError(told(one, other, why))
    for one, other, why in NEEDS.get(command.name or "", []):
        if _is_given(command, ctx, one) and not any(_is_given(command, ctx, o) for o in other.split(" or ")):
            raise UsageError(f"{one} needs {other}: {why}; name it with {other}")


def _is_given(command: Command, ctx: Any, words: str) -> bool:
    """Whether `--option` is on the command line, or `--option value` is the case."""
    name, _, value = words.partition(" ")
    parameter: Any = next(p for p in command.params if name in (*p.opts, p.metavar))
    found = ctx.params[parameter.name]
    if value:
        return str(getattr(found, "value", found)) == value
    return bool(ctx.get_parameter_source(parameter.name).name == "COMMANDLINE")
