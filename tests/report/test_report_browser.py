"""The page in a real Chromium, as a person meets it."""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from attributed_people import csv_endpoint, people, table_config, write_csv
from captured_predictions import predict
from captured_predictions import write_table as write_predictions
from histories import fleet
from models.model_server import serving
from report.browser import Browser, missing, open_browser
from run_jobs import Result, baseline_of, run_job

from containers.bias.main import main as monitor_bias
from containers.feature_attribution.main import main as monitor_feature_attribution
from containers.model_quality.main import main as monitor_model_quality
from reporting.report.overview import FIRST_PAGE, make_pages

pytestmark = pytest.mark.browser
HOSTILE = "<script>alert(1)</script>"
ROOT = Path(__file__).parents[2]
AXE = Path(os.environ.get("AXE_CORE", ROOT / ".cache/axe/node_modules/axe-core/axe.min.js"))
WAIT_FOR_CHARTS = """
const done = arguments[arguments.length - 1], boxes = [...document.querySelectorAll("div.chart")];
let left = 500;
const look = () => {
  const drawn = boxes.filter((box) => box.querySelector("svg")).length;
  if (drawn === boxes.length || !left--) {
    scrollTo({ top: 0, behavior: "instant" });
    done([boxes.length, drawn]);
    return;
  }
  boxes.find((box) => !box.querySelector("svg")).scrollIntoView({ behavior: "instant" });
  setTimeout(look, 20);
};
look();
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if reason := missing():
        if os.environ.get("REPORT_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    with open_browser() as started:
        yield started


def write_table(path: Path, names: list[str], seed: int, moved: int = 0) -> Path:
    """Write a table of these columns, every fourth of text; the first `moved` numbers lie elsewhere."""
    rng = np.random.default_rng(seed)
    columns = []
    for place in range(len(names)):
        if place % 4 == 3:
            columns.append(rng.choice([f"value {HOSTILE if i == 3 else i}" for i in range(8)], 400))
        else:
            columns.append(np.round(rng.normal(3.0 * (place < moved), 1.0 + place % 7, 400), 4).astype(str))
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    rows = [",".join(row) for row in zip(*columns, strict=True)]
    path.write_text(",".join(quoted) + "\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def monitored(folder: Path, names: list[str], moved: int) -> Result:
    """Return a window in which the first columns moved."""
    baseline = run_job(folder / "baseline", write_table(folder / "then.csv", names, 1))
    now = write_table(folder / "now.csv", names, 2, moved)
    return run_job(folder / "window", now, **baseline_of(baseline))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    for name in ("baseline", "window"):
        (folder / name).mkdir()
    names = [HOSTILE, "age", 'quote"s & <b>bold</b>', "town", "income", "height"]
    return monitored(folder, names, moved=2).output / "report.html"


def opened(browser: Browser, page: Path, width: int = 1200) -> None:
    browser.resize(width, 900)
    browser.console()
    browser.requests()
    browser.open(page)


def quiet(browser: Browser, page: Path) -> None:
    """Assert that the page logged nothing, and asked for nothing but itself."""
    assert browser.console() == []
    assert {address for address in browser.requests() if not address.startswith("data:")} == {page.as_uri()}


def test_a_page_is_drawn_without_an_error_or_a_request(browser: Browser, small: Path) -> None:
    opened(browser, small)
    charts, drawn = browser.run_until_called_back(WAIT_FOR_CHARTS)
    assert charts == drawn == 2
    assert browser.run("return document.querySelector('h1').textContent.includes('2 violations')")
    quiet(browser, small)


def test_every_row_of_features_has_its_shape(browser: Browser, small: Path) -> None:
    opened(browser, small)
    browser.run_until_called_back(WAIT_FOR_CHARTS)
    browser.run("document.querySelector('.spark').scrollIntoView({ behavior: 'instant' })")
    drawn = (
        "return [...document.querySelectorAll('.spark')].map((box) => box.querySelectorAll('path').length)"
    )
    browser.run_until_called_back("setTimeout(arguments[0], 300)")
    assert browser.run(drawn) == [2] * 6  # then and now
    quiet(browser, small)


def characters_of(pdf: bytes) -> list[int]:
    """Return how much text each page of a PDF has."""
    objects = {int(one[1]): one[2] for one in re.finditer(rb"(\d+) 0 obj(.*?)endobj", pdf, re.DOTALL)}
    contents = [
        re.search(rb"/Contents (\d+) 0 R", body)
        for body in objects.values()
        if re.search(rb"/Type\s*/Page\b(?!s)", body)
    ]
    streams = [
        re.search(rb"stream\r?\n(.*?)endstream", objects[int(one[1])], re.DOTALL) for one in contents if one
    ]
    return [len(re.findall(rb"T[jJ]\b", zlib.decompress(one[1]))) for one in streams if one]


@pytest.mark.parametrize("monitor", ["small", "model-quality", "bias", "feature-attribution"])
def test_no_page_of_a_print_stands_alone(
    browser: Browser, small: Path, pages: dict[str, Path], monitor: str
) -> None:
    """What was made by whom is above all, not alone on a last page, and a first page is no mere head."""
    opened(browser, small if monitor == "small" else pages[monitor])
    found = characters_of(base64.b64decode(browser.devtools("Page.printToPDF")["data"]))
    assert found[0] > 600, found
    assert found[-1] > 100, found
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    places = "return ['footer', 'header'].map((name) => document.querySelector(name).getBoundingClientRect())"
    footer, header = browser.run(places)
    browser.devtools("Emulation.setEmulatedMedia", media="")
    assert footer["bottom"] <= header["top"]


def test_what_comes_from_data_is_text(browser: Browser, small: Path) -> None:
    opened(browser, small)
    browser.run_until_called_back(WAIT_FOR_CHARTS)
    for button in range(6):
        browser.run("document.querySelectorAll('.open')[arguments[0]].click()", button)
    assert browser.run("return document.querySelectorAll('script:not([type])').length") == 1
    assert browser.run("return document.querySelectorAll('main b').length") == 0
    assert HOSTILE in texts(browser, ".card h3")
    assert HOSTILE in texts(browser, ".open")
    tips = browser.run("return [...document.querySelectorAll('[data-tip]')].map((e) => e.dataset.tip)")
    assert any(HOSTILE in tip for tip in tips)
    quiet(browser, small)


def texts(browser: Browser, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
    return browser.run(script, selector)


def names_shown(browser: Browser) -> list[str]:
    return texts(browser, "tbody tr:not([hidden]):not(.opened) > th")


def test_sorting(browser: Browser, small: Path) -> None:
    opened(browser, small)
    press = """
        const button = document.querySelectorAll("thead button")[arguments[0]];
        button.click();
        return button.closest("th").getAttribute("aria-sort");
    """
    # A category drifts by a p-value; what has no number comes last.
    cells = "return [...document.querySelectorAll('tbody tr')].map((r) => Number(r.cells[3].dataset.sort))"
    assert browser.run(press, 3) == "descending"
    down = browser.run(cells)
    assert down == sorted(down, reverse=True)
    assert browser.run(press, 3) == "ascending"
    assert browser.run(cells) == sorted(down)
    assert browser.run(press, 0) == "ascending"
    first = names_shown(browser)
    assert browser.run(press, 0) == "descending"
    assert names_shown(browser) == first[::-1]


def test_search_and_filter(browser: Browser, small: Path) -> None:
    opened(browser, small)
    assert len(names_shown(browser)) == 6
    type_in = """
        const box = document.querySelector(".search");
        box.value = arguments[0];
        box.dispatchEvent(new Event("input"));
    """
    browser.run(type_in, "IGHT")
    assert names_shown(browser) == ["height"]
    assert browser.run("return document.querySelector('.shown').textContent") == "1 of 6 rows"
    browser.run(type_in, "")
    browser.run("document.querySelector('.violated-only').click()")
    assert sorted(names_shown(browser)) == sorted([HOSTILE, "age"])


def test_the_keyboard_opens_a_chart_and_its_numbers(browser: Browser, small: Path) -> None:
    opened(browser, small)
    browser.run("document.querySelector('.open').focus()")
    browser.press("Enter")
    assert browser.run("return document.querySelector('.open').getAttribute('aria-expanded')") == "true"
    browser.press("Tab")
    assert browser.run("return document.activeElement.tagName") == "SUMMARY"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.run(outline) == "solid"
    browser.press("Enter")
    rows = "const done = arguments[0]; setTimeout(() => done(document.querySelectorAll(%r).length), 300)"
    assert browser.run_until_called_back(rows % "tr.opened tbody tr") > 5


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_a_page_fits_its_screen(browser: Browser, small: Path, width: int) -> None:
    opened(browser, small, width)
    browser.run_until_called_back(WAIT_FOR_CHARTS)
    assert browser.run("return document.documentElement.scrollWidth") <= width


@pytest.fixture
def axe() -> str:
    if not AXE.exists():
        if os.environ.get("REPORT_BROWSER") == "required":
            pytest.fail(f"needs axe-core in {AXE}")
        pytest.skip("needs axe-core (npm install --prefix .cache/axe axe-core)")
    return AXE.read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_axe_finds_nothing(browser: Browser, small: Path, axe: str, scheme: str, width: int) -> None:
    browser.prefer(scheme)
    opened(browser, small, width)
    browser.run_until_called_back(WAIT_FOR_CHARTS)
    browser.run("document.querySelector('.open').click()")
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert findings_of_axe(browser, axe) == []


def findings_of_axe(browser: Browser, axe: str) -> list[str]:
    browser.run(axe)
    # Every rule runs; but of what passes, axe then describes one place each instead of thousands.
    found = browser.run_until_called_back(
        "const done = arguments[0];"
        "axe.run({ resultTypes: ['violations'] }).then((result) => done(JSON.stringify(result.violations)))"
    )
    return [
        f"{one['impact']}: {one['id']}: {node['target']}"
        for one in json.loads(found)
        for node in one["nodes"]
    ]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return one page of each other monitor, all with something that changed."""
    folder = tmp_path_factory.mktemp("pages")
    return {
        "model-quality": model_quality_page(folder / "model"),
        "bias": bias_page(folder / "bias"),
        "feature-attribution": attribution_page(folder / "attribution"),
    }


