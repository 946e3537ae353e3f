/* SPDX-License-Identifier: BSD-2-Clause */
/* From _PyRuntime (a symbol) along interpreters and threads to the frames of one thread. */
#include "check/python.h"

#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREADS_MAX   4096 /* on the way to ours */
#define TABLE_MAX     65536
#define CODE_UNIT     2
#define OWNER_C_STACK 3  /* a frame that only marks where C called in */
#define STATE_COMPACT 32 /* of a string: bits of its state word */
#define STATE_ASCII   64

/* Offsets of one minor version. */
struct python_layout {
    const char *version;
    unsigned interpreters, interpreter_threads;
    unsigned thread_next, thread_tid, thread_frame, frame_of_cframe; /* ~0u: no cframe between */
    unsigned frame_previous, frame_owner, frame_code, frame_instruction;
    unsigned code_file, code_name, code_line, code_table, code_units;
    unsigned ascii; /* where the characters of a string begin */
};

static const struct python_layout layouts[] = {
    {"3.11", 40, 16, 8, 160, 56, 8, 48, 69, 32, 56, 112, 128, 72, 136, 184, 48},
    {"3.12", 40, 72, 8, 144, 56, 0, 8, 70, 0, 56, 112, 128, 68, 136, 192, 40},
    {"3.13", 632, 7344, 8, 160, 72, ~0u, 8, 70, 0, 56, 112, 128, 68, 136, 200, 40},
};
#define LAYOUT_CNT (sizeof layouts / sizeof layouts[0])

/* The same in all of them. */
enum { STRING_LENGTH = 16, STRING_STATE = 32, BYTES_LENGTH = 16, BYTES_DATA = 32 };

/* ---- memory of the process ---- */

static bool peek(uint32_t tid, uint64_t address, void *to, size_t len)
{
    struct iovec local = {to, len}, remote = {(void *)(uintptr_t)address, len};
    return process_vm_readv((pid_t)tid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static uint64_t peek_word(uint32_t tid, uint64_t address)
{
    uint64_t word;
    return address && peek(tid, address, &word, sizeof word) ? word : 0;
}

/* ---- where the interpreter is ---- */

/* Number `i` of a table in the file; NULL: beyond its end. */
static const void *in_file(const uint8_t *file, size_t len, uint64_t offset, uint64_t i,
                           size_t size)
{
    if (offset > len || i > (len - offset) / size || (i + 1) * size > len - offset)
        return NULL;
    return file + offset + i * size;
}

static bool symbol_in_table(const uint8_t *file, size_t len, const Elf64_Shdr *symbols,
                            const Elf64_Shdr *strings, uint64_t *value)
{
    static const char wanted[] = "_PyRuntime";
    for (uint64_t i = 0; i < symbols->sh_size / sizeof(Elf64_Sym); i++) {
        const Elf64_Sym *symbol = in_file(file, len, symbols->sh_offset, i, sizeof *symbol);
        const char *name =
            symbol ? in_file(file, len, strings->sh_offset + symbol->st_name, 0, sizeof wanted)
                   : NULL;
        if (!symbol)
            return false;
        if (!name || memcmp(name, wanted, sizeof wanted) != 0 || !symbol->st_value)
            continue;
        *value = symbol->st_value;
        return true;
    }
    return false;
}

/* The symbol's address in a file that is loaded with its first byte at `start`. */
static uint64_t symbol_find(const uint8_t *file, size_t len, uint64_t start)
{
    const Elf64_Ehdr *head = in_file(file, len, 0, 0, sizeof *head);
    uint64_t value, bias = start;
    if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_ident[EI_CLASS] != ELFCLASS64)
        return 0;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        const Elf64_Phdr *load = in_file(file, len, head->e_phoff, i, sizeof *load);
        if (load && load->p_type == PT_LOAD && load->p_offset == 0)
            bias = start - load->p_vaddr;
    }
    for (unsigned i = 0; i < head->e_shnum; i++) {
        const Elf64_Shdr *s = in_file(file, len, head->e_shoff, i, sizeof *s);
        const Elf64_Shdr *strings =
            s ? in_file(file, len, head->e_shoff, s->sh_link, sizeof *s) : NULL;
        if (strings && (s->sh_type == SHT_DYNSYM || s->sh_type == SHT_SYMTAB) &&
            symbol_in_table(file, len, s, strings, &value))
            return bias + value;
    }
    return 0;
}

