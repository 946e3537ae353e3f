# SPDX-License-Identifier: BSD-2-Clause
"""Files that fit a sitting, functions that fit a screen, a licence line, clean line ends."""
import ast
import re

from gate import CODE, ROOT, Gate, Scratch, bites, text_of, tree_files

# Columns: 100 is the custom, more than 120 are refused.
FILE_MAX, FUNCTION_MAX, LINE_MAX = 800, 100, 120
SHEBANG = re.compile(r"#!.*\b(sh|python3)\b")


def is_code(path, text):
    """Source, not prose or data."""
    return path.endswith(CODE) or bool(SHEBANG.match(text)) or path == "Makefile"


def c_functions(lines):
    """(name line, length) of every function body in C: from a brace alone in column 0, or
    at the end of an unindented line, to the next brace alone in column 0."""
    start = None
    for number, line in enumerate(lines, 1):
        opens = line == "{" or (re.match(r"\w.*\)\s*\{$", line) and "=" not in line)
        if opens and start is None:
            start = number
        elif line == "}" and start is not None:
            yield start, number - start + 1
            start = None
        elif line.startswith("}"):
            start = None


def py_functions(text):
    """The same for Python."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


def size_faults(path, text):
    """Too long a file, function or line."""
    lines, faults = text.splitlines(), []
    if len(lines) > FILE_MAX:
        faults.append(f"{path}: {len(lines)} lines, more than {FILE_MAX}")
    functions = []
    if path.endswith((".c", ".h")):
        functions = c_functions(lines)
    elif path.endswith(".py"):
        functions = py_functions(text)
    for start, length in functions:
        if length > FUNCTION_MAX:
            faults.append(f"{path}:{start}: a function of {length} lines, more than {FUNCTION_MAX}")
    if path.endswith((".c", ".h")):
        faults += [f"{path}:{n}: {len(line)} columns, more than {LINE_MAX}"
                   for n, line in enumerate(lines, 1) if len(line) > LINE_MAX]
    return faults


def edge_faults(path, text):
    """Blanks at line ends, tabs in C, no newline at the end, no licence line."""
    faults = []
    for number, line in enumerate(text.split("\n"), 1):
        if line != line.rstrip():
            faults.append(f"{path}:{number}: blanks at the end of the line")
        if "\t" in line and path.endswith((".c", ".h", ".py")):
            faults.append(f"{path}:{number}: a tab")
    if text and not text.endswith("\n"):
        faults.append(f"{path}: no newline at the end")
    return faults


def licence_faults(path, text):
    """The SPDX line belongs to the first three lines."""
    if any("SPDX-License-Identifier: BSD-2-Clause" in line for line in text.split("\n")[:3]):
        return []
    return [f"{path}: no SPDX line at its beginning"]


def tree_faults(root):
    """(sizes, edges, licences) over a tree."""
    sizes, edges, licences = [], [], []
    for path in tree_files(root):
        text = text_of(path, root)
        if text is None:
            continue
        if is_code(path, text):
            sizes += size_faults(path, text)
            if not path.endswith(("meson.build", ".def")):
                licences += licence_faults(path, text)
        if is_code(path, text) or path.endswith((".md", ".list", ".script")):
            edges += edge_faults(path, text)
    return sizes, edges, licences


def main():
    gate = Gate()
    sizes, edges, licences = tree_faults(ROOT)
    gate.verdict("files, functions and lines are short", sizes)
    gate.verdict("line ends are clean", edges)
    gate.verdict("every source names its licence", licences)
    long_body = "    x++;\n" * FUNCTION_MAX
    wrong = {
        "long.c": "int f(void)\n{\n" + long_body + "}\n",
        "joined.c": "TEST(f) {\n" + long_body + "}\n",
        "long.py": "def f(x):\n" + "    x += 1\n" * FUNCTION_MAX,
        "huge.c": "int x;\n" * (FILE_MAX + 1),
        "wide.c": "int " + "x" * LINE_MAX + ";\n",
        "blank.c": "int x; \n",
        "tab.c": "\tint x;\n",
        "end.c": "int x;",
    }
    with Scratch(wrong) as root:
        sizes, edges, licences = tree_faults(root)
    gate.verdict("the gate bites", bites(sizes, "long.c", "joined.c", "long.py", "huge.c", "wide.c")
                 + bites(edges, "blank.c", "tab.c", "end.c") + bites(licences, *wrong))
    gate.done()


if __name__ == "__main__":
    main()
