"""How settlements are made: their types, and how long each takes when nothing is wrong."""

import zlib
from decimal import Decimal

HOUR = 3600.0
DAY = 24 * HOUR
TIMES = {
    "crypto_internal": HOUR,
    "crypto_external": DAY,
    "wire_domestic": 2 * DAY,
    "ach_transfer": 2 * DAY,
    "wire_international": 3 * DAY,
}
"""Seconds of the world: T+0 within the hour, T+1, T+2, T+2, T+3."""
TYPES = tuple(TIMES)
BANK_TYPES = ("wire_domestic", "wire_international", "ach_transfer")


def natural_seconds(kind: str, clock_speed: float) -> float:
    """How long a settlement of this type takes here, with a clock that runs this much faster than the world."""
    return TIMES[kind] / clock_speed


def type_of(order_id: str) -> str:
    """How an order is settled that does not say: four in five internally, the others by turns."""
    number = zlib.crc32(order_id.encode()) % 20
    return TYPES[number - 15] if number > 15 else "crypto_internal"


def amount(quantity: str, price: str) -> Decimal:
    """What is settled, in the currency of the price."""
    return Decimal(quantity) * Decimal(price)
