"""A process that captures until it is ended, and says which calls it was promised."""

import os
import sys
import threading
import time

from model_monitor_capture import CaptureWriter


def main() -> None:
    folder, threads = sys.argv[1], int(sys.argv[2])
    writer = CaptureWriter(folder, "churn", file_bytes=20_000, disk_share=1.0)
    ending = time.monotonic() + 30

    def calls(number: int) -> None:
        count = 0
        while time.monotonic() < ending:
            known = writer.capture(
                f"{number},{count}", "0.5", request_type="text/csv", response_type="text/csv"
            )
            if known:
                os.write(1, f"{time.time()} {known}\n".encode())
            count += 1
            time.sleep(0.001)

    workers = [threading.Thread(target=calls, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
