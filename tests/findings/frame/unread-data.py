# SPDX-License-Identifier: BSD-2-Clause
import select
import sys

import requests

url = f"http://127.0.0.1:{sys.argv[1]}/"
# PAGE
print("ready", flush=True)
select.epoll().poll()
