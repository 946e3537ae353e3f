/* SPDX-License-Identifier: BSD-2-Clause */
/* The way of a look: namespaces, sockets, descriptors, what hides, facts. */
#include "kernel/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/again.h"
#include "kernel/dead.h"
#include "kernel/descriptors.h"
#include "kernel/details.h"
#include "kernel/diag.h"
#include "kernel/epoll.h"
#include "kernel/gone.h"
#include "kernel/hidden.h"
#include "kernel/iterators.h"
#include "kernel/join.h"
#include "kernel/namespaces.h"
#include "kernel/process.h"
#include "kernel/scan.h"

#define HOST_PROCESSES 0xeffffffcu /* inode of the first process namespace */

void kernel_view_init(struct kernel_view *view)
{
    memset(view, 0, sizeof *view);
    text_init(&view->unseen);
}

void kernel_view_free(struct kernel_view *view)
{
    text_free(&view->unseen);
}

/* The states to ask the kernel for, beyond listeners, which are always wanted: who came through one
 * has to be told. */
static uint32_t states_of(const struct kernel_options *options)
{
    static const uint8_t linux_states[LASTACK_STATE_CNT] = {
        [LASTACK_SYN_SENT] = LINUX_SYN_SENT,
        [LASTACK_SYN_RCVD] = LINUX_SYN_RECV,       [LASTACK_ESTABLISHED] = LINUX_ESTABLISHED,
        [LASTACK_FIN_WAIT_1] = LINUX_FIN_WAIT1,    [LASTACK_FIN_WAIT_2] = LINUX_FIN_WAIT2,
        [LASTACK_CLOSE_WAIT] = LINUX_CLOSE_WAIT,   [LASTACK_CLOSING] = LINUX_CLOSING,
        [LASTACK_LAST_ACK] = LINUX_LAST_ACK,       [LASTACK_TIME_WAIT] = LINUX_TIME_WAIT,
    };
    unsigned asked = options->states ? options->states : ~(1u << LASTACK_TIME_WAIT);
    uint32_t states = 0;
    for (unsigned i = 0; i < LASTACK_STATE_CNT; i++)
        if (asked & 1u << i && linux_states[i])
            states |= 1u << linux_states[i];
    return states;
}

/* One namespace: listeners alone (they have overflows), then all others. */
static int space_dump(struct scan *scan, uint32_t space, uint32_t states)
{
    int error = 0;
    if (scan->spaces[space].diag < 0 || scan->spaces[space].empty)
        return 0;
    error = diag_dump(scan, space, 1u << LINUX_LISTEN);
    return error || !states ? error : diag_dump(scan, space, states);
}

static int sockets_look(struct scan *scan, uint32_t states, char *why, size_t why_len)
{
    for (uint32_t i = 0; i < scan->space_cnt; i++) {
        int error = space_dump(scan, i, states);
        if (error && scan->spaces[i].here) {
            snprintf(why, why_len, "the kernel does not list its TCP sockets (sock_diag: %s); "
                     "is the module tcp_diag to be had?", strerror(-error));
            return error;
        }
        scan->unseen_spaces += error != 0;
    }
    return 0;
}

/* The number of the newest process: another one says that somebody forked. */
static unsigned long newest_process(void)
{
    char text[128];
    ssize_t len = process_read(AT_FDCWD, "/proc/loadavg", text, sizeof text);
    const char *last = len > 0 ? strrchr(text, ' ') : NULL;
    return last ? strtoul(last, NULL, 10) : 0;
}

/* By iterators, which see references as they are, where BPF is to be had. True: done. */
static bool exact_look(struct scan *scan)
{
    const struct kernel_options *o = scan->options;
    uint32_t states = states_of(o) | 1u << LINUX_LISTEN;
    char why[256] = "";
    if (o->no_bpf || o->no_details || o->no_holders)
        return false;
    if (!o->states || o->states & 1u << LASTACK_CLOSED)
        states |= 1u << LINUX_CLOSE;
    unsigned long newest = newest_process();
    if (iterators_look(scan, states, why, sizeof why) != 0) {
        if (why[0])
            text_printf(&scan->view->unseen, "%s\n", why);
        return false;
    }
    scan->unsteady = newest == 0 || newest != newest_process();
    for (uint32_t i = 0; i < scan->space_cnt; i++)
        space_dump(scan, i, 0);
    join_choose(scan);
    join_weigh(scan);
    again_look(scan);
    gone_look(scan);
    return true;
}

/* Processes that /proc does not even list: it hides those of others (hidepid), or we live in a
 * process namespace of our own. Everything may be held by them. */
