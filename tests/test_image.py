"""Images: what is read, what is refused and how, and the channels a network gets."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np
import pytest

from cspdet.errors import ImageError, UsageError
from cspdet.image import SUFFIXES, Pixels, decode_image, quiet, read_image, to_channels, write_image


def noise(*shape: int, high: int = 256) -> Pixels:
    return np.random.default_rng(0).integers(0, high, shape).astype(np.uint8)


def encode(suffix: str, picture: object, *options: int) -> bytes:
    good, data = cv2.imencode(suffix, picture, [*options])  # type: ignore[call-overload]
    assert good
    return bytes(data)


PHOTO = cv2.resize(noise(6, 8, 3), (64, 48))
JPEG = encode(".jpg", PHOTO)
PNG = encode(".png", PHOTO)

# -- what is refused --------------------------------------------------------------------------------------------------

REFUSED = {
    "empty": (b"", "is empty", "cut"),
    "text": (b"once upon a time\n" * 20, "is not an image", "something else"),
    "zeros": (bytes(5000), "is not an image", "something else"),
    "html": (b"\n<!DOCTYPE html><html>", "is not an image", "web page"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is not an image", "git lfs pull"),
    "cfg": (b"[net]\nwidth=416\n", "is not an image", "cfg, weights, images"),
    "cfg with a comment": (b"# mine\n\n[net]\nwidth=416\n", "is not an image", "cfg, weights, images"),
    "JPEG cut": (JPEG[: len(JPEG) // 2], "`X`", "cut|again"),
    "JPEG without its end": (JPEG[:-2], "`X`", "cut|again"),
    "JPEG marker alone": (b"\xff\xd8", "`X`", "cut|again"),
    "PNG cut": (PNG[: len(PNG) // 2], "is not an image", "cut"),
    "PNG header alone": (PNG[:40], "is not an image", "cut"),
    "PNG damaged": (PNG[:60] + bytes(200) + PNG[260:], "is not an image", "cut"),
}


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("data", "fact", "cure"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_image(tmp_path: Path, data: bytes, fact: str, cure: str, exact: bool) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=fact.replace("X", ".*")) as caught:
        read_image(path, exact=exact)
    assert str(path) in caught.value.message
    assert caught.value.exit_code == 1
    with pytest.raises(ImageError, match=cure):
        read_image(path, exact=exact)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file: `.*dog\.jpg`"):
        read_image(tmp_path / "dog.jpg")
    with pytest.raises(UsageError, match="is a directory"):
        read_image(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot read `.*dog\.jpg`: not a directory"):
        read_image(tmp_path / "file" / "dog.jpg")
    with pytest.raises(UsageError, match="cannot read"):
        read_image("a\0b.jpg")


def test_a_file_far_too_large(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(2**29 + 1)
    with pytest.raises(ImageError, match="more than 536,870,912 bytes"):
        read_image(path)


# -- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_lossless_formats(tmp_path: Path, suffix: str) -> None:
    assert suffix in SUFFIXES
    path = tmp_path / f"photo{suffix}"
    write_image(path, PHOTO)
    for each in (path, str(path)):
        assert np.array_equal(read_image(each), PHOTO)


def test_the_ending_does_not_matter_for_reading(tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(PNG)
    assert np.array_equal(read_image(path), PHOTO)


def test_grey_becomes_three_channels() -> None:
    grey = noise(20, 30)
    for exact in (False, True):
        assert np.array_equal(decode_image(encode(".png", grey), "x", exact=exact), np.stack([grey] * 3, 2))


def test_transparency_is_dropped() -> None:
    """As in Darknet's reader: the colours below transparent places count."""
    picture = noise(20, 30, 4)
    picture[:5, :, 3] = 0
    assert np.array_equal(decode_image(encode(".png", picture), "x"), picture[:, :, :3])


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)], ids=["grey", "colour", "transparent"])
def test_16_bits_lose_the_lower_half(shape: tuple[int, ...]) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, shape).astype(np.uint16)
    found = decode_image(encode(".png", deep), "x")
    assert found.dtype == np.uint8
    expected = deep >> 8 if len(shape) == 3 else np.stack([deep >> 8] * 3, 2)
    assert np.array_equal(found, expected[:, :, :3])


def test_exact_changes_rounding_only() -> None:
    exact, quick = decode_image(JPEG, "x", exact=True).astype(int), decode_image(JPEG, "x").astype(int)
    assert exact.shape == quick.shape
    assert 0 < np.abs(exact - quick).max() <= 3


@pytest.mark.parametrize("exact", [False, True])
def test_a_single_pixel(exact: bool) -> None:
    for suffix in (".png", ".jpg"):
        assert decode_image(encode(suffix, np.full((1, 1, 3), 200, np.uint8)), "x", exact=exact).tolist() == [[[200] * 3]]


# -- writing ----------------------------------------------------------------------------------------------------------


def test_write_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    write_image(path, PHOTO)
    assert np.array_equal(cv2.imread(str(path)), PHOTO)
    assert [*tmp_path.iterdir()] == [path]


