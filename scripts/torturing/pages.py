"""Part pages: hostile text wherever a report takes text from. It stays text, and nothing comes from afar.

The page must have the elements of the same page with harmless letters in the place of the hostile ones.
"""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

from torturing.processes import Failure, Workshop
from torturing.samples import RUN, STUDY, finished_run, finished_study
from torturing.sealing import as_json, change, recompute_results
from torturing.tries import Attempt, Part

HOSTILE = (
    *("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '" onload="alert(1)', "' onx='1"),
    *(
        "<svg/onload=alert(1)>",
        "{{ 7 * 7 }}{% raw %}",
        "]]><b>x</b>",
        "<!-- x",
        "--><i>x</i>",
        "&lt;b&gt;&#60;u&#62;",
    ),
    *("</style><link rel=stylesheet href=//evil.example/x.css>", "javascript:alert(1)", "</title><h1>x</h1>"),
    *(
        "<base href=https://evil.example/>",
        "<iframe srcdoc='<b>x</b>'>",
        "\x01\x08\x1b[31m<b>",
        "${alert(1)}`",
    ),
    *("\u202e<b>\u2028</b>", "</svg><b>x</b>", "</pre></td></table><form action=//evil.example>", "<" * 300),
)
NO_TEXT = "\udcff"  # a byte in a name that is no UTF-8
SECRET = "what-lies-outside-4711"
LINKS = ("src", "href", "action", "poster", "srcset", "data", "xlink:href", "formaction", "ping")
AFAR = re.compile(r"\s*(https?:|//|ftp:|javascript:|file:)", re.IGNORECASE)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f]")
Put = Callable[[Random, Path, str], str]


def prepare(workshop: Workshop) -> Attempt:
    def attempt(random: Random, folder: Path) -> str:
        if random.random() < 0.15:
            return _from_outside(workshop, random, folder, finished_study(workshop))
        put = random.choice(PLACES)
        text, state = random.choice(HOSTILE), random.getstate()
        of_study = put in OF_STUDY
        made = finished_study(workshop) if of_study else finished_run(workshop)
        workshop.commands.append(f"# {put.__name__}: {text!r}")
        pages = []
        for words in (re.sub(r"[<>\"'&{}%`$/:=]", "x", text), text):
            random.setstate(state)
            shutil.rmtree(folder)
            shutil.copytree(made, folder)
            name = put(random, folder / (STUDY if of_study else RUN), words)
            pages.append(_page(workshop, folder, name))
        return _judge(*pages)

    return attempt


def _page(workshop: Workshop, folder: Path, name: str) -> str | None:
    """The report's text; None where it is refused in words."""
    if workshop.run(folder, "report", "--", name).check([0, 1, 2]).code == 2:
        return None
    page = folder / name / "report.html"
    try:
        return page.read_text(encoding="utf-8") if page.is_file() else None
    except UnicodeDecodeError as error:
        raise Failure(f"the page is no UTF-8: {error}") from error


def _judge(harmless: str | None, hostile: str | None) -> str:
    if hostile is None:
        return "refused"
    found = parsed(hostile)
    if found.afar:
        raise Failure(f"the page loads from afar: {found.afar[0]}")
    if unprintable := UNPRINTABLE.search(hostile):
        raise Failure(f"the page holds the control character {unprintable.group()!r}")
    if harmless is not None and found.elements != parsed(harmless).elements:
        both = zip(found.elements, parsed(harmless).elements, strict=False)
        foreign = next((a for a, b in both if a != b), found.elements[-1])
        raise Failure(f"the page has other elements than with harmless letters: {foreign}")
    return "stays text"