static bool proc_is_whole(struct scan *scan)
{
    struct stat look;
    bool whole = stat("/proc/self/ns/pid", &look) == 0 && look.st_ino == HOST_PROCESSES;
    if (!whole)
        text_add(&scan->view->unseen, "processes outside of this container cannot be seen: "
                                      "lastack on the host could\n");
    else if (access("/proc/1/stat", F_OK) != 0) {
        whole = false;
        text_add(&scan->view->unseen, "/proc does not list the processes of other users "
                                      "(hidepid): root could see them\n");
    }
    return whole;
}

/* By what /proc and sock_diag tell everybody. */
static int plain_look(struct scan *scan, char *why, size_t why_len)
{
    const struct kernel_options *o = scan->options;
    int error = sockets_look(scan, states_of(o), why, why_len);
    if (!error && !o->no_holders && (error = descriptors_look(scan)) != 0)
        snprintf(why, why_len, "/proc cannot be read: %s%s", strerror(-error),
                 process_is_short(-error) ? " (allow more: ulimit -n 1024)" : "");
    if (error)
        return error;
    scan->holders_all = !o->no_holders && proc_is_whole(scan) && scan->holders_all &&
                        scan->unseen_processes == 0 && !scan->few_files;
    if (!o->no_details && !o->no_holders && (!o->states || o->states & 1u << LASTACK_CLOSED))
        dead_look(scan);
    join_choose(scan);
    join_weigh(scan);
    if (!o->no_details)
        again_look(scan);
    if (!o->no_details && !o->no_holders) {
        gone_look(scan);
        hidden_look(scan);
        epoll_look(scan);
    }
    return 0;
}

static void say_unseen(struct scan *scan)
{
    struct text *out = &scan->view->unseen;
    if (scan->unseen_processes)
        text_printf(out, "the descriptors of %u processes of other users, and their network "
                    "namespaces, could not be looked at: root could (sudo lastack why)\n",
                    scan->unseen_processes);
    else if (scan->spaceless)
        text_printf(out, "the network namespaces of %u processes could not be read: root with "
                    "CAP_SYS_PTRACE could\n", scan->spaceless);
    if (scan->few_files)
        text_add(out, "too few open files are allowed to look at all processes and network namespaces: "
                      "ulimit -n 1024\n");
    else if (scan->unseen_spaces)
        text_printf(out, "%u other network namespaces could not be entered: root with "
                    "CAP_SYS_ADMIN could\n", scan->unseen_spaces);
    if (scan->cut)
        text_add(out, "there are more sockets or descriptors than are looked at: narrow it by "
                 "port, process or state\n");
}

/* Without a /proc of ours nobody can be named who holds anything; states and queues can be told. */
static int proc_look(struct scan *scan, char *why, size_t why_len)
{
    char lack[256];
    int error = kernel_check_proc(lack, sizeof lack);
    if (!error)
        return 0;
    if (!scan->options->no_holders) {
        snprintf(why, why_len, "%s", lack);
        return error;
    }
    text_printf(&scan->view->unseen, "%s\n", lack);
    return 0;
}

static int look(struct scan *scan, struct facts_list *list, char *why, size_t why_len)
{
    int error = proc_look(scan, why, why_len);
    if (!error)
        error = namespaces_look(scan, why, why_len);
    if (!error && !exact_look(scan))
        error = plain_look(scan, why, why_len);
    if (error)
        return error;
    join_facts(scan, list);
    say_unseen(scan);
    if (scan->failed)
        list->failed = true;
    return 0;
}

static uint64_t descriptor_id(void *context, uint32_t pid, int fd)
{
    (void)context;
    return kernel_descriptor_cookie(pid, fd);
}

/* `census`: of iterators, if they looked. */
static void details_look(struct facts_list *list, uint32_t first,
                         const struct kernel_options *options, const struct census *census,
                         struct kernel_view *view)
{
    const struct details_how how = {
        .all_watched = options->id || options->port || options->pid,
        .calls_known = census != NULL,
        .census = census,
        .id_of = descriptor_id,
        .unseen = &view->unseen,
    };
    details_add(list, first, &how);
}

int facts_from_kernel(struct facts_list *list, const struct kernel_options *options,
                      struct kernel_view *view, char *why, size_t why_len)
{
    struct scan scan;
    uint32_t first = list->cnt;
    scan_init(&scan, options, view);
    int error = look(&scan, list, why, why_len);
    bool exact = scan.exact;
    uint64_t then_ns = scan_now_ns();
    struct census census = scan.census;
    scan.census = (struct census){0};
    view->namespaces = scan.space_cnt - scan.unseen_spaces;
    scan_free(&scan);
    if (!error && !options->no_details && !options->no_holders)
        details_look(list, first, options, exact ? &census : NULL, view);
    if (!error && !options->no_details && !options->no_wait)
        dead_again(list, first, then_ns);
    census_free(&census);
    return error;
}
