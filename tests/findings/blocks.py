# SPDX-License-Identifier: BSD-2-Clause
"""The blocks of code in docs/findings, and whole programs made of them."""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
PLACE = re.compile(r"^([ \t]*)(?://|#|/\*) PAGE ?(\w*)(?: \*/)?$", re.M)
ENDS = {"c": "c", "python": "py", "go": "go", "java": "java", "js": "js"}


def blocks_of(text):
    """[(language, code)] of a page, in its order; code without a language is no program."""
    return [(kind, code) for kind, code in FENCE.findall(text) if kind in ENDS]


def page_blocks(root, page):
    """The same of docs/findings/PAGE.md."""
    with open(f"{root}/docs/findings/{page}.md", encoding="utf-8") as file:
        return blocks_of(file.read())


def program_of(frame, block, word):
    """The frame with the block in its place; a place for the other word stays empty."""
    def put(found):
        if found[2] not in ("", word):
            return ""
        return "\n".join(found[1] + line if line else "" for line in block.splitlines())
    return PLACE.sub(put, frame)


def frame_of(name, language):
    """The text of a frame."""
    with open(f"{HERE}/frame/{name}.{ENDS[language]}", encoding="utf-8") as file:
        return file.read()
