/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks of real programs, built in every way, must come back as the lines of their source. The
 * folder of the victims is argv[0]'s. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "lines/lines.h"
#include "lines/perf_map.h"
#include "lines/space.h"
#include "test.h"

#define STACK_LEN 4096

/* ---- a program that waits ---- */

struct victim {
    pid_t pid;
    int input;
    uint8_t stack[STACK_LEN];
    struct lines_snapshot snapshot;
};

static const char *victim_path(const char *name)
{
    static char path[PATH_MAX];
    char own[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    own[len > 0 ? len : 0] = '\0';
    snprintf(path, sizeof path, "%.3000s/%s", dirname(own), name);
    return path;
}

static void victim_begin_in(struct victim *victim, const char *path, const char *depth, bool alone)
{
    int in[2], out[2];
    char ready[16];
    memset(victim, 0, sizeof *victim);
    REQUIRE(pipe(in) == 0 && pipe(out) == 0);
    fflush(NULL);
    victim->pid = fork();
    if (victim->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[1]);
        close(out[0]);
        if (alone && unshare(CLONE_NEWNS) == 0)
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        execl(path, path, depth, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    victim->input = in[1];
    ssize_t got = read(out[0], ready, sizeof ready);
    close(out[0]);
    REQUIRE(victim->pid > 0 && got > 0);
}

static void victim_begin(struct victim *victim, const char *path, const char *depth)
{
    victim_begin_in(victim, path, depth, false);
}

/* In a mount namespace of its own. */
static void victim_begin_alone(struct victim *victim, const char *path, const char *depth)
{
    victim_begin_in(victim, path, depth, true);
}

/* It sits in read() when the kernel says so. */
static void victim_wait_in_read(const struct victim *victim)
{
    char path[64], text[64];
    for (int tries = 0; tries < 20000; tries++) {
        snprintf(path, sizeof path, "/proc/%d/syscall", (int)victim->pid);
        int fd = open(path, O_RDONLY);
        ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        if (len > 0 && strncmp(text, "0 0x0 ", 6) == 0)
            return;
        usleep(500);
    }
    FAIL("the victim never came to read()");
    test_leave();
}

static void victim_snapshot(struct victim *victim)
{
    struct user_regs_struct r;
    victim_wait_in_read(victim);
    if (ptrace(PTRACE_ATTACH, victim->pid, NULL, NULL) != 0)
        test_skip("no ptrace here");
    REQUIRE(waitpid(victim->pid, NULL, 0) == victim->pid);
    REQUIRE(ptrace(PTRACE_GETREGS, victim->pid, NULL, &r) == 0);
    ptrace(PTRACE_DETACH, victim->pid, NULL, NULL);
    const uint64_t reg[17] = {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8,
                              r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip};
    memcpy(victim->snapshot.reg, reg, sizeof reg);
    victim->snapshot.pid = (uint32_t)victim->pid;
    victim->snapshot.known = 0x1ffff;
    victim->snapshot.stack = victim->stack;
    for (size_t len = STACK_LEN; len > 0 && victim->snapshot.stack_len == 0; len -= 256) {
        struct iovec here = {victim->stack, len}, there = {(void *)(uintptr_t)r.rsp, len};
        if (process_vm_readv(victim->pid, &here, 1, &there, 1, 0) == (ssize_t)len)
            victim->snapshot.stack_len = len;
    }
}

static void victim_end(struct victim *victim)
{
    close(victim->input);
    kill(victim->pid, SIGKILL);
    waitpid(victim->pid, NULL, 0);
}

/* The line of victim.c that bears a mark. */
static uint32_t marked_line(const char *mark)
{
    char line[256], wanted[64];
    uint32_t number = 0;
    FILE *source = fopen(VICTIM_SOURCE, "r");
    REQUIRE(source != NULL);
    snprintf(wanted, sizeof wanted, "/* mark: %s */", mark);
    while (fgets(line, sizeof line, source)) {
        number++;
        if (strstr(line, wanted)) {
            fclose(source);
            return number;
        }
    }
    fclose(source);
    FAIL("victim.c has no mark %s", mark);
    test_leave();
}

static void show(const struct lines_frame *frames, unsigned cnt)
{
    for (unsigned i = 0; i < cnt; i++)
        test_note("%u %s %s:%u (%s)%s%s", i, frames[i].function, frames[i].file, frames[i].line,
                  frames[i].module, frames[i].inlined ? " inlined" : "",
                  frames[i].program ? " program" : "");
}

static unsigned find_frame(const struct lines_frame *frames, unsigned cnt, const char *function)
{
    for (unsigned i = 0; i < cnt; i++)
        if (strcmp(frames[i].function, function) == 0)
            return i;
    show(frames, cnt);
    FAIL("no frame %s among %u", function, cnt);
    test_leave();
}

static void check_line(const struct lines_frame *frame, const char *mark)
{
    size_t len = strlen(frame->file);
    CHECK(len >= 8 && strcmp(frame->file + len - 8, "victim.c") == 0);
    CHECK_EQ(frame->line, marked_line(mark));
}

static void need_libdw(void)
{
#ifndef LASTACK_WITH_LIBDW
    test_skip("built without libdw");
#endif
}

/* The whole stack, with the inlined call that took the line we want. */
static void check_full(const struct lines_frame *frames, unsigned cnt, unsigned depth)
{
    unsigned read_at = find_frame(frames, cnt, "conn_read");
    unsigned serve_at = find_frame(frames, cnt, "serve");
    unsigned main_at = find_frame(frames, cnt, "main");
    CHECK(read_at < serve_at && serve_at < main_at);
    check_line(&frames[read_at], "read");
    check_line(&frames[serve_at], "serve");
    check_line(&frames[main_at], "main");
    CHECK_EQ(main_at - serve_at, depth + 2); /* descend() calls itself `depth` times */
    CHECK(frames[read_at].program);
    CHECK_EQ(lines_pick(frames, cnt), read_at);
    if (test_state.failure_cnt)
        show(frames, cnt);
}

/* A victim at `path`, its stack as the recorder would see it. */
static unsigned unwind_path(struct lines *lines, const char *path, const char *depth,
                            struct lines_frame frames[LINES_FRAME_MAX])
{
    struct victim victim;
    victim_begin(&victim, path, depth);
    victim_snapshot(&victim);
    unsigned cnt = lines_unwind(lines, &victim.snapshot, frames);
    victim_end(&victim);
    return cnt;
}

static unsigned unwind_victim(const char *name, const char *depth,
                              struct lines_frame frames[LINES_FRAME_MAX])
{
    struct lines *lines = lines_open();
    unsigned cnt = unwind_path(lines, victim_path(name), depth, frames);
    lines_close(lines);
    return cnt;
}

/* ---- ways to build ---- */

TEST(optimized_without_frame_pointers)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    need_libdw();
    unsigned cnt = unwind_victim("victim-optimized", "3", frames);
    check_full(frames, cnt, 3);
    CHECK(frames[find_frame(frames, cnt, "conn_read")].inlined);
}

TEST(not_optimized)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    need_libdw();
    unsigned cnt = unwind_victim("victim-plain", "2", frames);
    check_full(frames, cnt, 2);
}