def model_quality_page(folder: Path) -> Path:
    settings = {
        "problem_type": "BinaryClassification",
        "inference_attribute": "prediction",
        "probability_attribute": "probability",
        "ground_truth_attribute": "label",
        "segment_by": "group",
        "command": monitor_model_quality,
    }
    results = []
    for name, wrong in (("baseline", 0.0), ("window", 0.4)):
        (folder / name).mkdir(parents=True)
        predictions = predict(2000, seed=1, wrong=wrong)
        # Few scores make curves of few points: axe looks at every one, and at its row in a table.
        coarse = replace(predictions, scores=[round(score, 1) for score in predictions.scores])
        table = write_predictions(folder / f"{name}.csv", coarse)
        compared = baseline_of(results[0]) if results else {}
        results.append(run_job(folder / name, table, **settings, **compared))
    assert results[1].violations
    return results[1].output / "report.html"


def bias_page(folder: Path) -> Path:
    config = {
        "dataset_type": "text/csv",
        "label": "label",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "town", "value_or_threshold": [HOSTILE]}],
        "methods": {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}},
        "predicted_label": "predicted",
    }
    results = []
    for name, rate in (("baseline", 0.5), ("window", 0.1)):
        (folder / name).mkdir(parents=True)
        (folder / name / "analysis_config.json").write_text(json.dumps(config))
        rng = np.random.default_rng(1)
        towns = rng.choice([HOSTILE, "elsewhere"], 3000)
        labels = rng.random(3000) < np.where(towns == HOSTILE, rate, 0.5)
        lines = [f"{town},{label:d},{label:d}" for town, label in zip(towns, labels, strict=True)]
        table = folder / f"{name}.csv"
        table.write_text("town,label,predicted\n" + "\n".join(lines) + "\n")
        settings = {"analysis_config": folder / name, "dataset_format": None, "command": monitor_bias}
        compared = baseline_of(results[0]) if results else {}
        results.append(run_job(folder / name, table, **settings, **compared))
        assert results[-1].exit_code == 0, results[-1].message
    assert results[1].violations
    return results[1].output / "report.html"


