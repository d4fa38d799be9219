"""The figures that move: their data are current, their arithmetic is PyTorch's, and they work in a real Chromium."""

import base64
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import reslab
from reslab.learn import live
from reslab.learn.lesson import alike
from reslab.nn.count import macs, parameters
from reslab.nn.layers import to_images
from reslab.nn.resnet import fold_batch_norm
from reslab.nn.zoo import ZOO

LESSONS = Path(__file__).parents[2] / "lessons"
FIGURES = LESSONS / "figures"
NAMES = live.live_figures(FIGURES)
DATA = {name: json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}
OF = {kind: name for name, kind in NAMES.items()}
FILES = sorted((Path(live.__file__).parent / "page").glob("*.js"))
CODE = {path.stem: path.read_text(encoding="utf-8") for path in FILES if path.stem in ("figure", "words", *live.KINDS)}
NETWORK = DATA[OF["living-network"]]


# ---------------------------------------------------------------- the data


def test_every_kind_has_its_data_and_its_picture():
    assert sorted(OF) == sorted(live.KINDS) and len(NAMES) == len(OF)
    for name in NAMES:
        assert (FIGURES / f"{name}.svg").is_file()
        assert (FIGURES / f"{name}.json").stat().st_size < 150_000


@pytest.mark.parametrize("name", live.documents(LESSONS))
def test_the_data_are_current(name):
    """`python -m reslab.learn.live lessons` writes them anew."""
    made = json.loads(live.written(live.documents(LESSONS)[name]))
    assert alike(json.dumps(made), json.dumps(DATA[name]))


def test_the_pictures_are_current():
    for name, drawing in live.drawings(DATA).items():
        assert alike(drawing.file("en"), (FIGURES / f"{name}.svg").read_text(encoding="utf-8")), name


def test_a_picture_serves_both_languages():
    for name, drawing in live.drawings(DATA).items():
        assert drawing.file("en") == drawing.file("zh"), name


def test_gradients_are_those_of_the_study():
    found = {
        (s["depth"], s["kind"], s["moment"]): s["values"] for s in DATA[OF["gradient-flow"]]["series"] if s["norm"]
    }
    for row in live.published()["networks"]:
        for moment, values in row["gradients"].items():
            kind = row["name"].rstrip("0123456789")
            assert found[row["layers"], kind, moment] == pytest.approx(values, rel=1e-3)
    without = [s for s in DATA[OF["gradient-flow"]]["series"] if not s["norm"]]
    assert {(s["depth"], s["kind"]) for s in without} == {(d, k) for d in (8, 20, 56, 110) for k in ("plain", "resnet")}
    assert all(len(s["values"]) == s["depth"] - 1 for s in DATA[OF["gradient-flow"]]["series"])


def test_the_map_counts_as_the_package_does():
    layers = DATA[OF["resnet18-map"]]["layers"]
    assert sum(layer["weights"] + layer["extra"] for layer in layers) == parameters(ZOO["resnet18"]) == 11_689_512
    fields = {layer["name"]: layer.get("receptive") for layer in layers}
    assert (fields["stem.pool"], fields["stages.0.1.second"], fields["stages.3.1.second"]) == (11, 43, 435)
    assert all(layer["code"].startswith("self.") for layer in layers)


# ---------------------------------------------------------------- the living network


def folded():
    """The living network in PyTorch, from the stored numbers."""
    network = reslab.build("resnet20", in_channels=1, depths=(1, 1, 1), widths=(8, 16, 16), num_classes=10)
    assert sum(p.numel() for p in network.parameters()) == NETWORK["parameters"] == 9634
    network = fold_batch_norm(network).double()
    state = {"head.weight": NETWORK["head"]["weight"], "head.bias": NETWORK["head"]["bias"]}
    for layer in NETWORK["layers"]:
        state[f"{layer['name']}.conv.weight"] = np.array(layer["weight"]).reshape(layer["shape"])
        state[f"{layer['name']}.conv.bias"] = layer["bias"]
    network.load_state_dict({name: torch.tensor(values, dtype=torch.float64) for name, values in state.items()})
    return network.eval()


