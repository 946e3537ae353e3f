/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System call events. Each call has three steps: take its arguments apart, make it (in a thread of
 * its own if the script says that it blocks), compare what came back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job.h"

struct call_entry {
    const char *name;
    unsigned arg_low, arg_high;
    bool (*prepare)(struct job *job);
    long (*invoke)(struct job *job);
    bool (*check)(struct job *job);  /* only after a result of 0 or more; may be NULL */
    bool makes_fd;
};

static void address_set(struct job *job, uint32_t ip, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&job->address;

    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(ip);
    in->sin_port = htons(port);
    job->address_len = sizeof(*in);
}

/* ---- socket, bind, listen, accept, connect -------------------------------- */

/* A new socket under test; the connection of the old one goes on, unwatched. */
static void subject_new(struct run *run, enum socket_role role)
{
    struct subject *old = &run->subject;

    if (old->exists && (old->role == ROLE_CONNECTED || old->role == ROLE_PASSIVE))
        run_past_add(run, old->local_port, old->remote_port);
    *old = (struct subject){.exists = true, .role = role, .local_port = BIND_PORT};
}

static bool prepare_socket(struct job *job)
{
    const struct expr *domain = job_arg(job, 0);

    job->number[0] = AF_INET; /* `...`: the family of the test */
    if (domain->kind != EXPR_ELLIPSIS && !job_arg_number(job, 0, &job->number[0]))
        return false;
    return job_arg_number(job, 1, &job->number[1]) && job_arg_number(job, 2, &job->number[2]);
}

static long invoke_socket(struct job *job)
{
    return job->run->stack.socket(job->run->stack.userdata, (int)job->number[0],
                                  (int)job->number[1], (int)job->number[2]);
}

static bool check_socket(struct job *job)
{
    subject_new(job->run, ROLE_NEW);
    return true;
}

static bool prepare_bind(struct job *job)
{
    address_set(job, LOCAL_IP, BIND_PORT);
    return job_arg_fd(job, 0, &job->fd) && job_arg_ellipsis(job, 1) && job_arg_ellipsis(job, 2);
}

static long invoke_bind(struct job *job)
{
    return job->run->stack.bind(job->run->stack.userdata, job->fd,
                                (struct sockaddr *)&job->address, job->address_len);
}

static bool prepare_fd_number(struct job *job)
{
    return job_arg_fd(job, 0, &job->fd) && job_arg_number(job, 1, &job->number[0]);
}

static long invoke_listen(struct job *job)
{
    return job->run->stack.listen(job->run->stack.userdata, job->fd, (int)job->number[0]);
}

static bool check_listen(struct job *job)
{
    job->run->subject.role = ROLE_LISTENING;
    return true;
}

static bool prepare_accept(struct job *job)
{
    job->address_len = sizeof(job->address);
    return job_arg_fd(job, 0, &job->fd) && job_arg_ellipsis(job, 1) && job_arg_ellipsis(job, 2);
}

static long invoke_accept(struct job *job)
{
    return job->run->stack.accept(job->run->stack.userdata, job->fd,
                                  (struct sockaddr *)&job->address, &job->address_len);
}

static bool check_accept(struct job *job)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&job->address;
    char text[INET_ADDRSTRLEN];

    if (in->sin_family == AF_INET && ntohl(in->sin_addr.s_addr) == REMOTE_IP &&
        ntohs(in->sin_port) == job->run->subject.remote_port &&
        job->address_len == sizeof(*in))
        return true;
    return job_fail(job, "the peer's address is %s port %u, expected 192.0.2.1 port %u",
                    inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)), ntohs(in->sin_port),
                    job->run->subject.remote_port);
}

static bool prepare_connect(struct job *job)
{
    const struct expr *address = job_arg(job, 1);
    struct subject *subject = &job->run->subject;

    address_set(job, REMOTE_IP, CONNECT_PORT);
    if (address->kind != EXPR_ELLIPSIS) {
        if (!job_number(job, address, &job->number[0]))
            return false;
        job->address.ss_family = (sa_family_t)job->number[0];
    }
    if (!job_arg_fd(job, 0, &job->fd) || !job_arg_ellipsis(job, 2))
        return false;
    if (subject->role == ROLE_NEW)
        subject->role = ROLE_CONNECTING; /* its SYN may leave before the call returns */
    return true;
}

