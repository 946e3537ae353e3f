/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A test program in one header: cases register themselves, run in one process in
 * the order of their definition, and report in TAP (testanything.org, version 12).
 *
 *     #include "test.h"
 *     TEST(ring_is_empty_at_birth) { CHECK_EQ(ring_len(&ring), 0); }
 *     TEST_MAIN()                        -- once per program
 *
 * CHECK* notes a failure and goes on; REQUIRE* ends the case. `test_skip(reason)` ends
 * it as skipped; every reason must be listed in tests/skips.list. The program takes
 * one argument: run only cases whose name contains it (`-l` lists them).
 *
 * Cases that come from a table register in a TEST_SETUP block with test_register().
 */
#ifndef LASTACK_TEST_H
#define LASTACK_TEST_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct test_case {
    struct test_case *next;
    char *name;
    void (*run)(const void *arg);
    const void *arg;
};

struct test_state {
    struct test_case *first, **last;
    const struct test_case *current;
    unsigned number;
    unsigned failed_cnt;        /* cases */
    unsigned failure_cnt;       /* checks of the current case */
    char skip[160];
    jmp_buf out;
};

extern struct test_state test_state; /* defined by TEST_MAIN */

/* Add a case; the name is copied. For use in TEST_SETUP. */
static inline void test_register(const char *name, void (*run)(const void *arg), const void *arg)
{
    struct test_case *item = calloc(1, sizeof(*item));

    if (!item || !(item->name = strdup(name)))
        abort();
    item->run = run;
    item->arg = arg;
    if (!test_state.last)
        test_state.last = &test_state.first;
    *test_state.last = item;
    test_state.last = &item->next;
}