def images():
    levels = np.array(NETWORK["digits"]).reshape(-1, 8, 8, 1)
    return to_images(torch.from_numpy(np.rint(levels * (255 / 16)).astype(np.uint8))).double()


def lesioned(off):
    """PyTorch's logits without the residual branches of some blocks."""
    network = folded()
    for stage, without in zip(network.stages, off, strict=True):
        if without:
            torch.nn.init.zeros_(stage[0].second.conv.weight)
            torch.nn.init.zeros_(stage[0].second.conv.bias)
    with torch.no_grad():
        return network(images()).numpy()


def test_golden_logits_are_those_of_pytorch():
    logits = lesioned((False, False, False))
    assert np.abs(logits - np.array(NETWORK["logits"])).max() < 1e-5
    assert logits.argmax(1).tolist() == list(range(10))


def test_the_maps_of_the_picture_are_those_of_pytorch():
    network = folded()
    found = live.network_maps(NETWORK, NETWORK["digits"][4])
    with torch.no_grad():
        features = network.features(images()[4:5])
        assert np.abs(found["blocks"][-1]["maps"] - features[0].numpy()).max() < 1e-6
        assert np.abs(found["logits"] - network.classify(features)[0].numpy()).max() < 1e-6


def test_the_network_was_tested():
    assert NETWORK["test"]["n"] == 359 and NETWORK["test"]["low"] > 0.97


# ---------------------------------------------------------------- words and code


def words():
    table = CODE["words"]
    rows = re.findall(r'^  (?:"([^"]+)"|(\w+)): \[\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)"\],$', table, re.M)
    assert len(rows) == len(re.findall(r"^  \S+: \[", table, re.M)) > 60
    return {quoted or plain: (english, chinese) for quoted, plain, english, chinese in rows}


SAME = {"fifty.relu", "map.head_shape", "net.maps"}
"""Without a word."""


@pytest.mark.parametrize("key", words())
def test_a_text_is_written_in_both_languages(key):
    english, chinese = words()[key]
    assert not re.search("[\u4e00-\u9fff]", english)
    assert re.search("[\u4e00-\u9fff]", chinese) or key in SAME
    assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese))


def test_every_word_is_asked_for_and_every_word_that_is_asked_for_exists():
    code = "\n".join(text for name, text in CODE.items() if name != "words")
    starts = set(re.findall(r"`(\w+\.)\$\{", code))
    asked = set(re.findall(r'"((?:flow|window|fifty|map|net)\.\w+|play|pause|step|yes|no|resnet18-map\.title)"', code))
    keys = set(words())
    assert asked <= keys and len(asked) > 50
    assert {k for k in keys - asked if not any(k.startswith(s) for s in starts) and not k.endswith(".title")} == set()


def test_the_script_is_small_plain_and_asks_nobody():
    assert live.script([]) == live.script(["unknown"]) == ""
    assert sorted(CODE) == sorted(["figure", "words", *live.KINDS])
    assert all(len(code.splitlines()) <= 400 for code in CODE.values())
    everything = live.script()
    assert re.findall(r"https?://[^\"\s]+", everything) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"</script|innerHTML|fetch\(|XMLHttpRequest|import\b|eval\(", everything)
    assert 'KINDS["fifty-layers"]' not in live.script(["gradient-flow"])


