"""`cnnkit doctor`: what is there, what is wrong, and how to mend it."""

import typer

from cnnkit.cli.options import JsonOption, print_json


def doctor_command(as_json: JsonOption = False) -> None:
    """Show what cnnkit finds on this machine and how to mend what is wrong; exit code 1 if something is."""
    from rich.text import Text

    from cnnkit.api.progress import say
    from cnnkit.cli.console import out
    from cnnkit.experiment.doctor import findings

    wrong, kept = False, []
    for finding in findings():
        wrong |= bool(finding.mend)
        kept.append(finding.to_dict())
        if as_json:
            continue
        say(out, f"{finding.what:12}  {finding.found}", hang=14)
        if finding.mend:
            say(out, Text(f"{'to mend':12}  ", "yellow") + Text(finding.mend), hang=14)
    if as_json:
        print_json({"findings": kept})
    raise typer.Exit(int(wrong))
