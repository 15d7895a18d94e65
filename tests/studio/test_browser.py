"""The page in a browser: a person writes, hears, compares and goes on. Skipped where there is no browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_studio import serving

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")

DONE = "document.querySelector('#facts').textContent.startsWith('finished')"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    with serving(tmp_path / "studio") as (_, address), playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        opened, problems = browser.new_page(), list[str]()
        opened.set_default_timeout(60_000)
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.goto(address)
        opened.wait_for_function("document.getElementById('artist').value != ''")
        yield opened
        browser.close()
    assert problems == []


def mark(page: Any, start: float, end: float) -> None:
    """Choose a part of the waveform, by shares of its width."""
    box = page.locator("#wave").bounding_box()
    page.mouse.move(box["x"] + start * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], box["y"] + 40, steps=8)
    page.mouse.up()
    assert "Part" in page.inner_text("#part")


def written(page: Any) -> None:
    """Write what is asked for, to its end: it is chosen when it is begun."""
    before = page.evaluate("location.hash")
    page.click("#write")
    page.wait_for_function("(before) => location.hash !== before", arg=before)
    page.wait_for_function(DONE)


def test_a_person_writes_hears_and_goes_on(page: Any) -> None:
    page.select_option("#model", "tiny-random")
    page.fill("#seconds", "0.8")
    page.fill("#takes-wanted", "2")
    page.select_option("#lowest", "2")
    written(page)
    # Two takes of a sketch: the second is heard, liked, and gone on with from a part of it.
    page.keyboard.press("Escape")
    page.click("#takes .take:nth-child(2) button")
    page.click("#takes .take:nth-child(2) .star")
    page.wait_for_selector("#takes .take:nth-child(2) .star[aria-pressed=true]")
    page.keyboard.press("0")  # a number chooses a take, also while a button has the focus
    page.wait_for_selector("#takes .take:nth-child(1)[data-chosen=true]")
    page.keyboard.press("1")
    page.wait_for_selector("#takes .take:nth-child(2)[data-chosen=true]")
    page.click("#title", click_count=3)
    with page.expect_response("**/note"):
        page.keyboard.type("A hymn")
        page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#tree button').textContent.startsWith('A hymn')")
    page.click("#play")
    page.wait_for_function("!document.querySelector('#time').textContent.startsWith('0:00.0')")
    mark(page, 0.01, 0.5)
    page.click("#longer")
    page.wait_for_function("document.querySelector('#form-title').textContent.startsWith('Goes on from')")
    end = float(page.input_value("#beginnings [title='to second']"))
    assert 0.3 < end < 0.5
    assert 8.2 < float(page.input_value("#seconds")) < end + 8.001
    page.fill("#seconds", "1")
    written(page)
    assert page.locator("#tree ul li").count() == 1  # below its parent
    page.click("#finer")
    page.wait_for_function("document.querySelector('#form-title').textContent.startsWith('Finer')")
    written(page)
    assert page.locator("#tree ul ul li").count() == 1
    assert page.locator("#level option").all_inner_texts() == ["level 0", "level 1"]
    # Its sketch with the halves the other way round, and a third part that is dropped again.
    page.click("#tree > li > button")
    page.wait_for_function("document.querySelector('#time').textContent.includes('/ 0:00.7')")
    page.click("#form-new")
    for number, part in enumerate([(0.5, 0.99), (0.01, 0.5), (0.2, 0.4)], 1):
        mark(page, *part)
        page.click("#add-part")
        page.wait_for_function(f"document.querySelectorAll('#beginnings .chip').length == {number}")
    assert page.inner_text("#form-title") == "Joined parts"
    page.click("#beginnings .chip:nth-child(3) button")
    assert (page.is_checked("#anew"), page.input_value("#seconds")) == (True, "")
    written(page)
    assert "joined with" in page.inner_text("#facts")
    songs = page.evaluate("fetch('/api/state').then((answer) => answer.json())")["songs"]
    request = songs[0]["request"]
    assert [part["item"] for part in (request["given"], *request["joined"])] == ["song_take_1"] * 2
    assert request["joined"][0]["duration_s"] < request["given"]["start_s"] + 0.02
    assert (request["seconds"], request["given"]["levels"], request["joined"][0]["levels"]) == (None, [2], [2])
    assert songs[0]["parent"] == songs[-1]["name"]
    page.click("#again")
    page.wait_for_function("document.querySelector('#form-title').textContent.startsWith('Like')")
    assert page.locator("#beginnings .chip").count() == 2
    page.click("#remove")
    page.click("#removed summary")
    page.click("#removed button")
    page.wait_for_selector("#removed", state="hidden")


def test_a_mistake_is_a_sentence_at_the_form(page: Any) -> None:
    with page.expect_response("**/api/songs"):
        page.fill("#artist", "nobdy at all")
        page.click("#write")
    page.wait_for_selector("#form-problem:not([hidden])")
    assert "nobdy at all" in page.inner_text("#form-problem")
    assert page.locator("#tree li").count() == 0


def test_words_keep_their_times_and_typed_words_stay(page: Any) -> None:
    page.select_option("#model", "tiny-random")
    page.fill("#seconds", "0.6")
    page.fill("#words", "[00:00.10]la la\n[00:00.30]so so")
    page.select_option("#lowest", "2")
    written(page)
    page.click("#form-new")
    assert page.input_value("#words") == ""
    page.click("#again")
    page.wait_for_function("document.querySelector('#form-title').textContent.startsWith('Like')")
    assert page.input_value("#words").startswith("[00:00.10]la la\n[00:00.30]so so")
    page.fill("#words", "my own words")
    page.click("#longer")
    page.wait_for_function("document.querySelector('#form-title').textContent.startsWith('Goes on from')")
    assert page.input_value("#words") == "my own words"
    assert "your words are kept" in page.inner_text("#words-note")
    page.click("#mix summary")
    page.fill("#mixed-share", "0.3")
    page.click("#write")
    page.wait_for_selector("#form-problem:not([hidden])")
    assert "no name" in page.inner_text("#form-problem")
