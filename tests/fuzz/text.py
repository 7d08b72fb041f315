"""Mutation of text and bytes."""

from __future__ import annotations

import string
from collections.abc import Callable

from tests.fuzz.common import Random

ODD_VALUES = (
    *"0 -0 1 -1 2 3 4 7 00 007 +5 --1 .5 2.9 -2.5 1. 1e3 1e-3 1e308 1e400 -1e400 nan -nan inf -inf infinity".split(),  # noqa: SIM905
    *"0x10 0x1p3 0x1p99999 0x 255 256 1000 4096 9999 65535 65536 65537 100000 1000000 1000001 16777217".split(),  # noqa: SIM905
    *"536870912 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296 4294967297 18446744073709551616".split(),  # noqa: SIM905
    *"true yes ３ ٣ ½ 1_000 1,2 1;2 1#2 ,1 1, 1,,2 -1,-2 = a=b [net] leaky silu relu6 none".split(),  # noqa: SIM905
    *("", " 3 3 ", "9" * 400, "1" * 5000, "0." + "3" * 5000, "x" * 300, "\0", "\x1b[31m", "\xa01", "\u202e5", "🐈"),
)
NOISE = "\0\x01\x07\x08\x0b\x0c\x1b\x1c\x7f\x85\xa0\xad\u0300\u200b\u2028\u202e\ufeff\uffff🐈漢\r\t =[]#;,-.\"'\\/%{}"


def _lines_of(lines: list[str], chance: Random, good: Callable[[str], bool] = bool) -> int | None:
    """The number of some line that is good for something."""
    found = [number for number, line in enumerate(lines) if good(line)]
    return chance.choice(found) if found else None


def _is_entry(line: str) -> bool:
    return "=" in line and not line.lstrip().startswith(("#", "[", ";"))


def _is_header(line: str) -> bool:
    return line.lstrip().startswith("[")


def delete_lines(chance: Random, lines: list[str]) -> None:
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        if lines:
            del lines[chance.randrange(len(lines))]


def duplicate_lines(chance: Random, lines: list[str]) -> None:
    start = chance.randrange(len(lines) + 1)
    some = lines[start : start + chance.choice((1, 1, 2, 5, 20))]
    place = chance.randrange(len(lines) + 1)
    lines[place:place] = some


def swap_lines(chance: Random, lines: list[str]) -> None:
    for _ in range(chance.choice((1, 1, 2, 5))):
        if lines:
            first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[first], lines[second] = lines[second], lines[first]


def change_digit(chance: Random, lines: list[str]) -> None:
    for _ in range(chance.choice((1, 1, 2, 4))):
        number = _lines_of(lines, chance, lambda line: any(each.isdigit() for each in line))
        if number is not None:
            places = [place for place, each in enumerate(lines[number]) if each.isdigit()]
            place = chance.choice(places)
            digit = chance.choice((*string.digits, "", "-1", "00", "."))
            lines[number] = lines[number][:place] + digit + lines[number][place + 1 :]


def odd_value(chance: Random, lines: list[str]) -> None:
    number = _lines_of(lines, chance, _is_entry)
    if number is not None:
        key, value = lines[number].split("=", 1)
        items = value.split(",")
        items[chance.randrange(len(items))] = chance.choice(ODD_VALUES)
        lines[number] = f"{key}={','.join(items)}"


def change_letter(chance: Random, lines: list[str]) -> None:
    """In a section's name or a key."""
    number = _lines_of(lines, chance, _is_header if chance.random() < 0.4 else _is_entry)
    if number is not None:
        place = chance.randrange(max(1, lines[number].find("=")))
        letter = chance.choice((*string.ascii_letters, "_", "", lines[number][place].swapcase()))
        lines[number] = lines[number][:place] + letter + lines[number][place + chance.randrange(2) :]


def insert_noise(chance: Random, lines: list[str]) -> None:
    number = chance.randrange(len(lines) + 1)
    noise = "".join(chance.choices(NOISE, k=chance.choice((1, 1, 3, 30))))
    if number == len(lines):
        lines.append(noise)
    else:
        place = chance.randrange(len(lines[number]) + 1)
        lines[number] = lines[number][:place] + noise + lines[number][place:]


def long_line(chance: Random, lines: list[str]) -> None:
    number = _lines_of(lines, chance, _is_entry)
    if number is not None:
        key, value = lines[number].split("=", 1)
        count = chance.choice((200, 2000, 10_000, 10_001, 20_000))
        separator = chance.choice((",", ",", " ", ", ", "", "#"))
        lines[number] = f"{key}={separator.join([value[:12]] * count)}"


LINE_MUTATIONS = (delete_lines, duplicate_lines, swap_lines, change_digit, odd_value, change_letter, insert_noise, long_line)


def mutate_bytes(chance: Random, data: bytes) -> bytes:
    """Some bytes flipped, changed, doubled, removed or inserted, or the end cut off."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(len(found) + 1)
        length = chance.choice((1, 1, 2, 4, 16, 256))
        way = chance.randrange(7)
        if way == 0 and place < len(found):
            found[place] ^= 1 << chance.randrange(8)
        elif way == 1:
            found[place : place + length] = chance.randbytes(min(length, len(found) - place))
        elif way == 2:
            found[place:place] = chance.randbytes(length)
        elif way == 3:
            del found[place : place + length]
        elif way == 4:
            found[place:place] = found[place : place + length]
        elif way == 5 and place < len(found):
            found[place] = chance.choice((0, 1, 2, 4, 0x11, 0x22, 0x41, 0x7F, 0x80, 0xFE, 0xFF))
        elif chance.random() < 0.5:
            del found[place:]
    return bytes(found)


def encode_oddly(chance: Random, text: str) -> bytes:
    """Mostly UTF-8 with line feeds."""
    way = chance.randrange(60)
    if way == 0:
        text = text.replace("\n", "\r")
    elif way in (1, 2):
        text = text.replace("\n", "\r\n")
    codec = {3: "utf-8-sig", 4: "utf-16", 5: "utf-16-be", 6: "latin-1"}.get(way, "utf-8")
    return text.encode(codec, "replace")
