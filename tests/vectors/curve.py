"""Just enough of the group of Ed25519 (RFC 8032) to make signatures no library would. TEST KEYS ONLY."""

from __future__ import annotations

import hashlib
from typing import Final

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def decode(data: bytes) -> Point | None:
    """The point of 32 bytes, leniently; None where there is none."""
    number = int.from_bytes(data, "little")
    y = number % 2**255 % P
    square = (y * y - 1) * pow(_D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return (P - x if x % 2 != number >> 255 else x), y


def encode(point: Point) -> bytes:
    """The one spelling of a point."""
    return (point[1] | (point[0] % 2) << 255).to_bytes(32, "little")


def add(a: Point, b: Point) -> Point:
    """The sum of two points."""
    t = _D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + t, -1, P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, P)
    return x % P, y % P


def multiply(scalar: int, point: Point) -> Point:
    """A point, so many times."""
    total: Point = (0, 1)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def challenge(r: bytes, public: bytes, message: bytes) -> int:
    """The hash of a signature, as a number that is not reduced yet."""
    return int.from_bytes(hashlib.sha512(r + public + message).digest(), "little")


BASE: Final = (15112221349535400772501151409588531511454012693041857206046113283949847762202, 4 * pow(5, -1, P) % P)
EIGHTH: Final = decode(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")) or BASE
"""A point of order eight."""
