"""The instruments of the ecosystem and what they cost when nobody has said otherwise yet."""

from decimal import Decimal

REFERENCE = {"BTC-USD": Decimal("60000.00"), "ETH-USD": Decimal("3000.00"), "USDT-USD": Decimal("1.0000")}
HALF_SPREAD = Decimal("0.0001")


def tidy(symbol: str, price: Decimal) -> Decimal:
    """The price with as many digits as its instrument has."""
    return price.quantize(REFERENCE[symbol])


def quote(symbol: str, price: Decimal) -> dict[str, str]:
    """Bid and ask around a price, as the services answer them."""
    return {
        "symbol": symbol,
        "bid": str(tidy(symbol, price * (1 - HALF_SPREAD))),
        "ask": str(tidy(symbol, price * (1 + HALF_SPREAD))),
    }
