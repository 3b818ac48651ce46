"""Counts in a Redis, at most a hundred times a second, and says what came of each try."""

import json
import os
import socket
import time

host, port = os.environ["REDIS"].split(":")
redis, acknowledged = None, None
while True:
    begin, outcome = time.monotonic(), "failed"
    try:
        redis = redis or socket.create_connection((host, int(port)), timeout=2)
        outcome = "unknown"  # until there is an answer: it may have counted, or not
        redis.sendall(b"INCR writes\r\n")
        count = int(redis.recv(64)[1:])  # such as b":42\r\n"
        acknowledged = count if acknowledged is None else acknowledged + 1
        outcome = "ok" if count >= acknowledged else "failed"  # less: what was acknowledged is lost
    except (OSError, ValueError):
        redis = None
    took, ended = time.monotonic() - begin, time.time()
    print(json.dumps({"op": "incr", "id": str(acknowledged), "outcome": outcome, "took": took, "ended": ended}), flush=True)
    time.sleep(0.01)