TEST(clang_dwarf5)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    need_libdw();
    if (access(victim_path("victim-clang"), X_OK) != 0)
        test_skip("clang is not installed");
    unsigned cnt = unwind_victim("victim-clang", "3", frames);
    check_full(frames, cnt, 3);
}

TEST(split_off_debug_information)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    need_libdw();
    unsigned cnt = unwind_victim("victim-split", "1", frames);
    unsigned serve_at = find_frame(frames, cnt, "serve");
    check_line(&frames[serve_at], "read"); /* the line of the inlined call, its caller's name */
    CHECK_EQ(lines_pick(frames, cnt), serve_at);
}

TEST(without_debug_information_functions_are_named)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    need_libdw();
    unsigned cnt = unwind_victim("victim-symbols", "1", frames);
    unsigned serve_at = find_frame(frames, cnt, "serve");
    CHECK_STR(frames[serve_at].file, "");
    CHECK_STR(frames[serve_at].module, "victim-symbols");
    CHECK_EQ(lines_pick(frames, cnt), serve_at);
}

TEST(stripped_modules_are_named_and_the_walk_goes_on)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    need_libdw();
    unsigned cnt = unwind_victim("victim-stripped", "5", frames), own_cnt = 0;
    for (unsigned i = 0; i < cnt; i++)
        own_cnt += strcmp(frames[i].module, "victim-stripped") == 0;
    if (own_cnt != 9) /* serve, 6 of descend, main, _start */
        show(frames, cnt);
    CHECK_EQ(own_cnt, 9);
    CHECK_STR(frames[lines_pick(frames, cnt)].module, "victim-stripped");
}