class _Elements(HTMLParser):
    """elements: every tag with its attributes' names. afar: addresses outside the page."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.afar: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))
        self.inside = tag
        self.afar += [str(value) for name, value in attrs if name in LINKS and value and AFAR.match(value)]

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}",))
        self.inside = ""

    def handle_comment(self, data: str) -> None:
        self.elements.append(("comment",))

    def handle_data(self, data: str) -> None:
        if self.inside == "style":
            self.afar += [
                url for url in re.findall(r"(?:url\(|@import)\s*['\"]?([^)'\"]+)", data) if AFAR.match(url)
            ]


def parsed(page: str) -> _Elements:
    parser = _Elements()
    parser.feed(page)
    parser.close()
    return parser


def folder_name(random: Random, home: Path, text: str) -> str:
    name = text.replace("/", "∕").replace("\0", "")[:60] + random.choice(("", "", NO_TEXT))
    home.rename(home.with_name(name))
    return name


def folder_name_of_study(random: Random, home: Path, text: str) -> str:
    return folder_name(random, home, text)


def environment(random: Random, home: Path, text: str) -> str:
    return _put_into(random, home, home / "environment.json", text)


def result(random: Random, home: Path, text: str) -> str:
    return _put_into(random, home, home / "result.json", text)


def evaluation(random: Random, home: Path, text: str) -> str:
    return _put_into(random, home, home / "eval-test.json", text)


def data_root(random: Random, home: Path, text: str) -> str:
    file = home / "config.yaml"
    content = re.sub(r"root: .*", lambda _: f"root: {json.dumps(text)}", file.read_text(), count=1)
    change(file, content.replace(", root: null", f", root: {json.dumps(text)}").encode(), home)
    return home.name


def plan(random: Random, home: Path, text: str) -> str:
    name = _put_into(random, home, home / "study.json", text)
    if random.random() < 0.5:
        recompute_results(home)
    return name


def results(random: Random, home: Path, text: str) -> str:
    return _put_into(random, home, home / "results.json", text)


def environment_of_a_trial(random: Random, home: Path, text: str) -> str:
    return _put_into(random, home, random.choice(sorted(home.glob("trials/*/environment.json"))), text)


def hashes_of_a_trial(random: Random, home: Path, text: str) -> str:
    name = _put_into(random, home, random.choice(sorted(home.glob("trials/*/trial.json"))), text)
    recompute_results(home)
    return name


def failure(random: Random, home: Path, text: str) -> str:
    """Why a trial failed."""
    trial = random.choice(sorted(home.glob("trials/*")))
    (trial / "result.json").unlink()
    (trial / "failure.txt").write_text(f"{text}\n\nTraceback {text}", encoding="utf-8")
    recompute_results(home)
    return home.name


OF_RUN: tuple[Put, ...] = (folder_name, environment, result, evaluation, data_root)
OF_STUDY: tuple[Put, ...] = (
    *(folder_name_of_study, plan, plan, results, results, environment_of_a_trial, hashes_of_a_trial),
    failure,
)
PLACES = (*OF_RUN, *OF_STUDY)


def _put_into(random: Random, home: Path, file: Path, text: str) -> str:
    """Puts the text in the place of one text of a JSON file, or before or after it."""
    content = json.loads(file.read_text(encoding="utf-8"))
    places = list(_texts(content))
    holder, key = random.choice(places)
    holder[key] = random.choice(("{text}", "{old}{text}", "{text}{old}")).format(text=text, old=holder[key])
    change(file, as_json(content), home)
    return home.name


def _texts(node: Any) -> list[tuple[Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [(node, key) for key, value in items if isinstance(value, str)]
    return found + [place for _, value in items for place in _texts(value)]


def _from_outside(workshop: Workshop, random: Random, folder: Path, study: Path) -> str:
    """A study that names a folder or links to a file elsewhere: none of it comes into the page."""
    shutil.copytree(study, folder, dirs_exist_ok=True)
    home, outside = folder / STUDY, folder / "outside"
    outside.mkdir()
    (outside / "failure.txt").write_text(f"{SECRET}\n")
    plan = json.loads((home / "study.json").read_text())
    entry = random.choice(plan["trials"])
    way = random.choice(("absolute", "upwards", "linked folder", "linked file"))
    workshop.commands.append(f"# a trial's folder or failure.txt lies outside: {way}")
    trial = home / "trials" / entry["folder"]
    if way in ("absolute", "upwards"):
        entry["folder"] = str(outside) if way == "absolute" else "../../outside"
        change(home / "study.json", as_json(plan), home)
    elif way == "linked folder":
        shutil.rmtree(trial)
        trial.symlink_to(outside)
    else:
        (trial / "result.json").unlink()
        (trial / "failure.txt").symlink_to(outside / "failure.txt")
    (home / "results.json").unlink()
    page = _page(workshop, folder, STUDY)
    told = "".join(path.read_text() for path in folder.glob(".*.txt"))
    if SECRET in f"{page}{told}":
        raise Failure(f"text from outside the study comes into its page ({way})")
    return "stays outside"


PART = Part("pages", "Hostile text in a report stays text", prepare, 150)
