"""Golden vectors say what the model answers, and the examples in other languages agree with them, or say that they do not."""

import base64
import functools
import hashlib
import http.server
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from reslab.engine.onnx import open_exported
from reslab.errors import ResLabError
from reslab.export.golden import write_golden
from reslab.model.file import KEY
from reslab.model.run import packaged_file
from reslab.pixels.decode import decode
from reslab.pixels.preprocess import Preprocess
from tests.export.toolchain import EXAMPLES, needs, node_modules, onnxruntime_home
from tests.pictures import colour_picture, tree

MODEL = packaged_file("cifar10_resnet20", ".onnx")
PIXEL_VECTORS = Path(__file__).parents[1] / "pixels" / "golden"
SIZES = [(24, 18), (32, 32), (61, 40), (40, 90), (130, 97)]  # width, height


def pictures():
    names = ("red", "green", "blue", "white", "violet")
    return [np.array(colour_picture(name, 0, size)) for name, size in zip(names, SIZES, strict=True)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden") / "vectors"
    write_golden(folder, open_exported(MODEL), pictures())
    return folder


@pytest.fixture
def copy(bundle, tmp_path):
    """The bundle, for a test to spoil."""
    return shutil.copytree(bundle, tmp_path / "vectors")


def spoil_png(path):
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[20, 30, 1] ^= 128  # in the middle, which a crop keeps
    Image.fromarray(pixels).save(path)


# ------------------------------------------------------------------ the bundle


def test_the_vectors_are_what_onnxruntime_answers(bundle):
    golden = json.loads((bundle / "golden.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(str(MODEL))
    header = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    assert golden["model"]["sha256"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert (golden["classes"], golden["preprocess"]) == (header["classes"], header["preprocess"])
    assert len(golden["pictures"]) == len(SIZES)
    for row, given in zip(golden["pictures"], pictures(), strict=True):
        pixels = decode(bundle / row["prepared"])
        assert np.array_equal(Preprocess(**golden["preprocess"])(decode(bundle / row["picture"])), pixels)
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == row["prepared_sha256"]
        logits, probabilities = session.run(["logits", "probabilities"], {"images": pixels[None]})
        assert np.abs(logits[0] - row["logits"]).max() <= golden["tolerance"]["logits"] / 10
        assert np.abs(probabilities[0] - row["probabilities"]).max() <= golden["tolerance"]["probabilities"] / 10
        if max(given.shape[:2]) <= 64:
            assert np.array_equal(decode(bundle / row["picture"]), given)
    last = golden["pictures"][-1]
    assert min(decode(bundle / last["picture"]).shape[:2]) == 64  # of 97, for a network of 32
    assert golden["tolerance"]["logits"] == pytest.approx(
        1e-4 * max(abs(x) for r in golden["pictures"] for x in r["logits"])
    )


def test_the_plain_files_hold_the_same(bundle):
    golden = json.loads((bundle / "golden.json").read_text(encoding="utf-8"))
    rows = golden["pictures"]
    pixels = np.fromfile(bundle / "pixels.bin", np.uint8).reshape(len(rows), *golden["input"]["shape"][1:])
    assert np.array_equal(pixels, [decode(bundle / row["prepared"]) for row in rows])
    for name in ("logits", "probabilities"):
        assert np.fromfile(bundle / f"{name}.bin", "<f4").tolist() == [value for row in rows for value in row[name]]
    assert np.allclose(np.fromfile(bundle / "tolerance.bin", "<f4"), list(golden["tolerance"].values()), rtol=1e-6)


def test_nothing_that_is_there_is_touched(bundle, tmp_path):
    engine = open_exported(MODEL)
    before = tree(bundle)
    with pytest.raises(ResLabError, match="not an empty folder"):
        write_golden(bundle, engine, pictures())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ResLabError, match="not an empty folder"):
        write_golden(tmp_path / "file", engine, pictures())
    with pytest.raises(ResLabError, match="at least one picture"):
        write_golden(tmp_path / "none", engine, [])
    assert tree(bundle) == before and (tmp_path / "file").read_text() == "mine" and not (tmp_path / "none").exists()


# ------------------------------------------------------------------ JavaScript


@pytest.fixture(scope="module")
def javascript(tmp_path_factory):
    """The example beside its packages."""
    folder, others = tmp_path_factory.mktemp("javascript") / "example", shutil.ignore_patterns("node_modules")
    shutil.copytree(EXAMPLES / "javascript", folder, ignore=others)
    (folder / "node_modules").symlink_to(node_modules())
    return folder


def run_node(folder, *arguments, given=None):
    return subprocess.run(["node", *map(str, arguments)], cwd=folder, input=given, capture_output=True, text=True)


def test_javascript_agrees(javascript, bundle):
    result = run_node(javascript, "check.mjs", MODEL, bundle)
    assert result.returncode == 0, result.stderr
    assert "5 of 5 agree" in result.stdout and "%" in result.stdout
    assert run_node(javascript, "check.mjs").returncode == 2


def test_javascript_notices_a_pixel_and_a_number(javascript, copy):
    spoil_png(copy / "01.prepared.png")
    spoil_png(copy / "02.png")
    golden = json.loads((copy / "golden.json").read_text(encoding="utf-8"))
    golden["pictures"][3]["logits"][2] += 2 * golden["tolerance"]["logits"]
    golden["pictures"][4]["probabilities"].pop()
    (copy / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    result = run_node(javascript, "check.mjs", MODEL, copy)
    assert result.returncode == 1 and "agree" not in result.stdout
    assert [line.removeprefix("wrong: ").split(" by ")[0] for line in result.stderr.splitlines()] == [
        "01.prepared.png is not what the vectors say",
        "01.png: logits differ",
        "01.png: probabilities differ",
        "02.png gives other pixels here",
        "03.png: logits differ",
        "04.png: probabilities differ",
    ]


def test_javascript_notices_another_model(javascript, bundle, tmp_path):
    proto = onnx.load(MODEL)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    header = json.loads(metadata[KEY])
    header["classes"][0] = "飞机"
    onnx.helper.set_model_props(proto, metadata | {KEY: json.dumps(header, ensure_ascii=False)})
    onnx.save(proto, tmp_path / "other.onnx")
    result = run_node(javascript, "check.mjs", tmp_path / "other.onnx", bundle)
    assert result.returncode == 1
    assert "vectors are of another model" in result.stderr and "other classes" in result.stderr
    onnx.helper.set_model_props(proto, {"author": "somebody"})
    onnx.save(proto, tmp_path / "theirs.onnx")
    result = run_node(javascript, "check.mjs", tmp_path / "theirs.onnx", bundle)
    assert result.returncode == 1 and "ResLab did not write this model" in result.stderr


HASHES = """
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { prepare } from "./resize.mjs";
const asked = JSON.parse(readFileSync(0, "utf8"));
const sha = ({ data }) => createHash("sha256").update(data).digest("hex");
const picture = ({ pixels, ...shape }) => ({ ...shape, data: Uint8Array.from(Buffer.from(pixels, "base64")) });
console.log(JSON.stringify(asked.map((row) => row.how.map((how) => sha(prepare(picture(row), how))))));
"""


def hashes_in_javascript(folder, rows):
    """SHA-256 of every picture prepared in every way; rows are (pixels, ways)."""
    asked = [
        {"width": p.shape[1], "height": p.shape[0], "pixels": base64.b64encode(p.tobytes()).decode(), "how": ways}
        for p, ways in rows
    ]
    result = run_node(folder, "--input-type=module", "-e", HASHES, given=json.dumps(asked))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_javascript_prepares_the_published_pictures():
    needs("node")
    vectors = json.loads((PIXEL_VECTORS / "vectors.json").read_text(encoding="utf-8"))
    rows = [(decode(PIXEL_VECTORS / row["file"]), vectors["preparations"]) for row in vectors["pictures"]]
    found = hashes_in_javascript(EXAMPLES / "javascript", rows)
    assert len(found) >= 12 and found == [row["prepared"] for row in vectors["pictures"]]


def test_javascript_prepares_any_picture():
    needs("node")
    rule = [(size, r, i) for size in (8, 19, 32) for r in ("crop", "pad", "stretch") for i in ("bilinear", "bicubic")]
    ways = [dict(zip(("size", "resize", "interpolation"), row, strict=True)) for row in rule]
    noise = np.random.default_rng(0)
    shapes = [(5, 9), (61, 40), (40, 61), (16, 50), (200, 33), (1, 70), (27, 9), (301, 400)]
    rows = [(noise.integers(0, 256, (*shape, 3)).astype(np.uint8), ways) for shape in shapes]
    rows.append((((rows[-1][0] > 128) * 255).astype(np.uint8), ways))  # where bicubic overshoots
    expected = [[hashlib.sha256(Preprocess(**how)(p).tobytes()).hexdigest() for how in ways] for p, ways in rows]
    assert hashes_in_javascript(EXAMPLES / "javascript", rows) == expected


# ------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def page(javascript, browser):
    """The example's page with the model beside it, in Chromium."""
    shutil.copy(MODEL, javascript / "model.onnx")
    handler = functools.partial(Quiet, directory=javascript)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        opened = browser.new_page()
        opened.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        yield opened
        opened.close()
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing."""


@pytest.mark.browser
def test_a_page_answers_without_a_server_of_ours(page, bundle):
    golden = json.loads((bundle / "golden.json").read_text(encoding="utf-8"))
    for row in golden["pictures"]:
        page.set_input_files("input:enabled", bundle / row["picture"])
        ranked = sorted(zip(row["probabilities"], golden["classes"], strict=True), reverse=True)
        expected = [f"{name} {100 * share:.1f} %" for share, name in ranked[:5]]
        page.wait_for_function(f"document.querySelector('ol').innerText.startsWith({json.dumps(expected[0])})")
        assert page.locator("li").all_inner_texts() == expected


# ------------------------------------------------------------------ C++


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The C++ example, built as its first lines say."""
    home = onnxruntime_home(tmp_path_factory.mktemp("onnxruntime"))
    source = EXAMPLES / "cpp" / "check.cpp"
    (line,) = [line for line in source.read_text(encoding="utf-8").splitlines() if "g++" in line]
    built = home / "check"
    command = line.removeprefix("//").replace("check.cpp", str(source)).replace("-o check", f"-o {built}")
    command = command.replace("$ORT", str(home))
    result = subprocess.run([*command.split(), "-Wall", "-Wextra", "-Werror"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return built


def run_program(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def test_cpp_agrees(program, bundle):
    result = run_program(program, MODEL, bundle)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "5 pictures" in result.stdout and "WRONG" not in result.stdout


@pytest.mark.parametrize("name", ["pixels", "logits", "probabilities"])
def test_cpp_notices(program, copy, name):
    data = bytearray((copy / f"{name}.bin").read_bytes())
    data[3] ^= 0x40  # of the first picture's green, or the first number's exponent
    (copy / f"{name}.bin").write_bytes(data)
    result = run_program(program, MODEL, copy)
    assert result.returncode == 1 and "WRONG" in result.stdout


def test_cpp_says_what_it_cannot_read(program, copy):
    for name, sentence in (("pixels", "no whole number of pictures"), ("tolerance", "two numbers")):
        (copy / f"{name}.bin").write_bytes(b"1234567")
        result = run_program(program, MODEL, copy)
        assert result.returncode == 2 and sentence in result.stderr
    (copy / "logits.bin").unlink()
    assert "cannot open" in run_program(program, MODEL, copy).stderr
    assert run_program(program, MODEL).returncode == 2


# ------------------------------------------------------------------ what is written about them


def test_both_languages_show_the_same_commands_and_lead_somewhere():
    pages = [(EXAMPLES / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh.md")]
    english, chinese = (re.findall(r"```\n(.*?)```", page, re.DOTALL) for page in pages)
    assert len(english) == 3 and english == chinese
    assert (EXAMPLES / "cpp" / "check.cpp").read_text(encoding="utf-8").count(english[2].splitlines()[1]) == 1
    links = [link for page in pages for link in re.findall(r"\]\(([^)]+)\)", page) if "://" not in link]
    assert links and all((EXAMPLES / link).exists() for link in links)
