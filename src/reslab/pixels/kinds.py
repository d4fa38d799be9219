"""Recognise a file's format by its first bytes: the name of Pillow's reader, or a sentence if it is not accepted."""

_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")

_PICTURES = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"BM": "BMP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
    b"P1": "PPM", b"P2": "PPM", b"P3": "PPM", b"P4": "PPM", b"P5": "PPM", b"P6": "PPM", b"Pf": "PPM",
}  # fmt: skip
FORMATS = frozenset({*_PICTURES.values(), "WEBP", "AVIF", "HEIF"})
"""The only formats that are decoded, JPEG's multi-picture kind (MPO) included: fewer parsers for hostile files to attack."""

_OTHERS = {
    b"version https://git-lfs": "a Git LFS pointer; `git lfs pull` fetches the picture",
    b"\xff\x0a": "a JPEG XL picture", b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture", b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"8BPS": "a Photoshop document", b"\0\0\1\0": "an icon", b"\0\0\2\0": "a cursor", b"icns": "an icon",
    b"DDS ": "a DirectX texture", b"qoif": "a QOI picture", b"\x76\x2f\x31\x01": "an OpenEXR picture",
    b"#?RADIANCE": "a Radiance picture", b"SIMPLE  =": "a FITS picture", b"FUJIFILMCCD-RAW": "a camera's raw picture",
    b"P7\n": "a PAM picture", b"PF\n": "a colour PFM picture", b"%!PS": "a PostScript drawing",
    b"\xc5\xd0\xd3\xc6": "a PostScript drawing",
    b"%PDF": "a PDF document", b"{\\rtf": "a text document", b"\xd0\xcf\x11\xe0": "an Office document",
    b"PK\3\4": "a zip archive (or an Office document)", b"\x1f\x8b": "a gzip archive", b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive", b"BZh": "a bzip2 archive", b"\xfd7zXZ": "an xz archive", b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"\x93NUMPY": "a NumPy array", b"\x89HDF": "an HDF5 file", b"SQLite format 3": "a database",
    b"\x1aE\xdf\xa3": "a video", b"OggS": "sound or video", b"ID3": "sound",
    b"\0\5\x16\7": "macOS metadata; the picture lies beside it",
}  # fmt: skip
_BEGUN = {b"\x89PNG": "PNG", b"GIF8": "GIF"}
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<svg")
_NO_PICTURE = "it is not a picture in a known format"


def kind_of(data: bytes) -> str:
    """Pillow's name of the format; empty if it is not among `FORMATS`."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = {data[at : at + 4] for at in range(8, min(int.from_bytes(data[:4]), 256), 4)}
        if brands.intersection(_AVIF_BRANDS):
            return "AVIF"
        return "HEIF" if brands.intersection(_HEIF_BRANDS) else ""
    return next((kind for beginning, kind in _PICTURES.items() if data.startswith(beginning)), "")


def not_a_picture(data: bytes) -> str:
    """Why the file is not decoded, judging by its first bytes."""
    if not data:
        return "the file is empty"
    kind = kind_of(data)
    if kind == "HEIF":
        return "it is a HEIC photo; `pip install reslab[heic]` reads those"
    if kind:
        return f"it begins like a {kind} file but is damaged or cut short"
    if data[:64].lstrip().lower().startswith(_MARKUP):
        return "it is a web page or an SVG drawing, not a picture of pixels"
    what = next((what for beginning, what in _OTHERS.items() if data.startswith(beginning)), "")
    if data[4:8] == b"ftyp":
        what = "a video"
    elif data[128:132] == b"DICM":
        what = "a DICOM picture"
    elif data[:4] == b"RIFF":
        what = "sound or video"
    elif data[257:262] == b"ustar":
        what = "a tar archive"
    if begun := next((kind for beginning, kind in _BEGUN.items() if data.startswith(beginning)), ""):
        return f"it begins like a {begun} file but is damaged or cut short"
    if ";" in what:  # a sentence that says what to do
        return f"it is {what}"
    return f"it is {what}, which is not read" if what else _NO_PICTURE