/* ---- files in odd places ---- */

static void run_command(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run_command(const char *format, ...)
{
    char command[3 * PATH_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command) != 0) {
        FAIL("cannot: %s", command);
        test_leave();
    }
}

static const char *make_folder(void)
{
    static char folder[64];
    snprintf(folder, sizeof folder, "/tmp/lines-test.XXXXXX");
    REQUIRE(mkdtemp(folder) != NULL);
    return folder;
}

TEST(debug_file_beside_the_program)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    need_libdw();
    if (system("command -v objcopy >/dev/null") != 0)
        test_skip("objcopy is not installed");
    const char *folder = make_folder(), *victim = victim_path("victim-optimized");
    char path[128];
    run_command("cd %s && mkdir .debug && objcopy --only-keep-debug %s .debug/it.debug && "
                "objcopy --strip-all %s it && objcopy --add-gnu-debuglink=.debug/it.debug it",
                folder, victim, victim);
    snprintf(path, sizeof path, "%s/it", folder);
    struct lines *lines = lines_open();
    unsigned cnt = unwind_path(lines, path, "1", frames);
    lines_close(lines);
    run_command("rm -r %s", folder);
    check_full(frames, cnt, 1);
}

TEST(deleted_program)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    struct victim victim;
    char path[128];
    need_libdw();
    const char *folder = make_folder();
    run_command("cp %s %s/it", victim_path("victim-optimized"), folder);
    snprintf(path, sizeof path, "%s/it", folder);
    victim_begin(&victim, path, "1");
    run_command("rm %s/it && cp /bin/true %s/it", folder, folder); /* replaced: not the same file */
    victim_snapshot(&victim);
    struct lines *lines = lines_open();
    unsigned cnt = lines_unwind(lines, &victim.snapshot, frames);
    lines_close(lines);
    victim_end(&victim);
    run_command("rm -r %s", folder);
    check_full(frames, cnt, 1);
    CHECK_STR(frames[0].module[0] ? frames[find_frame(frames, cnt, "main")].module : "", "it");
}

TEST(program_of_another_mount_namespace)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    struct victim victim;
    char script[128];
    need_libdw();
    const char *folder = make_folder();
    snprintf(script, sizeof script, "%s/script", folder);
    FILE *file = fopen(script, "w");
    REQUIRE(file != NULL);
    fprintf(file, "#!/bin/sh\nmkdir %s/in && mount -t tmpfs none %s/in && cp %s %s/in/it && "
                  "exec %s/in/it \"$1\"\n", folder, folder, victim_path("victim-optimized"), folder, folder);
    fchmod(fileno(file), 0700);
    fclose(file);
    if (system("unshare -m true 2>/dev/null") != 0) {
        run_command("rm -r %s", folder);
        test_skip("no mount namespace here");
    }
    victim_begin_alone(&victim, script, "1");
    victim_snapshot(&victim);
    struct lines *lines = lines_open();
    unsigned cnt = lines_unwind(lines, &victim.snapshot, frames);
    lines_close(lines);
    victim_end(&victim);
    run_command("rm -r %s", folder);
    check_full(frames, cnt, 1);
}

/* ---- processes that come and go ---- */

TEST(a_dead_process_is_remembered)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    struct victim victim;
    need_libdw();
    struct lines *lines = lines_open();
    victim_begin(&victim, victim_path("victim-optimized"), "1");
    victim_snapshot(&victim);
    CHECK(lines_unwind(lines, &victim.snapshot, frames) > 0);
    victim_end(&victim);
    unsigned cnt = lines_unwind(lines, &victim.snapshot, frames);
    check_full(frames, cnt, 1);
    lines_forget(lines, (uint32_t)victim.pid);
    CHECK_EQ(lines_unwind(lines, &victim.snapshot, frames), 0);
    lines_close(lines);
}

