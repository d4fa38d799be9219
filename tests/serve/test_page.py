"""The web page in a real Chromium, on a real server with a real model."""

import csv
import functools
import io
import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from reslab.cli.rows import COLUMNS
from reslab.evaluate.outliers import OutlierScorer
from reslab.evaluate.predict import Model, load_model
from reslab.metrics.calibration import softmax
from reslab.metrics.conformal import fit_conformal
from reslab.metrics.rejection import RELIABLE, fit_rejection, score_rejection
from reslab.serve import body
from tests.serve.door import served

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
MODEL = "cifar10_resnet20"
TOKEN = "a token of the tests"

pytestmark = pytest.mark.browser


def coarse(seed, size):
    """A picture of large coloured patches."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


@functools.cache
def model():
    """The packaged network, with thresholds and prediction sets fitted on patches of which nine in ten are answered rightly."""
    engine = load_model(MODEL).engine
    outputs = engine.embed(np.stack([coarse(seed, (32, 32)) for seed in range(1000, 1300)]))
    engine.header = replace(engine.header, feature_mean=tuple(outputs.features.mean(0).tolist()))
    labels = (outputs.logits.argmax(1) + (np.arange(300) % 10 == 0)) % 10
    p = softmax(outputs.logits / engine.header.calibration.temperature)
    rejection = fit_rejection(p.max(1), OutlierScorer(engine).scores(outputs), p.argmax(1) == labels)
    found = {"n": 300, "split": "val", "rejection": rejection, "conformal": fit_conformal(p, labels)}
    engine.header = replace(engine.header, calibration=replace(engine.header.calibration, **found))
    return Model(engine)


@contextmanager
def serving(token=None):
    """The address of a server in a thread."""
    with served(model().engine, token=token) as client:
        yield f"{str(client.base_url).rstrip('/')}/"


@pytest.fixture(scope="module")
def address():
    with serving() as place:
        yield place


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Five pictures of which the model thinks different things, the fourth a cut file, one with a spreadsheet's name."""
    folder = tmp_path_factory.mktemp("pictures")
    names = ["wide.png", "=cmd 'calc'!A0.png", 'quoted "name", with comma.jpg', "cut.jpg", "tall.png"]
    for number, name in enumerate(names):
        width, height = ((60, 40), (32, 32), (100, 80), (400, 300), (30, 50))[number]
        coarse(number, (width, height)).save(folder / name)
    cut = folder / "cut.jpg"
    cut.write_bytes(cut.read_bytes()[:900])
    return [folder / name for name in names]


@pytest.fixture(scope="module")
def expected(pictures):
    return model().predict(pictures)


class Opened:
    """A page, what it asked the world for, and what it complained of."""

    def __init__(self, browser, address, routes=(), **context):
        context = {"locale": "en-GB", "color_scheme": "light", "accept_downloads": True} | context
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "filechooser", lambda chooser: None
        )  # listening from the start: a late listener may miss the first
        for pattern, handler in routes:
            self.page.route(pattern, handler)
        self.page.goto(address)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.context.close()

    def rows(self):
        """What the table says, once nothing is under way: name, and the texts of the other cells."""
        playwright.expect(self.page.locator("#rows .waiting, #rows .asking, #rows .busy")).to_have_count(0)
        cells = "trs => trs.map(tr => [...tr.cells].slice(1).map(cell => cell.innerText.trim()))"
        return self.page.eval_on_selector_all("#rows tr", cells)

    def values(self):
        """The probabilities of the table at full precision, row by row; None where there is none."""
        script = "trs => trs.map(tr => { const d = tr.querySelector('td data'); return d && Number(d.value) })"
        return self.page.eval_on_selector_all("#rows tr", script)

    def pick(self, files):
        self.page.set_input_files("#files", files)
        return self.rows()


