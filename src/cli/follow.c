/* SPDX-License-Identifier: BSD-2-Clause */
/* lastack why --follow: keys, signals and looks, one after the other. */
#include "cli/follow.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/follow_look.h"
#include "cli/follow_screen.h"
#include "cli/tty.h"
#include "cli/why_json.h"

/* ---- a line of JSON for every look ---- */

static bool print_look(const struct follow_look *look)
{
    struct text out;
    text_init(&out);
    bool good = why_json_groups(&out, &look->catch, &look->findings, &look->groups, look->changes);
    text_add(&out, "}");
    /* Newlines stand only between members: within strings they are escaped. */
    for (char *c = out.at; good && *c; c++)
        if (*c != '\n')
            putchar(*c);
    putchar('\n');
    text_free(&out);
    return good && fflush(stdout) == 0;
}

/* A pause that ends when nobody reads any more. */
static bool await_reader(uint64_t pause_us)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};
    uint64_t ms = pause_us / 1000;
    return poll(&reader, 1, ms > 3600000 ? 3600000 : (int)ms) <= 0 ||
           !(reader.revents & (POLLERR | POLLHUP | POLLNVAL));
}

static int follow_json(const struct why_options *o, const char *command)
{
    struct follow_history *history = follow_history_open();
    for (bool good = history != NULL; good;) {
        struct follow_look *look = follow_look_take(o, command, history);
        if (!look)
            break;
        if (look->trouble.len)
            fprintf(stderr, "%s: %s", command, text_string(&look->trouble));
        uint64_t pause_us = follow_pause_us(o, look->cost_us);
        good = print_look(look);
        follow_look_free(look);
        good = good && await_reader(pause_us);
    }
    follow_history_close(history);
    return EXIT_USAGE; /* no memory, or nobody reads any more: there is nobody to tell */
}

/* ---- keys ---- */

/* What the loop is to do after a key. */
enum after { AFTER_DRAW, AFTER_LOOK, AFTER_QUIT };

static void type(struct follow_view *view, int key)
{
    size_t len = strlen(view->filter);
    if (key == '\n' || key == '\r') {
        view->mode = FOLLOW_LIST;
    } else if (key == TTY_ESCAPE) {
        view->filter[0] = 0;
        view->mode = FOLLOW_LIST;
    } else if (key == 127 || key == 8) {
        while (len && (view->filter[--len] & 0xc0) == 0x80)
            ;
        view->filter[len] = 0;
    } else if (key >= ' ' && key < 256 && len + 1 < sizeof view->filter) {
        view->filter[len] = (char)key;
        view->filter[len + 1] = 0;
    }
    follow_arrange(view);
}

static void move(struct follow_view *view, int64_t by)
{
    if (view->mode == FOLLOW_LIST)
        follow_move(view, by);
    else if (by > 0)
        view->scroll += by > 1000 ? 1000 : (unsigned)by;
    else
        view->scroll = (uint64_t)-by > view->scroll ? 0 : view->scroll - (unsigned)-by;
}

/* Keys that choose. False: it is another one. */
static bool press_move(struct follow_view *view, int key)
{
    int64_t page = follow_page(view);
    switch (key) {
    case 'j':
    case TTY_DOWN:
        move(view, 1);
        return true;
    case 'k':
    case TTY_UP:
        move(view, -1);
        return true;
    case TTY_PAGE_DOWN:
        move(view, page);
        return true;
    case TTY_PAGE_UP:
        move(view, -page);
        return true;
    case 'g':
    case TTY_HOME:
        move(view, -UINT32_MAX);
        return true;
    case 'G':
    case TTY_END:
        move(view, UINT32_MAX);
        return true;
    default:
        return false;
    }
}

static enum after press(struct follow_view *view, int key)
{
    if (view->mode == FOLLOW_INPUT) {
        type(view, key);
        return AFTER_DRAW;
    }
    if (key == 'q')
        return AFTER_QUIT;
    if (view->mode == FOLLOW_HELP) {
        view->mode = FOLLOW_LIST;
        return AFTER_DRAW;
    }
    if (press_move(view, key))
        return AFTER_DRAW;
    switch (key) {
    case '\n':
    case '\r':
        view->mode = view->mode == FOLLOW_DETAIL || !follow_group(view) ? FOLLOW_LIST
                                                                        : FOLLOW_DETAIL;
        view->scroll = 0;
        break;
    case TTY_ESCAPE:
        view->mode = FOLLOW_LIST;
        view->show_end = false;
        break;
    case 's':
        view->order = (view->order + 1) % FOLLOW_ORDER_CNT;
        follow_arrange(view);
        break;
    case 'f':
    case '/':
        view->mode = FOLLOW_INPUT;
        break;
    case 'e':
        view->mode = FOLLOW_LIST;
        view->show_end = !view->show_end;
        break;
    case '?':
    case 'h':
        view->mode = FOLLOW_HELP;
        break;
    case ' ':
        view->paused = !view->paused;
        return view->paused ? AFTER_DRAW : AFTER_LOOK;
    case 'r':
        return AFTER_LOOK;
    default:
        break;
    }
    return AFTER_DRAW;
}

