"""report.html in headless Chromium: a question is clicked and its objects light up."""

from __future__ import annotations

import pytest
from chromium import PROGRAM, Browser
from three_boxes import make_run, page_data

from calipers.view.report import write_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine"),
]

READY = "document.querySelector('main').dataset.ready === '{}'"


@pytest.fixture(scope="module")
def report(run_folder):
    return write_report(run_folder)


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as page:
        yield page
        assert page.errors == []
        assert [url for url in page.requests if not url.startswith(("file://", "data:"))] == []


@pytest.fixture
def scene_page(browser, report):
    browser.open(report.as_uri() + "#scene/1")
    browser.wait(READY.format(1))
    return browser


def texts(page, selector: str) -> list[str]:
    return page.run(f"[...document.querySelectorAll({selector!r})].map((e) => e.textContent)")


def indices(page, selector: str) -> list[int]:
    return page.run(
        f"[...document.querySelectorAll({selector!r})].map((e) => Number(e.dataset.object))"
    )


def canvas_colours(page, selector: str) -> int:
    """How many different colours a canvas shows."""
    return page.run(
        f"""(() => {{
          const from = document.querySelector({selector!r});
          const copy = new OffscreenCanvas(from.width, from.height).getContext("2d");
          copy.drawImage(from, 0, 0);
          const data = copy.getImageData(0, 0, from.width, from.height).data;
          return new Set(new Uint32Array(data.buffer)).size;
        }})()"""
    )


def test_clicked_question_shows_its_objects_and_its_length(scene_page, report):
    questions = page_data(report, "scene-1")["questions"]
    for place, question in enumerate(questions):
        scene_page.click(f'[data-question="{place}"]')
        wanted = sorted(question["objects"])
        assert indices(scene_page, ".box.on.chosen") == wanted
        assert indices(scene_page, ".picture .badge") == wanted
        assert indices(scene_page, ".space .badge") == wanted
        assert indices(scene_page, '.object[aria-pressed="true"]') == wanted
        listed = [int(k) for k in scene_page.run(
            "document.querySelector('.masks').dataset.highlighted").split(",")]  # fmt: skip
        assert sorted(listed) == wanted
        assert scene_page.run("document.querySelectorAll('.segment line').length") == 6
        label = [] if question["value"] is None else [f"{question['value']:.3f} m"]
        assert texts(scene_page, ".picture .segment-label") == label
        assert texts(scene_page, ".space .segment-label") == label
    scene_page.click(f'[data-question="{len(questions) - 1}"]')  # a second click lets it go
    assert indices(scene_page, ".box.on") == []
    assert texts(scene_page, ".segment-label") == []


def test_segment_joins_the_two_centres_in_the_picture(scene_page):
    scene_page.click('[data-question="0"]')
    line = scene_page.run(
        "(() => { const l = document.querySelector('.segment .core');"
        " return ['x1', 'y1', 'x2', 'y2'].map((a) => Number(l.getAttribute(a))); })()"
    )
    # centres in the level frame (-0.5, 2.4, 0.2) and (0.45, 2.7, 0.35), the camera 1.5 m up and
    # looking 25° down: depth = y cos 25° + (1.5 - z) sin 25°, u = 159.5 + 280 x / depth,
    # v = 119.5 + 280 ((1.5 - z) cos 25° - y sin 25°) / depth
    assert line == pytest.approx([108.11, 136.35, 202.46, 110.07], abs=0.02)


def test_masks_of_chosen_objects_are_coloured_and_others_are_not(scene_page):
    scene_page.click('[data-question="1"]')  # the height of the second box
    seen = scene_page.run(
        """(() => {
          const scene = JSON.parse(document.getElementById("scene-1").textContent);
          const context = document.querySelector(".masks").getContext("2d");
          return scene.objects.map(({ bbox: [x, y, w, h] }) =>
            [...context.getImageData(Math.round(x + w / 2), Math.round(y + h / 2), 1, 1).data]);
        })()"""
    )
    assert seen[1][:3] == pytest.approx([0xFF, 0xB0, 0x00], abs=3)
    assert seen[1][3] == pytest.approx(132, abs=2)
    for other in (seen[0], seen[2]):
        assert max(other[:3]) < 30  # darkened
        assert other[3] == pytest.approx(0.38 * 255, abs=2)


def test_3d_view_is_drawn_and_turns_with_the_mouse(scene_page):
    canvas = ".space canvas"
    assert canvas_colours(scene_page, canvas) > 100
    before = scene_page.run(f"document.querySelector({canvas!r}).toDataURL()")
    x, y, width, height = scene_page.run(
        f"(() => {{ const b = document.querySelector({canvas!r}).getBoundingClientRect();"
        " return [b.x, b.y, b.width, b.height]; })()"
    )
    middle = (x + width / 2, y + height * 0.8)
    scene_page.drag(middle, (middle[0] + 90, middle[1]))
    after = f"document.querySelector({canvas!r}).toDataURL()"
    scene_page.wait(f"{after} !== {before!r}")
    assert canvas_colours(scene_page, canvas) > 100


def test_object_clicked_in_the_picture(scene_page):
    scene_page.click('.picture .badge[data-object="2"]')
    assert indices(scene_page, ".box.on.chosen") == [2]
    assert texts(scene_page, ".picture .badge") == [
        "3 the tiny 🎲 </script><script>alert(1)</script>"
    ]


def test_filters(scene_page):
    visible = "li:not([hidden]) > .question .facts code"
    scene_page.click('.filters [data-value="qualitative"]')
    assert texts(scene_page, visible) == ["tall_predicate"]
    assert texts(scene_page, ".questions header .caption") == ["1 of 5 questions"]
    scene_page.click('.filters [data-value="all"]')
    scene_page.run(
        "(() => { const box = document.querySelector('input[type=search]'); box.value = 'APART';"
        " box.dispatchEvent(new Event('input')); })()"
    )
    assert texts(scene_page, visible) == ["distance"]


def test_arrow_keys_turn_the_pages(browser, report):
    browser.open(report.as_uri())
    assert texts(browser, ".tile strong") == ["2", "10", "2", "8", "5", "1"]
    assert "2 of 2 scenes shown" in texts(browser, ".scenes h2 small")
    assert texts(browser, ".example") == ["bad <i>bad.png</i>"]
    browser.press("ArrowRight")
    browser.wait(READY.format(1))
    browser.press("ArrowRight")
    browser.wait(READY.format(2))
    assert texts(browser, "h1") == ["again"]
    browser.press("ArrowLeft")
    browser.wait(READY.format(1))
    assert texts(browser, "h1") == ["three-boxes"]


def test_page_works_without_the_pictures(browser, tmp_path):
    report = write_report(make_run(tmp_path / "gone", ["a", "b"], files=False))
    browser.open(report.as_uri() + "#scene/1/question/1")
    browser.wait(READY.format(1))
    assert [
        text.endswith("so there is no picture.") for text in texts(browser, ".picture .missing")
    ] == [True]
    assert [
        text.endswith("so there is no depth map.") for text in texts(browser, ".depth .missing")
    ] == [True]
    assert indices(browser, ".box.on.chosen") == [0, 1]
    assert canvas_colours(browser, ".space canvas") > 50