static uint64_t symbol_of(uint32_t tid, const char *path, uint64_t start)
{
    char through[600];
    struct stat st;
    uint64_t address = 0;
    snprintf(through, sizeof through, "/proc/%u/root%s", tid, path);
    int fd = open(through, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        size_t len = (size_t)st.st_size;
        void *file = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (file != MAP_FAILED) {
            address = symbol_find(file, len, start);
            munmap(file, len);
        }
    }
    close(fd);
    return address;
}

/* "python3.11", "libpython3.11.so.1.0"; not "python3.13t", whose memory is another. */
static const struct python_layout *layout_of(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    name += strncmp(name, "lib", 3) == 0 ? 3 : 0;
    if (strncmp(name, "python", 6) != 0)
        return NULL;
    for (size_t i = 0; i < LAYOUT_CNT; i++) {
        size_t len = strlen(layouts[i].version);
        if (strncmp(name + 6, layouts[i].version, len) == 0 &&
            (name[6 + len] == 0 || strncmp(name + 6 + len, ".so", 3) == 0))
            return &layouts[i];
    }
    return NULL;
}

void python_find(struct python *python, uint32_t tid)
{
    char path[32], line[600], name[512];
    snprintf(path, sizeof path, "/proc/%u/maps", tid);
    FILE *file = fopen(path, "re");
    python->looked = true;
    while (file && !python->runtime && fgets(line, sizeof line, file)) {
        uint64_t start, offset;
        if (sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64 " %*s %*s %511s", &start, &offset, name) !=
                3 ||
            offset != 0 || !(python->layout = layout_of(name)))
            continue;
        python->runtime = symbol_of(tid, name, start);
    }
    if (file)
        fclose(file);
    if (!python->runtime)
        python->layout = NULL;
}

/* ---- frames ---- */

/* Our thread among those of the interpreter; the only one, where numbers mean something else (after
 * fork, in another pid namespace). */
static uint64_t find_thread(const struct python *p, uint32_t tid)
{
    const struct python_layout *l = p->layout;
    uint64_t interpreter = peek_word(tid, p->runtime + l->interpreters);
    uint64_t first = interpreter ? peek_word(tid, interpreter + l->interpreter_threads) : 0;
    uint64_t thread = first;
    for (unsigned i = 0; thread && i < THREADS_MAX; i++) {
        if (peek_word(tid, thread + l->thread_tid) == tid)
            return thread;
        thread = peek_word(tid, thread + l->thread_next);
    }
    return first && !peek_word(tid, first + l->thread_next) ? first : 0;
}

unsigned python_frames(const struct python *p, uint32_t tid,
                       struct python_frame frames[PYTHON_FRAME_MAX])
{
    const struct python_layout *l = p->layout;
    uint64_t thread = l ? find_thread(p, tid) : 0;
    uint64_t at = thread ? peek_word(tid, thread + l->thread_frame) : 0;
    unsigned cnt = 0;
    if (at && l->frame_of_cframe != ~0u)
        at = peek_word(tid, at + l->frame_of_cframe);
    for (unsigned i = 0; at && cnt < PYTHON_FRAME_MAX && i < 4 * PYTHON_FRAME_MAX; i++) {
        uint8_t bytes[72];
        if (!peek(tid, at, bytes, sizeof bytes))
            break;
        memcpy(&at, bytes + l->frame_previous, 8);
        if (bytes[l->frame_owner] == OWNER_C_STACK)
            continue;
        memcpy(&frames[cnt].code, bytes + l->frame_code, 8);
        memcpy(&frames[cnt].instruction, bytes + l->frame_instruction, 8);
        cnt++;
    }
    return cnt;
}

/* ---- names ---- */

