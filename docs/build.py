"""Build the documentation site: one native tree per language, from `docs/` and `lessons/`.

    python docs/build.py [--out site]

Sources of a language are copied together (its pages, its lessons, the figures; links to code become links to the repository),
the reference of the command line is written from the verbs' own help, and Sphinx makes `site/en` and `site/zh`. Nothing on a
page asks another server for anything.
"""

import argparse
import base64
import html
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/reslab/reslab/blob/main"
LANGUAGES = {"en": "en", "zh": "zh_CN"}
"""Folder -> Sphinx's name of the language."""

HEADS = {
    "en": (
        "Networks and recipes", "| network | layers | parameters | 10⁹ multiply-accumulates | source |",
        "Recipes", "| recipe | what it is |",
    ),
    "zh": ("网络与配方", "| 网络 | 层数 | 参数量 | 乘加（10⁹） | 来源 |", "配方", "| 配方 | 说明（英文） |"),
}  # fmt: skip

_LINK = re.compile(r"^```.*?^```|`[^`\n]+`|\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)", re.M | re.S)
"""A link to a file; or code, which is passed over."""


_FIGURE = re.compile(r"^!\[(?P<alt>[^\]]*)\]\((?P<file>\.\./figures/[^)]+)\)$", re.M)

_OTHER = re.compile(r"\[(?P<text>[^\]]+)\]\((?:\.\./)+en/(?P<page>[^)]+)\.md\)")
"""A link of a Chinese page to an English one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "site")
    out = parser.parse_args().out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        sources = {language: gather(language, Path(folder) / language) for language in LANGUAGES}
        for language, name in LANGUAGES.items():
            (other,) = sources.keys() - {language}
            alone = pages_of(sources[language]) - pages_of(sources[other])
            words = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", str(ROOT / "docs")]
            words += ["-D", f"language={name}", "-A", f"untranslated={' '.join(sorted(alone))}"]
            words += ["-d", str(Path(folder) / f"{language}-trees"), str(sources[language]), str(out / language)]
            subprocess.run(words, check=True)
    shutil.copy(ROOT / "docs" / "index.html", out / "index.html")
    print(f"{out / 'index.html'}")


def gather(language: str, folder: Path) -> Path:
    """All sources of a language in one folder; gives that folder."""
    shutil.copytree(ROOT / "docs" / language, folder)
    shutil.copytree(ROOT / "lessons" / language, folder / "lessons")
    (folder / "reference" / "cli.md").write_text(describe_commands(), encoding="utf-8")
    (folder / "reference" / "zoo.md").write_text(describe_networks(language), encoding="utf-8")
    (folder / "lessons" / "index.md").write_text(list_lessons(language), encoding="utf-8")
    for page in sorted(folder.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        text = _FIGURE.sub(partial(move_figure, page=page, language=language), text)
        to_site = "../" * len(page.relative_to(folder).parts)
        text = _OTHER.sub(rf'<a href="{to_site}en/\g<page>.html">\g<text></a>', text)
        page.write_text(
            _LINK.sub(partial(relocate, page=page, folder=folder, language=language), text), encoding="utf-8"
        )
    return folder


def pages_of(folder: Path) -> set[str]:
    """The names of its pages, as Sphinx has them."""
    return {page.relative_to(folder).with_suffix("").as_posix() for page in folder.rglob("*.md")}


def move_figure(found: re.Match[str], page: Path, language: str) -> str:
    """A figure that moves as HTML; other figures as they are."""
    from reslab.learn.page.render import moving

    file = ROOT / "lessons" / language / found["file"]
    coded = base64.b64encode(file.read_bytes()).decode()
    made = moving(file, f'<img src="data:image/svg+xml;base64,{coded}" alt="{html.escape(found["alt"])}">')
    return made or found[0]


def relocate(found: re.Match[str], page: Path, folder: Path, language: str) -> str:
    """A link as it must be in the gathered sources: figures are copied, code is linked in the repository."""
    target, anchor = found["target"], found["anchor"] or ""
    beside = (page.parent / target).resolve() if target else folder
    if beside.is_relative_to(folder) and beside.exists():
        return found[0]
    inside = page.relative_to(folder)
    place = ROOT / ("lessons" if inside.parts[0] == "lessons" else "docs") / language
    original = (place / Path(*inside.parts[1:] if inside.parts[0] == "lessons" else inside.parts)).parent / target
    original = original.resolve()
    if not original.exists():
        raise SystemExit(f"{inside}: {target} leads nowhere")
    known = original.relative_to(ROOT)
    for top, base in (("docs", folder), ("lessons", folder / "lessons")):
        if known.parts[:2] == (top, language):
            moved = base / Path(*known.parts[2:])
            return f"]({Path(*['..'] * len(inside.parts[:-1])) / moved.relative_to(folder)}{anchor})"
    if known.suffix in (".svg", ".png"):
        (page.parent / known.name).write_bytes(original.read_bytes())
        return f"]({known.name})"
    return f"]({REPOSITORY}/{known.as_posix()}{anchor})"


def describe_networks(language: str) -> str:
    """The zoo and the recipes as two tables."""
    from reslab.nn.count import macs, parameters
    from reslab.nn.zoo import SOURCES, ZOO, native_size
    from reslab.train.recipes import RECIPES

    titles = HEADS[language]
    lines = [f"# {titles[0]}", "", titles[1], "|---|---|---|---|---|"]
    for name, config in ZOO.items():
        billions = macs(config, native_size(config)) / 1e9
        lines.append(f"| `{name}` | {config.layers} | {parameters(config):,} | {billions:.3f} | {SOURCES[name]} |")
    lines += ["", f"## {titles[2]}", "", titles[3], "|---|---|"]
    lines += [f"| `{name}` | {(made.__doc__ or '').splitlines()[0]} |" for name, made in RECIPES.items()]
    return "\n".join(lines) + "\n"


def list_lessons(language: str) -> str:
    """The page above the lessons: all pages of the course in order."""
    from reslab.learn.course import pages

    title = "课程" if language == "zh" else "The course"
    entries = "\n".join(page.slug for page in pages(language))
    return f"# {title}\n\n```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n"


def describe_commands() -> str:
    """The verbs and their options as a page of Markdown."""
    from reslab.cli.app import build_app

    made = build_app().generate_docs(output_format="markdown")
    return re.sub(r"^# .*$", "# Command line", made, count=1, flags=re.M)


if __name__ == "__main__":
    main()
