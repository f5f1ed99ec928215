"""scripts/torture sees what does not hold and repeats a try from its number; a few tries of each part."""

import hashlib
import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from support import script_module

if sys.platform != "linux":
    pytest.skip("needs Linux's signals and /proc", allow_module_level=True)


from torturing import damages, forgeries, pages, samples, together
from torturing.fuzz import config_by_chance
from torturing.processes import Failure, Finished, Workshop
from torturing.sealing import change
from torturing.tries import Attempt, Part, Tally, torture

SHORT = {  # tries of seed 0 that take no more than a second or two where nothing else runs
    "damages": (3, 5, 9, 15),  # each of another kind of folder
    "fuzz": (4, 6, 10),  # trained and reported, refused when it trains, refused
    "kills": (1,),
    "together": (1,),
    "forgeries": (1, 2, 3),
    "signals": (2, 6),
    "images": (1, 2, 3),
    "pages": (2,),
    "streams": (1, 2),
    "memory": (1, 5, 8, 11),
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("torture")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with Workshop(tmp_path_factory.mktemp("torture")) as opened:
        yield opened


def finished(code: int | None, out: str = "", err: str = "", command: str = "cnnkit eval R") -> Finished:
    return Finished(command, code, out, err)


@pytest.mark.parametrize("name", SHORT)
def test_a_few_tries_of_each_part_hold(script: ModuleType, workshop: Workshop, name: str) -> None:
    part = script.PARTS[name]
    tally = Tally(name, part.title, seed=0)
    torture(part, workshop, tally, SHORT[name], print)
    assert [failed.reason for failed in tally.failed] == []
    assert tally.tries == len(SHORT[name])


def test_every_part_has_a_short_form(script: ModuleType) -> None:
    assert script.PARTS.keys() == SHORT.keys()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (finished(None), "takes too long"),
        (finished(1, err="Traceback (most recent call last):\nKeyError: 1"), "a traceback"),
        (finished(120, err="Exception ignored in: <_io.TextIOWrapper>"), "a traceback"),
        (finished(-11), "another exit code"),
        (finished(1, err=" \n"), "fails without a word"),
    ],
)
def test_what_hangs_crashes_or_is_silent_does_not_hold(end: Finished, reason: str) -> None:
    with pytest.raises(Failure, match=f"{reason}: cnnkit eval R"):
        end.check([0, 1, 2])
    assert finished(1, err="error: no run").check([0, 1]).code == 1


def test_a_command_that_takes_too_long_is_ended(workshop: Workshop) -> None:
    folder = samples.with_config(workshop.new_folder("slow"))
    epochs = ("--set", "training.epochs=100000")
    assert workshop.run(folder, *samples.TRAIN, *epochs, seconds=0.5).code is None
    assert workshop.started == []


def failing_part(seen: list[float]) -> Part:
    def prepare(_: Workshop) -> Attempt:
        def attempt(random: Random, folder: Path) -> str:
            seen.append(random.random())
            if seen[-1] < 0.5:
                raise Failure("a small number")
            return "a large number"

        return attempt

    return Part("demo", "A demonstration", prepare, 10)


def test_a_failed_try_is_told_with_the_command_that_repeats_it_and_comes_out_the_same(
    workshop: Workshop,
) -> None:
    seen: list[float] = []
    tally = Tally("demo", "", seed=3)
    torture(failing_part(seen), workshop, tally, range(1, 11), lambda _: None)
    assert tally.held == Counter({"a large number": sum(number >= 0.5 for number in seen)})
    assert tally.tries == 10
    failed = tally.failed[0]
    assert failed.repeat == f"scripts/torture --part demo --seed 3 --only {failed.number}"
    again: list[float] = []
    torture(failing_part(again), workshop, Tally("demo", "", seed=3), [failed.number], lambda _: None)
    assert again == [seen[failed.number - 1]]


def test_a_part_ends_when_its_time_is_used_up(workshop: Workshop) -> None:
    tally = Tally("demo", "", seed=0)
    torture(failing_part([]), workshop, tally, range(1, 1000), lambda _: None, seconds=0)
    assert tally.tries == 1


def test_the_script_ends_with_1_after_a_failure_and_keeps_all_of_it_as_json(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    monkeypatch.setattr(script, "PARTS", {"demo": failing_part([])})
    monkeypatch.setattr(script.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["torture", "--json", str(file), "--seed", "3"])
    assert script.main() == 1
    told = json.loads(file.read_text())["parts"]["demo"]
    assert told["tries"] == 10 == len(told["failed"]) + sum(told["held"].values())
    assert told["failed"][0]["repeat"] in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["torture", "--only", "3"])
    with pytest.raises(SystemExit) as end:
        script.main()
    assert end.value.code == 2
    assert "goes with one --part" in capsys.readouterr().err