/* The end of a long string says more than its beginning. Strings of other kinds (not Latin, not
 * compact) are left out. */
static void string_read(const struct python_layout *l, uint32_t tid, uint64_t string, char *to,
                        size_t size)
{
    uint64_t len = string ? peek_word(tid, string + STRING_LENGTH) : 0;
    uint32_t state = 0;
    *to = 0;
    if (len == 0 || len > 4096 || !peek(tid, string + STRING_STATE, &state, sizeof state) ||
        !(state & STATE_COMPACT) || !(state & STATE_ASCII))
        return;
    uint64_t skip = len >= size ? len - (size - 1) : 0;
    if (peek(tid, string + l->ascii + skip, to, len - skip))
        to[len - skip] = 0;
    else
        *to = 0;
}

/* Numbers in groups of six bits, the lowest first. */
static uint64_t varint(const uint8_t *table, size_t len, size_t *at)
{
    uint64_t number = 0;
    for (unsigned shift = 0; *at < len && shift < 60; shift += 6) {
        uint8_t byte = table[(*at)++];
        number |= (uint64_t)(byte & 63) << shift;
        if (!(byte & 64))
            break;
    }
    return number;
}

/* The line of a code unit, from co_linetable (CPython, InternalDocs/code_objects.md). */
static uint32_t line_in_table(const uint8_t *table, size_t len, int64_t line, uint64_t unit)
{
    uint64_t covered = 0;
    for (size_t at = 0; at < len;) {
        uint8_t head = table[at++], kind = head >> 3 & 15;
        uint64_t number;
        covered += (head & 7) + 1u;
        switch (kind) {
        case 15: /* no line */
            break;
        case 14:
        case 13:
            number = varint(table, len, &at);
            line += number & 1 ? -(int64_t)(number >> 1) : (int64_t)(number >> 1);
            for (int i = 0; kind == 14 && i < 3; i++)
                varint(table, len, &at);
            break;
        case 12:
        case 11:
        case 10:
            line += kind - 10;
            at += 2;
            break;
        default:
            at += 1;
        }
        if (unit < covered)
            return kind == 15 || line <= 0 || line > UINT32_MAX ? 0 : (uint32_t)line;
    }
    return 0;
}

static uint32_t line_read(const struct python_layout *l, uint32_t tid,
                          const struct python_frame *frame)
{
    uint64_t table = peek_word(tid, frame->code + l->code_table);
    uint64_t len = table ? peek_word(tid, table + BYTES_LENGTH) : 0;
    uint64_t start = frame->code + l->code_units;
    int32_t first = 0;
    if (len == 0 || len > TABLE_MAX || frame->instruction < start ||
        !peek(tid, frame->code + l->code_line, &first, sizeof first))
        return 0;
    uint8_t *bytes = malloc(len);
    uint32_t line = 0;
    if (bytes && peek(tid, table + BYTES_DATA, bytes, len))
        line = line_in_table(bytes, len, first, (frame->instruction - start) / CODE_UNIT);
    free(bytes);
    return line;
}

bool python_name(const struct python *p, uint32_t tid, const struct python_frame *frame,
                 struct lines_frame *name)
{
    const struct python_layout *l = p->layout;
    memset(name, 0, sizeof *name);
    string_read(l, tid, peek_word(tid, frame->code + l->code_name), name->function,
                sizeof name->function);
    string_read(l, tid, peek_word(tid, frame->code + l->code_file), name->file, sizeof name->file);
    snprintf(name->module, sizeof name->module, "python%s", l->version);
    name->line = line_read(l, tid, frame);
    return name->function[0] && name->file[0];
}

static bool is_librarys(const struct lines_frame *frame)
{
    const char *lib = strstr(frame->file, "/lib/python3");
    return frame->file[0] == '<' || lib || strstr(frame->file, "/site-packages/") ||
           strstr(frame->file, "/dist-packages/");
}

unsigned python_pick(const struct lines_frame *frames, unsigned cnt)
{
    for (unsigned i = 0; i < cnt; i++)
        if (!is_librarys(&frames[i]))
            return i;
    return 0;
}
