"""A miniature trading ecosystem: six small real services, the system under test of the demo, the tests and docker-compose.

Each starts with `python -m ecosystem.<module>`: exchange_simulator, custodian_simulator, market_data_simulator,
trading_engine, risk_monitor, audit_correlator. The trading engine submits orders to the exchange at a steady rate; every
`order.submitted` is closed by exactly one `order.filled` or `order.rejected`, also when a service is killed and comes back.
"""
