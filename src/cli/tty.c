/* SPDX-License-Identifier: BSD-2-Clause */
/* The terminal of a live view. */
#include "cli/tty.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Another page of the terminal, no cursor; and back. */
static const char enter_codes[] = "\033[?1049h\033[?25l";
static const char leave_codes[] = "\033[0m\033[?25h\033[?1049l";

static struct termios before;
static volatile sig_atomic_t entered;

bool tty_able(void)
{
    const char *term = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
           strcmp(term, "dumb") != 0;
}

static void put(const char *codes, size_t len)
{
    if (write(STDOUT_FILENO, codes, len) < 0)
        return; /* it is gone: there is nothing to restore */
}

void tty_leave(void)
{
    if (!entered)
        return;
    entered = 0;
    put(leave_codes, sizeof leave_codes - 1);
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void crash(int number)
{
    tty_leave();
    signal(number, SIG_DFL);
    raise(number);
}

bool tty_enter(void)
{
    static bool prepared;
    struct termios raw;
    if (!prepared && tcgetattr(STDIN_FILENO, &before) < 0)
        return false;
    raw = before;
    /* Ctrl-C and Ctrl-Z stay signals. */
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_iflag &= ~(tcflag_t)IXON;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return false;
    entered = 1;
    put(enter_codes, sizeof enter_codes - 1);
    if (!prepared) {
        static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
        for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
            signal(crashes[i], crash);
        atexit(tty_leave);
    }
    prepared = true;
    return true;
}

void tty_size(unsigned *width, unsigned *height)
{
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *width = size.ws_col ? size.ws_col : 80;
    *height = size.ws_row ? size.ws_row : 24;
}

bool tty_write(const struct text *bytes)
{
    for (size_t at = 0; at < bytes->len;) {
        ssize_t len = write(STDOUT_FILENO, bytes->at + at, bytes->len - at);
        if (len < 0 && errno != EINTR)
            return false;
        at += len > 0 ? (size_t)len : 0;
    }
    return true;
}

/* ---- keys ---- */

static bool fill(struct tty_keys *keys)
{
    struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
    keys->len = keys->at = 0;
    if (poll(&ready, 1, 0) <= 0)
        return true;
    ssize_t len = read(STDIN_FILENO, keys->bytes, sizeof keys->bytes);
    if (len <= 0)
        return len < 0 && errno == EINTR;
    keys->len = (size_t)len;
    return true;
}

/* What stands behind ESC: "[A", "OA", "[5~". An unknown one is skipped. */
static int sequence(struct tty_keys *keys)
{
    static const struct {
        const char *code;
        int key;
    } codes[] = {
        {"[A", TTY_UP},       {"OA", TTY_UP},         {"[B", TTY_DOWN},  {"OB", TTY_DOWN},
        {"[5~", TTY_PAGE_UP}, {"[6~", TTY_PAGE_DOWN}, {"[H", TTY_HOME},  {"OH", TTY_HOME},
        {"[1~", TTY_HOME},    {"[F", TTY_END},        {"OF", TTY_END},   {"[4~", TTY_END},
    };
    const char *at = keys->bytes + keys->at;
    size_t left = keys->len - keys->at;
    if (left == 0 || (at[0] != '[' && at[0] != 'O'))
        return TTY_ESCAPE;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        size_t len = strlen(codes[i].code);
        if (left >= len && memcmp(at, codes[i].code, len) == 0) {
            keys->at += len;
            return codes[i].key;
        }
    }
    for (keys->at++; keys->at < keys->len;) {
        char c = keys->bytes[keys->at++];
        if (c >= '@' && c <= '~')
            break;
    }
    return TTY_NONE;
}

int tty_key(struct tty_keys *keys)
{
    if (keys->at == keys->len && !fill(keys))
        return TTY_GONE;
    if (keys->at == keys->len)
        return TTY_NONE;
    unsigned char c = (unsigned char)keys->bytes[keys->at++];
    return c == TTY_ESCAPE ? sequence(keys) : c;
}
