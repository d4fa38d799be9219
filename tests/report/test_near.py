"""The page of nearest pictures: everything in one file, and only what is still the same picture."""

import re

import numpy as np

from reslab.data.catalog import Catalog, Picture
from reslab.evaluate.features import Near, Neighbour
from reslab.pixels.fingerprint import fingerprint
from reslab.report import near
from reslab.report.near import write_near
from tests.report.reading import Page


def pictures(n):
    colours = np.random.default_rng(0).integers(0, 256, (n, 1, 1, 3), dtype=np.uint8)
    return [Picture(f"a/<{i}>.png", np.tile(colour, (9, 9, 1)), "猫") for i, colour in enumerate(colours)]


def found(known, same=False):
    """Of each query the first two pictures."""
    return tuple(Neighbour(one.key, one.label, "train", 0.75, same, fingerprint(one.source).hex()) for one in known[:2])


def test_a_page_shows_queries_neighbours_and_reasons(tmp_path):
    known, queries = pictures(3), pictures(2)
    rows = [Near("q<1>.png", found(known, same=True)), Near("q2.png", error="no such file")]
    write_near(tmp_path / "near.html", "latest", Catalog("pets", "pets", tuple(known)), queries, rows)
    html = (tmp_path / "near.html").read_text(encoding="utf-8")
    shown = [a for tag, a in Page(html).elements if tag == "img"]
    assert [a["alt"] for a in shown] == ["q<1>.png", "a/<0>.png", "a/<1>.png"]
    assert all(a["src"].startswith("data:image/png;base64,") for a in shown) and "<1>" not in html
    assert html.count("the same picture<") == 2 and "cannot be compared: no such file" in html
    assert "0.7500" in html and "pets 中最相近的图片" in html and not re.search(r"(src|href)=\"(?!data:)", html)


def test_a_picture_that_has_changed_is_not_shown_and_the_page_stays_small(tmp_path, monkeypatch):
    known = pictures(3)
    rows = [Near(f"q{i}.png", found(known)) for i in range(5)]
    changed = Catalog("pets", "pets", (known[0], Picture(known[1].key, known[2].source, "猫")))
    monkeypatch.setattr(near, "PICTURES", 7)
    write_near(tmp_path / "near.html", "latest", changed, pictures(5), rows)
    html = (tmp_path / "near.html").read_text(encoding="utf-8")
    assert [a["alt"] for tag, a in Page(html).elements if tag == "img"] == [
        "q0.png",
        "a/<0>.png",
        "q1.png",
        "a/<0>.png",
    ]
    assert "the first 2 of 5 pictures" in html