def transfer(page, files):
    """A DataTransfer that holds these files, as a drop or a paste brings it."""
    content = [[file.name, list(file.read_bytes())] for file in files]
    return page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
            return transfer;
        }""",
        content,
    )


def assert_same(opened, rows, expected):
    """The table says what `reslab predict` says."""
    assert len(rows) == len(expected)
    for row, value, prediction in zip(rows, opened.values(), expected, strict=True):
        if prediction.error is not None:
            assert row[1:] == [f"It cannot be read: {prediction.error}."] and value is None
        else:
            assert row[1] == prediction.label
            assert value == pytest.approx(prediction.probability, abs=1e-5)


def test_picked_files_become_the_rows_of_predict(browser, address, pictures, expected):
    with Opened(browser, address) as opened:
        rows = opened.pick(pictures)
        assert [row[0] for row in rows] == [path.name for path in pictures]
        assert_same(opened, rows, expected)
        assert rows[3][1] == "It cannot be read: the file is cut short."
        # the chosen one is the first, with the same five labels in the same order
        ranking = opened.page.eval_on_selector_all(
            "#ranking li",
            "lis => lis.map(li => [li.querySelector('.label').innerText, Number(li.querySelector('data').value)])",
        )
        assert [label for label, _ in ranking] == [label for label, _ in expected[0].top]
        assert [p for _, p in ranking] == pytest.approx([p for _, p in expected[0].top], abs=1e-5)
        widths = opened.page.eval_on_selector_all(
            "#ranking .bar", "bars => bars.map(bar => bar.firstChild.getBoundingClientRect().width / bar.offsetWidth)"
        )
        assert widths[0] == pytest.approx(expected[0].probability, abs=0.02)
        assert opened.page.inner_text("#live") == "All 5 pictures are done"


def test_it_asks_its_own_server_only_and_complains_of_nothing(browser, address, pictures):
    with Opened(browser, address) as opened:
        opened.pick([pictures[0], pictures[1]])
        opened.page.check("#heat-on")
        opened.page.locator("#overlay").wait_for()
        assert opened.complaints == []
        assert {url.split("/")[0] + "//" + url.split("/")[2] + "/" for url in opened.asked if url[:4] == "http"} == {
            address
        }
        assert {url.split(":")[0] for url in opened.asked} <= {"http", "blob", "data"}
        assert opened.page.request.get(address).headers["content-security-policy"].startswith("default-src 'self'; ")


def test_no_inline_script_runs(browser, address):
    """The policy holds: what somebody smuggles into the page does nothing."""
    with Opened(browser, address) as opened:
        opened.page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s) }"
        )
        assert opened.page.title() != "1"
        assert any("Content Security Policy" in text for text in opened.complaints)


def test_names_never_become_markup(browser, address, tmp_path):
    hostile = tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.new("RGB", (40, 40), "red").save(hostile)
    with Opened(browser, address) as opened:
        assert opened.pick([hostile])[0][0] == hostile.name
        assert opened.page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_drop_and_paste(browser, address, pictures, expected, way):
    with Opened(browser, address) as opened:
        data = transfer(opened.page, pictures[:3])
        if way == "drop":
            opened.page.dispatch_event("body", "dragover", {"dataTransfer": data})
            assert opened.page.evaluate("() => document.body.classList.contains('over')")
            opened.page.dispatch_event("body", "drop", {"dataTransfer": data})
            assert not opened.page.evaluate("() => document.body.classList.contains('over')")
        else:
            opened.page.evaluate(
                "data => document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }))",
                data,
            )
        opened.page.locator("#rows tr").nth(2).wait_for()
        assert_same(opened, opened.rows(), expected[:3])


def test_a_paste_without_a_file_says_so(browser, address):
    with Opened(browser, address) as opened:
        opened.page.evaluate(
            "() => document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: new DataTransfer(), bubbles: true }))"
        )
        assert "no picture file" in opened.page.inner_text("#note")


def test_the_heat_map(browser, address, pictures, expected):
    with Opened(browser, address) as opened:
        opened.pick([pictures[0]])
        page = opened.page
        assert not page.is_visible("#overlay") and page.is_visible("#picture")
        page.check("#heat-on")
        page.locator("#overlay").wait_for()
        assert page.eval_on_selector(
            "#overlay", "img => img.decode().then(() => [img.naturalWidth, img.naturalHeight])"
        ) == [384, 384]
        assert expected[0].label in page.inner_text("#heat-says")
        labels = page.eval_on_selector_all("#heat-label option", "all => all.map(one => one.value)")
        assert labels[:5] == [label for label, _ in expected[0].top]
        assert sorted(labels) == sorted(model().header.classes)
        before = page.get_attribute("#overlay", "src")
        page.select_option("#heat-label", labels[-1])
        playwright.expect(page.locator("#heat-says")).to_contain_text(f"“{labels[-1]}”")
        assert page.get_attribute("#overlay", "src") != before
        page.locator("#heat-opacity").fill("25")
        assert page.eval_on_selector("#overlay", "img => getComputedStyle(img).opacity") == "0.25"
        page.uncheck("#heat-on")
        assert not page.is_visible("#overlay") and page.is_visible("#picture")


def test_the_csv(browser, address, pictures, expected):
    """RFC 4180, UTF-8, one row per picture, and no cell that a spreadsheet would run."""
    with Opened(browser, address) as opened:
        opened.pick(pictures)
        with opened.page.expect_download() as waiting:
            opened.page.click("#csv")
        data = waiting.value.path().read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") and data.count(b"\r\n") == data.count(b"\n") == len(pictures) + 1
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert tuple(rows[0]) == COLUMNS
    names = [path.name for path in pictures]
    assert names[1].startswith("=")
    assert [row["path"] for row in rows] == [names[0], "'" + names[1], *names[2:]]
    for row, prediction in zip(rows, expected, strict=True):
        assert row["label"] == (prediction.label or "") and row["error"] == (prediction.error or "")
        accepted = "" if prediction.accepted is None else str(int(prediction.accepted))
        assert (row["accepted"], row["doubt"]) == (accepted, prediction.doubt)
        assert row["prediction_set"] == ";".join(prediction.prediction_set or ())
        if prediction.error is None:
            assert float(row["probability"]) == pytest.approx(prediction.probability, abs=1.1e-5)


def test_the_model_card(browser, address):
    header = model().header
    score = header.scores["test"]["top1"]
    with Opened(browser, address) as opened:
        playwright.expect(opened.page.locator("aside .figure data")).to_have_attribute("value", str(score["value"]))
        card = re.sub(r"\s+", " ", opened.page.inner_text("aside"))
        assert f"95 % interval {100 * score['low']:.1f} % to {100 * score['high']:.1f} %" in card
        assert "n = 10,000; these pictures were not used to choose the model." in card
        assert "32 × 32 pixels, central square" in card and model().engine.sha256[:12] in card
        for word in (
            "Classes",
            "Calibration",
            "Rejection thresholds",
            "Prediction sets",
            "Certificate",
            "Limits",
            "Licence of the weights",
        ):
            assert word in card
        opened.page.click("aside summary")
        assert opened.page.locator("aside details").first.locator("li").all_inner_texts() == list(header.classes)


def test_a_split_that_chose_the_model_is_called_one(browser, address):
    def route(route):
        card = route.fetch().json()
        card["scores"] = {"val": card["scores"]["test"] | {"chose_the_model": True}}
        route.fulfill(json=card)

    with Opened(browser, address, [("**/model", route)]) as opened:
        playwright.expect(opened.page.locator("aside .honest")).to_contain_text("this split also chose the model")
        assert "Accuracy, validation split" in opened.page.inner_text("aside")


def test_the_certificate_is_told(browser, address):
    def route(route):
        held = {
            "schema": 1,
            "pictures": "validation split",
            "n": 64,
            "batches": [1, 2, 3, 7, 32],
            "max_difference": 2.5e-6,
        }
        held |= {"limit": 0.0012, "other_answers": 0, "engines": ["torch", "onnxruntime"]}
        route.fulfill(json=route.fetch().json() | {"certificate": held})

    with Opened(browser, address, [("**/model", route)]) as opened:
        said = "On 64 pictures (validation split) it gives the same labels as torch; logits differ by 0.0000025 at most"
        playwright.expect(opened.page.locator("aside dl")).to_contain_text(said)
        opened.page.get_by_text("Show everything").click()
        assert "batches [1,2,3,7,32]" in opened.page.locator("aside details[open]").inner_text()


# ---------------------------------------------------------------- doubts and their thresholds


def row_of(label, p, **doubts):
    return {
        "path": "x", "label": label, "probability": p, "top": [[label, p], ["cat", 1 - p]], "accepted": not any(doubts.values()),
        "prediction_set": [label, "cat"], "error": None, "labels": None, "outlier_score": -0.5,
        "may_be_wrong": False, "not_from_here": False,
    } | doubts  # fmt: skip


def with_model(**calibration):
    """A route whose model card says something else about the calibration."""

    def route(route):
        card = route.fetch().json()
        card["calibration"] |= calibration
        route.fulfill(json=card)

    return ("**/model", route)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_doubts_are_told_apart(browser, address, pictures, scheme):
    rejection = asdict(model().header.calibration.rejection) | {"n": 500, "min_confidence": 0.9, "max_outlier": -0.7}
    rows = [
        row_of("dog", 0.95),
        row_of("dog", 0.6, may_be_wrong=True),
        row_of("dog", 0.6, may_be_wrong=True, not_from_here=True),
    ]
    rows[0]["prediction_set"] = []
    routes = [
        with_model(rejection=rejection),
        ("**/predict", lambda route: route.fulfill(json={"predictions": rows})),
    ]
    with Opened(browser, address, routes, color_scheme=scheme) as opened:
        page = opened.page
        page.locator("aside dl").wait_for()
        assert [row[-1] for row in opened.pick(pictures[:3])] == ["accepted", "may be wrong", "not from here"]
        assert "2 in doubt" in page.inner_text("#count")
        assert page.locator(".doubt").count() == 0
        assert "set for 95\u00a0% is empty" in page.inner_text("#set")
        page.click("#rows tr:nth-child(2)")
        assert "below the threshold of 90.0\u00a0%" in page.inner_text(".doubt")
        assert "may be wrong" in page.inner_text("#said") and page.inner_text("#live").endswith(
            "60.0\u00a0%, may be wrong"
        )
        assert page.inner_text("#set").startswith("Prediction set: dog, cat.")
        page.click("#rows tr:nth-child(3)")
        assert "outlier score \u22120.500, above \u22120.700" in page.inner_text(".doubt")
        assert "Calibrated: of such pictures" in page.inner_text("#remark")
        card = page.inner_text("aside").replace("\u00a0", " ")
        assert "at least 90.0 %, outlier score at most \u22120.700; fitted on 500 pictures (validation split)" in card
        assert "contain the right label with a probability of 95 %, fitted on 300 pictures" in card
        for kind in ("true", "wrong", "strange"):
            ink = page.eval_on_selector(f".chip.{kind}", "e => getComputedStyle(e).color")
            assert (
                contrast(ink, page.eval_on_selector(f".chip.{kind}", "e => getComputedStyle(e).backgroundColor")) >= 4.5
            )
        lines = csv_of(page)
        assert lines[1].endswith("dog,0.950000,1,,,") and lines[2].endswith("dog,0.600000,0,may be wrong,dog;cat,")
        assert lines[3].endswith(",0,not from here,dog;cat,")


def csv_of(page):
    with page.expect_download() as waiting:
        page.click("#csv")
    return waiting.value.path().read_text(encoding="utf-8-sig").splitlines()


def test_thresholds_are_moved_and_put_back(browser, address, pictures, expected):
    """Their consequences come from the stored validation answers; marks and CSV follow, and the server does not."""
    rejection = model().header.calibration.rejection
    arrays = [np.array(values) for values in (rejection.confidence, rejection.outlier, rejection.correct)]
    with Opened(browser, address) as opened:
        page = opened.page
        assert not page.is_visible("#thresholds")
        shown = [row[-1] for row in opened.pick(pictures)]
        card, asked = page.request.get(f"{address}model").json(), [url for url in opened.asked if url[:4] == "http"]
        assert page.is_disabled("#reset") and 95 <= float(page.input_value("#share")) < 97

        def says(found):
            limits = {
                name: float(f"{getattr(found, name):.5g}") for name in ("min_confidence", "max_outlier")
            }  # as stored
            score = score_rejection(replace(found, **limits), *arrays)
            accepted = round(score.accepted.value * len(arrays[0]))
            text = f"{100 * score.accepted.value:.1f} % of the stored validation answers are accepted. Of these, "
            text += f"{100 * score.accuracy.value:.1f} % are right ({round(score.accuracy.value * accepted)} of {accepted})."
            playwright.expect(page.locator("#thresholds-says")).to_have_text(text)
            assert page.get_attribute("#share", "aria-valuetext").replace("\u00a0", " ") == text

        says(rejection)
        page.focus("#share")
        for _ in range(40):
            page.keyboard.press("ArrowLeft")
        assert float(page.input_value("#share")) == pytest.approx(55, abs=2)
        by_keys = page.evaluate(
            """async ([stored, share]) => (await import("/page/thresholds.js")).thresholdsFor(stored, share)""",
            [asdict(rejection), float(page.input_value("#share")) / 100],
        )
        moved = replace(rejection, min_confidence=by_keys["minConfidence"], max_outlier=by_keys["maxOutlier"])
        says(moved)
        now = [row[-1] for row in opened.rows()]
        assert now != shown and now[3] == shown[3]
        for row, prediction in zip(csv.DictReader(io.StringIO("\n".join(csv_of(page)))), expected, strict=True):
            if prediction.error is None:
                strange = prediction.outlier_score > moved.max_outlier
                wrong = prediction.probability < moved.min_confidence
                assert row["doubt"] == ("not from here" if strange else "may be wrong" if wrong else "")
        page.click("#thresholds summary")
        page.locator("#confidence").fill("1")
        page.locator("#outlier").press("End")
        assert {row[-1] for row in opened.rows()} == {"may be wrong", shown[3]}
        page.click("#reset")
        assert [row[-1] for row in opened.rows()] == shown and page.is_disabled("#reset")
        says(rejection)
        assert "apply again" in page.inner_text("#live")
        assert page.evaluate("() => document.activeElement.id") == "share"
        assert [url for url in opened.asked if url[:4] == "http"] == asked
        assert page.request.get(f"{address}model").json() == card


def test_the_page_counts_as_the_metrics_do(browser, address):
    """The JavaScript of the thresholds against `metrics.rejection`, with and without features, few answers and equal ones."""
    draw = np.random.default_rng(0)
    with Opened(browser, address) as opened:

        def script(body, *arguments):
            return opened.page.evaluate(
                f"async (given) => {{ const m = await import('/page/thresholds.js'); {body} }}", arguments
            )

        assert script("return m.RELIABLE") == RELIABLE
        for n, features in ((1, True), (20, True), (37, False), (300, True)):
            confidence, correct = np.round(draw.random(n), 2), draw.random(n) < 0.8
            outlier = np.round(draw.random(n), 2) if features else None
            fitted = fit_rejection(confidence, outlier, correct)
            found = script("return m.thresholdsFor(given[0], given[1])", asdict(fitted), 0.95)
            assert found == {"minConfidence": fitted.min_confidence, "maxOutlier": fitted.max_outlier}
            for limit in (0.0, 0.3, 0.7):
                other = replace(fitted, min_confidence=limit, max_outlier=1 - limit if features else None)
                score = score_rejection(other, confidence, outlier, correct)
                chosen = {"minConfidence": limit, "maxOutlier": other.max_outlier}
                counted = script("return m.consequences(given[0], given[1])", asdict(fitted), chosen)
                assert counted["accepted"] == pytest.approx(score.accepted.value * n)
                assert score.accuracy is None or counted["right"] == pytest.approx(
                    score.accuracy.value * counted["accepted"]
                )


def test_few_validation_pictures_are_owned_up_to(browser, address, pictures):
    calibration = model().header.calibration
    weak = asdict(calibration.rejection) | {"n": 12, "max_outlier": None, "outlier": []}
    few = asdict(calibration.conformal) | {"n": 12, "lac": [0.9, None, None]}
    with Opened(browser, address, [with_model(rejection=weak, conformal=few)]) as opened:
        opened.page.locator("aside dl").wait_for()
        opened.pick(pictures[:1])
        said = "Unreliable: the thresholds rest on only 12 validation pictures."
        assert opened.page.inner_text("#thresholds-unreliable") == said and said in opened.page.inner_text("aside")
        assert "12 pictures are too few to promise 95\u00a0%" in opened.page.inner_text("aside")
        opened.page.click("#thresholds summary")
        assert opened.page.is_visible("#confidence") and not opened.page.is_visible("#outlier")


def test_a_model_without_thresholds_has_none_to_move(browser, address, pictures):
    row = row_of("dog", 0.6) | {"accepted": None, "may_be_wrong": None, "outlier_score": None, "prediction_set": None}
    routes = [
        with_model(rejection=None, conformal=None),
        ("**/predict", lambda route: route.fulfill(json={"predictions": [row]})),
    ]
    with Opened(browser, address, routes) as opened:
        opened.page.locator("aside dl").wait_for()
        assert opened.pick(pictures[:1])[0][-1] == "no threshold" and not opened.page.is_visible("#thresholds")
        assert opened.page.inner_text("#set") == "" and "none: every answer is accepted" in opened.page.inner_text(
            "aside"
        )


# ---------------------------------------------------------------- several labels


def test_several_labels_with_their_thresholds(browser, address, pictures):
    """What the page makes of a model whose pictures may have any number of labels."""
    classes, thresholds = ["cat", "indoor", "outdoor"], [0.5, 0.3, 0.8]

    def model(route):
        card = route.fetch().json() | {"task": "multi", "classes": classes, "thresholds": thresholds}
        card["calibration"] |= {"rejection": None, "conformal": None}
        card["scores"] = {"val": {"n": 80, "mean_ap": {"value": 0.8, "low": 0.7, "high": 0.9}, "chose_the_model": True}}
        route.fulfill(json=card)

    def row(name, labels, top):
        return {
            "path": name, "label": ";".join(label for label, _ in labels), "probability": None, "top": top,
            "accepted": None, "prediction_set": None, "error": None, "labels": labels,
        }  # fmt: skip

    two = row("a", [["cat", 0.9], ["indoor", 0.4]], [["cat", 0.9], ["outdoor", 0.6], ["indoor", 0.4]])
    none = row("b", [], [["outdoor", 0.7], ["cat", 0.2], ["indoor", 0.1]])
    answer = {"schema": 1, "model": "x", "request_id": "x", "predictions": [two, none]}
    routes = [("**/model", model), ("**/predict", lambda route: route.fulfill(json=answer))]
    with Opened(browser, address, routes) as opened:
        playwright.expect(opened.page.locator("#lead")).to_contain_text("any number of them, or none")
        rows = opened.pick(pictures[:2])
        assert rows[0][1] == "cat, indoor" and re.findall(r"[\d.]+", rows[0][2]) == ["90.0", "40.0"]
        assert rows[1][1] == "none" and rows[1][2] == ""
        assert opened.page.locator("#ranking .given").count() == 2
        ticks = opened.page.eval_on_selector_all(
            "#ranking .bar b", "all => all.map(one => Number.parseFloat(one.style.left) / 100)"
        )
        assert ticks == [0.5, 0.8, 0.3]
        assert "Mean average precision, validation split" in opened.page.inner_text("aside")
        opened.page.click("#rows tr:nth-child(2)")
        assert opened.page.inner_text("#said") == "No label reaches its threshold"
        with opened.page.expect_download() as waiting:
            opened.page.click("#csv")
        lines = waiting.value.path().read_text(encoding="utf-8-sig").splitlines()
        assert lines[1].endswith(",cat;indoor,0.900000;0.400000,,,,") and lines[2].endswith(",,,,,,")


# ---------------------------------------------------------------- when the server says no


def failing(status, sentence, times=10**6, **headers):
    """A route that refuses so many times and then lets requests through."""
    left = [times]

    def handler(route):
        if left[0] == 0:
            return route.continue_()
        left[0] -= 1
        body = json.dumps({"schema": 1, "error": sentence, "hint": None, "request_id": "x"})
        return route.fulfill(status=status, body=body, content_type="application/json", headers=headers)

    return handler


@pytest.mark.parametrize(
    ("status", "sentence", "chinese"),
    [
        (413, "the body is larger than 100 bytes", "文件太大，服务器不接受。"),
        (415, "the content type x is not supported", "服务器不接受这种文件。"),
        (500, "unexpected error: this is a bug in ResLab", "服务器内部出错。"),
    ],
)
def test_what_the_server_says_stands_on_the_row(browser, address, pictures, status, sentence, chinese):
    with Opened(browser, address, [("**/predict", failing(status, sentence))]) as opened:
        assert opened.pick([pictures[0]])[0][1:] == [sentence]
        assert opened.page.inner_text("#said") == sentence
        opened.page.click("#language")
        assert opened.rows()[0][1] == f"{chinese}（{sentence}）"
        assert opened.page.is_visible("#again") == (status == 500)  # only what another try may mend


def test_a_busy_server_is_asked_again(browser, address, pictures, expected):
    busy = failing(503, "too many pictures are waiting", times=2, **{"Retry-After": "1"})
    with Opened(browser, address, [("**/predict", busy)]) as opened:
        opened.page.set_input_files("#files", pictures[:2])
        playwright.expect(opened.page.locator("#rows tr").first).to_contain_text("The server is busy; retrying in 1 s.")
        assert_same(opened, opened.rows(), expected[:2])
        assert len([url for url in opened.asked if url.endswith("/predict")]) == 3


def test_a_server_that_is_gone_can_be_tried_again(browser, address, pictures, expected):
    gone = [True]

    def handler(route):
        return route.abort() if gone[0] else route.continue_()

    with Opened(browser, address, [("**/predict", handler)]) as opened:
        assert [row[1] for row in opened.pick(pictures[:2])] == ["The server did not answer."] * 2
        gone[0] = False
        opened.page.click("#again")
        assert_same(opened, opened.rows(), expected[:2])
        assert not opened.page.is_visible("#again")


def test_a_file_beyond_the_limit_is_not_sent(browser, address, pictures, expected):
    def model(route):
        card = route.fetch().json()
        card["limits"]["bytes"] = 1_200_000
        route.fulfill(json=card)

    big = {"name": "big.png", "mimeType": "image/png", "buffer": bytes(2_500_000)}
    with Opened(browser, address, [("**/model", model)]) as opened:
        opened.page.locator("aside dl").wait_for()
        assert opened.pick([big])[0][1:] == ["The file has 2.5 MB; this server accepts at most 1.2 MB."]
        assert not [url for url in opened.asked if url.endswith("/predict")]


def test_two_requests_at_most_and_small_ones(browser, address, pictures):
    """Thirty pictures go in groups of at most eight, two groups at a time."""
    under_way, most, sizes = [0], [0], []

    def handler(route):
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        sizes.append(route.request.post_data_buffer.count(b"filename="))
        answer = route.fetch()
        under_way[0] -= 1
        route.fulfill(response=answer)

    many = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": pictures[0].read_bytes()} for n in range(30)]
    with Opened(browser, address, [("**/predict", handler)]) as opened:
        rows = opened.pick(many)
        assert [row[0] for row in rows] == [f"{n}.png" for n in range(30)]
    assert sum(sizes) == 30 and max(sizes) == 8 and most[0] <= 2


def test_a_big_photograph_is_sent_as_it_is(browser, address, tmp_path, monkeypatch):
    """Not one byte differs: the browser neither shrinks nor re-encodes it."""
    photo = tmp_path / "photo.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photo, quality=90)
    arrived = []

    async def read(*arguments):
        files = await body.read_uploads(*arguments)
        arrived.extend(files)
        return files

    monkeypatch.setattr("reslab.serve.app.read_uploads", read)
    with Opened(browser, address) as opened:
        assert_same(opened, opened.pick([photo]), model().predict([photo]))
    assert [(file.name, file.data) for file in arrived] == [("photo.jpg", photo.read_bytes())]


def test_the_token_form(browser, pictures, expected):
    with serving(TOKEN) as address, Opened(browser, address) as opened:
        page = opened.page
        page.locator("#token-text").wait_for()  # asked for the model card already
        page.fill("#token-text", "wrong")
        page.keyboard.press("Enter")
        playwright.expect(page.locator("#token-why")).to_contain_text("The token is not correct")
        page.fill("#token-text", TOKEN)
        page.keyboard.press("Enter")
        page.locator("aside dl").wait_for()
        assert_same(opened, opened.pick(pictures[:2]), expected[:2])
        page.reload()  # the tab remembers it
        page.locator("aside dl").wait_for()
        assert not page.is_visible("#token")
        assert page.evaluate("() => Object.keys(localStorage)") == []


def test_without_a_token_the_rows_say_so(browser, pictures):
    with serving(TOKEN) as address, Opened(browser, address) as opened:
        opened.page.click("#token-cancel")
        opened.page.set_input_files("#files", pictures[0])
        opened.page.click("#token-cancel")
        assert opened.rows()[0][1:] == ["The server requires a token."]


# ---------------------------------------------------------------- language, theme, keyboard, eyes and ears


def test_the_language_follows_the_browser_and_the_button(browser, address, pictures):
    with Opened(browser, address, locale="zh-TW") as opened:
        page = opened.page
        opened.pick([pictures[0], pictures[3]])
        page.check("#heat-on")
        page.locator("#overlay").wait_for()
        assert page.get_attribute("html", "lang") == "zh-CN"
        assert page.inner_text("h1") == "图片里是什么？"
        assert opened.rows()[1][1] == "无法读取：文件不完整。"
        text = page.inner_text("body")
        assert not re.search(r"[A-Za-z]{3,} (the|of|is|and) ", text), text
        page.click("#language")
        assert page.get_attribute("html", "lang") == "en"
        assert not re.search("[一-鿿]", page.inner_text("body").replace("中文", ""))
        page.reload()  # remembered
        assert page.get_attribute("html", "lang") == "en"


def test_every_phrase_has_both_languages_and_every_place_its_phrase(browser, address):
    with Opened(browser, address) as opened:
        words, reasons, used = opened.page.evaluate(
            """async () => {
                const { WORDS, REASONS } = await import("/page/words.js");
                const text = async (path) => (await fetch(path)).text();
                const said = [...(await text("/page/app.js")).matchAll(/say\\((?:\\w+ \\? )?"([\\w.]+)"/g)];
                const written = [...(await text("/")).matchAll(/data-word(?:-label)?="([^"]+)"/g)];
                return [WORDS, REASONS.map((one) => one[0].source), [...said, ...written].map((match) => match[1])];
            }"""
        )
    assert len(words) > 100 and len(used) > 60
    for key, (english, chinese) in words.items():
        assert english and chinese
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese)), key
        if key not in ("model.sha256", "foot"):
            assert re.search("[一-鿿、，：]", chinese) and not re.search("[一-鿿]", english), key
            assert not re.search("[一-鿿][A-Za-z0-9]|[A-Za-z0-9][一-鿿]", chinese), key
    assert set(used) <= set(words)
    assert len(reasons) > 8


def test_the_decoders_reasons_are_known(browser, address, tmp_path):
    """A reason of the decoder that has no Chinese would stand in English on a Chinese page."""
    files = {"empty.png": b"", "page.png": b"<!doctype html><p>", "noise.png": bytes(80), "half.png": b"\x89PNG\r\n"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with Opened(browser, address, locale="zh-CN") as opened:
        rows = opened.pick([tmp_path / name for name in files])
    assert all(re.fullmatch("无法读取：[^A-Za-z]*((PNG|SVG)[^A-Za-z]*)*。", row[1]) for row in rows), rows
    assert len({row[1] for row in rows}) == len(files)  # each its own, although the server refused them together


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_theme_follows_the_system_and_the_button(browser, address, system):
    paper = "e => getComputedStyle(e).backgroundColor"
    with Opened(browser, address, color_scheme=system) as opened:
        first = opened.page.eval_on_selector("html", paper)
        assert (sum(channels(first)) < 150) == (system == "dark")
        assert opened.page.get_attribute("#theme", "aria-pressed") == str(system == "dark").lower()
        opened.page.click("#theme")
        other = opened.page.eval_on_selector("html", paper)
        assert (sum(channels(other)) < 150) != (system == "dark")
        opened.page.reload()  # remembered
        assert opened.page.eval_on_selector("html", paper) == other


def test_by_keyboard_alone(browser, address, pictures, expected):
    """Tab to the drop zone, Enter for the files, on to the heat map, through the rows by arrow keys."""
    with Opened(browser, address) as opened:
        page = opened.page

        def tab_to(identity):
            for _ in range(30):
                page.keyboard.press("Tab")
                if page.evaluate("() => document.activeElement.id || document.activeElement.className") == identity:
                    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
                    assert outline == "solid", f"{identity} does not show its focus"
                    return
            raise AssertionError(f"{identity} cannot be reached")

        tab_to("drop")
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(pictures[:3])
        assert_same(opened, opened.rows(), expected[:3])
        with page.expect_file_chooser():
            page.keyboard.press("Space")
        tab_to("heat-on")
        page.keyboard.press("Space")
        page.locator("#overlay").wait_for()
        tab_to("heat-label")
        tab_to("heat-opacity")
        page.keyboard.press("ArrowLeft")
        assert page.input_value("#heat-opacity") == "79"
        tab_to("csv")
        tab_to("clear")
        tab_to("name")
        page.keyboard.press("ArrowDown")
        assert page.inner_text("#name") == pictures[1].name
        assert expected[1].label in page.inner_text("#live")
        page.keyboard.press("End")
        assert page.inner_text("#name") == pictures[2].name
        page.keyboard.press("Home")
        assert page.locator("#rows tr[aria-current]").count() == 1
        assert page.evaluate("() => document.activeElement.textContent") == pictures[0].name
        page.keyboard.press("Tab")  # one stop for the whole list
        assert page.evaluate("() => document.activeElement.closest('#rows') === null")


def test_names_and_roles_for_screen_readers(browser, address, pictures):
    """By hand what an accessibility checker asks first."""
    with Opened(browser, address) as opened:
        opened.pick([pictures[0], pictures[3]])
        opened.page.check("#heat-on")
        opened.page.locator("#overlay").wait_for()
        faults = opened.page.evaluate(
            """() => {
                const faults = [];
                const all = (selector) => [...document.querySelectorAll(selector)];
                const expect = (what, selector, holds) => {
                    for (const e of all(selector)) if (!holds(e)) faults.push([what, e.outerHTML]);
                };
                const text = (e) => (e.getAttribute("aria-label") || e.textContent || "").trim();
                const named = (id) => !id || document.getElementById(id)?.textContent.trim();
                expect("label", "input, select", (e) => e.getAttribute("aria-label") || [...e.labels].some(text));
                expect("name", "button, a, summary", text);
                expect("alt", "img", (e) => e.hasAttribute("alt"));
                expect("column or row", "th", (e) => e.scope && text(e));
                for (const way of ["aria-labelledby", "aria-describedby"])
                    expect("target", `[${way}]`, (e) => named(e.getAttribute(way)));
                expect("natural order of Tab", "[tabindex]", (e) => e.tabIndex <= 0);
                const ids = all("[id]").map((e) => e.id);
                if (new Set(ids).size !== ids.length) faults.push("an id twice");
                if (all("h1").length !== 1) faults.push("not one h1");
                return faults;
            }"""
        )
        assert faults == []
        assert opened.page.locator("[role=status][aria-live=polite]").count() == 1
        table = opened.page.get_by_role("table", name="All pictures")
        assert table.get_by_role("columnheader").count() == 5 and table.get_by_role("row").count() == 3
        opened.page.set_viewport_size({"width": 390, "height": 800})  # rows are cards there, and still a table
        assert table.get_by_role("columnheader").count() == 5 and table.get_by_role("row").count() == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(browser, address, pictures, scheme):
    """WCAG AA, 4.5 : 1, for every visible text, over the ground that is painted beneath it."""
    with Opened(browser, address, color_scheme=scheme, reduced_motion="reduce") as opened:
        opened.pick([pictures[0], pictures[3]])
        opened.page.check("#heat-on")
        opened.page.locator("#overlay").wait_for()
        found = opened.page.evaluate(
            """() => {
                const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
                while (texts.nextNode()) {
                    const text = texts.currentNode.data.trim(), e = texts.currentNode.parentElement;
                    if (!text || !e.checkVisibility() || e.closest(".spoken, script, noscript, option, .skip")) continue;
                    let ground = e;
                    const paint = () => getComputedStyle(ground).backgroundColor;
                    while (paint() === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
                    found.push([text, getComputedStyle(e).color, paint()]);
                }
                return found;
            }"""
        )
    assert len(found) > 60
    assert [(text, ink, paper) for text, ink, paper in found if contrast(ink, paper) < 4.5] == []


@pytest.mark.parametrize("width", [320, 390, 800, 1280])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_nothing_sticks_out_sideways(browser, address, pictures, tmp_path, width, locale):
    long = tmp_path / ("a_name_without_any_place_to_break_it_" * 4 + ".png")
    shutil.copy(pictures[0], long)
    with Opened(browser, address, locale=locale, viewport={"width": width, "height": 800}) as opened:
        opened.pick([*pictures, long])
        opened.page.check("#heat-on")
        opened.page.locator("#overlay").wait_for()
        assert opened.page.evaluate("() => document.documentElement.scrollWidth") == width


def test_a_phone_may_photograph(browser, address):
    with Opened(browser, address, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True) as opened:
        assert opened.page.get_attribute("#photo", "capture") == "environment"
        with opened.page.expect_file_chooser() as chooser:
            opened.page.tap("#camera")
        assert not chooser.value.is_multiple()


def test_the_list_can_be_cleared(browser, address, pictures):
    with Opened(browser, address) as opened:
        opened.pick(pictures[:2])
        opened.page.click("#clear")
        assert not opened.page.is_visible("#batch") and not opened.page.is_visible("#view")
        assert opened.page.evaluate("() => document.activeElement.id") == "drop"
        assert len(opened.pick(pictures[:1])) == 1


def test_a_copy_that_is_still_good_is_not_sent_again(address):
    import httpx

    for path, kind in (("", "text/html"), ("page/app.js", "text/javascript"), ("page/words.js", "text/javascript"),
                       ("page/thresholds.js", "text/javascript"),
                       ("page/style.css", "text/css"), ("page/icon.svg", "image/svg+xml")):  # fmt: skip
        first = httpx.get(address + path)
        assert first.status_code == 200 and first.headers["content-type"].startswith(kind)
        assert first.headers["x-content-type-options"] == "nosniff"
        again = httpx.get(address + path, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304 and again.content == b""
    assert httpx.get(address + "page/../app.py").status_code == 404


def channels(colour):
    return [float(part) for part in re.findall(r"[\d.]+", colour)[:3]]


def contrast(first, second):
    def luminance(colour):
        parts = [c / 255 for c in channels(colour)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)
