"""Every page of the course as HTML in the cache folder, written when a page or the package has changed."""

import hashlib
from pathlib import Path

from reslab.learn import course
from reslab.learn.page.render import render_page
from reslab.system.fetch import cache_folder
from reslab.system.files import write_atomically
from reslab.system.language import LANGUAGES

_HERE = Path(__file__).parent


def page_of(lesson: course.Lesson) -> Path:
    """The HTML page of a lesson, with those that it leads to beside it.

    Raises:
        ResLabError: the cache folder cannot be written.
    """
    lessons = lesson.path.parents[1]
    pages, mark = cache_folder("learn") / "pages", _digest(lessons)
    stamp = pages / "digest.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != mark:
        for path in sorted(lessons.rglob("*.md")):
            inside = path.relative_to(lessons)
            language = inside.parts[0] if inside.parts[0] in LANGUAGES else LANGUAGES[0]
            there = course.lessons(language, lessons)
            write_atomically(pages / inside.with_suffix(".html"), render_page(path, language, there).encode())
        write_atomically(stamp, mark.encode())
    return pages / lesson.path.parent.name / f"{lesson.slug}.html"


def _digest(lessons: Path) -> str:
    """Of all that a page is made of."""
    files = sorted(path for place in (lessons, _HERE) for path in place.rglob("*") if path.suffix not in (".pyc", ""))
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