static long invoke_connect(struct job *job)
{
    return job->run->stack.connect(job->run->stack.userdata, job->fd,
                                   (struct sockaddr *)&job->address, job->address_len);
}

/* ---- data ----------------------------------------------------------------- */

static bool prepare_data(struct job *job)
{
    if (!job_arg_fd(job, 0, &job->fd) || !job_arg_buffer(job, 1))
        return false;
    return job->event->call.arg_cnt < 4 || job_arg_number(job, 3, &job->number[0]);
}

static long invoke_read(struct job *job)
{
    return job->run->stack.read(job->run->stack.userdata, job->fd, job->data, job->len);
}

static long invoke_recv(struct job *job)
{
    return job->run->stack.recv(job->run->stack.userdata, job->fd, job->data, job->len,
                                (int)job->number[0]);
}

static long invoke_recvfrom(struct job *job)
{
    job->address_len = sizeof(job->address);
    return job->run->stack.recvfrom(job->run->stack.userdata, job->fd, job->data, job->len,
                                    (int)job->number[0], (struct sockaddr *)&job->address,
                                    &job->address_len);
}

static long invoke_write(struct job *job)
{
    return job->run->stack.write(job->run->stack.userdata, job->fd, job->data, job->len);
}

static long invoke_send(struct job *job)
{
    return job->run->stack.send(job->run->stack.userdata, job->fd, job->data, job->len,
                                (int)job->number[0]);
}

static long invoke_sendto(struct job *job)
{
    address_set(job, REMOTE_IP, CONNECT_PORT);
    return job->run->stack.sendto(job->run->stack.userdata, job->fd, job->data, job->len,
                                  (int)job->number[0], (struct sockaddr *)&job->address,
                                  job->address_len);
}

/* What was received must be the zeros that packets carry. */
static bool check_zeros(struct job *job)
{
    const unsigned char *data = job->data;

    for (long i = 0; data && i < job->result && (size_t)i < job->len; i++)
        if (data[i])
            return job_fail(job, "byte %ld of what was received is 0x%02x, expected 0", i, data[i]);
    return true;
}

static bool prepare_vector(struct job *job)
{
    long cnt;

    if (!job_arg_fd(job, 0, &job->fd) || !job_list_iov(job, job_arg(job, 1)) ||
        !job_arg_number(job, 2, &cnt))
        return false;
    return cnt == job->iov_cnt || job_fail(job, "%ld is not the number of pieces", cnt);
}

static long invoke_readv(struct job *job)
{
    return job->run->stack.readv(job->run->stack.userdata, job->fd, job->iov, job->iov_cnt);
}

static long invoke_writev(struct job *job)
{
    return job->run->stack.writev(job->run->stack.userdata, job->fd, job->iov, job->iov_cnt);
}

static bool prepare_message(struct job *job)
{
    const struct expr *message = job_arg(job, 1);
    const struct expr *pieces =
        message->kind == EXPR_STRUCT ? expr_field(message, "msg_iov") : NULL;

    if (!job_arg_fd(job, 0, &job->fd) || !job_arg_number(job, 2, &job->number[0]) ||
        !job_field(job, message, "msg_flags", &job->number[1]) || !job_list_iov(job, pieces))
        return false;
    job->message.msg_iov = job->iov;
    job->message.msg_iovlen = (size_t)job->iov_cnt;
    return true;
}

static long invoke_recvmsg(struct job *job)
{
    return job->run->stack.recvmsg(job->run->stack.userdata, job->fd, &job->message,
                                   (int)job->number[0]);
}

static long invoke_sendmsg(struct job *job)
{
    job->message.msg_flags = (int)job->number[1];
    return job->run->stack.sendmsg(job->run->stack.userdata, job->fd, &job->message,
                                   (int)job->number[0]);
}

/* ---- fcntl, ioctl, close, shutdown ---------------------------------------- */

