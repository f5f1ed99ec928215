"""`play.html` in a browser: it answers as torch does, asks for nothing, and every chapter can be touched."""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsers import chromium
from conftest import TINY
from support import Here, call, finished_run

import cnnkit
from cnnkit.calibrator import Calibrator
from cnnkit.comparison.runner import run_study
from cnnkit.comparison.study import plan_study
from cnnkit.config.load import parse_config
from cnnkit.data.own_images import framed
from cnnkit.data.prepare import load_data
from cnnkit.errors import UsageError
from cnnkit.experiment.checkpoints import load_weights, save_weights
from cnnkit.experiment.manifest import write_manifest
from cnnkit.experiment.run_dir import RunDir
from cnnkit.families.datasets import DATASETS
from cnnkit.families.poolings import POOLINGS
from cnnkit.filenames import BEST, PLAY, REPORT, RESULT, TRIALS
from cnnkit.play.chosen import CHAPTER_OF, chosen, latest
from cnnkit.play.page import in_script, page_of, policy_of, write_play
from cnnkit.report.page import write_report
from made_photos import KEPT_OUT, TUNED_ON, to_image
from played import MOVES, OVERFLOWING, axe_finds, drawn_digit, each_part, touch

Capture = pytest.CaptureFixture[str]
STRATEGIES = ["stride", "max", "avg", "concat"]
SEVEN = [(70, 60), (200, 60), (160, 140), (130, 230)]
FIVE = [[(190, 50), (100, 55), (95, 130), (170, 140), (180, 200), (90, 220)], [(100, 52), (200, 48)]]
GIVEN = """([way, base64]) => {
  const given = new DataTransfer(), bytes = Uint8Array.from(atob(base64), c => c.charCodeAt(0));
  given.items.add(new File([bytes], 'a.png', {type: 'image/png'}));
  dispatchEvent(way === 'drop' ? new DragEvent('drop', {dataTransfer: given, cancelable: true})
    : new ClipboardEvent('paste', {clipboardData: given}));
}"""
ADDED_SCRIPT = """() => {
  const added = document.createElement('script');
  added.textContent = 'window.ran = 1';
  document.body.append(added);
}"""
SUMS = """() => page.networks.flatMap(network => {
  const result = computed(network, page.results.get(network).image);
  return result.layers.flatMap(({layer}, number) => Array.from({length: layer.bias.shape[0]}, (_, unit) => {
    const terms = termsOf(network, result, number, unit), sum = layer.bias.data[unit];
    const values = result.layers[number].values.data, last = number === result.layers.length - 1;
    const total = terms.reduce((all, term) => all + term.product, sum);
    return [last ? total : ACTIVATIONS[network.activation](total), values[unit],
      new Set(terms.map(term => term.name)).size === terms.length];
  }));
})"""
CONVOLVED = """() => page.networks.flatMap(network => computed(network, page.results.get(network).image).steps
  .filter(step => step.kind === 'convolution' && step.given.shape[0] > 1).flatMap(step =>
    Array.from({length: step.given.shape[0]}, (_, input) =>
      [arithmeticOf(step, 1, 1, 1, input)[1].textContent,
       short(step.maps.data[(step.maps.shape[1] + 1) * step.maps.shape[2] + 1])])))"""
