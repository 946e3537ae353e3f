/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plain main for the fuzz targets: runs files and folders of inputs, then seeded random ones
 * that are made from them, with any compiler. An input that fails is written to a file whose
 * name is printed; give it as an argument to run it again.
 *
 *     fuzz-packets-smoke [-runs=N] [-seed=S] [-seconds=T] FILE-OR-FOLDER...
 *
 * With AFL++'s compiler it is a persistent target: afl-fuzz -i corpus -o out ./fuzz-packets-smoke
 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAX 4096u
#define CORPUS_MAX 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t *data;
    size_t len;
};

static struct input corpus[CORPUS_MAX];
static size_t corpus_cnt;
static uint8_t current[INPUT_MAX];
static size_t current_len;
static uint64_t random_state;

static uint64_t random_u64(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static size_t random_below(size_t bound)
{
    return (size_t)(random_u64() % bound);
}

/* Keep what killed us. Only calls that a signal handler may make. */
static void on_crash(int number)
{
    static char name[] = "crash-0000000000000000";
    static const char head[] = "# the input is in ";
    uint64_t hash = 14695981039346656037ull;
    for (size_t i = 0; i < current_len; i++)
        hash = (hash ^ current[i]) * 1099511628211ull;
    for (int i = 0; i < 16; i++)
        name[6 + i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 15];
    FILE *file = fopen(name, "wb");
    if (file) {
        fwrite(current, 1, current_len, file);
        fclose(file);
    }
    if (write(STDOUT_FILENO, head, sizeof head - 1) < 0 ||
        write(STDOUT_FILENO, name, sizeof name - 1) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
        _exit(99);
    signal(number, SIG_DFL);
    raise(number);
}

static void run_current(void)
{
    LLVMFuzzerTestOneInput(current, current_len);
}

static bool load_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    current_len = fread(current, 1, sizeof current, file);
    fclose(file);
    run_current();
    if (corpus_cnt == CORPUS_MAX)
        return true;
    struct input *input = &corpus[corpus_cnt];
    input->data = malloc(current_len + 1);
    if (!input->data)
        return false;
    memcpy(input->data, current, current_len);
    input->len = current_len;
    corpus_cnt++;
    return true;
}

static bool load(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return false;
    if (!S_ISDIR(status.st_mode))
        return load_file(path);
    struct dirent **entries;
    int cnt = scandir(path, &entries, NULL, alphasort);
    bool ok = cnt >= 0;
    for (int i = 0; i < cnt; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            ok = load_file(name) && ok;
        free(entries[i]);
    }
    if (cnt >= 0)
        free(entries);
    return ok;
}

static void mutate_once(void)
{
    size_t at = random_below(current_len);
    switch (random_below(6)) {
    case 0:
        current[at] ^= (uint8_t)(1u << random_below(8));
        break;
    case 1:
        current[at] = (uint8_t)random_u64();
        break;
    case 2: /* leave a piece out */
        if (current_len > 8) {
            size_t len = 1 + random_below(current_len - at > 8 ? 8 : current_len - at);
            memmove(current + at, current + at + len, current_len - at - len);
            current_len -= len;
        }
        break;
    case 3: /* repeat a piece */
    {
        size_t len = 1 + random_below(current_len - at > 32 ? 32 : current_len - at);
        if (current_len + len <= INPUT_MAX) {
            memmove(current + at + len, current + at, current_len - at);
            current_len += len;
        }
        break;
    }
    case 4: /* the tail of another input */
    {
        const struct input *other = &corpus[random_below(corpus_cnt)];
        size_t from = random_below(other->len + 1), len = other->len - from;
        if (len > INPUT_MAX - at)
            len = INPUT_MAX - at;
        memcpy(current + at, other->data + from, len);
        current_len = at + len ? at + len : 1;
        break;
    }
    default: /* more of anything */
        for (size_t i = 0; i < 16 && current_len < INPUT_MAX; i++)
            current[current_len++] = (uint8_t)random_u64();
        break;
    }
}

static void make_random(void)
{
    if (corpus_cnt == 0 || random_below(8) == 0) {
        current_len = 1 + random_below(600);
        for (size_t i = 0; i < current_len; i++)
            current[i] = (uint8_t)random_u64();
        return;
    }
    const struct input *base = &corpus[random_below(corpus_cnt)];
    memcpy(current, base->data, base->len);
    current_len = base->len;
    if (!current_len)
        current[current_len++] = 0;
    for (size_t i = 1 + random_below(12); i; i--)
        mutate_once();
}

#ifdef __AFL_COMPILER
__AFL_FUZZ_INIT();
static int afl_main(void)
{
    __AFL_INIT();
    const uint8_t *data = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(10000))
        LLVMFuzzerTestOneInput(data, __AFL_FUZZ_TESTCASE_LEN);
    return 0;
}
#endif

int main(int argc, char **argv)
{
    uint64_t runs = 0, seed = 1, seconds = UINT64_MAX;
    bool loaded = true;
    size_t file_cnt = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    for (int i = 1; i < argc; i++)
        if (sscanf(argv[i], "-runs=%lu", &runs) != 1 && sscanf(argv[i], "-seed=%lu", &seed) != 1 &&
            sscanf(argv[i], "-seconds=%lu", &seconds) != 1) {
            loaded = load(argv[i]) && loaded;
            file_cnt++;
        }
#ifdef __AFL_COMPILER
    if (file_cnt == 0 && runs == 0)
        return afl_main();
#endif
    loaded = loaded && (file_cnt == 0 || corpus_cnt > 0);
    printf("1..2\n%s 1 - %zu inputs from files\n", loaded ? "ok" : "not ok", corpus_cnt);
    uint64_t done = 0;
    for (time_t end = time(NULL); done < runs; done++) {
        random_state = (seed << 32) + done; /* each run can be repeated alone */
        make_random();
        run_current();
        if (done % 64 == 0 && (uint64_t)(time(NULL) - end) >= seconds)
            break;
    }
    printf("ok 2 - %lu seeded random inputs\n", done);
    for (size_t i = 0; i < corpus_cnt; i++)
        free(corpus[i].data);
    return loaded ? EXIT_SUCCESS : EXIT_FAILURE;
}
