/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs and libraries through elfutils: where segments lie, what addresses are called. */
#include "lines/file.h"

#include <dwarf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines/file_dw.h"
#include "lines/name.h"
#include "lines/space.h"

/* ---- debug information in files of their own ---- */

/* `path` under `prefix`, here or in the file system of a process that maps the file. */
static int open_debug(const struct file *file, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat look;
    if (fd >= 0 && (fstat(fd, &look) < 0 || !S_ISREG(look.st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd >= 0 ? fd : space_open_path(file->pid, path);
}

static int open_by_build_id(const struct file *file, Dwfl_Module *module)
{
    const unsigned char *id;
    GElf_Addr address;
    char path[160] = "/usr/lib/debug/.build-id/";
    int len = dwfl_module_build_id(module, &id, &address);
    if (len < 2 || len > 32)
        return -1;
    size_t at = strlen(path);
    for (int i = 0; i < len; i++)
        at += (size_t)snprintf(path + at, sizeof path - at, "%02x%s", id[i], i == 0 ? "/" : "");
    snprintf(path + at, sizeof path - at, ".debug");
    return open_debug(file, path);
}

/* The name that .gnu_debuglink gives, in the three places where debuggers look. */
static int open_by_link(const struct file *file, const char *link)
{
    const char *slash = strrchr(file->path, '/');
    int folder_len = slash ? (int)(slash - file->path) : 0, fd = -1;
    const char *const forms[] = {"%.*s/%s", "%.*s/.debug/%s", "/usr/lib/debug%.*s/%s"};
    char path[1024];
    if (!link || file->path[0] != '/')
        return -1;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && fd < 0; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        int len = snprintf(path, sizeof path, forms[i], folder_len, file->path, link);
#pragma GCC diagnostic pop
        if (len > 0 && (size_t)len < sizeof path && strcmp(path, file->path) != 0)
            fd = open_debug(file, path);
    }
    return fd;
}

/* What several debug files have in common (dwz) has a path for a name; it lies where all do. */
static int open_common(const struct file *file, const char *link)
{
    const char *tail = strstr(link, ".dwz/");
    char path[1024];
    if (!tail || strstr(tail, ".."))
        return -1;
    int len = snprintf(path, sizeof path, "/usr/lib/debug/%s", tail);
    return len > 0 && (size_t)len < sizeof path ? open_debug(file, path) : -1;
}

/* Called by elfutils. Only files that are installed: nothing is ever fetched from a server. */
static int find_debug(Dwfl_Module *module, void **userdata, const char *module_name,
                      Dwarf_Addr base, const char *file_name, const char *debuglink, GElf_Word crc,
                      char **debug_name)
{
    const struct file *file = *userdata;
    (void)module_name, (void)base, (void)file_name, (void)crc, (void)debug_name;
    if (!file || file->plain)
        return -1;
    if (debuglink && strchr(debuglink, '/'))
        return open_common(file, debuglink);
    int fd = open_by_build_id(file, module);
    return fd >= 0 ? fd : open_by_link(file, debuglink);
}

static int find_no_elf(Dwfl_Module *module, void **userdata, const char *module_name,
                       Dwarf_Addr base, char **file_name, Elf **elf)
{
    (void)module, (void)userdata, (void)module_name, (void)base, (void)file_name, (void)elf;
    return -1; /* the file was given when it was reported */
}

static const Dwfl_Callbacks callbacks = {.find_elf = find_no_elf,
                                         .find_debuginfo = find_debug,
                                         .section_address = dwfl_offline_section_address};

/* ---- opening ---- */

static void read_segments(struct file *file, Elf *elf)
{
    size_t cnt = 0;
    if (elf_getphdrnum(elf, &cnt) < 0)
        return;
    for (size_t i = 0; i < cnt && file->segment_cnt < SEGMENT_MAX; i++) {
        GElf_Phdr header;
        if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD)
            continue;
        struct segment *segment = &file->segments[file->segment_cnt++];
        *segment = (struct segment){header.p_vaddr, header.p_offset, header.p_filesz};
    }
}

/* libc and the loader: reading their debug information costs a third of a second and tells no line
 * that a reader wants. */
static bool is_plain(const char *path)
{
    static const char *const plain[] = {"libc.so", "libc-", "ld-", "libpthread", "libm.so", "linux-vdso"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strncmp(name, plain[i], strlen(plain[i])) == 0)
            return true;
    return false;
}

/* Report the file as the only module of a Dwfl of its own, at the addresses that it has itself. */
static bool report(struct file *file, int fd)
{
    void **userdata;
    GElf_Addr bias;
    file->dwfl = dwfl_begin(&callbacks);
    if (!file->dwfl)
        return false;
    dwfl_report_begin(file->dwfl);
    file->module = dwfl_report_elf(file->dwfl, "file", file->path, fd, 0, true);
    if (!file->module) /* else the descriptor belongs to it */
        return false;
    dwfl_report_end(file->dwfl, NULL, NULL);
    dwfl_module_info(file->module, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
    *userdata = file;
    Elf *elf = dwfl_module_getelf(file->module, &bias);
    if (elf)
        read_segments(file, elf);
    return elf != NULL;
}

struct file *file_open(int fd, uint32_t pid, const char *path)
{
    struct file *file = calloc(1, sizeof *file);
    if (!file || !(file->path = strdup(path))) {
        free(file);
        close(fd);
        return NULL;
    }
    file->pid = pid;
    file->plain = is_plain(path);
    if (report(file, fd))
        return file;
    if (!file->module)
        close(fd);
    file_close(file);
    return NULL;
}

void file_close(struct file *file)
{
    if (!file)
        return;
    for (unsigned i = 0; i < NAME_CACHE; i++)
        free(file->names[i].frames);
    if (file->dwfl)
        dwfl_end(file->dwfl);
    free(file->symbols);
    free(file->ranges);
    free(file->path);
    free(file);
}

bool file_address(const struct file *file, uint64_t offset, uint64_t *address)
{
    for (unsigned i = 0; i < file->segment_cnt; i++) {
        const struct segment *segment = &file->segments[i];
        /* Mappings begin at pages: what lies before the segment in its first page belongs to it. */
        uint64_t start = segment->offset & ~UINT64_C(4095);
        if (offset < start || offset >= segment->offset + segment->len)
            continue;
        *address = segment->address - (segment->offset - start) + (offset - start);
        return true;
    }
    return false;
}

/* ---- symbols ---- */

static int compare_symbols(const void *a, const void *b)
{
    const struct symbol *left = a, *right = b;
    return left->start < right->start ? -1 : left->start > right->start;
}

static void read_symbols(struct file *file)
{
    int cnt = dwfl_module_getsymtab(file->module);
    file->symbols_looked = true;
    if (cnt <= 0 || !(file->symbols = calloc((size_t)cnt, sizeof *file->symbols)))
        return;
    for (int i = 0; i < cnt; i++) {
        GElf_Sym sym;
        GElf_Addr address;
        const char *name = dwfl_module_getsym_info(file->module, i, &sym, &address, NULL, NULL, NULL);
        int type = name ? GELF_ST_TYPE(sym.st_info) : STT_NOTYPE;
        if ((type == STT_FUNC || type == STT_GNU_IFUNC) && sym.st_shndx != SHN_UNDEF && name[0])
            file->symbols[file->symbol_cnt++] = (struct symbol){address, sym.st_size, name};
    }
    qsort(file->symbols, file->symbol_cnt, sizeof *file->symbols, compare_symbols);
}

/* The symbol at `address`. One without a length reaches to the next. */
static const struct symbol *find_symbol(struct file *file, uint64_t address)
{
    if (!file->symbols_looked)
        read_symbols(file);
    size_t low = 0, high = file->symbol_cnt;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->symbols[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    for (unsigned back = 0; low > 0 && back < 8; back++) { /* aliases and nested ones */
        const struct symbol *symbol = &file->symbols[--low];
        if (symbol->len ? address - symbol->start < symbol->len : back == 0)
            return symbol;
    }
    return NULL;
}

bool file_function(struct file *file, uint64_t address, uint64_t *start)
{
    const struct symbol *symbol = find_symbol(file, address);
    *start = symbol ? symbol->start : 0;
    return symbol != NULL;
}

/* A copy that a compiler made of a function ("serve.constprop.0") bears the function's name. */
static void put_symbol(struct lines_frame *frame, const struct symbol *symbol)
{
    size_t len = strcspn(symbol->name + 1, ".") + 1;
    name_copy(frame->function, sizeof frame->function, symbol->name, len);
}

/* ---- compilation units ---- */

static int compare_ranges(const void *a, const void *b)
{
    const struct unit_range *left = a, *right = b;
    return left->start < right->start ? -1 : left->start > right->start;
}

static void add_range(struct file *file, const struct unit_range *range)
{
    size_t cnt = file->range_cnt;
    if ((cnt & (cnt - 1)) == 0) { /* room doubles at every power of two */
        struct unit_range *more = realloc(file->ranges, (cnt ? 2 * cnt : 1) * sizeof *more);
        if (!more)
            return;
        file->ranges = more;
    }
    file->ranges[file->range_cnt++] = *range;
}

/* clang leaves no .debug_aranges: ask every unit. */
static void read_ranges(struct file *file, Dwarf *dwarf)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Die die;
    file->ranges_looked = true;
    while (dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &die, NULL) == 0) {
        struct unit_range range = {.unit = dwarf_dieoffset(&die)};
        Dwarf_Addr base, start, end;
        for (ptrdiff_t at = 0; (at = dwarf_ranges(&die, at, &base, &start, &end)) > 0;) {
            range.start = start;
            range.end = end;
            add_range(file, &range);
        }
    }
    if (file->range_cnt) /* a damaged file may have none, and then there is no array */
        qsort(file->ranges, file->range_cnt, sizeof *file->ranges, compare_ranges);
}

/* The unit that covers `address`; `bias` is between its terms and the file's. */
static Dwarf_Die *find_unit(struct file *file, uint64_t address, Dwarf_Die *room, Dwarf_Addr *bias)
{
    Dwarf_Die *unit = dwfl_module_addrdie(file->module, address, bias);
    Dwarf *dwarf = unit ? NULL : dwfl_module_getdwarf(file->module, bias);
    if (!dwarf)
        return unit;
    if (!file->ranges_looked)
        read_ranges(file, dwarf);
    size_t low = 0, high = file->range_cnt;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->ranges[middle].start <= address - *bias)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || address - *bias >= file->ranges[low - 1].end)
        return NULL;
    return dwarf_offdie(dwarf, file->ranges[low - 1].unit, room);
}

