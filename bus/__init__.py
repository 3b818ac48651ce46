"""The only package that knows NATS: connection, journal, actor runtime, streams, control service, embedded server."""