static bool prepare_control(struct job *job)
{
    job->value_given = job->event->call.arg_cnt == 3;
    if (!job_arg_fd(job, 0, &job->fd) || !job_arg_number(job, 1, &job->number[0]))
        return false;
    if (!job->value_given)
        return true;
    return job_arg(job, 2)->kind == EXPR_LIST ? job_arg_bracketed(job, 2, &job->number[1])
                                             : job_arg_number(job, 2, &job->number[1]);
}

static long invoke_fcntl(struct job *job)
{
    return job->run->stack.fcntl(job->run->stack.userdata, job->fd, (int)job->number[0],
                                 (int)job->number[1]);
}

static long invoke_ioctl(struct job *job)
{
    return job->run->stack.ioctl(job->run->stack.userdata, job->fd,
                                 (unsigned long)job->number[0], &job->value);
}

static bool check_ioctl(struct job *job)
{
    return !job->value_given || job->value == job->number[1] ||
           job_fail(job, "the value is %d, expected %ld", job->value, job->number[1]);
}

/* The descriptor is gone when close returns, whatever it returns; the script may not wait for
 * that. */
static bool prepare_close(struct job *job)
{
    long number;

    if (!job_arg_fd(job, 0, &job->fd) || !job_arg_number(job, 0, &number))
        return false;
    job->run->live_fd[number] = -1;
    return true;
}

static long invoke_close(struct job *job)
{
    return job->run->stack.close(job->run->stack.userdata, job->fd);
}

static long invoke_shutdown(struct job *job)
{
    return job->run->stack.shutdown(job->run->stack.userdata, job->fd, (int)job->number[0]);
}

/* ---- options -------------------------------------------------------------- */

static bool option_value(struct job *job, const struct expr *expr)
{
    long value;

    if (expr->kind == EXPR_STRING) {
        snprintf((char *)job->option, sizeof(job->option), "%s", expr->text);
    } else if (expr->kind == EXPR_STRUCT) {
        struct linger linger;

        if (!job_field(job, expr, "onoff", &value))
            return false;
        linger.l_onoff = (int)value;
        if (!job_field(job, expr, "linger", &value))
            return false;
        linger.l_linger = (int)value;
        memcpy(job->option, &linger, sizeof(linger));
    } else {
        if (!job_arg_bracketed(job, 3, &value))
            return false;
        job->value = (int)value;
        memcpy(job->option, &job->value, sizeof(job->value));
    }
    return true;
}

static bool prepare_option(struct job *job)
{
    const struct expr *value = job_arg(job, 3);
    bool set = !strcmp(job->event->call.name, "setsockopt");
    long len;

    if (!job_arg_fd(job, 0, &job->fd) || !job_arg_number(job, 1, &job->number[0]) ||
        !job_arg_number(job, 2, &job->number[1]) || !option_value(job, value))
        return false;
    if (set ? !job_arg_number(job, 4, &len) : !job_arg_bracketed(job, 4, &len))
        return false;
    if (len < 0 || (size_t)len > sizeof(job->option))
        return job_fail(job, "option length out of range");
    job->option_len = (socklen_t)len;
    job->len = (size_t)len;
    if (!set)
        job->data = calloc(1, job->len + 1);
    return true;
}

static long invoke_setsockopt(struct job *job)
{
    return job->run->stack.setsockopt(job->run->stack.userdata, job->fd, (int)job->number[0],
                                      (int)job->number[1], job->option, job->option_len);
}

static long invoke_getsockopt(struct job *job)
{
    return job->run->stack.getsockopt(job->run->stack.userdata, job->fd, (int)job->number[0],
                                      (int)job->number[1], job->data, &job->option_len);
}

static bool check_getsockopt(struct job *job)
{
    int value = 0;

    if (job->option_len != job->len)
        return job_fail(job, "the value has %u bytes, expected %zu", job->option_len, job->len);
    if (!memcmp(job->data, job->option, job->len))
        return true;
    memcpy(&value, job->data, job->len < sizeof(value) ? job->len : sizeof(value));
    return job_fail(job, "the value is %d%s%s%s, expected %d", value,
                    value == 0 ? "" : " (", value == 0 ? "" : symbol_errno(value),
                    value == 0 ? "" : ")", job->value);
}

