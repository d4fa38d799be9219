"""The blocks of a GIF before its first picture (GIF89a specification, sections 15 and 23 to 26)."""

from reslab.pixels.stored import Stored, Unreadable

_HEADER = 13  # signature and logical screen descriptor
_EXTENSION, _IMAGE, _TRAILER = b"!,;"
_MOST_BLOCKS = 100_000
"""A megabyte of XMP has about 13,000; a decoder joins comments one by one, in quadratic time."""


def stored_gif(data: bytes) -> Stored:
    """The file as it is, if few blocks precede its first picture."""
    at, blocks = _HEADER, 0
    if len(data) > _HEADER and data[10] & 0x80:
        at += 3 << ((data[10] & 7) + 1)  # the global colour table
    while at < len(data) and data[at] not in (_IMAGE, _TRAILER):
        if data[at] == _EXTENSION:
            at += 2
            while at < len(data) and data[at] and blocks <= _MOST_BLOCKS:
                at, blocks = at + 1 + data[at], blocks + 1
        at, blocks = at + 1, blocks + 1  # the end of the extension, or a byte between blocks, which decoders skip
        if blocks > _MOST_BLOCKS:
            raise Unreadable(f"more than {_MOST_BLOCKS:,} blocks precede its first picture")
    return Stored(data)
