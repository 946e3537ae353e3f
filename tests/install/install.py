# SPDX-License-Identifier: BSD-2-Clause
"""install.py BUILD ENGINE.a COMPILER...: install into an empty place, then be a user of what
lies there: pkg-config, the shared and the static library, the header in C and in C++."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

from gate import Gate, text_of

PROGRAM = """
#include <lastack.h>
#include <stdio.h>
int main(void)
{
    struct lastack_config config;
    lastack_config_init(&config);
    lastack *stack = lastack_create(&config, 1);
    if (!stack)
        return 1;
    lastack_process *process = lastack_process_create(stack, 1, "user");
    int fd = process ? lastack_socket(process, AF_INET, SOCK_STREAM, 0) : -1;
    printf("%s %d\\n", LASTACK_VERSION, fd);
    lastack_exit(process);
    lastack_destroy(stack);
    return fd < 0;
}
"""


def run(*command, **more):
    """(exit code, output)"""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    return done.returncode, (done.stdout + done.stderr).strip()


def faults(code, words):
    """A command's failure as a list of faults."""
    return [] if code == 0 else [f"exit code {code}"] + words.splitlines()[-12:]


class Place:
    """An installation in a folder of its own."""

    def __init__(self, build, folder):
        self.folder = folder
        self.code, self.words = run("meson", "install", "-C", build, "--no-rebuild",
                                    "--destdir", folder)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("LD_")}
        found = self.find("lastack.pc")
        if found:
            self.env["PKG_CONFIG_PATH"] = os.path.dirname(found)
            self.prefix = found.split("/lib", 1)[0]

    def find(self, name):
        """Where a file came to lie."""
        found = glob.glob(f"{self.folder}/**/{name}", recursive=True)
        return found[0] if found else None

    def flags(self, *options):
        """What pkg-config says."""
        code, words = run("pkg-config", f"--define-variable=prefix={self.prefix}", *options,
                          "lastack", env=self.env)
        return words.split() if code == 0 else [words]


def try_program(place, compiler, name, flags, env):
    """Compile and run."""
    source, program = f"{place.folder}/{name}.c", f"{place.folder}/{name}"
    with open(source, "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    code, words = run(*compiler, "-Wall", "-Wextra", "-Werror", source, "-o", program, *flags)
    if code:
        return faults(code, words)
    code, words = run(program, env=env)
    version = text_of("include/lastack.h").split('LASTACK_VERSION "')[1].split('"')[0]
    return faults(code, words) or ([] if words.startswith(version + " ") else [words])


def collisions(place, engine, compiler):
    """A program may use every name that the engine uses inside."""
    code, words = run("nm", "-g", "-P", "--defined-only", engine)
    names = sorted({line.split()[0] for line in words.splitlines()
                    if len(line.split()) >= 2 and line.split()[1] in "TDRB"
                    and not line.startswith("lastack_")})
    if code or len(names) < 20:
        return [f"only {len(names)} names found in {engine}"]
    source = f"{place.folder}/mine.c"
    with open(source, "w", encoding="utf-8") as file:
        file.write(PROGRAM.replace("int main(void)", "".join(
            f"int {name}(void);\nint {name}(void) {{ return 1; }}\n" for name in names)
            + "int main(void)"))
    archive = place.find("liblastack.a")
    return faults(*run(*compiler, "-fno-builtin", source, "-o", f"{place.folder}/mine", archive,
                       *place.flags("--cflags")))


def main():
    build, engine, compiler = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3:]
    gate = Gate()
    with tempfile.TemporaryDirectory(prefix="lastack-install-") as folder:
        place = Place(build, folder)
        gate.verdict("meson install", faults(place.code, place.words))
        wanted = ["lastack.h", "lastack.pc", "liblastack.so", "liblastack.so.0", "liblastack.a",
                  "lastack-guard.service", "lastack-export.service", "policy.example",
                  "grafana/lastack.json", "prometheus/lastack.rules.yml"]
        gate.verdict("the files are there", [f"no {n}" for n in wanted if not place.find(n)])
        headers = glob.glob(f"{folder}/**/*.h", recursive=True)
        gate.verdict("one header and no more", [] if len(headers) == 1 else headers)
        if place.find("lastack.pc"):
            libdir = os.path.dirname(place.find("liblastack.so"))
            shared = place.flags("--cflags", "--libs")
            gate.verdict("a program on the shared library", try_program(
                place, compiler, "shared", shared, {**place.env, "LD_LIBRARY_PATH": libdir}))
            static = ["-static", *place.flags("--static", "--cflags", "--libs")]
            gate.verdict("a program on the static library", try_program(
                place, compiler, "static", static, place.env))
            gate.verdict("no name of the inside is taken", collisions(place, engine, compiler))
        program = place.find("bin/lastack")
        if program:
            gate.verdict("the installed program says its version",
                         faults(*run(program, "--version", env=place.env)))
    gate.done()


if __name__ == "__main__":
    if not shutil.which("pkg-config"):
        sys.exit("install.py needs pkg-config")
    main()