/* ---- readiness ------------------------------------------------------------ */

static bool prepare_poll(struct job *job)
{
    const struct expr *list = job_arg(job, 0);

    if (list->kind != EXPR_LIST)
        return job_fail(job, "[{fd=..., events=..., revents=...}] is needed");
    for (const struct expr *item = list->children; item; item = item->next) {
        struct pollfd *poll = &job->polls[job->poll_cnt++];
        long fd, events;

        if (job->poll_cnt > RUN_POLLS - 1)
            return job_fail(job, "too many descriptors");
        if (!job_field(job, item, "fd", &fd) || !job_field(job, item, "events", &events))
            return false;
        if (fd >= 0 && !job_live_fd(job, fd, &poll->fd))
            return false;
        poll->events = (short)events;
    }
    if (!job_arg_number(job, 1, &job->number[0]) || !job_arg_number(job, 2, &job->number[1]))
        return false;
    return job->number[0] == job->poll_cnt || job_fail(job, "wrong number of descriptors");
}

static long invoke_poll(struct job *job)
{
    return job->run->stack.poll(job->run->stack.userdata, job->polls, (nfds_t)job->poll_cnt,
                                (int)job->number[1]);
}

static bool check_poll(struct job *job)
{
    int i = 0;

    for (const struct expr *item = job_arg(job, 0)->children; item; item = item->next, i++) {
        long want = 0;

        if (expr_field(item, "revents") && !job_field(job, item, "revents", &want))
            return false;
        if (job->polls[i].revents != want)
            return job_fail(job, "revents of entry %d is 0x%x, expected 0x%lx", i,
                            (unsigned)job->polls[i].revents, want);
    }
    return true;
}

static bool prepare_epoll_create(struct job *job)
{
    return job_arg_number(job, 0, &job->number[0]);
}

static long invoke_epoll_create(struct job *job)
{
    return job->run->stack.epoll_create(job->run->stack.userdata, (int)job->number[0]);
}

/* {events=..., fd=...}, or ptr, u32, u64 in place of fd. */
static bool epoll_value(struct job *job, const struct expr *expr)
{
    long events, value;
    int fd;

    if (!job_field(job, expr, "events", &events))
        return false;
    job->event_in.events = (uint32_t)events;
    if (expr_field(expr, "fd")) {
        if (!job_field(job, expr, "fd", &value) || !job_live_fd(job, value, &fd))
            return false;
        job->event_in.data.fd = fd;
    } else if (expr_field(expr, "ptr") || expr_field(expr, "u64")) {
        if (!job_field(job, expr, expr_field(expr, "ptr") ? "ptr" : "u64", &value))
            return false;
        job->event_in.data.u64 = (uint64_t)value;
    } else {
        if (!job_field(job, expr, "u32", &value))
            return false;
        job->event_in.data.u32 = (uint32_t)value;
    }
    return true;
}

static bool prepare_epoll_ctl(struct job *job)
{
    return job_arg_fd(job, 0, &job->fd) && job_arg_number(job, 1, &job->number[0]) &&
           job_arg_fd(job, 2, &job->fd2) && epoll_value(job, job_arg(job, 3));
}

static long invoke_epoll_ctl(struct job *job)
{
    return job->run->stack.epoll_ctl(job->run->stack.userdata, job->fd, (int)job->number[0],
                                     job->fd2, &job->event_in);
}

static bool prepare_epoll_wait(struct job *job)
{
    if (!job_arg_fd(job, 0, &job->fd) || !epoll_value(job, job_arg(job, 1)) ||
        !job_arg_number(job, 2, &job->number[0]) || !job_arg_number(job, 3, &job->number[1]))
        return false;
    if (job->number[0] < 1 || job->number[0] > 64)
        return job_fail(job, "between 1 and 64 events");
    job->events = calloc((size_t)job->number[0], sizeof(*job->events));
    return true;
}