def test_a_damaged_file_is_to_be_named_where_the_result_is_another(tmp_path: Path) -> None:
    command, file = ("eval", "R", "--json"), tmp_path / "R" / "best.safetensors"

    def judge(done: Finished) -> str:
        return damages._judge(done, command, tmp_path, {"accuracy": 0.5}, file, same_bytes=False)

    assert judge(finished(0, '{"accuracy": 0.5, "seconds": 3}')) == "unchanged"
    assert judge(finished(1, err="error: R/best.safetensors is damaged")) == "named"
    with pytest.raises(Failure, match="the result is another"):
        judge(finished(0, '{"accuracy": 0.6}'))
    with pytest.raises(Failure, match="does not name it"):
        judge(finished(1, err="error: something is wrong"))
    with pytest.raises(Failure, match="NaN is no JSON"):
        judge(finished(0, '{"accuracy": NaN}'))


def test_each_damage_changes_the_file_and_the_same_numbers_change_it_alike(tmp_path: Path) -> None:
    text, number = json.dumps({"a": 0.25, "b": ["text"] * 50}), 0

    def damaged(damage: damages.Damage) -> tuple[int, bytes] | None:
        """(kind of file, content) of a damaged file; None where it is gone."""
        nonlocal number
        folder, number = tmp_path / str(number), number + 1
        folder.mkdir()
        file, other = folder / "a.json", folder / "b.json"
        file.write_text(text)
        other.write_text("1")
        damage(Random(4), file, [other])
        if not os.path.lexists(file):
            return None
        return stat.S_IFMT(file.lstat().st_mode), file.read_bytes() if file.is_file() else b""

    for damage in damages.DAMAGES:
        first = damaged(damage)
        assert first != (stat.S_IFREG, text.encode())
        assert first == damaged(damage)


def test_a_page_with_a_foreign_element_or_an_address_elsewhere_does_not_hold() -> None:
    plain = "<p>{}</p><style>a {{ color: red }}</style>"
    assert pages._judge(plain.format("x"), plain.format("&lt;b&gt;")) == "stays text"
    for hostile in ("<b>x</b>", "<!-- x -->", "\x01"):
        with pytest.raises(Failure):
            pages._judge(plain.format("x"), plain.format(hostile))
    for address in ("<img src=//a.example/b>", "<style>@import 'https://a.example'</style>"):
        with pytest.raises(Failure, match="from afar"):
            pages._judge(address, address)


def test_two_trainings_that_both_end_well_in_one_folder_do_not_hold(tmp_path: Path) -> None:
    alone: dict[str, object] = {"": {"test_accuracy": 0.5}, "--set training.seed=1": {"test_accuracy": 0.6}}
    first = finished(0, '{"test_accuracy": 0.5}', command="cnnkit train --out R")
    other = finished(0, '{"test_accuracy": 0.6}', command="cnnkit train --out R --set training.seed=1")
    refused = finished(2, err="error: R is in use", command=other.command)
    assert together._judge(tmp_path, [first, refused], alone) == "one was refused"
    with pytest.raises(Failure, match="both trained into one folder"):
        together._judge(tmp_path, [first, other], alone)
    with pytest.raises(Failure, match="another result than alone"):
        together._judge(tmp_path, [first, finished(0, first.out, command=other.command)], alone)
    with pytest.raises(Failure, match="both were refused"):
        together._judge(tmp_path, [refused, refused], alone)


def test_a_forgery_that_passes_does_not_hold() -> None:
    assert forgeries._judge(finished(1, err="error: study.json was changed"), "study.json") == "named"
    with pytest.raises(Failure, match="it passes"):
        forgeries._judge(finished(0), "study.json")
    with pytest.raises(Failure, match="does not name it"):
        forgeries._judge(finished(1, err="error: labels.bin was changed"), "study.json")


def test_a_careful_forger_leaves_no_hash_of_what_was_there_before(tmp_path: Path) -> None:
    first, manifest, of_manifest = (tmp_path / name for name in ("a.bin", "b.json", "c.json"))
    first.write_bytes(b"1")
    manifest.write_text(json.dumps({"a.bin": samples.sha256(first)}))
    of_manifest.write_text(json.dumps({"b.json": samples.sha256(manifest)}))
    change(first, b"2", tmp_path)
    assert json.loads(manifest.read_text()) == {"a.bin": samples.sha256(first)}
    assert json.loads(of_manifest.read_text()) == {"b.json": samples.sha256(manifest)}


def test_configurations_by_chance_follow_from_the_seed() -> None:
    epochs, head = {"type": "integer", "minimum": 1}, {"enum": ["avg"]}
    keys = [(("training", "epochs"), epochs), (("model", "head"), head)]
    first, again, other = (config_by_chance(Random(seed), {}, keys) for seed in (1, 1, 2))
    assert first == again != other
    assert json.loads(first)["data"]["dataset"] == "digits"


def test_a_careful_forger_renews_the_checksum_that_a_file_has_of_itself(tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    file.write_text(json.dumps({"seeds": 2, "checksum": hashlib.sha256(b'{"seeds": 2}').hexdigest()}))
    change(file, b'{"seeds": 3}', tmp_path)
    assert json.loads(file.read_text())["checksum"] == hashlib.sha256(b'{"seeds": 3}').hexdigest()