#define TEST(name)                                                                                 \
    static void test_body_##name(void);                                                            \
    static void test_run_##name(const void *arg)                                                   \
    {                                                                                              \
        (void)arg;                                                                                 \
        test_body_##name();                                                                        \
    }                                                                                              \
    __attribute__((constructor)) static void test_add_##name(void)                                 \
    {                                                                                              \
        test_register(#name, test_run_##name, NULL);                                               \
    }                                                                                              \
    static void test_body_##name(void)

#define TEST_SETUP(name) __attribute__((constructor)) static void test_setup_##name(void)

/* Note a failure of the current case with a reason of your own. Returns false. */
__attribute__((format(printf, 3, 4))) static inline bool
test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    printf("# %s:%d: ", file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    test_state.failure_cnt++;
    return false;
}

/* Leave the current case from any depth. */
__attribute__((noreturn)) static inline void test_leave(void)
{
    longjmp(test_state.out, 1);
}

/* End the current case as skipped. */
__attribute__((noreturn)) static inline void test_skip(const char *reason)
{
    snprintf(test_state.skip, sizeof(test_state.skip), "%s", reason);
    test_leave();
}

/* A line for people who read the log of a failure. */
#define test_note(...) (printf("# "), printf(__VA_ARGS__), (void)putchar('\n'))

static inline bool test_check_int(bool ok, const char *file, int line, const char *text_a,
                                  const char *op, const char *text_b, long long a, long long b)
{
    if (ok)
        return true;
    return test_fail(file, line, "%s %s %s: %lld (0x%llx) against %lld (0x%llx)", text_a, op,
                     text_b, a, (unsigned long long)a, b, (unsigned long long)b);
}

static inline bool test_check_str(const char *file, int line, const char *text_a,
                                  const char *text_b, const char *a, const char *b)
{
    if (a == b || (a && b && strcmp(a, b) == 0))
        return true;
    return test_fail(file, line, "%s == %s: \"%s\" against \"%s\"", text_a, text_b,
                     a ? a : "(null)", b ? b : "(null)");
}

static inline bool test_check_mem(const char *file, int line, const char *text_a,
                                  const char *text_b, const void *a, const void *b, size_t len)
{
    const unsigned char *left = a, *right = b;

    for (size_t i = 0; i < len; i++)
        if (left[i] != right[i])
            return test_fail(file, line, "%s == %s: byte %zu of %zu: 0x%02x against 0x%02x", text_a,
                             text_b, i, len, left[i], right[i]);
    return true;
}

/* Integers and pointers of any type, compared as 64-bit values. */
#define TEST_INT(a, op, b)                                                                         \
    __extension__({                                                                                \
        long long test_a = (long long)(a), test_b = (long long)(b);                                \
        test_check_int(test_a op test_b, __FILE__, __LINE__, #a, #op, #b, test_a, test_b);         \
    })
#define TEST_TRUE(cond) ((cond) ? true : test_fail(__FILE__, __LINE__, "not true: %s", #cond))

#define CHECK(cond) ((void)TEST_TRUE(cond))
#define CHECK_EQ(a, b) ((void)TEST_INT(a, ==, b))
#define CHECK_NE(a, b) ((void)TEST_INT(a, !=, b))
#define CHECK_LT(a, b) ((void)TEST_INT(a, <, b))
#define CHECK_LE(a, b) ((void)TEST_INT(a, <=, b))
#define CHECK_GT(a, b) ((void)TEST_INT(a, >, b))
#define CHECK_GE(a, b) ((void)TEST_INT(a, >=, b))
#define CHECK_STR(a, b) ((void)test_check_str(__FILE__, __LINE__, #a, #b, a, b))
#define CHECK_MEM(a, b, len) ((void)test_check_mem(__FILE__, __LINE__, #a, #b, a, b, len))

#define REQUIRE(cond) ((void)(TEST_TRUE(cond) || (test_leave(), 0)))
#define REQUIRE_EQ(a, b) ((void)(TEST_INT(a, ==, b) || (test_leave(), 0)))
#define FAIL(...) ((void)test_fail(__FILE__, __LINE__, __VA_ARGS__))

/* A case that crashes says its name before the program dies. */
static inline void test_crashed(int signal_number)
{
    static const char head[] = "# crashed in ";
    const char *name = test_state.current ? test_state.current->name : "(no case)";

    if (write(STDOUT_FILENO, head, sizeof(head) - 1) < 0 ||
        write(STDOUT_FILENO, name, strlen(name)) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
        _exit(99);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static inline void test_run_case(const struct test_case *item)
{
    test_state.current = item;
    test_state.failure_cnt = 0;
    test_state.skip[0] = '\0';
    test_state.number++;
    if (setjmp(test_state.out) == 0)
        item->run(item->arg);
    test_state.current = NULL;
    if (test_state.failure_cnt) {
        test_state.failed_cnt++;
        printf("not ok %u - %s\n", test_state.number, item->name);
    } else if (test_state.skip[0]) {
        printf("ok %u - %s # SKIP %s\n", test_state.number, item->name, test_state.skip);
    } else {
        printf("ok %u - %s\n", test_state.number, item->name);
    }
}

static inline int test_main(int argc, char **argv)
{
    const char *filter = argc > 1 ? argv[1] : "";
    bool list = strcmp(filter, "-l") == 0;
    unsigned chosen_cnt = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, test_crashed);
    for (const struct test_case *item = test_state.first; item; item = item->next) {
        if (list)
            puts(item->name);
        chosen_cnt += strstr(item->name, filter) != NULL;
    }
    if (list)
        return EXIT_SUCCESS;
    printf("1..%u\n", chosen_cnt);
    if (chosen_cnt == 0) {
        fprintf(stderr, "%s: no case has \"%s\" in its name (-l lists them)\n", argv[0], filter);
        return EXIT_FAILURE;
    }
    for (const struct test_case *item = test_state.first; item; item = item->next)
        if (strstr(item->name, filter))
            test_run_case(item);
    for (struct test_case *next, *item = test_state.first; item; item = next) {
        next = item->next;
        free(item->name);
        free(item);
    }
    return test_state.failed_cnt ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define TEST_MAIN()                                                                                \
    struct test_state test_state;                                                                  \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return test_main(argc, argv);                                                              \
    }

#endif