def attribution_page(folder: Path) -> Path:
    results = []
    with serving(csv_endpoint) as server:
        for name, spread in (("baseline", 1.0), ("window", 9.0)):
            (folder / name).mkdir(parents=True)
            (folder / name / "analysis_config.json").write_text(json.dumps(table_config()))
            table = write_csv(folder / f"{name}.csv", people(300, income_spread=spread).rows)
            settings = {"analysis_config": folder / name, "dataset_format": None, "model": server.url}
            compared = baseline_of(results[0]) if results else {}
            job = {**settings, **compared, "command": monitor_feature_attribution}
            results.append(run_job(folder / name, table, **job))
            assert results[-1].exit_code == 0, results[-1].message
    assert results[1].violations
    return results[1].output / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("monitor", ["model-quality", "bias", "feature-attribution"])
def test_every_monitor(browser: Browser, pages: dict[str, Path], axe: str, monitor: str, scheme: str) -> None:
    browser.prefer(scheme)
    opened(browser, pages[monitor], 360 if scheme == "dark" else 1200)
    charts, drawn = browser.run_until_called_back(WAIT_FOR_CHARTS)
    assert charts == drawn > 0
    assert browser.run("return document.querySelectorAll('.card').length") > 0
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    browser.run("document.querySelectorAll('.open').forEach((button) => button.click())")
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert findings_of_axe(browser, axe) == []
    quiet(browser, pages[monitor])


