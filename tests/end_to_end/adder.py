"""A workload: adds one number after the other, and says what came of each. No imports that cost time."""

import json
import os
import socket
import sys
import time


def main() -> None:
    number = 0
    while True:
        number += 1
        outcome = "failed"
        try:
            with socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), timeout=1) as connection:
                outcome = "unknown"  # until there is an answer
                connection.sendall(f"GET /add/{number} HTTP/1.1\r\n\r\n".encode())
                outcome = "ok" if connection.recv(100).startswith(b"HTTP/1.1 200") else outcome
        except OSError as error:
            sys.stderr.write(f"cannot add {number}: {error}\n")
        sys.stdout.write(json.dumps({"op": "add", "id": number, "outcome": outcome}) + "\n")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
