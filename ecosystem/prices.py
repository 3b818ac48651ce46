"""The instruments of the ecosystem and what they cost when nobody has said otherwise yet."""

from decimal import Decimal

REFERENCE = {"BTC-USD": Decimal("60000.00"), "ETH-USD": Decimal("3000.00"), "USDT-USD": Decimal("1.0000")}
"""What is traded."""
DERIVED = {"BTC-USD-PERP": Decimal("60000.00"), "BTC-ETH": Decimal("20.0000")}
"""What market data quotes besides, following the others."""
CROSSES = {"BTC-ETH": Decimal("20.0000"), "USDT-BTC": Decimal("0.00001667"), "USDT-ETH": Decimal("0.00033333")}
"""What the exchange quotes besides."""
INSTRUMENTS = REFERENCE | DERIVED | CROSSES
HALF_SPREAD = Decimal("0.0001")


def tidy(symbol: str, price: Decimal) -> Decimal:
    """The price with as many digits as its instrument has."""
    return price.quantize(INSTRUMENTS[symbol])


def quote(symbol: str, price: Decimal, half_spread: Decimal = HALF_SPREAD) -> dict[str, str]:
    """Bid and ask around a price, as the services answer them."""
    return {
        "symbol": symbol,
        "bid": str(tidy(symbol, price * (1 - half_spread))),
        "ask": str(tidy(symbol, price * (1 + half_spread))),
    }