def test_500_features(browser: Browser, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("baseline", "window"):
        (tmp_path / name).mkdir()
    names = [f"a_feature_with_a_rather_long_name_{place}" for place in range(500)]
    page = monitored(tmp_path, names, moved=500).output / "report.html"
    opened(browser, page)
    # Those not decided have a row in a second table, pairs of columns too.
    assert {name for name in names_shown(browser) if ", " not in name} == set(names)
    loaded = browser.run("return performance.getEntriesByType('navigation')[0].loadEventEnd") / 1e3
    size = page.stat().st_size
    with capsys.disabled():
        print(f"\n500 features: {size / 1e6:.2f} MB, loaded in {loaded:.2f} s", end="")
    assert size < 1_000_000
    charts, drawn = browser.run_until_called_back(WAIT_FOR_CHARTS)
    assert charts == drawn == 40
    quiet(browser, page)


@pytest.fixture(scope="module")
def overview(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overview")
    (folder / "models").mkdir()
    runs = sorted(fleet(50, 90), key=lambda run: run.at)
    for name, page in make_pages(runs, lambda *_: "../out/report.html").items():
        (folder / name).write_bytes(page)
    return folder


# In pixels: a drawing that is wider than its place makes its text smaller.
SMALLEST_TEXT = """
    const scale = (one) => one.getBoundingClientRect().width / one.viewBox.baseVal.width;
    return Math.min(12, ...[...document.querySelectorAll("figure svg")].map((one) => 12 * scale(one)));
"""
# Where the verdicts of tables end, in pixels: they stay in sight.
FARTHEST_VERDICT = """
    const right = (one) => one.getBoundingClientRect().right;
    const ends = [...document.querySelectorAll("td > .state")].map(right);
    return Math.max(0, ...ends);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_all_models(browser: Browser, overview: Path, axe: str, scheme: str, width: int) -> None:
    browser.prefer(scheme)
    for name in (FIRST_PAGE, "models/model-07.html"):
        opened(browser, overview / name, width)
        charts, drawn = browser.run_until_called_back(WAIT_FOR_CHARTS)
        assert charts == drawn
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        assert findings_of_axe(browser, axe) == []
        quiet(browser, overview / name)
        assert browser.run(SMALLEST_TEXT) >= 11.8
        assert browser.run(FARTHEST_VERDICT) < width


def test_50_models(browser: Browser, overview: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(browser, overview / FIRST_PAGE)
    loaded = browser.run("return performance.getEntriesByType('navigation')[0].loadEventEnd") / 1e3
    size = (overview / FIRST_PAGE).stat().st_size
    with capsys.disabled():
        print(f"\n50 models: {size / 1e6:.2f} MB, loaded in {loaded:.2f} s", end="")
    assert browser.run("return document.querySelectorAll('tbody tr').length") == 200
    browser.run(
        "const box = document.querySelector('.search'); box.value = 'model 07';"
        "box.dispatchEvent(new Event('input'))"
    )
    assert browser.run("return document.querySelectorAll('tbody tr:not([hidden])').length") == 4
    link = browser.run("return document.querySelector('tbody tr:not([hidden]) th a').href")
    assert link == (overview / "models/model-07.html").as_uri()
    quiet(browser, overview / FIRST_PAGE)