# ---------------------------------------------------------------- in Chromium

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
PHONE = {"width": 360, "height": 740}


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page with one figure, and at the end looks at what it asked for and complained of."""
    contexts, asked, complaints = [], [], []

    def open_page(kind, language="en", text=None, **context):
        context = {"viewport": {"width": 860, "height": 900}, "color_scheme": "light"} | context
        contexts.append(browser.new_context(**context))
        page = contexts[-1].new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        data = (text or json.dumps(DATA[OF[kind]])).replace("</", "<\\/")
        file = tmp_path / "page.html"
        script = live.script([kind])
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy = f"default-src 'none'; img-src file:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        file.write_text(
            f'<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            f'<body><figure class="live" data-figure="{kind}"><img alt="still" src="{(FIGURES / OF[kind]).as_uri()}.svg">'
            f'<script type="application/json">{data}</script><figcaption>Caption</figcaption></figure>'
            f"<script>{script}</script>",
            encoding="utf-8",
        )
        page.goto(file.as_uri())
        page.complaints = complaints
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith("file:")] == []
    assert complaints == []


def said(page):
    return page.locator(".live-body [role=status]").inner_text()


def height(page):
    return page.locator(".live-body").bounding_box()["height"]


@pytest.mark.browser
@pytest.mark.parametrize("kind", live.KINDS)
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_figure_takes_the_place_of_its_picture(opened, kind, language):
    page = opened(kind, language)
    title = words()[f"{kind}.title"][language != "en"]
    playwright.expect(page.get_by_role("group", name=title).first).to_be_visible()
    playwright.expect(page.locator("figure > img")).to_be_hidden()
    playwright.expect(page.locator("figcaption")).to_be_visible()
    assert page.locator(".live-body svg").count() > 0 and said(page)
    labels = "els => els.map(e => e.getAttribute('aria-label')).join(' ')"
    shown = page.locator(".live-body").inner_text() + page.eval_on_selector_all(".live-body [aria-label]", labels)
    shown += " ".join(page.locator(".live-body svg text").all_text_contents())
    if language == "en":
        assert not re.search("[\u4e00-\u9fff]", shown)
    else:
        code = page.locator("pre, strong, .map-file").all_inner_texts()
        latin = set(re.findall("[A-Za-z]{3,}", shown)) - set(re.findall("[A-Za-z]{3,}", " ".join(code)))
        assert latin <= {"ReLU", "CAM", "MAC", "ResNet", "Delete"}


@pytest.mark.browser
@pytest.mark.parametrize("kind", live.KINDS)
def test_it_fits_a_phone_in_the_dark(opened, kind):
    page = opened(kind, viewport=PHONE, color_scheme="dark", device_scale_factor=2)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("getComputedStyle(document.querySelector('.live-body')).backgroundColor") == "rgb(27, 31, 35)"
    small = "els => els.filter(e => e.textContent && parseFloat(getComputedStyle(e).fontSize) < 12).length"
    if kind in ("gradient-flow", "fifty-layers"):  # drawn anew for each width
        assert page.eval_on_selector_all(".live-body svg text", small) == 0


@pytest.mark.browser
@pytest.mark.parametrize("kind", live.KINDS)
def test_every_control_has_a_name_and_shows_its_focus(opened, kind):
    page = opened(kind, reduced_motion="reduce")
    controls = page.locator(".live-body :is(button, input, select, [tabindex='0'])")
    assert controls.count() >= 2
    seen, shown = set(), 0
    for _ in range(controls.count() + 2):
        page.keyboard.press("Tab")
        place, outline, name = page.evaluate(
            """() => { const e = document.activeElement, box = e.closest('label') ?? e;
            return [[...document.querySelectorAll('*')].indexOf(e),
              [e, box].some(x => getComputedStyle(x).outlineStyle !== 'none'),
              e.ariaLabel || e.closest('label, fieldset')?.textContent || e.textContent] }"""
        )
        if place and place not in seen and page.evaluate("document.activeElement !== document.body"):
            seen.add(place)
            assert outline and name.strip(), name
            shown += 1
    assert shown >= 2


@pytest.mark.browser
def test_bad_data_leave_the_picture(opened):
    page = opened("gradient-flow", text='{"series": 1}')
    playwright.expect(page.locator("figure > img")).to_be_visible()
    assert page.locator(".live-body").count() == 0
    assert len(page.complaints) == 1  # told to the console, to nobody else
    page.complaints.clear()


@pytest.mark.browser
def test_the_backward_pass_is_played_by_keys(opened):
    page = opened("gradient-flow", reduced_motion="reduce")
    before = height(page)
    assert said(page).startswith("Convolution 1 of 55: plain 465, residual 1.75.")
    page.get_by_role("radio", name="56").focus()
    page.keyboard.press("ArrowRight")
    assert "of 109" in said(page)
    page.get_by_role("radio", name="before training").focus()
    page.keyboard.press("ArrowRight")
    series = {(s["depth"], s["kind"], s["norm"], s["moment"]): s["values"] for s in DATA[OF["gradient-flow"]]["series"]}
    first = series[110, "plain", True, "end"][0]
    mantissa, exponent = f"{first:.1e}".split("e")
    assert f"plain {mantissa}\u202f·\u202f10⁻{'⁰¹²³⁴⁵⁶⁷⁸⁹'[abs(int(exponent))]}" in said(page)
    page.get_by_role("slider").focus()
    page.keyboard.press("End")
    assert "Convolution 109 of 109" in said(page)
    page.get_by_role("button", name="Step").press("Enter")
    assert "Convolution 107 of 109" in said(page)
    page.get_by_role("radio", name="without").check(force=True)
    assert page.get_by_role("radio", name="after training").is_disabled()  # not measured
    page.get_by_role("button", name="Play").press("Enter")
    playwright.expect(page.get_by_role("button", name="Pause")).to_be_visible()
    playwright.expect(page.locator("[role=status]")).to_have_attribute("aria-live", "off")
    page.get_by_role("button", name="Pause").press("Enter")
    playwright.expect(page.get_by_role("button", name="Play")).to_be_visible()
    assert height(page) == before


@pytest.mark.browser
def test_the_window_slides(opened):
    page = opened("sliding-window")
    digit = np.pad(np.array(DATA[OF["sliding-window"]]["digit"]).reshape(8, 8), 1)
    before = height(page)
    page.locator("svg[tabindex]").focus()
    for key in ("Home", "ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expected = int((digit[2:5, 3:6] * [-1, 0, 1]).sum())
    assert said(page).startswith("Row 3, column 4:") and said(page).endswith(f"= {expected}".replace("-", "\u2212"))
    assert height(page) == before
    page.get_by_label("weight in row 2, column 2").fill("5")
    assert said(page).endswith(f"= {expected + 5 * digit[3, 4]}".replace("-", "\u2212"))
    for group, value, size in (("k", "5", 6), ("s", "3", 2), ("p", "0", 2)):
        page.get_by_role("group", name=group, exact=True).get_by_role("radio", name=value).check(force=True)
        assert f"so {size} × {size}" in page.locator(".window-formula").inner_text()
    page.get_by_role("combobox").select_option("blur")
    assert page.get_by_label("weight in row 2, column 2").input_value() == "0.2"
    page.get_by_role("button", name="Step").press("Enter")
    assert said(page).startswith("Row 1, column 2:")


def evaluated(page, kind, expression):
    """An expression of the script's own functions, with the figure's data as `data`."""
    code = "\n".join([CODE["figure"], CODE["words"], CODE[kind]])
    return page.evaluate(f"(data) => {{ {code}\nreturn {expression}; }}", DATA[OF[kind]])


@pytest.mark.browser
def test_fifty_layers_are_those_of_numpy(opened):
    page = opened("fifty-layers")
    weights = "normals(data.seed + 1, data.layers * data.width ** 2)"
    sizes = f"data.golden.map((g) => signalThrough(data, g, {weights}).map(rootMeanSquare))"
    for golden, found in zip(DATA[OF["fifty-layers"]]["golden"], evaluated(page, "fifty-layers", sizes), strict=True):
        assert [found[0], found[25], found[50]] == pytest.approx(golden["sizes"], rel=1e-5)


@pytest.mark.browser
def test_the_gain_is_moved_by_keys(opened):
    page = opened("fifty-layers")
    assert "g/√2 = 1." in said(page)
    page.get_by_role("slider").focus()
    page.keyboard.press("End")
    playwright.expect(page.locator("[role=status]")).to_contain_text("g/√2 = 1.41.")
    page.get_by_label("batch norm").press("Space")
    playwright.expect(page.locator("[role=status]")).to_contain_text("no longer matters")
    page.get_by_label("shortcut").press("Space")
    playwright.expect(page.locator("[role=status]")).to_contain_text("grows, but slowly")
    assert page.locator(".fifty-histograms svg").count() == 6


@pytest.mark.browser
def test_the_map_is_walked_by_keys(opened):
    page = opened("resnet18-map")
    assert (
        "11,689,512 parameters and 1,814,073,344 multiply-accumulates (MACs)" in page.locator(".map-total").inner_text()
    )
    page.get_by_role("button", name="7 × 7, 64").focus()
    page.keyboard.press("End")
    assert "head" in said(page) and "512,000" in said(page)
    page.keyboard.press("ArrowUp")
    assert "stages.3.1.second" in said(page) and "435 × 435 pixels, wider than the picture" in said(page)
    assert "self.second = last(width, width, kernel=3)" in said(page) and "class BasicBlock" in said(page)
    page.get_by_role("slider").focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert "435 × 435 pixels" in said(page) or page.get_by_role("slider").input_value() == "512"
    assert f"{macs(ZOO['resnet18'], 512):,} multiply-accumulates" in page.locator(".map-total").inner_text()
    assert page.locator(".map-row[tabindex='0']").count() == 1


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE["width"], 736])
def test_choosing_a_layer_moves_nothing(opened, width):
    page = opened("resnet18-map", viewport=PHONE | {"width": width})
    rows = page.locator(".map-row")
    places = set()
    for number in range(rows.count()):
        rows.nth(number).click()
        places.add((height(page), page.locator(".map-key").bounding_box()["y"] + page.evaluate("scrollY")))
    assert len(places) == 1


@pytest.mark.browser
@pytest.mark.parametrize("off", [(False, False, False), (True, False, False), (False, True, True)])
def test_the_forward_pass_in_javascript_is_that_of_pytorch(opened, off):
    page = opened("living-network")
    pictures = "data.digits.map((ink) => ink.map((level) => Math.round((level * 255) / 16) / 255))"
    logits = f"{pictures}.map((picture) => residualForward(data, picture, {json.dumps(off)}).logits)"
    assert np.abs(np.array(evaluated(page, "living-network", logits)) - lesioned(off)).max() < 1e-4


@pytest.mark.browser
def test_a_digit_is_drawn_by_keys(opened):
    page = opened("living-network")
    assert said(page).startswith("Answer: 3")
    before = height(page)
    page.get_by_role("button", name="Clear").press("Enter")
    assert said(page) == "The pad is empty."
    page.get_by_role("application").focus()
    for key in ["ArrowUp"] * 6 + ["Space"] + ["ArrowDown"] * 12:
        page.keyboard.press(key)
    assert said(page).startswith("Answer: 1 (")
    page.keyboard.press("Delete")
    keys = ["ArrowUp", "ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp"]  # once around
    for key in ["Space"] + [key for key, times in zip(keys, (6, 4, 12, 8, 12), strict=True) for _ in range(times)]:
        page.keyboard.press(key)
    assert said(page).startswith("Answer: 0 (")
    page.keyboard.press("Delete")
    assert said(page) == "The pad is empty."
    assert height(page) == before


@pytest.mark.browser
def test_a_digit_is_drawn_by_a_pointer(opened):
    page = opened("living-network")
    box = page.get_by_role("application").bounding_box()
    for number, (x, y) in enumerate([(0.28, 0.17), (0.72, 0.17), (0.45, 0.87)]):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
        if number == 0:
            page.mouse.down()
    page.mouse.up()
    assert said(page).startswith("Answer: 7 (")


@pytest.mark.browser
def test_branches_are_switched_off(opened):
    page = opened("living-network")
    page.get_by_role("button", name="5", exact=True).press("Enter")
    whole = said(page)
    assert whole.startswith("Answer: 5 (")
    for block in (1, 2, 3):
        page.get_by_label(f"block {block}").press("Space")
    assert "With every branch on: 5 (" in said(page)
    for block in (1, 2, 3):
        page.get_by_label(f"block {block}").press("Space")
    assert said(page) == whole
    page.get_by_role("radio", name="class 8").press("Space")
    assert page.locator(".net-sum").inner_text().endswith(f"{NETWORK['logits'][5][8]:.2f}".replace("-", "\u2212"))
    canvases = page.locator("canvas")
    assert canvases.count() == 13 and "16 maps of 2 × 2" in canvases.last.get_attribute("aria-label")