/* A worker that is gone is explained by its parent, which has the same memory. */
TEST(a_dead_worker_is_read_by_its_parents_memory)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    struct lines_snapshot snapshot;
    need_libdw();
    struct victim victim;
    victim_begin(&victim, victim_path("victim-optimized"), "1");
    victim_snapshot(&victim);
    uint64_t ticks;
    struct stat exe;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)victim.pid);
    REQUIRE(stat(path, &exe) == 0);
    snapshot = victim.snapshot;
    REQUIRE(space_identify(snapshot.pid, &ticks, &snapshot.layout));
    CHECK_EQ(snapshot.layout.exe_inode, exe.st_ino);
    pid_t gone = fork(); /* a number of which we know that nobody has it */
    if (gone == 0)
        _exit(0);
    waitpid(gone, NULL, 0);
    snapshot.like_pid = snapshot.pid;
    snapshot.pid = (uint32_t)gone;
    struct lines *lines = lines_open();
    unsigned cnt = lines_unwind(lines, &snapshot, frames);
    check_full(frames, cnt, 1);
    snapshot.layout.start_stack += 16; /* another program's: nothing may be said */
    CHECK_EQ(lines_unwind(lines, &snapshot, frames), 0);
    lines_close(lines);
    victim_end(&victim);
}

TEST(a_thread_in_a_call)
{
    static const char *const names[] = {"victim-optimized", "victim-plain"};
    struct lines_frame frames[LINES_FRAME_MAX];
    need_libdw();
    for (int i = 0; i < 2; i++) {
        struct victim victim;
        struct lines *lines = lines_open();
        victim_begin(&victim, victim_path(names[i]), "2");
        victim_wait_in_read(&victim);
        unsigned cnt =
            lines_unwind_thread(lines, (uint32_t)victim.pid, (uint32_t)victim.pid, frames);
        victim_end(&victim);
        lines_close(lines);
        check_full(frames, cnt, 2);
    }
}

TEST(a_thousand_stacks_of_one_program)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    struct victim victim;
    need_libdw();
    struct lines *lines = lines_open();
    victim_begin(&victim, victim_path("victim-optimized"), "9");
    victim_snapshot(&victim);
    for (int i = 0; i < 1000; i++)
        REQUIRE(lines_unwind(lines, &victim.snapshot, frames) > 10);
    victim_end(&victim);
    lines_close(lines);
}

/* ---- nothing that a stranger gives may hurt ---- */

TEST(rubbish_on_the_stack)
{
    struct lines_frame frames[LINES_FRAME_MAX];
    struct victim victim;
    uint64_t seed = 1;
    struct lines *lines = lines_open();
    victim_begin(&victim, victim_path("victim-optimized"), "3");
    victim_snapshot(&victim);
    for (int round = 0; round < 3000; round++) {
        struct lines_snapshot snapshot = victim.snapshot;
        uint8_t stack[STACK_LEN];
        memcpy(stack, victim.stack, sizeof stack);
        for (int i = 0; i < 24; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t at = (seed >> 33) % (STACK_LEN / 8);
            uint64_t word = seed & 3 ? snapshot.reg[16] + (seed >> 40) % 65536 : seed;
            memcpy(stack + 8 * at, &word, sizeof word);
            if (round % 2)
                snapshot.reg[(seed >> 20) % 17] += (seed >> 50);
        }
        snapshot.stack = stack;
        snapshot.stack_len = (seed >> 30) % (STACK_LEN + 1);
        unsigned cnt = lines_unwind(lines, &snapshot, frames);
        CHECK(cnt <= LINES_FRAME_MAX);
        if (cnt)
            CHECK(lines_pick(frames, cnt) < cnt);
    }
    victim_end(&victim);
    lines_close(lines);
}

TEST(nobody_and_nothing)
{
    struct lines_frame frames[LINES_FRAME_MAX], frame;
    struct lines_snapshot snapshot = {.pid = 0x7fffffff, .known = 0x1ffff};
    struct lines *lines = lines_open();
    CHECK_EQ(lines_unwind(lines, &snapshot, frames), 0);
    CHECK(!lines_name(lines, 0x7fffffff, 0x1000, &frame));
    CHECK(!lines_name(lines, (uint32_t)getpid(), 0x1000, &frame));
    CHECK_EQ(lines_unwind_thread(lines, 0x7fffffff, 1, frames), 0);
    CHECK_EQ(lines_unwind(NULL, &snapshot, frames), 0);
    lines_forget(lines, 12);
    lines_close(lines);
    lines_close(NULL);
}

