"""A workload: asks a service again and again, and says of each operation what came of it. No imports that cost time."""

import json
import os
import socket
import sys
import time


def main() -> None:
    number = 0
    while True:
        number += 1
        begin = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), timeout=1) as connection:
                connection.sendall(b"GET /work HTTP/1.1\r\n\r\n")
                outcome = "ok" if connection.recv(100).startswith(b"HTTP/1.1 200") else "failed"
        except OSError:
            outcome = "failed"
        operation = {"op": "work", "id": str(number), "outcome": outcome, "took": time.monotonic() - begin}
        sys.stdout.write(json.dumps(operation) + "\n")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