/* ---- lines ---- */

/* A source path, seen from the folder in which its compiler ran. */
static void put_source(struct lines_frame *frame, Dwarf_Die *unit, const char *source, int line)
{
    Dwarf_Attribute attribute;
    const char *folder = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
    size_t len = folder ? strlen(folder) : 0;
    if (!source || line <= 0)
        return;
    if (len && strncmp(source, folder, len) == 0 && source[len] == '/')
        source += len + 1;
    while (strncmp(source, "./", 2) == 0)
        source += 2;
    name_copy_path(frame->file, sizeof frame->file, source, strlen(source));
    frame->line = (uint32_t)line;
}

/* Where the inlined call `scope` stands: file and line of the caller's frame. */
static void put_call_site(struct lines_frame *frame, Dwarf_Die *unit, Dwarf_Die *scope)
{
    Dwarf_Attribute attribute;
    Dwarf_Word file_nr, line;
    Dwarf_Files *files;
    size_t file_cnt;
    if (dwarf_formudata(dwarf_attr(scope, DW_AT_call_file, &attribute), &file_nr) == 0 &&
        dwarf_formudata(dwarf_attr(scope, DW_AT_call_line, &attribute), &line) == 0 &&
        dwarf_getsrcfiles(unit, &files, &file_cnt) == 0 && line < INT32_MAX)
        put_source(frame, unit, dwarf_filesrc(files, file_nr, NULL, NULL), (int)line);
}

