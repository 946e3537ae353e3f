/* SPDX-License-Identifier: BSD-2-Clause */
/* Which frame of a stack a reader wants to see, and how a stack becomes a site. */
#include <stdlib.h>
#include <string.h>

#include "doctor/text.h"
#include "lines/lines.h"
#include "lines/name.h"

/* Libraries whose frames are everybody's, by the beginning of their name: the answer is never there. */
static const char *const libraries[] = {
    "libc.so",   "libc-",      "ld-",        "ld.so",      "libpthread", "libdl",     "librt",
    "libstdc++", "libc++",     "libgcc_s",   "libasan",    "libubsan",   "libtsan",   "[vdso]",
    "libjvm.so", "libnio.so",  "libnet.so",  "libjava.so", "libjli.so",  "libpython", "_socket.",
    "select.",   "libuv",      "libcoreclr", "libSystem.", "libruby",    "libperl",   "libssl",
    "libcrypto", "libevent",   "libev.so",   "libgnutls",  "liblastack", "[vsyscall]",
};
/* Programs that run programs; a version may follow. */
static const char *const runtimes[] = {"java", "python", "node", "nodejs", "ruby",     "perl",
                                       "php",  "php-fpm", "deno", "bun",   "beam.smp", "dotnet"};

static bool is_everybodys(const struct lines_frame *frame)
{
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
        if (strncmp(frame->module, libraries[i], strlen(libraries[i])) == 0)
            return true;
    for (size_t i = 0; i < sizeof runtimes / sizeof runtimes[0]; i++) {
        size_t len = strlen(runtimes[i]);
        if (strncmp(frame->module, runtimes[i], len) == 0 &&
            frame->module[len + strspn(frame->module + len, "0123456789.")] == '\0')
            return true;
    }
    return strcmp(frame->function, "_start") == 0;
}

static bool begins_with_any(const char *text, const char *const *beginnings)
{
    for (; *beginnings; beginnings++)
        if (strncmp(text, *beginnings, strlen(*beginnings)) == 0)
            return true;
    return false;
}

/* Go and Rust link their own libraries into every program. A function of Go's has the path of its
 * package in its name and, behind "/src/", in its file: net/http.Get .../src/net/http/client.go. */
static bool is_language_library(const struct lines_frame *frame)
{
    static const char *const rust[] = {"/rustc/", "library/std/", "library/core/", "library/alloc/", NULL};
    const char *src = strstr(frame->file, "/src/"), *slash = strrchr(frame->function, '/');
    size_t folder_len = slash ? (size_t)(slash - frame->function) : 0;
    size_t len = folder_len + strcspn(frame->function + folder_len, ".");
    if (begins_with_any(frame->file, rust))
        return true;
    return src && frame->function[len] == '.' && !memchr(frame->function, '.', folder_len) &&
           strncmp(src + 5, frame->function, len) == 0 && src[5 + len] == '/';
}

/* What stands between a call of the system and a package that somebody would name. */
static bool is_plumbing(const struct lines_frame *frame)
{
    static const char *const go[] = {"runtime.", "runtime/", "syscall.", "internal/", "net.", NULL};
    return strncmp(frame->module, "libc", 4) == 0 || strncmp(frame->module, "ld-", 3) == 0 ||
           (is_language_library(frame) && begins_with_any(frame->function, go));
}

/* How much a frame is worth showing; 0: only if there is nothing else. */
static unsigned worth(const struct lines_frame *frame)
{
    bool jit = strcmp(frame->module, "[jit]") == 0;
    if (is_everybodys(frame) || is_language_library(frame) || (jit && !frame->function[0]))
        return 0;
    if ((frame->program || jit) && frame->file[0])
        return 4;
    if (frame->file[0])
        return 3;
    return frame->program || jit ? 2 : 1;
}

unsigned lines_pick(const struct lines_frame *frames, unsigned frame_cnt)
{
    unsigned best = 0, best_worth = 0;
    for (unsigned i = 0; i < frame_cnt; i++) {
        unsigned here = worth(&frames[i]);
        if (here > best_worth) {
            best = i;
            best_worth = here;
        }
    }
    if (best_worth)
        return best;
    for (unsigned i = 0; i < frame_cnt; i++) /* a runtime's own frame says more than libc's */
        if (!is_plumbing(&frames[i]))
            return i;
    return 0;
}

bool lines_is_own(const struct lines_frame *frame)
{
    return worth(frame) > 0;
}

static void add_frame(struct text *out, const struct lines_frame *frame)
{
    text_add(out, frame->function[0] ? frame->function : "?");
    if (frame->file[0])
        text_printf(out, " %s:%u\n", frame->file, frame->line);
    else if (frame->module[0])
        text_printf(out, " (%s)\n", frame->module);
    else
        text_add(out, "\n");
}

void lines_to_site(struct fact_site *site, const struct lines_frame *frames, unsigned frame_cnt)
{
    struct text stack;
    memset(site, 0, sizeof *site);
    if (frame_cnt == 0)
        return;
    const struct lines_frame *own = &frames[lines_pick(frames, frame_cnt)];
    memcpy(site->function, own->function, sizeof site->function);
    memcpy(site->file, own->file, sizeof site->file);
    memcpy(site->module, own->module, sizeof site->module);
    site->line = own->line;
    text_init(&stack);
    for (unsigned i = 0; i < frame_cnt; i++)
        add_frame(&stack, &frames[i]);
    site->stack = stack.failed ? NULL : strdup(text_string(&stack));
    text_free(&stack);
}