static long invoke_epoll_wait(struct job *job)
{
    return job->run->stack.epoll_wait(job->run->stack.userdata, job->fd, job->events,
                                      (int)job->number[0], (int)job->number[1]);
}

/* Only the first event is compared, as packetdrill does; without one, against zeros. */
static bool check_epoll_wait(struct job *job)
{
    if (job->events->events != job->event_in.events)
        return job_fail(job, "events are 0x%x, expected 0x%x", job->events->events,
                        job->event_in.events);
    if (job->events->data.u64 != job->event_in.data.u64)
        return job_fail(job, "data is %llu, expected %llu",
                        (unsigned long long)job->events->data.u64,
                        (unsigned long long)job->event_in.data.u64);
    return true;
}

/* ---- the table ------------------------------------------------------------ */

static const struct call_entry entries[] = {
    {"socket", 3, 3, prepare_socket, invoke_socket, check_socket, true},
    {"bind", 3, 3, prepare_bind, invoke_bind, NULL, false},
    {"listen", 2, 2, prepare_fd_number, invoke_listen, check_listen, false},
    {"accept", 3, 3, prepare_accept, invoke_accept, check_accept, true},
    {"connect", 3, 3, prepare_connect, invoke_connect, NULL, false},
    {"read", 3, 3, prepare_data, invoke_read, check_zeros, false},
    {"readv", 3, 3, prepare_vector, invoke_readv, NULL, false},
    {"recv", 4, 4, prepare_data, invoke_recv, check_zeros, false},
    {"recvfrom", 6, 6, prepare_data, invoke_recvfrom, check_zeros, false},
    {"recvmsg", 3, 3, prepare_message, invoke_recvmsg, NULL, false},
    {"write", 3, 3, prepare_data, invoke_write, NULL, false},
    {"writev", 3, 3, prepare_vector, invoke_writev, NULL, false},
    {"send", 4, 4, prepare_data, invoke_send, NULL, false},
    {"sendto", 6, 6, prepare_data, invoke_sendto, NULL, false},
    {"sendmsg", 3, 3, prepare_message, invoke_sendmsg, NULL, false},
    {"fcntl", 2, 3, prepare_control, invoke_fcntl, NULL, false},
    {"ioctl", 3, 3, prepare_control, invoke_ioctl, check_ioctl, false},
    {"close", 1, 1, prepare_close, invoke_close, NULL, false},
    {"shutdown", 2, 2, prepare_fd_number, invoke_shutdown, NULL, false},
    {"getsockopt", 5, 5, prepare_option, invoke_getsockopt, check_getsockopt, false},
    {"setsockopt", 5, 5, prepare_option, invoke_setsockopt, NULL, false},
    {"poll", 3, 3, prepare_poll, invoke_poll, check_poll, false},
    {"epoll_create", 1, 1, prepare_epoll_create, invoke_epoll_create, NULL, true},
    {"epoll_ctl", 4, 4, prepare_epoll_ctl, invoke_epoll_ctl, NULL, false},
    {"epoll_wait", 4, 4, prepare_epoll_wait, invoke_epoll_wait, check_epoll_wait, false},
};

static const struct call_entry *entry_find(const char *name)
{
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
        if (!strcmp(entries[i].name, name))
            return &entries[i];
    return NULL;
}

/* ---- running -------------------------------------------------------------- */

static void job_free(struct job *job)
{
    free(job->data);
    free(job->events);
    for (int i = 0; i < job->iov_cnt; i++)
        free(job->iov[i].iov_base);
    free(job);
}

static void result_text(char *out, size_t size, long result, int error)
{
    if (result < 0)
        snprintf(out, size, "%ld %s (%s)", result, symbol_errno(error), strerror(error));
    else
        snprintf(out, size, "%ld", result);
}