/* The functions around an address by debug information, innermost first. */
static unsigned name_scopes(Dwarf_Die *unit, uint64_t address, struct lines_frame *frames,
                            unsigned max)
{
    Dwarf_Die *inner = NULL, *scopes = NULL;
    unsigned cnt = 0;
    if (dwarf_getscopes(unit, address, &inner) <= 0)
        return 0;
    int scope_cnt = dwarf_getscopes_die(&inner[0], &scopes);
    for (int i = 0; i < scope_cnt && cnt < max; i++) {
        int tag = dwarf_tag(&scopes[i]);
        if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine)
            continue;
        const char *name = dwarf_diename(&scopes[i]);
        if (name)
            name_copy(frames[cnt].function, sizeof frames->function, name, strlen(name));
        frames[cnt++].inlined = tag == DW_TAG_inlined_subroutine;
        if (tag == DW_TAG_subprogram)
            break;
        if (cnt < max)
            put_call_site(&frames[cnt], unit, &scopes[i]);
    }
    free(scopes);
    free(inner);
    return cnt;
}

/* Functions of a unit that is split off are in a file whose name the program gives: elfutils would open
 * whatever that is, and wait if it is a pipe. The table of lines is in the program itself. */
static bool is_split_off(Dwarf_Die *unit)
{
    uint8_t type;
    return dwarf_cu_info(unit->cu, NULL, &type, NULL, NULL, NULL, NULL, NULL) != 0 ||
           type == DW_UT_skeleton;
}

