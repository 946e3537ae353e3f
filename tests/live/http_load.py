# SPDX-License-Identifier: BSD-2-Clause
"""http_load.py PORT: browsers that behave. Some keep their connection and think between requests,
some come for one request; until the end of standard input or SIGTERM."""
import http.client
import signal
import sys
import threading

OVER = threading.Event()


def keeps(port, pause_s):
    """One connection for all requests."""
    browser = http.client.HTTPConnection("127.0.0.1", port)
    while not OVER.wait(pause_s):
        browser.request("GET", "/file")
        browser.getresponse().read()
    browser.close()


def comes_again(port, path):
    """One connection for each request."""
    while not OVER.wait(0.01):
        browser = http.client.HTTPConnection("127.0.0.1", port)
        browser.request("GET", path)
        browser.getresponse().read()
        browser.close()


def main():
    """Ten of each kind."""
    port = int(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: OVER.set())
    crowd = [threading.Thread(target=keeps, args=(port, pause)) for pause in (0.001, 0.1, 1.5, 4)]
    crowd += [threading.Thread(target=comes_again, args=(port, path))
              for path in ("/file", "/through/file", "/nothing")]
    for one in crowd:
        one.start()
    OVER.wait()
    for one in crowd:
        one.join()


if __name__ == "__main__":
    main()