static bool job_check(struct job *job)
{
    const struct call_spec *call = &job->event->call;
    int64_t want_error = 0;
    char have_text[100];
    long want;
    bool as_fd;

    if (!job_number(job, call->result, &want))
        return false;
    as_fd = job->entry->makes_fd && want >= 0;
    result_text(have_text, sizeof(have_text), job->result, job->error);
    if (as_fd ? job->result < 0 : job->result != want)
        return job_fail(job, "returned %s, expected %ld%s%s", have_text, want,
                        call->error ? " " : "", call->error ? call->error : "");
    if (call->error && symbol_value(call->error, &want_error) && want_error != job->error)
        return job_fail(job, "returned %s, expected %ld %s", have_text, want, call->error);
    if (as_fd) {
        if (want >= RUN_FDS || job->run->live_fd[want] >= 0)
            return job_fail(job, "descriptor %ld is taken or too large", want);
        job->run->live_fd[want] = (int)job->result;
    }
    return job->result < 0 || !job->entry->check || job->entry->check(job);
}

static void *job_thread(void *argument)
{
    struct job *job = argument;
    struct timeval now;

    errno = 0;
    job->result = job->entry->invoke(job);
    job->error = errno;
    job->run->stack.gettimeofday(job->run->stack.userdata, &now, NULL);
    job->end_us = now.tv_sec * 1000000ll + now.tv_usec - job->run->start_us;
    __atomic_store_n(&job->finished, true, __ATOMIC_RELEASE);
    return NULL;
}

static bool job_done(const struct job *job)
{
    return __atomic_load_n(&job->finished, __ATOMIC_ACQUIRE);
}

/* The thread has either returned or sits in the adapter's list of waiters. */
static void job_settle(const struct job *job)
{
    while (!job_done(job) && !adapter_waiting(job->run->stack.userdata))
        usleep(20);
}

bool run_call_collect(struct run *run, bool must)
{
    struct job *job = run->blocked;
    int64_t late, slack;
    bool ok;

    if (!job)
        return true;
    slack = run_tolerance(run, job->event->call.end_us - job->start_us);
    while (must && adapter_waiting(run->stack.userdata) &&
           run->now_us < job->event->call.end_us + slack) {
        int64_t left = job->event->call.end_us + slack - run->now_us;

        run->stack.usleep(run->stack.userdata,
                          left < slack ? (useconds_t)left : (useconds_t)slack);
        run_clock(run);
    }
    if (adapter_waiting(run->stack.userdata))
        return !must ||
               run_fail_at(run, job->event->line, "%s is still blocked, expected to return at %.6f",
                           job->event->call.name, (double)job->event->call.end_us / 1e6);
    pthread_join(job->thread, NULL);
    run->blocked = NULL;
    late = job->end_us - job->event->call.end_us;
    ok = (late <= slack && -late <= slack) ||
         run_fail_at(run, job->event->line, "%s returned at %.6f, expected at %.6f",
                     job->event->call.name, (double)job->end_us / 1e6,
                     (double)job->event->call.end_us / 1e6);
    ok = job_check(job) && ok;
    job_free(job);
    return ok;
}

bool run_call(struct run *run, const struct event *event, int64_t base_us)
{
    const struct call_spec *call = &event->call;
    struct job *job;
    bool ok;

    if (!run_call_collect(run, true))
        return false;
    job = calloc(1, sizeof(*job));
    *job = (struct job){.event = event, .run = run, .entry = entry_find(call->name)};
    if (!job->entry)
        return run_fail_at(run, event->line, "unknown system call '%s'", call->name);
    if (call->arg_cnt < job->entry->arg_low || call->arg_cnt > job->entry->arg_high)
        return job_fail(job, "%u arguments are too many or too few", call->arg_cnt);
    if (!job->entry->prepare(job))
        return false;
    if (call->blocking) {
        if (event->time_kind == TIME_RELATIVE)
            ((struct event *)event)->call.end_us += base_us;
        job->start_us = run->now_us;
        run->blocked = job;
        if (pthread_create(&job->thread, NULL, job_thread, job))
            return job_fail(job, "no thread");
        job_settle(job);
        if (job_done(job))
            return run_call_collect(run, true);
        return true;
    }
    errno = 0;
    job->result = job->entry->invoke(job);
    job->error = errno;
    ok = job_check(job);
    job_free(job);
    return ok;
}