TEST(a_name_of_this_program)
{
    struct lines_frame frame;
    need_libdw();
    struct lines *lines = lines_open();
    REQUIRE(lines_name(lines, (uint32_t)getpid(), (uint64_t)(uintptr_t)lines_pick, &frame));
    CHECK_STR(frame.function, "lines_pick");
    lines_close(lines);
}

/* ---- names of JIT code ---- */

static struct perf_map *parse(const char *text)
{
    return perf_map_parse(strdup(text), strlen(text));
}

TEST(perf_map_names)
{
    struct lines_frame frame = {.line = 0};
    struct perf_map *map = parse("1000 100 old\n2000 20 Java.lang.Foo::bar\n1080 40 new one\n"
                                 "3000 10 LazyCompile:*handler /app/server.js:10:3\n"
                                 "4000 10 JS:^accept node:net:77:12\n"
                                 "5000 10 py::serve:/srv/x.py\n");
    REQUIRE(map != NULL);
    CHECK(perf_map_name(map, 0x1010, &frame));
    CHECK_STR(frame.function, "old");
    CHECK_STR(frame.module, "[jit]");
    CHECK(perf_map_name(map, 0x1090, &frame));
    CHECK_STR(frame.function, "new one");
    CHECK(perf_map_name(map, 0x10c8, &frame));
    CHECK_STR(frame.function, "old");
    CHECK(!perf_map_name(map, 0x1100, &frame));
    CHECK(!perf_map_name(map, 0xfff, &frame));
    CHECK(perf_map_name(map, 0x3009, &frame));
    CHECK_STR(frame.function, "handler");
    CHECK_STR(frame.file, "/app/server.js");
    CHECK_EQ(frame.line, 10);
    CHECK(perf_map_name(map, 0x4000, &frame));
    CHECK_STR(frame.function, "accept");
    CHECK_STR(frame.file, "node:net");
    CHECK_EQ(frame.line, 77);
    CHECK(perf_map_name(map, 0x5000, &frame));
    CHECK_STR(frame.function, "py::serve:/srv/x.py");
    perf_map_free(map);
}

TEST(perf_map_rubbish)
{
    static const char *const rubbish[] = {
        "\n", "x", "1000", "1000 ", "1000 0 zero\n", "ffffffffffffffff 10 over\n", "1000 -1 minus\n",
        "1000 10\n", "zz 10 x\n", "\n\n\n 1 1 \n", "1000 ffffffffffffffff all\n",
    };
    struct lines_frame frame;
    for (size_t i = 0; i < sizeof rubbish / sizeof rubbish[0]; i++) {
        struct perf_map *map = parse(rubbish[i]);
        if (map)
            CHECK(!perf_map_name(map, 0x1004, &frame));
        perf_map_free(map);
    }
    char *text = malloc(5000);
    memset(text, 'a', 5000);
    memcpy(text, "1000 10 \033[31m\t", 13);
    text[4999] = '\n';
    struct perf_map *map = perf_map_parse(text, 5000);
    REQUIRE(map && perf_map_name(map, 0x1000, &frame));
    CHECK_EQ(strlen(frame.function), sizeof frame.function - 1);
    CHECK_EQ(frame.function[0], '?'); /* no escape sequence reaches anybody */
    perf_map_free(map);
    CHECK(perf_map_parse(malloc(1), 0) == NULL);
}

/* A map file of this process with a name for code that has no file. */
static void *write_perf_map(char path[64], const char *name)
{
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    snprintf(path, 64, "/tmp/perf-%d.map", (int)getpid());
    unlink(path);
    FILE *file = fopen(path, "w");
    REQUIRE(file && code != MAP_FAILED);
    fprintf(file, "%" PRIx64 " 1000 %s\n", (uint64_t)(uintptr_t)code, name);
    fclose(file);
    return code;
}

TEST(perf_map_of_a_live_process)
{
    struct lines_frame frame;
    char path[64];
    uint8_t *code = write_perf_map(path, "jitted");
    struct lines *lines = lines_open();
    CHECK(lines_name(lines, (uint32_t)getpid(), (uint64_t)(uintptr_t)code + 16, &frame));
    CHECK_STR(frame.function, "jitted");
    CHECK_STR(frame.module, "[jit]");
    lines_close(lines);
    unlink(path);
    munmap(code, 4096);
}

