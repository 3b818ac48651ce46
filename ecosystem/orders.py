"""An order, as it travels from the trading engine to the exchange."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from ecosystem.errors import OrderError

ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SYMBOL = re.compile(r"[A-Z0-9]{2,10}-[A-Z0-9]{2,10}")


@dataclass(frozen=True, slots=True)
class Order:
    """A limit order. Its id makes it idempotent: sent again it is the same order."""

    order_id: str
    symbol: str
    side: str
    quantity: str
    price: str
    type: str = "limit"
    submitted_at: str = ""
    account: str = ""
    """Whose order it is, as `strategy-arbitrage`."""

    @classmethod
    def parse(cls, document: Any) -> Self:
        """An order from decoded JSON.

        Raises: OrderError, saying what is wrong.
        """
        if not isinstance(document, dict):
            raise OrderError("an order is a JSON object")
        order = cls(
            order_id=str(document.get("order_id", "")),
            symbol=str(document.get("symbol", "")),
            side=str(document.get("side", "")),
            quantity=str(document.get("quantity", "")),
            price=str(document.get("price", "")),
            type=str(document.get("type", "limit")),
            account=str(document.get("account", "")),
        )
        order.check()
        return order

    def check(self) -> None:
        """Raises: OrderError, saying what is wrong."""
        if not ORDER_ID.fullmatch(self.order_id):
            raise OrderError("order_id must be 1 to 64 letters, digits, hyphens or underscores")
        if not SYMBOL.fullmatch(self.symbol):
            raise OrderError("symbol must look like BTC-USD")
        if self.side not in {"buy", "sell"}:
            raise OrderError("side must be buy or sell")
        if self.account and not ORDER_ID.fullmatch(self.account):
            raise OrderError("account must be letters, digits, hyphens or underscores")
        if self.type != "limit":
            raise OrderError("type must be limit")
        for name, value in (("quantity", self.quantity), ("price", self.price)):
            if not _is_positive(value):
                raise OrderError(f"{name} must be a positive decimal as text")

    @property
    def traceid(self) -> str:
        """The W3C trace id of the order's way through the services: derived, so that a recovered order continues its trace."""
        return hashlib.blake2s(self.order_id.encode(), digest_size=16).hexdigest()

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request on behalf of this order."""
        return {"traceparent": f"00-{self.traceid}-{self.traceid[:16]}-01", "X-Correlation-ID": self.order_id}

    def encoded(self) -> str:
        """One line of JSON without tabs."""
        return json.dumps(asdict(self), separators=(",", ":"))


def _is_positive(text: str) -> bool:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return False
    return value.is_finite() and value > 0
