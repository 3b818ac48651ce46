"""The composition root: settings, which actors run in this process, endpoints, logs and metrics."""
