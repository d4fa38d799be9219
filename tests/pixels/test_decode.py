"""Every kind of file becomes the picture that a person sees. The references are closed forms in numpy."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, features

from reslab.errors import BadPicture
from reslab.pixels.decode import EXTENSIONS, decode, facts
from reslab.pixels.fingerprint import FINGERPRINT_BYTES, fingerprint
from reslab.pixels.kinds import FORMATS

LOSSLESS = 2  # levels of 255: what rounding in Pillow's colour arithmetic may cost (DESIGN, section 6)
JPEG = 6  # levels of 255 at quality 100 without chroma subsampling (NEEDS, item 5)
HEIGHT, WIDTH = 24, 36


def smooth(channels=3, height=HEIGHT, width=WIDTH):
    """A gradient that differs in every channel and has no symmetry; gentle, so that JPEG keeps it."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * 3 + y * (2 + c) + 40 * c) % 200 + 20 for c in range(channels)]
    gentle = [np.clip(x * (4 - c) + y * (1 + c) + 10 * c, 0, 255) for c in range(channels)]
    return np.stack(gentle if channels == 3 else planes, axis=-1).astype(np.uint8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def over_white(color, alpha):
    """The closed form of transparency on white paper."""
    a = alpha[..., None].astype(float) / 255
    return color * a + 255 * (1 - a)


def same(ours, reference, tolerance=LOSSLESS):
    assert ours.dtype == np.uint8
    assert ours.shape == reference.shape
    assert np.abs(ours.astype(float) - reference).max() <= tolerance


def grey3(plane):
    return np.repeat(np.asarray(plane, float)[..., None], 3, axis=2)


def png(width, height, depth, kind, rows, extra=b""):
    """A PNG by hand (RFC 2083): for the kinds that Pillow cannot write."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def transparent_chunk(body):
    return struct.pack(">I", len(body)) + b"tRNS" + body + struct.pack(">I", zlib.crc32(b"tRNS" + body))


# ------------------------------------------------------------------ colour modes


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "WEBP"])
def test_rgb_is_itself_in_every_lossless_format(kind):
    pixels = smooth()
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode(encoded(Image.fromarray(pixels), kind, **options)), pixels)


def test_jpeg_in_colour():
    pixels = smooth()
    same(decode(encoded(Image.fromarray(pixels), "JPEG", quality=100, subsampling=0)), pixels, JPEG)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_avif():
    pixels = smooth()
    same(decode(encoded(Image.fromarray(pixels), "AVIF", quality=100, subsampling="4:4:4")), pixels, JPEG)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "JPEG", "GIF"])
def test_grey(kind):
    plane = smooth()[..., 0]
    options = {"quality": 100} if kind == "JPEG" else {}
    same(decode(encoded(Image.fromarray(plane), kind, **options)), grey3(plane), JPEG if kind == "JPEG" else 0)


def test_grey_with_alpha_over_white():
    plane, alpha = smooth(2)[..., 0], smooth(2)[..., 1]
    image = Image.fromarray(np.stack([plane, alpha], -1), "LA")
    same(decode(encoded(image, "PNG")), over_white(grey3(plane), alpha))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_rgba_over_white(kind):
    pixels = smooth(4)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    file = encoded(Image.fromarray(pixels), kind, **options)
    same(decode(file), over_white(pixels[..., :3].astype(float), pixels[..., 3]))


def test_fully_transparent_red_is_white():
    assert (decode(encoded(Image.new("RGBA", (5, 4), (255, 0, 0, 0)), "PNG")) == 255).all()


def palette_image(colors=16):
    index = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 7 % colors).astype(np.uint8)
    table = np.random.default_rng(0).integers(0, 256, (colors, 3)).astype(np.uint8)
    image = Image.fromarray(index, "P")
    image.putpalette(table.tobytes())
    return image, index, table


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette(kind):
    image, index, table = palette_image()
    assert np.array_equal(decode(encoded(image, kind)), table[index])


def test_palette_with_one_clear_colour():
    image, index, table = palette_image()
    expected = table[index]
    expected[index == 3] = 255
    for kind in ("PNG", "GIF"):
        assert np.array_equal(decode(encoded(image, kind, transparency=3)), expected)


def test_palette_with_an_alpha_per_colour():
    image, index, table = palette_image()
    alpha = np.linspace(0, 255, 16).astype(np.uint8)
    file = encoded(image, "PNG", transparency=alpha.tobytes())
    same(decode(file), over_white(table[index].astype(float), alpha[index]))


def test_one_colour_of_rgb_and_of_grey_stands_for_clear():
    pixels = smooth()
    expected = pixels.copy()
    expected[(pixels == pixels[2, 3]).all(-1)] = 255
    clear = tuple(int(v) for v in pixels[2, 3])
    assert np.array_equal(decode(encoded(Image.fromarray(pixels), "PNG", transparency=clear)), expected)
    plane = pixels[..., 0]
    grey = encoded(Image.fromarray(plane), "PNG", transparency=int(plane[2, 3]))
    assert np.array_equal(decode(grey), np.where(grey3(plane == plane[2, 3]) == 1, 255, grey3(plane)))


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TIFF", "BMP"])
def test_one_bit(kind):
    plane = smooth()[..., 0] > 60
    assert np.array_equal(decode(encoded(Image.fromarray(plane), kind)), grey3(plane) * 255)


def test_cmyk():
    inks = smooth(4)
    image = Image.fromarray(inks, "CMYK")
    expected = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:].astype(float)) / 255
    same(decode(encoded(image, "TIFF")), expected)
    gentle = np.dstack([smooth(), np.full((HEIGHT, WIDTH), 30, np.uint8)])
    expected = (255 - gentle[..., :3].astype(float)) * (225 / 255)
    same(decode(encoded(Image.fromarray(gentle, "CMYK"), "JPEG", quality=100, subsampling=0)), expected, JPEG)


# ------------------------------------------------------------------ more than eight bits

RAMP = np.linspace(0, 65535, HEIGHT * WIDTH).round().astype(np.uint16).reshape(HEIGHT, WIDTH)


@pytest.mark.parametrize("mode, order", [("I;16", "<u2"), ("I;16B", ">u2")])
def test_sixteen_bits_of_either_byte_order(mode, order):
    image = Image.frombytes(mode, (WIDTH, HEIGHT), RAMP.astype(order).tobytes())
    file = encoded(image, "TIFF")
    assert facts(file).mode == mode  # else this would test something else
    same(decode(file), grey3(RAMP * (255 / 65535)), 0.5)


def test_sixteen_bit_ramp_keeps_its_levels_and_never_turns_white():
    ours = decode(encoded(Image.fromarray(RAMP), "PNG"))
    assert facts(encoded(Image.fromarray(RAMP), "PNG")).deep
    assert len(np.unique(ours)) >= 250
    assert (ours == 255).mean() < 0.01


def test_thirty_two_bit_integers():
    file = encoded(Image.fromarray(RAMP.astype(np.int32)), "TIFF")
    assert facts(file).mode == "I"
    same(decode(file), grey3(RAMP * (255 / 65535)), 0.5)


def test_sixteen_bit_pgm():
    file = b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + RAMP.astype(">u2").tobytes()
    same(decode(file), grey3(RAMP * (255 / 65535)), 0.5)


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floats_in_three_ranges(top):
    values = (RAMP / 65535 * top).astype(np.float32)
    file = encoded(Image.fromarray(values), "TIFF")
    assert facts(file).mode == "F"
    same(decode(file), grey3(RAMP / 65535 * 255), 0.51)  # half a level, and float32


def test_sixteen_bit_colour_png():
    deep = np.stack([RAMP, RAMP.T.reshape(HEIGHT, WIDTH), RAMP[::-1]], -1)
    file = png(WIDTH, HEIGHT, 16, 2, [row.astype(">u2").tobytes() for row in deep])
    same(decode(file), deep * (255 / 65535))


def test_sixteen_bit_grey_with_alpha_png():
    deep = np.stack([RAMP, RAMP[:, ::-1]], -1)
    file = png(WIDTH, HEIGHT, 16, 4, [row.astype(">u2").tobytes() for row in deep])
    same(decode(file), over_white(grey3(deep[..., 0] * (255 / 65535)), deep[..., 1] * (255 / 65535)))


def test_sixteen_bit_grey_with_a_clear_value():
    clear = int(RAMP[5, 5])
    rows = [row.astype(">u2").tobytes() for row in RAMP]
    ours = decode(png(WIDTH, HEIGHT, 16, 0, rows, transparent_chunk(struct.pack(">H", clear))))
    expected = np.where(clear == RAMP, 255, np.rint(RAMP * (255 / 65535)))
    same(ours, grey3(expected), 0)


# ------------------------------------------------------------------ what Pillow reads otherwise, or not at all


def grey_tiff(samples, sample_format=1, photometric=1, bands=1):
    """An uncompressed TIFF by hand (TIFF 6.0) in the byte order of its samples."""
    order, bits = ">" if samples.dtype.str[0] == ">" else "<", samples.dtype.itemsize * 8
    height, width = samples.shape[:2]
    size = samples.nbytes
    bits_at = 8 + size
    wide = struct.pack(f"{order}{bands}H", *[bits] * bands) if bands > 2 else b""
    tags = ((256, 4, 1, width), (257, 4, 1, height), (258, 3, bands, bits_at if wide else bits), (259, 4, 1, 1),
            (262, 4, 1, photometric), (273, 4, 1, 8), (277, 4, 1, bands), (278, 4, 1, height), (279, 4, 1, size),
            (339, 4, 1, sample_format))  # fmt: skip
    table = b"".join(
        struct.pack(order + "HHIHxx", *tag) if tag[1] == 3 and not wide else struct.pack(order + "HHII", *tag)
        for tag in tags
    )
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8 + size + len(wide))
    return head + samples.tobytes() + wide + struct.pack(order + "H", len(tags)) + table + bytes(4)


@pytest.mark.parametrize("kind, sample_format", [("u2", 1), ("i4", 2), ("f4", 3), ("u1", 1)])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_white_is_zero_at_any_depth(kind, sample_format, order, top):
    top = {"u1": 255.0, "f4": top}.get(kind, 65535.0)
    samples = (RAMP / 65535 * top).astype(order + kind)
    black_is_zero = decode(grey_tiff(samples, sample_format))
    ours = decode(grey_tiff(samples, sample_format, photometric=0))
    same(ours, 255 - grey3(samples.astype(float) / top * 255), 0.51)
    assert np.abs(255 - black_is_zero.astype(int) - ours).max() <= 1
    assert ours[0, 0, 0] == 255 and ours[-1, -1, 0] == 0


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_white_is_zero_in_every_compression(compression):
    for image in (Image.fromarray(RAMP), Image.fromarray((RAMP / 65535).astype(np.float32))):
        black = encoded(image, "TIFF", compression=compression)
        white = encoded(image, "TIFF", compression=compression, tiffinfo={262: 0})
        assert white != black
        assert np.abs(255 - decode(black).astype(int) - decode(white)).max() <= 1


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_does_not_turn_a_picture(kind):
    image = Image.fromarray(smooth())
    options = {"xmp": XMP}
    if kind == "PNG":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    if kind == "TIFF":
        options = {"tiffinfo": {700: XMP}}
    file = encoded(image, kind, **options)
    assert b"tiff:Orientation" in file
    assert decode(file).shape == (HEIGHT, WIDTH, 3) and not facts(file).rotated


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_clear_grey_value_of_any_depth(depth):
    values = (np.arange(64).reshape(4, 16) % 2**depth).astype(np.uint16) * (257 if depth == 16 else 1)
    bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
    rows = [np.packbits(row).tobytes() for row in bits.reshape(4, -1)]
    for clear in (0, 1, int(values[2, 3])):
        expected = np.where(values == clear, 255, np.rint(values * (255 / (2**depth - 1))))
        for upper in (0, 2**depth if depth < 16 else 0):  # bits beyond the depth do not count
            file = png(16, 4, depth, 0, rows, transparent_chunk(struct.pack(">H", clear + upper)))
            same(decode(file), grey3(expected), 0)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_clear_colour_of_any_depth(depth):
    colors = np.random.default_rng(0).integers(0, 2**depth - 1, (6, 9, 3)).astype(np.uint16)
    colors[2, 3] = colors[4, 4]
    colors[2, 4] = colors[4, 4] + np.array([0, 0, 1])  # at 16 bits, the same upper eight
    clear = struct.pack(">3H", *(int(v) for v in colors[4, 4]))
    file = png(
        9,
        6,
        depth,
        2,
        [row.astype(">u2" if depth == 16 else "u1").tobytes() for row in colors],
        transparent_chunk(clear),
    )
    expected = colors >> (depth - 8)
    expected[(colors == colors[4, 4]).all(-1)] = 255
    same(decode(file), expected.astype(float), 0)
    assert (decode(file)[2, 3] == 255).all() and not (decode(file)[2, 4] == 255).all()


def test_long_texts_and_profiles_are_no_damage():
    pixels = smooth()
    info = PngImagePlugin.PngInfo()
    info.add_itxt("workflow", "x" * 1_500_000, zip=True)
    info.add_text("plain", "y" * 1_500_000)
    info.add_text("zipped", "z" * 1_500_000, zip=True)
    profile = np.random.default_rng(0).bytes(1_500_000)
    file = encoded(Image.fromarray(pixels), "PNG", pnginfo=info, icc_profile=profile)
    assert np.array_equal(decode(file), pixels) and facts(file).mode == "RGB"
    assert np.array_equal(decode(encoded(Image.fromarray(pixels), "TIFF", icc_profile=profile)), pixels)
    same(
        decode(encoded(Image.fromarray(pixels), "JPEG", quality=100, subsampling=0, icc_profile=profile)), pixels, JPEG
    )


@pytest.mark.parametrize(
    "samples, sample_format, bands, words",
    [
        (np.zeros((8, 8, 5), "<u1"), 1, 5, "5 bands of 8 bits, unsigned"),
        (np.zeros((8, 8, 8), "<u2"), 1, 8, "8 bands of 16 bits, unsigned"),
        (np.zeros((8, 8), "<f2"), 3, 1, "1 band of 16 bits, floating point"),
        (np.zeros((8, 8), ">f8"), 3, 1, "1 band of 64 bits, floating point"),
        (np.zeros((8, 8), "<c8"), 6, 1, "1 band of 64 bits, complex"),
    ],
)
def test_an_unknown_layout_of_a_tiff_is_named(samples, sample_format, bands, words):
    with pytest.raises(BadPicture) as caught:
        decode(grey_tiff(samples, sample_format, bands=bands))
    assert words in caught.value.reason and "damaged" not in caught.value.reason


# ------------------------------------------------------------------ upright

STORED = {  # orientation -> how the upright picture lies in the file (EXIF 2.3, tag 0x0112)
    1: lambda u: u,
    2: lambda u: u[:, ::-1],
    3: lambda u: u[::-1, ::-1],
    4: lambda u: u[::-1],
    5: lambda u: u.transpose(1, 0, 2),
    6: lambda u: np.rot90(u, 1),
    7: lambda u: u[::-1, ::-1].transpose(1, 0, 2),
    8: lambda u: np.rot90(u, -1),
}


def with_exif(pixels, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    return encoded(Image.fromarray(np.ascontiguousarray(pixels)), kind, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation(kind, orientation):
    upright = smooth()
    file = with_exif(STORED[orientation](upright), kind, orientation)
    same(decode(file), upright, JPEG if kind == "JPEG" else 0)
    assert facts(file).rotated == (orientation != 1)


def test_unknown_orientation_and_damaged_exif_leave_the_picture_as_it_lies():
    pixels = smooth()
    assert np.array_equal(decode(with_exif(pixels, "PNG", 9)), pixels)
    assert not facts(with_exif(pixels, "PNG", 9)).rotated
    damaged = encoded(Image.fromarray(pixels), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert np.array_equal(decode(damaged), pixels)


def test_exif_that_follows_the_pixels_counts():
    """The PNG standard allows it; cameras do not do it."""
    file = with_exif(STORED[6](smooth()), "PNG", 6)
    at = file.index(b"eXIf") - 4
    (length,) = struct.unpack(">I", file[at : at + 4])
    chunk = file[at : at + length + 12]
    late = (file[:at] + file[at + len(chunk) :]).replace(b"\0\0\0\0IEND", chunk + b"\0\0\0\0IEND")
    assert late.index(b"eXIf") > late.index(b"IDAT")
    assert np.array_equal(decode(late), smooth())
    assert facts(late).rotated


def test_facts_of_a_png_decode_no_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    chunk = struct.pack(">I", len(exif.tobytes())) + b"eXIf" + exif.tobytes()
    file = png(40, 30, 8, 0, [], chunk + struct.pack(">I", zlib.crc32(chunk[4:])))  # not a byte of pixels is there
    assert facts(file).rotated and (facts(file).width, facts(file).height) == (40, 30)


# ------------------------------------------------------------------ several pictures in a file


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_several(kind):
    image, index, table = palette_image()
    first = image if kind == "GIF" else image.convert("RGB")
    others = [Image.new("RGB", first.size, color) for color in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    file = encoded(first, kind, save_all=True, append_images=others, **options)
    assert facts(file).frames == 3
    assert np.array_equal(decode(file), table[index])


def test_multi_picture_jpeg_of_cameras():
    pixels = smooth()
    file = encoded(
        Image.fromarray(pixels),
        "MPO",
        save_all=True,
        append_images=[Image.new("RGB", (9, 9))],
        quality=100,
        subsampling=0,
    )
    assert facts(file).format == "MPO"
    same(decode(file), pixels, JPEG)


def test_facts():
    found = facts(encoded(palette_image()[0], "GIF"))
    assert (found.format, found.mode, found.width, found.height) == ("GIF", "P", WIDTH, HEIGHT)
    assert (found.rotated, found.frames, found.deep) == (False, 1, False)


# ------------------------------------------------------------------ any door, any thread, any size


@pytest.mark.parametrize("folder", ["plain", "数据 集/ñ é", "x" * 120 + "/" + "y" * 120])
def test_a_path_gives_what_its_bytes_give(tmp_path, folder):
    file = encoded(Image.fromarray(smooth()), "JPEG")
    path = tmp_path / folder / "图 é.JPG"
    path.parent.mkdir(parents=True)
    path.write_bytes(file)
    assert np.array_equal(decode(path), decode(file))
    assert np.array_equal(decode(str(path)), decode(file))
    assert facts(path) == facts(file)


def test_the_answer_is_the_callers_own():
    ours = decode(encoded(Image.fromarray(smooth()), "PNG"))
    ours[:] = 0  # writable, and nobody else's
    assert ours.flags.c_contiguous


def test_threads_do_not_disturb_each_other():
    kinds = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"]
    files = [encoded(Image.fromarray(np.roll(smooth(), n, 1)), kinds[n % len(kinds)]) for n in range(48)]
    alone = [decode(file) for file in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(decode, files * 4))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))


MODES = {"1": 1, "L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "P": 1, "I;16": 1}


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(MODES)), st.integers(1, 33), st.integers(1, 33), st.integers(0, 2**32 - 1))
def test_any_size_and_mode_through_png(mode, height, width, seed):
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (height, width, MODES[mode])).astype(np.uint8)
    plane, opaque = raw[..., 0], np.full((height, width), 255, np.uint8)
    if mode == "1":
        image, color, alpha = Image.fromarray(plane > 127), grey3((plane > 127) * 255), opaque
    elif mode == "P":
        table = rng.integers(0, 256, (256, 3)).astype(np.uint8)
        image, color, alpha = Image.fromarray(plane, "P"), table[plane], opaque
        image.putpalette(table.tobytes())
    elif mode == "I;16":
        deep = rng.integers(0, 65536, (height, width)).astype(np.uint16)
        image, color, alpha = Image.fromarray(deep), grey3(deep * (255 / 65535)), opaque
    elif mode in ("L", "LA"):
        image = Image.fromarray(plane if mode == "L" else raw, mode)
        color, alpha = grey3(plane), raw[..., -1] if mode == "LA" else opaque
    else:
        image, color, alpha = Image.fromarray(raw, mode), raw[..., :3], raw[..., 3] if mode == "RGBA" else opaque
    same(decode(encoded(image, "PNG")), over_white(np.asarray(color, float), alpha))


def test_every_named_format_and_ending_is_one_that_pillow_knows():
    Image.init()
    known = set(Image.OPEN) | {"HEIF"}
    assert set(FORMATS) - {"AVIF"} <= known
    endings = {e for e, kind in Image.registered_extensions().items() if kind in FORMATS}
    assert len(endings) > 10
    assert EXTENSIONS - endings <= {".heic", ".heif", ".mpo", ".avif", ".dib"}  # dib: a BMP by its other name


def test_fingerprint_is_of_the_pixels_and_their_shape():
    pixels = smooth()
    same_pixels = decode(encoded(Image.fromarray(pixels), "BMP"))
    assert fingerprint(pixels) == fingerprint(same_pixels)
    assert len(fingerprint(pixels)) == FINGERPRINT_BYTES
    assert len(fingerprint(pixels, 16)) == 16
    other = pixels.copy()
    other[0, 0, 0] ^= 1
    assert fingerprint(other) != fingerprint(pixels)
    flat = np.zeros((4, 6, 3), np.uint8)
    assert fingerprint(flat) != fingerprint(flat.reshape(6, 4, 3))
    assert fingerprint(pixels[:, ::-1]) == fingerprint(np.ascontiguousarray(pixels[:, ::-1]))