/* ---- signals ---- */

static int signals_open(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH, SIGPIPE};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Returns the signal that ends the view, or 0. */
static int signals_take(int fd)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTSTP) {
            tty_leave();
            raise(SIGSTOP);
            tty_enter();
        } else if (info.ssi_signo != SIGWINCH && info.ssi_signo != SIGPIPE) {
            return (int)info.ssi_signo;
        }
    }
    return 0;
}

/* ---- the view ---- */

static bool draw(struct follow_view *view)
{
    struct text out;
    text_init(&out);
    tty_size(&view->width, &view->height);
    follow_draw(view, &out);
    bool good = tty_write(&out);
    text_free(&out);
    return good;
}

static void take_look(struct follow_view *view, struct follow_looker *looker, uint64_t *due_us)
{
    struct follow_look *look = follow_looker_take(looker);
    view->looking = false;
    if (!look)
        return;
    follow_look_free(view->look);
    view->look = look;
    view->pause_us = follow_pause_us(view->o, look->cost_us);
    *due_us = follow_now_us() + view->pause_us;
    follow_arrange(view);
}

static void ask(struct follow_view *view, struct follow_looker *looker)
{
    if (view->looking)
        return;
    view->looking = true;
    follow_looker_ask(looker);
}

static int until_due(const struct follow_view *view, uint64_t due_us)
{
    uint64_t now_us = follow_now_us();
    if (view->paused || view->looking)
        return -1;
    uint64_t ms = due_us > now_us ? (due_us - now_us) / 1000 + 1 : 0;
    return ms > 60000 ? 60000 : (int)ms;
}

/* Until a key or a signal ends it; the signal, or 0. */
static int watch(struct follow_view *view, struct follow_looker *looker, int look_fd, int signal_fd)
{
    struct tty_keys keys = {.len = 0};
    uint64_t due_us = 0;
    for (;;) {
        struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = signal_fd, .events = POLLIN},
                               {.fd = look_fd, .events = POLLIN}};
        if (!view->paused && follow_now_us() >= due_us)
            ask(view, looker);
        if (!draw(view))
            return SIGHUP;
        if (poll(fds, 3, until_due(view, due_us)) < 0 && errno != EINTR)
            return SIGHUP;
        int ending = signals_take(signal_fd);
        if (ending)
            return ending;
        if (fds[2].revents)
            take_look(view, looker, &due_us);
        for (int key; fds[0].revents && (key = tty_key(&keys)) != TTY_NONE;) {
            enum after after = key == TTY_GONE ? AFTER_QUIT : press(view, key);
            if (after == AFTER_QUIT)
                return key == TTY_GONE ? SIGHUP : 0;
            if (after == AFTER_LOOK)
                due_us = 0;
        }
    }
}

static int follow_terminal(const struct why_options *o, const char *command)
{
    struct screen screen;
    int look_fd, signal_fd = signals_open(); /* before the thread, which inherits the mask */
    struct follow_looker *looker = follow_looker_start(o, command, &look_fd);
    struct follow_view view = {.o = o};
    screen_init(&screen, stdout);
    view.colour = screen.colour;
    if (signal_fd < 0 || !looker || !tty_enter()) {
        complain(command, "the live view cannot begin: %s", strerror(errno));
        return EXIT_USAGE;
    }
    int ending = watch(&view, looker, look_fd, signal_fd);
    tty_leave();
    int status = view.look ? why_status(&view.look->findings) : EXIT_USAGE;
    if (ending && ending != SIGINT) {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, ending);
        signal(ending, SIG_DFL);
        raise(ending);
        sigprocmask(SIG_UNBLOCK, &one, NULL);
    }
    if (!follow_looker_stop(looker))
        _exit(status); /* in the middle of a look: nobody waits for it */
    follow_look_free(view.look);
    free(view.shown);
    close(signal_fd);
    return status;
}

int follow(const struct why_options *o, const char *command)
{
    if (o->json)
        return follow_json(o, command);
    if (!tty_able()) {
        complain(command, "--follow needs a terminal; with --json it writes a line for each look");
        return EXIT_USAGE;
    }
    return follow_terminal(o, command);
}