def test_write_refuses(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`\.xyz` is no image format"):
        write_image(tmp_path / "out.xyz", PHOTO)
    with pytest.raises(UsageError, match="mkdir -p"):
        write_image(tmp_path / "none" / "out.png", PHOTO)
    with pytest.raises(UsageError, match="is a directory"):
        write_image(tmp_path, PHOTO)
    assert [*tmp_path.iterdir()] == []


def test_write_to_a_full_disk(tmp_path: Path, small_disk: Callable[[int], AbstractContextManager[None]]) -> None:
    """It is the disk's fault, not OpenCV's."""
    path = tmp_path / "out.jpg"
    with small_disk(100), pytest.raises(UsageError) as caught:
        write_image(path, PHOTO)
    assert str(caught.value) == f"cannot write `{path}`: file too large"
    with pytest.raises(UsageError, match=r"out.jpg`: OpenCV makes no `.jpg` of 65501x1 pixels"):
        write_image(path, np.zeros((1, 65501, 3), np.uint8))
    assert [*tmp_path.iterdir()] == []


def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_image(tmp_path / "out.png", PHOTO)
    assert (tmp_path / "out.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


# -- channels ---------------------------------------------------------------------------------------------------------


def test_three_channels_are_red_green_blue() -> None:
    picture = noise(4, 5, 3)
    assert np.array_equal(to_channels(picture, 3), picture[:, :, ::-1])
    with_alpha = noise(4, 5, 4)
    assert np.array_equal(to_channels(with_alpha, 3), with_alpha[:, :, [2, 1, 0]])


def test_one_channel_is_darknets_grey() -> None:
    picture = noise(9, 11, 3)
    blue, green, red = (picture[:, :, each].astype(int) for each in range(3))
    expected = (77 * red + 150 * green + 29 * blue) // 256
    for shape in (picture, np.dstack([picture, noise(9, 11)])):
        found = to_channels(shape, 1)
        assert found.shape == (9, 11, 1)
        assert np.array_equal(found[:, :, 0], expected)
    white = np.full((2, 2, 3), 255, np.uint8)
    assert (to_channels(white, 1) == 255).all()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_grey_pictures(shape: tuple[int, ...]) -> None:
    picture = noise(*shape)
    grey = picture.reshape(4, 5, 1)
    assert np.array_equal(to_channels(picture, 1), grey)
    assert np.array_equal(to_channels(picture, 3), np.dstack([grey] * 3))


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_other_channels_pass_as_they_are(channels: int) -> None:
    picture = noise(4, 5, channels)
    assert np.array_equal(to_channels(picture, channels), picture)


@pytest.mark.parametrize(("there", "wanted"), [(2, 3), (5, 3), (2, 1), (3, 4), (3, 5), (1, 2), (6, 12)])
def test_channels_that_do_not_fit(there: int, wanted: int) -> None:
    with pytest.raises(UsageError, match=f"reads {wanted} channels, dog has {there}"):
        to_channels(noise(4, 5, there), wanted, "dog")


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
def test_data_behind_the_end_of_a_jpeg(exact: bool) -> None:
    """Phones append a film or a depth map."""
    data = cv2.imencode(".jpg", PHOTO)[1].tobytes()
    assert np.array_equal(decode_image(data + bytes(5000), "x", exact=exact), decode_image(data, "x", exact=exact))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_a_damaged_image_is_reported_by_us_alone(suffix: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = cv2.imencode(suffix, PHOTO)[1].tobytes()
    with pytest.raises(ImageError):
        decode_image(data[: len(data) // 2], "x")
    assert capfd.readouterr().err == ""


def test_a_picture_too_wide_for_its_format(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"OpenCV makes no `\.jpg` of 70000x2 pixels"):
        write_image(tmp_path / "x.jpg", np.zeros((2, 70000, 3), np.uint8))


def resized(data: bytes, width: int, height: int) -> bytes:
    """A JPEG or PNG file whose head says another size."""
    if data[:2] == b"\xff\xd8":
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + height.to_bytes(2) + width.to_bytes(2) + data[at + 4 :]
    head = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + data[24:29]
    return data[:12] + head + zlib.crc32(head).to_bytes(4) + data[33:]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (20_000, 20_000, "20,000x20,000 pixels; 268,435,456 are possible"),
        (65_535, 65_535, "are possible"),
        (10_000, 10_000, "10,000x10,000 pixels do not fit into its"),
    ],
)
def test_a_picture_that_would_fill_the_memory(suffix: str, width: int, height: int, words: str) -> None:
    data = resized(cv2.imencode(suffix, PHOTO)[1].tobytes(), width, height)
    for exact in (False, True):
        with pytest.raises(ImageError, match=words):
            decode_image(data, "x", exact=exact)


def test_a_large_blank_picture() -> None:
    """As large as a phone's, and as small a file as can be."""
    data = cv2.imencode(".png", np.zeros((5000, 6000), np.uint8))[1].tobytes()
    assert len(data) < 60_000
    assert decode_image(data, "x").shape == (5000, 6000, 3)


def test_threads_leave_opencv_as_loud_as_it_was() -> None:
    before = cv2.utils.logging.getLogLevel()
    first, second = quiet(), quiet()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert cv2.utils.logging.getLogLevel() == cv2.utils.logging.LOG_LEVEL_SILENT
    second.__exit__(None, None, None)
    assert cv2.utils.logging.getLogLevel() == before


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device here")
def test_a_device_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cspdet.image._LARGEST_FILE", 2**20)
    with pytest.raises(ImageError, match="more than 1,048,576 bytes"):
        read_image("/dev/zero")