static unsigned name_by_debug(struct file *file, uint64_t address, struct lines_frame *frames,
                              unsigned max)
{
    Dwarf_Addr bias;
    Dwarf_Die room, *unit = find_unit(file, address, &room, &bias);
    if (!unit)
        return 0;
    Dwarf_Line *line = dwarf_getsrc_die(unit, address - bias);
    int line_nr = 0;
    if (line && dwarf_lineno(line, &line_nr) == 0)
        put_source(&frames[0], unit, dwarf_linesrc(line, NULL, NULL), line_nr);
    unsigned cnt = is_split_off(unit) ? 0 : name_scopes(unit, address - bias, frames, max);
    return cnt ? cnt : frames[0].file[0] != '\0';
}

static unsigned name_fresh(struct file *file, uint64_t address, struct lines_frame *frames,
                           unsigned max)
{
    unsigned cnt = file->plain ? 0 : name_by_debug(file, address, frames, max);
    struct lines_frame *outer = &frames[cnt ? cnt - 1 : 0];
    const struct symbol *symbol = outer->function[0] ? NULL : find_symbol(file, address);
    if (symbol)
        put_symbol(outer, symbol);
    return cnt ? cnt : symbol != NULL;
}

unsigned file_name(struct file *file, uint64_t address, struct lines_frame *frames, unsigned max)
{
    struct named *named = &file->names[(address ^ address >> 10) % NAME_CACHE];
    if (named->used && named->address == address && named->cnt <= max) {
        if (named->cnt)
            memcpy(frames, named->frames, named->cnt * sizeof *frames);
        return named->cnt;
    }
    memset(frames, 0, max * sizeof *frames);
    unsigned cnt = name_fresh(file, address, frames, max);
    struct lines_frame *copy = cnt ? malloc(cnt * sizeof *copy) : NULL;
    free(named->frames);
    *named = (struct named){address, copy, cnt, cnt == 0 || copy};
    if (copy)
        memcpy(copy, frames, cnt * sizeof *copy);
    return cnt;
}