KERNEL_SUMS = """() => Object.fromEntries(Object.keys(KERNELS).map(name =>
  [name, [1, 2, 3, 4, 5, 6, 7].map(size => sumOf(kernelOf(name, size).flat()))]))"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """Four strategies, one seed each; one spreads a share over all classes. No test may change it."""
    folder = tmp_path_factory.mktemp("play") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        base = parse_config(TINY, "tiny", ["training.epochs=4"])
        run_study(plan_study(base, "model.pooling", STRATEGIES, 1), folder, Here(folder / TRIALS))
    trial = next((folder / TRIALS).glob("max-*"))
    weights = load_weights(trial)
    save_weights(RunDir(trial), BEST, weights.model, weights.config, Calibrator(0.8, 0.2))
    write_manifest(trial, (trial / RESULT).read_bytes())
    return folder


@pytest.fixture(scope="module")
def html(study: Path, tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared_cache))
        return write_play([study], tmp_path_factory.mktemp("page") / PLAY)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def tab(browser: Any) -> Any:
    """One for all tests that open the page: to open it again takes a fifth of what a new one takes."""
    return browser.new_page(viewport={"width": 1200, "height": 900})


@pytest.fixture
def opened(tab: Any, html: Path) -> Iterator[Any]:
    """The page as it is at first; a message, an error or a request fails the test."""
    said: list[str] = []
    listeners = {
        "console": lambda message: said.append(message.text),
        "pageerror": lambda error: said.append(str(error)),
        "request": lambda request: said.append(request.url) if request.url != html.as_uri() else None,
    }
    tab.goto("about:blank")  # or else a link in the address stays
    for name, listener in listeners.items():
        tab.on(name, listener)
    tab.goto(html.as_uri())
    yield tab
    for name, listener in listeners.items():
        tab.remove_listener(name, listener)
    assert [text for text in said if not text.startswith(("data:", "blob:"))] == []


def draw(page: Any, *strokes: list[tuple[int, int]]) -> None:
    """With the mouse, in pixels of the pad."""
    page.get_by_role("button", name="clear").click()
    page.locator(".pad").scroll_into_view_if_needed()
    box = page.locator(".pad").bounding_box()
    for stroke in strokes:
        for i, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280, steps=4)
            if i == 0:
                page.mouse.down()
        page.mouse.up()


def shown_probabilities(page: Any) -> list[list[float]]:
    return page.evaluate("() => page.networks.map(n => page.results.get(n).probabilities)")  # type: ignore[no-any-return]


def expected(study: Path, image: torch.Tensor) -> torch.Tensor:
    """(levels, classes) of torch, of one image (1, C, H, W)."""
    told = []
    for weights in chosen([study]).weights.values():
        with torch.inference_mode():
            logits = weights.model.eval()(image.float())
        told.append(weights.calibrator.probabilities(logits)[0])
    return torch.stack(told)


def test_a_test_image_is_answered_as_torch_answers_it(opened: Any, study: Path) -> None:
    config = next(iter(chosen([study]).weights.values())).config
    for _ in range(3):
        opened.get_by_role("button", name="next test image").click()
        number = opened.evaluate("() => page.samples[page.sample].number")
        image = load_data(config.data).test[[number]].images
        found = torch.tensor(shown_probabilities(opened))
        torch.testing.assert_close(found, expected(study, image), atol=3e-3, rtol=0)  # weights in float16


@pytest.mark.parametrize("strokes", [[SEVEN], FIVE, [[(20, 20), (60, 60)], [(200, 150), (240, 260)]]])
def test_a_drawing_is_framed_and_answered_as_predict_does(
    opened: Any, study: Path, strokes: list[list[tuple[int, int]]]
) -> None:
    draw(opened, *strokes)
    answered_as_predict_does(opened, study)


def test_digits_drawn_well_and_badly_are_answered_as_predict_does(opened: Any, study: Path) -> None:
    for number in range(6):
        opened.evaluate("strokes => page.draw(strokes)", drawn_digit(number, badly=number % 2 == 1))
        answered_as_predict_does(opened, study)


def answered_as_predict_does(page: Any, study: Path) -> None:
    png = page.locator(".pad").evaluate("pad => pad.toDataURL().split(',')[1]")
    framed_there = framed(base64.b64decode(png), "drawing", DATASETS["digits"])
    seen = page.evaluate("() => [...page.results.get(page.networks[0]).image.data]")
    assert (torch.tensor(seen) - framed_there.pixels.flatten()).abs().max() <= 1
    found = torch.tensor(shown_probabilities(page))
    torch.testing.assert_close(found, expected(study, framed_there.pixels), atol=1e-2, rtol=0)


def test_a_file_is_answered_and_what_is_no_image_is_told(opened: Any, picture: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "a<b>.png"
    wrong.write_bytes(b"no image")
    opened.locator("input[type=file]").set_input_files(wrong)
    opened.get_by_text("a<b>.png is no image").wait_for()
    assert opened.locator(".answer").all_inner_texts() == ["–"] * 4  # nothing of the image before is left
    assert set(opened.locator(".share").all_inner_texts()) == {""}
    opened.locator("input[type=file]").set_input_files(picture)
    opened.wait_for_function("() => page.results.size === 4")
    seen = opened.evaluate("() => [...page.results.get(page.networks[0]).image.data]")
    pixels = framed(picture, picture, DATASETS["digits"]).pixels.flatten()
    assert (torch.tensor(seen) - pixels).abs().max() <= 1
    opened.get_by_role("button", name="copy a link").click()
    opened.get_by_text("an image file does not fit into a link").wait_for()


def test_a_photo_of_unevenly_lit_ruled_paper_is_answered_as_predict_answers_it(
    opened: Any, study: Path, tmp_path: Path
) -> None:
    config = next(iter(chosen([study]).weights.values())).config
    digits = load_data(config.data).test.images[:3, 0].numpy()
    for kind in ("shadow", "squared paper"):
        photo = tmp_path / f"{kind}.png"
        to_image((TUNED_ON | KEPT_OUT)[kind](digits, np.random.default_rng(1))).save(photo)
        opened.evaluate("() => page.results.clear()")
        opened.locator("input[type=file]").set_input_files(photo)
        opened.wait_for_function("() => page.results.size === 4")
        framed_there = framed(photo, photo, DATASETS["digits"])
        seen = opened.evaluate("() => [...page.results.get(page.networks[0]).image.data]")
        assert (torch.tensor(seen) - framed_there.pixels.flatten()).abs().max() <= 1
        found = torch.tensor(shown_probabilities(opened))
        assert found.argmax(1).tolist() == expected(study, framed_there.pixels).argmax(1).tolist()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_file_is_dropped_or_pasted(opened: Any, picture: Path, way: str) -> None:
    opened.evaluate(GIVEN, [way, base64.b64encode(picture.read_bytes()).decode()])
    opened.wait_for_function("() => page.file && page.results.size === 4")
    seen = opened.evaluate("() => [...page.results.get(page.networks[0]).image.data]")
    pixels = framed(picture, picture, DATASETS["digits"]).pixels.flatten()
    assert (torch.tensor(seen) - pixels).abs().max() <= 1


def test_a_finger_draws(browser: Any, html: Path) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(html.as_uri())
    page.locator(".pad").scroll_into_view_if_needed()
    box = page.locator(".pad").bounding_box()
    finger = context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", SEVEN[:1]),
        *(("touchMove", [p]) for p in SEVEN[1:]),
        ("touchEnd", []),
    ):
        places = [{"x": box["x"] + x, "y": box["y"] + y} for x, y in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
    assert page.evaluate("() => page.results.size") == 4
    assert "test image" not in page.locator("#verdict").inner_text()
    context.close()


def test_keys_draw_and_a_link_brings_a_drawing_back(opened: Any, html: Path) -> None:
    opened.get_by_role("button", name="clear").click()
    opened.locator(".pad").focus()
    for key in ("ArrowUp", "Space", "ArrowDown", "ArrowDown", "ArrowLeft"):
        opened.keyboard.press(key)
    before = shown_probabilities(opened)
    opened.locator("#chapter-dropout").get_by_role("button", name="another mask").click()
    opened.get_by_role("button", name="copy a link").click()
    address = opened.evaluate("() => location.href")
    assert "#at=dropout&draw=" in address
    opened.goto("about:blank")
    opened.goto(address)
    assert shown_probabilities(opened) == before
    top = opened.locator("#chapter-dropout").evaluate("part => part.getBoundingClientRect().top")
    assert abs(top) < 60


def test_every_step_shows_its_maps_and_a_cell_says_where_it_comes_from(opened: Any) -> None:
    for name in STRATEGIES:
        opened.get_by_role("group", name="network").get_by_role("button", name=name).click()
        steps = opened.locator(".step")
        assert steps.count() == (6 if name == "stride" else 8)
        for i in range(steps.count()):
            steps.nth(i).locator("button.map").first.dispatch_event("click")  # waits for no frame
            cell = opened.locator(".bench .pointable[tabindex]")
            cell.focus()
            opened.keyboard.press("ArrowDown")
            assert "It sees" in opened.locator(".sums").first.inner_text()
    opened.locator(".last select").first.select_option("3")
    assert "logit of 3" in opened.locator(".last").inner_text()


def test_a_map_opens_below_its_row_and_stays_where_it_was_pressed(opened: Any) -> None:
    opened.evaluate("() => { document.documentElement.style.overflowAnchor = 'none'; }")  # as in Safari
    step = opened.locator(".step").nth(4)
    chosen_map = step.locator("button.map").first
    chosen_map.scroll_into_view_if_needed()
    before = chosen_map.bounding_box()
    chosen_map.click()
    assert abs(chosen_map.bounding_box()["y"] - before["y"]) < 2
    assert step.evaluate("row => row.nextElementSibling.className") == "bench"


def test_every_dense_unit_is_the_dot_product_that_is_written_out(opened: Any) -> None:
    sums = opened.evaluate(SUMS)
    found, expected_values, named_apart = zip(*sums, strict=True)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected_values), atol=1e-4, rtol=1e-4)
    assert all(named_apart)


def test_the_sum_of_a_convolution_is_the_cell_whichever_map_is_written_out(opened: Any) -> None:
    told = opened.evaluate(CONVOLVED)
    assert told
    for text, value in told:
        assert text.endswith(f"= {value}") or text.endswith(f": {value}"), text


def test_another_map_before_is_chosen(opened: Any) -> None:
    opened.locator('[aria-label="stage 2, convolution, stride 2, map 1"]').first.click()
    chooser = opened.locator(".bench select")
    shown = opened.locator(".bench").inner_text()
    other = "1" if chooser.input_value() == "0" else "0"
    chooser.select_option(other)
    assert opened.locator(".bench select").input_value() == other
    assert opened.locator(".bench").inner_text() != shown


def test_edges_add_up_to_0_in_every_size_and_a_blur_to_1(opened: Any) -> None:
    sums = opened.evaluate(KERNEL_SUMS)
    for name, found in sums.items():
        expected_sum = {"blur": 1, "sharpen": 1}.get(name, 0)
        sizes = [1, 3, 5, 7] if name != "sharpen" else [3, 5, 7]
        for size in sizes:
            assert found[size - 1] == pytest.approx(expected_sum), (name, size)


def test_a_network_that_differs_names_those_it_differs_from(opened: Any) -> None:
    noted = opened.evaluate(
        """() => { const card = answerCard(page.networks[0]), result = page.results.get(page.networks[0]);
      const told = others => (card.show(result, others, ''), card.querySelector('.small-note').textContent);
      return [told([]), told(['max']), told(['a', 'b', 'c', 'd'])]; }"""
    )
    assert noted == ["", "≠ max", "≠ 4 others"]


def test_a_receptive_field_is_what_a_cell_depends_on(opened: Any) -> None:
    """Pixels outside of it change nothing; some inside do."""
    reach = opened.evaluate(
        """() => page.networks.map(network => {
      const image = tensor([1, 8, 8], Float32Array.from({length: 64}, (_, i) => (i * 37) % 256));
      const steps = computed(network, image).steps, last = steps.length - 1;
      const field = receptiveField(steps, last, 1, 1);
      const inside = i => { const y = Math.floor(i / 8), x = i % 8; return y >= field.top && x >= field.left
        && y < field.top + field.height && x < field.left + field.width; };
      const changed = where => {
        const other = tensor([1, 8, 8], image.data.map((v, i) => where(i) ? 255 - v : v));
        const maps = computed(network, other).steps[last].maps;
        const at = Array.from({length: maps.shape[0]}, (_, c) => (c * maps.shape[1] + 1) * maps.shape[2] + 1);
        return at.some(i => Math.abs(maps.data[i] - steps[last].maps.data[i]) > 1e-6); };
      return [field.height < 8, changed(i => !inside(i)), changed(inside)];
    })"""
    )
    assert all(not outside and inside for _, outside, inside in reach)
    assert any(smaller for smaller, *_ in reach)


def test_every_chapter_is_touched(opened: Any) -> None:
    chapters = opened.locator(".chapter")
    assert chapters.count() == 8
    for i in range(chapters.count()):
        chapter = chapters.nth(i)
        before = (
            chapter.inner_text(),
            chapter.locator("canvas").evaluate_all("all => all.map(c => c.toDataURL())"),
        )
        control = chapter.locator("input").first
        most, least = (control.get_attribute(end) for end in ("max", "min"))
        control.fill(least if control.input_value() == most else most or "2")
        for button in chapter.get_by_role("button").all():
            button.click()
        after = (
            chapter.inner_text(),
            chapter.locator("canvas").evaluate_all("all => all.map(c => c.toDataURL())"),
        )
        assert before != after, chapter.locator("h3").inner_text()


@pytest.mark.parametrize(
    ("width", "scheme"),
    [(360, "dark"), pytest.param(768, "dark", marks=pytest.mark.slow), (1280, "light")],
)
def test_every_part_is_touched_and_nothing_sticks_out(
    browser: Any, html: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    """Also asks axe, where CNNKIT_AXE names the `axe.min.js` of the npm package axe-core."""
    axe = os.environ.get("CNNKIT_AXE")
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=bool(axe)
    )
    page, said = context.new_page(), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(html.as_uri())
    for part, place in each_part(page):
        before = place.inner_text()
        touch(page, part, place)
        assert place.inner_text() != before, part
        assert place.screenshot(path=tmp_path / f"{part}.png")
    assert said == []
    assert page.evaluate(OVERFLOWING) == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert not axe or axe_finds(page, Path(axe)) == []
    context.close()


def test_with_reduced_motion_no_bar_moves(browser: Any, html: Path) -> None:
    moves = {}
    for motion in ("reduce", "no-preference"):
        context = browser.new_context(reduced_motion=motion)
        page = context.new_page()
        page.goto(html.as_uri())
        moves[motion] = page.evaluate(MOVES)
        context.close()
    assert moves["reduce"] == "0s" != moves["no-preference"]


def test_no_name_becomes_markup_and_only_the_page_s_own_script_runs(
    study: Path, browser: Any, tmp_path: Path
) -> None:
    hostile = '</script><img src=x onerror="document.title=1">'
    shown = chosen([study])
    first = next(iter(shown.weights.values()))
    renamed = type(shown)(hostile, {hostile: first}, {hostile: 0}, {hostile: hostile}, {"filter": hostile})
    (tmp_path / PLAY).write_text(page_of(renamed))
    page = browser.new_page()
    page.goto((tmp_path / PLAY).as_uri())
    assert page.locator("img").count() == 0
    assert page.evaluate("() => page.networks[0].name") == hostile
    assert hostile in page.title()
    page.evaluate(ADDED_SCRIPT)
    assert page.evaluate("() => window.ran") is None
    page.close()


def test_the_policy_names_no_place_to_load_from() -> None:
    policy = policy_of("a", "b")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert json.loads(in_script({"a": "</script>&"})) == {"a": "</script>&"}
    assert "<" not in in_script("<")


def test_a_study_shows_each_level_and_what_it_measured(study: Path) -> None:
    shown = chosen([study])
    assert [*shown.weights] == STRATEGIES
    assert {*shown.measured} == {CHAPTER_OF["model.pooling"]}
    text = page_of(shown)
    assert "Measured in this study" in text
    assert "http://www.w3.org/2000/svg" in text.replace("https://", "no")


def test_images_that_tell_the_networks_apart_come_first(study: Path, html: Path, opened: Any) -> None:
    differ = opened.evaluate(
        """() => page.samples.map(s => new Set(page.networks.map(n =>
          computed(n, seenOfSample(s, n.frame).image).best)).size > 1)"""
    )
    assert differ[0]
    apart = sum(differ[:30])
    assert differ[:apart] == [True] * apart


def test_the_report_links_to_the_page_that_lies_beside_it(
    tmp_path: Path, shared_cache: Path, capsys: Capture
) -> None:
    run = finished_run(tmp_path / "run", shared_cache, "training.epochs=1")
    assert f'href="{PLAY}"' not in write_report(run).read_text()
    assert call(capsys, "play", run).code == 0
    assert f'href="{PLAY}"' in (run / REPORT).read_text()


def test_the_latest_is_taken_and_where_there_is_none_it_is_said_how_to_make_one(
    tmp_path: Path, shared_cache: Path, study: Path, capsys: Capture
) -> None:
    outcome = call(capsys, "play")
    assert outcome.code == 2
    assert "cnnkit compare-pooling" in outcome.err
    finished_run(Path("runs/one"), shared_cache, "training.epochs=1")
    assert latest() == Path("runs/one")


def test_a_study_goes_alone_and_one_run_is_named_once(
    study: Path, tmp_path: Path, shared_cache: Path
) -> None:
    run = finished_run(tmp_path / "run", shared_cache, "training.epochs=1")
    with pytest.raises(UsageError, match="is a study; name it alone"):
        chosen([study, run])
    with pytest.raises(UsageError, match="named twice"):
        chosen([run, run])
    assert [*chosen([run]).weights] == ["run"]


def test_a_network_with_a_pooling_of_a_person_s_own_is_named_and_the_others_are_shown(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replace(POOLINGS["avg"], path="mine:Pool")
    monkeypatch.setattr("cnnkit.play.networks.POOLINGS", {**POOLINGS, "avg": own})
    shown = chosen([study])
    assert [*shown.weights] == ["stride", "max", "concat"]
    assert "Python code of your own" in shown.left_out["avg"]
    assert "is not on this page: avg is Python code" in page_of(shown)


def test_a_run_and_a_study_write_their_page(
    study: Path, tmp_path: Path, shared_cache: Path, capsys: Capture
) -> None:
    run, told = finished_run(tmp_path / "run", shared_cache, "training.epochs=1"), []
    assert cnnkit.open_run(run).play() == run / PLAY
    (run / RESULT).unlink()
    page = cnnkit.open_run(run).play(tmp_path / "a.html", float32=True, notify=told.append)
    assert ["its training is not finished" in note.text for note in told] == [True]
    assert "its training is not finished" in page.read_text()
    assert "its training is not finished" in call(capsys, "play", run).err
    (run / BEST).unlink()
    assert "cnnkit train --resume" in call(capsys, "play", run).err
    of_study = cnnkit.open_study(study).play(tmp_path / "b.html").read_text()
    assert all(f'"name":"{level}"' in of_study for level in STRATEGIES)


def test_pictures_fit_as_pillow_fits_them(opened: Any) -> None:
    """Photographs, of any shape and fit: within a level of what `predict` makes of them."""
    from PIL import Image

    from cnnkit.data.pictures import pixels_of

    pixels = torch.randint(0, 256, (24, 37, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels.numpy()).save(buffer, "png")
    rgba = torch.cat([pixels, torch.full((24, 37, 1), 255, dtype=torch.uint8)], 2).flatten().tolist()
    for fit in ("cover", "contain", "stretch"):
        frame = {"shape": [3, 12, 10], "crop": 0, "photographs": True, "fit": fit}
        found = opened.evaluate(
            "([data, frame]) => [...framed({width: 37, height: 24, data}, frame).image.data]", [rgba, frame]
        )
        ours = torch.from_numpy(pixels_of(buffer.getvalue(), "x", 3, (12, 10), fit).copy()).flatten()
        assert (torch.tensor(found) - ours).abs().max() <= 1, fit


@pytest.mark.parametrize("starts", [True, False])
def test_a_browser_that_cannot_be_started_is_told(
    starts: bool,
    study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(opened.append(address)) or starts)
    page = tmp_path / "own page.html"
    done = call(capsys, "play", study, "--out", page, "--open")
    assert done.code == 0
    assert opened == [page.as_uri()]
    assert ("no browser could be started" in done.err) is not starts
