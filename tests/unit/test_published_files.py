"""What the provisioning server keeps in memory: how much, what is let go, what is held once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provisioning_server.files import FileCache, FileKey, PublishedFile, published_file

OVERHEAD = 600
KIB = 1024


def file(content: bytes, etag: str) -> PublishedFile:
    return published_file("directory.xml", bytes(bytearray(content)), "application/xml", etag)


def key(number: int) -> FileKey:
    return (f"{number:012x}", False, "directory.xml")


def test_what_all_handsets_have_alike_is_held_once_and_counts_once() -> None:
    cache = FileCache(KIB * KIB)
    directory = b"x" * 20 * KIB
    for number in range(1000):
        cache.keep(key(number), file(directory, "d"))
    kept = [cache.get(key(number)) for number in range(1000)]
    assert {id(one.content) for one in kept if one is not None} == {id(kept[0].content) if kept[0] else 0}
    assert (len(cache), cache.bytes) == (1000, 20 * KIB + 1000 * OVERHEAD)


def test_a_content_stays_as_long_as_one_file_has_it() -> None:
    cache = FileCache(12_000)
    cache.keep(key(1), file(b"s" * 2 * KIB, "shared"))
    cache.keep(key(2), file(b"s" * 2 * KIB, "shared"))
    cache.keep(key(3), file(b"o" * 8 * KIB, "own"))  # the first goes, what it shares stays
    assert (cache.get(key(1)), cache.bytes) == (None, 10 * KIB + 2 * OVERHEAD)
    second = cache.get(key(2))
    assert second is not None and second.content == b"s" * 2 * KIB
    cache.get(key(3))
    cache.keep(key(4), file(b"n" * 2 * KIB, "new"))
    assert (cache.get(key(2)), cache.bytes) == (None, 10 * KIB + 2 * OVERHEAD)


def test_what_was_asked_for_stays_longer_than_what_was_not() -> None:
    cache = FileCache(4 * (KIB + OVERHEAD))
    for number in range(5):  # with the fifth one goes, and the others have lost their marks
        cache.keep(key(number), file(bytes([number]) * KIB, str(number)))
    assert len(cache) == 4
    for number in range(5, 8):
        assert cache.get(key(1)) is not None
        cache.keep(key(number), file(bytes([number]) * KIB, str(number)))
    assert [number for number in range(8) if cache.get(key(number)) is not None] == [1, 5, 6, 7]


def test_who_else_has_a_file_is_told_when_one_is_let_go() -> None:
    told: list[int] = []
    cache = FileCache(2 * (KIB + OVERHEAD), lambda: told.append(len(cache)))
    for number, expected in ((1, 0), (2, 0), (3, 1)):
        cache.keep(key(number), file(bytes([number]) * KIB, str(number)))
        assert len(told) == expected


def test_one_etag_for_two_contents_mixes_nothing_up() -> None:
    cache = FileCache(4 * KIB)
    first, second = cache.keep(key(1), file(b"first", "e")), cache.keep(key(2), file(b"other", "e"))
    assert (first.content, second.content) == (b"first", b"other")
    assert cache.bytes == len(b"first") + len(b"other") + 2 * OVERHEAD


def test_a_file_over_the_limit_is_kept_alone() -> None:
    cache = FileCache(KIB)
    cache.keep(key(1), file(b"small", "s"))
    assert cache.keep(key(2), file(b"x" * 2 * KIB, "x")).content == b"x" * 2 * KIB
    assert (len(cache), cache.bytes) == (1, 2 * KIB + OVERHEAD)
    cache.clear()
    assert (len(cache), cache.bytes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc"), st.integers(2, 2000)), max_size=60))
def test_the_account_is_what_is_kept_and_keeps_to_the_limit(asked: list[tuple[int, str, int]]) -> None:
    """Etags deliberately stand for contents of several lengths."""
    cache = FileCache(8 * KIB)
    for number, etag, length in asked:
        if cache.get(key(number)) is None:
            kept = cache.keep(key(number), file(etag.encode() * length, etag))
            assert kept.content == etag.encode() * length
        files = [found for at in range(31) if (found := cache.get(key(at))) is not None]
        contents = {id(one.content): len(one.content) for one in files}
        assert cache.bytes == sum(contents.values()) + len(files) * OVERHEAD
        assert cache.bytes <= 8 * KIB or len(files) == 1
