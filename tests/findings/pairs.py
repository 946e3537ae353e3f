# SPDX-License-Identifier: BSD-2-Clause
"""Which block of which page is a failing program, which one repairs it, and what must be said. Written
from the pages: a page that promises a finding must get it."""
from dataclasses import dataclass


@dataclass
class Pair:
    """Blocks are counted per page and language from 0; None: the frame without a block. `besides`:
    codes that may be said of the repaired one (of its peer, which has a fault of its own).
    `history`: a recorder must have seen it. `recorded`: what a recorder that runs makes of the code."""
    page: str
    language: str
    failing: int = None
    repaired: int = None
    frame: str = ""
    code: str = ""
    besides: tuple = ()
    history: bool = False
    recorded: str = ""
    check: bool = False  # `lastack check` tells it
    needs: str = ""
    alone: bool = False  # started before the crowd: its one segment must not be torn in two


PAIRS = [
    Pair("accept-no-descriptors", "c", 0, 1),
    Pair("accept-queue-full", "c", 0, 1),
    Pair("close-deferred", "java", 0, 1, code="dead-descriptor"), # of Java 17, says the page
    Pair("closed-but-busy", "c", 0, 1),
    Pair("dead-descriptor", "c", 0, 1),
    Pair("dead-descriptor", "c", 2, 3, frame="dead-descriptor-reset"),
    Pair("deaf", "c", 0, None, frame="end-seen", code="end-seen", history=True),
    Pair("dup-holds", "c", 0, 1, history=True),
    Pair("edge-missed", "c", 0, 1),
    Pair("end-consumed", "c", 0, 1, recorded="unread-end", alone=True),
    Pair("end-seen", "c", 0, 1, history=True),
    Pair("end-seen", "python", 0, 1, history=True),
    Pair("end-seen", "go", 0, 1, history=True),
    Pair("end-seen", "java", 0, 1, history=True),
    Pair("end-seen", "js", 0, 1, history=True),
    Pair("fin-behind-zero-window", "c", 0, 1, besides=("window-shut", "nobody-watches")),
    Pair("fin-wait-held", "c", 0, 1, besides=("unread-end", "nobody-watches")),
    Pair("heir-holds", "c", 0, 1),
    Pair("heir-holds", "c", None, 2, frame="heir-holds-shutdown", besides=("dead-descriptor",)),
    Pair("heir-holds", "python", 0, 1),
    Pair("held-by-mapping", "c", 0, 1),
    Pair("held-by-message", "c", 0, 1),
    Pair("held-by-ring", "c", 0, 1, needs="/usr/include/liburing.h"),
    Pair("holder-stuck", "c", 0, 1),
    Pair("last-close-missing", "c", 0, 1, history=True),
    Pair("last-close-missing", "python", 0, 1, history=True),
    Pair("loop-busy", "c", 0, 1),
    Pair("many-holders", "c", 0, 1),
    Pair("never-accepted", "c", 0, 1),
    Pair("no-read-interest", "c", 0, 1),
    Pair("nobody-watches", "c", 0, 1),
    Pair("one-shot-spent", "c", 0, 1),
    Pair("open-at-exit", "c", 0, 1, check=True),
    Pair("pool-idle", "c", None, 0),
    Pair("relay-pair", "c", 0, 1, besides=("unread-data", "nobody-watches")),
    Pair("relay-pair", "go", 0, 1, besides=("end-seen", "end-consumed")),
    Pair("shared", "c", 0, 1, frame="last-close-missing", code="last-close-missing", history=True),
    Pair("shared", "c", None, 2, frame="shared-shutdown", code="last-close-missing", history=True,
         besides=("dead-descriptor",)),
    Pair("unread-data", "c", 0, 1),
    Pair("unread-data", "python", 0, 1, needs="requests"),
    Pair("unread-data", "go", 0, 1),
    Pair("unread-data", "java", 0, 1),
    Pair("unread-data", "js", 0, 1),
    Pair("unread-end", "c", 0, 1),
    Pair("window-shut", "c", 0, 1, besides=("dead-descriptor",)),
    Pair("zero-window", "c", 0, 1, besides=("window-shut", "nobody-watches")),
]

# Blocks that are advice for a program of one's own, with no failing one beside them.
ADVICE = {("fin-unanswered", "c", 0)}