TEST(perf_map_that_is_a_pipe_or_a_strangers)
{
    struct lines_frame frame;
    char path[64];
    uint8_t *code = write_perf_map(path, "jitted");
    unlink(path);
    REQUIRE(mkfifo(path, 0600) == 0); /* must not hold us up */
    struct lines *lines = lines_open();
    CHECK(!lines_name(lines, (uint32_t)getpid(), (uint64_t)(uintptr_t)code, &frame));
    lines_close(lines);
    unlink(path);
    if (geteuid() == 0) {
        munmap(code, 4096);
        code = write_perf_map(path, "planted");
        REQUIRE(chown(path, 12345, 12345) == 0);
        lines = lines_open();
        CHECK(!lines_name(lines, (uint32_t)getpid(), (uint64_t)(uintptr_t)code, &frame));
        lines_close(lines);
        unlink(path);
    }
    munmap(code, 4096);
}

/* ---- which frame is shown ---- */

static struct lines_frame make_frame(const char *function, const char *file, uint32_t line,
                                     const char *module, bool program)
{
    struct lines_frame frame = {.line = line, .program = program};
    snprintf(frame.function, sizeof frame.function, "%s", function);
    snprintf(frame.file, sizeof frame.file, "%s", file);
    snprintf(frame.module, sizeof frame.module, "%s", module);
    return frame;
}

TEST(pick_prefers_the_programs_own_line)
{
    const struct lines_frame frames[] = {
        make_frame("recv", "", 0, "libc.so.6", false),
        make_frame("bufferevent_read", "", 0, "libevent-2.1.so.7", false),
        make_frame("helper", "helper.c", 5, "libhelper.so", false),
        make_frame("on_read", "server.c", 80, "server", true),
        make_frame("main", "server.c", 9, "server", true),
    };
    CHECK_EQ(lines_pick(frames, 5), 3);
    CHECK_EQ(lines_pick(frames, 3), 2);
    CHECK_EQ(lines_pick(frames, 2), 1);
    CHECK_EQ(lines_pick(frames, 1), 0);
    CHECK_EQ(lines_pick(frames, 0), 0);
}

TEST(pick_among_runtimes)
{
    const struct lines_frame python[] = {
        make_frame("recv", "", 0, "libc.so.6", false),
        make_frame("sock_recv", "", 0, "python3.11", true),
        make_frame("main", "", 0, "python3.11", true),
    };
    CHECK_EQ(lines_pick(python, 3), 1);
    const struct lines_frame node[] = {
        make_frame("read", "", 0, "libc.so.6", false),
        make_frame("uv__read", "", 0, "node", true),
        make_frame("handler", "/app/x.js", 7, "[jit]", false),
        make_frame("Builtins_X", "", 0, "node", true),
    };
    CHECK_EQ(lines_pick(node, 4), 2);
    const struct lines_frame java[] = {
        make_frame("accept", "", 0, "libc.so.6", false),
        make_frame("Java_sun_nio_ch_Net_accept", "", 0, "libnio.so", false),
        make_frame("", "", 0, "[jit]", false),
        make_frame("call_helper", "", 0, "libjvm.so", false),
    };
    CHECK_EQ(lines_pick(java, 4), 1); /* code without a name is no place */
    CHECK(!lines_is_own(&java[1]));
    CHECK(lines_is_own(&node[2]));
    const struct lines_frame exporter[] = {
        make_frame("read", "", 0, "libc.so.6", false),
        make_frame("poll.Read", "", 0, "node_exporter", true),
    };
    CHECK_EQ(lines_pick(exporter, 2), 1);
}

TEST(site_with_its_stack)
{
    const struct lines_frame frames[] = {
        make_frame("recv", "", 0, "libc.so.6", false),
        make_frame("on_read", "server.c", 80, "server", true),
        make_frame("", "", 0, "server", true),
    };
    struct fact_site site;
    lines_to_site(&site, frames, 3);
    CHECK_STR(site.function, "on_read");
    CHECK_STR(site.file, "server.c");
    CHECK_STR(site.module, "server");
    CHECK_EQ(site.line, 80);
    CHECK_STR(site.stack, "recv (libc.so.6)\non_read server.c:80\n? (server)\n");
    free(site.stack);
    lines_to_site(&site, frames, 0);
    CHECK_STR(site.function, "");
    CHECK(site.stack == NULL);
}

TEST_MAIN()
