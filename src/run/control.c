/* SPDX-License-Identifier: BSD-2-Clause */
/* Answers for `lastack ss`, `lastack why` and `lastack end`. */
#include "run/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/ending.h"
#include "run/facts.h"
#include "run/supervisor.h"

#define CLIENT_MAX 32

int control_start(struct supervisor *s)
{
    char why[CONTROL_WHY_LEN];
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = SOURCE_CONTROL};

    s->control = control_listen(s->options.name, s->control_path, why);
    if (s->control < 0) {
        fprintf(stderr, "lastack run: %s\n", why);
        return s->control;
    }
    s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->control, &event);
}

static void client_drop(struct supervisor *s, struct control_client *client)
{
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, client->session.fd, NULL);
    control_session_free(&client->session);
    list_remove(&client->all);
    s->client_cnt--;
    free(client);
}

void control_stop(struct supervisor *s)
{
    while (!list_empty(&s->clients))
        client_drop(s, (struct control_client *)((char *)s->clients.next -
                                                 offsetof(struct control_client, all)));
    if (s->control >= 0)
        control_close(s->control, s->control_path);
    s->control = -1;
}

/* No descriptor is left: turn the client away, so that it does not wait and we do not spin. */
static void control_refuse(struct supervisor *s)
{
    close(s->spare);
    close(accept4(s->control, NULL, NULL, SOCK_CLOEXEC));
    s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Those who connect and say nothing must not shut out the doctor: who has been silent longest is
 * hung up. Only that: its event, which drops it, may be in the batch that is being worked on. */
static void client_hang_up(struct supervisor *s)
{
    struct list *node = list_pop_front(&s->clients);
    struct control_client *client =
        (struct control_client *)((char *)node - offsetof(struct control_client, all));
    shutdown(client->session.fd, SHUT_RDWR);
    list_push_back(&s->clients, node);
}

void control_accept(struct supervisor *s)
{
    int fd = accept4(s->control, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        control_refuse(s);
        return;
    }
    if (fd >= 0 && s->client_cnt >= CLIENT_MAX)
        client_hang_up(s);
    struct control_client *client = fd >= 0 && s->client_cnt < 2 * CLIENT_MAX
                                        ? calloc(1, sizeof *client) : NULL;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    if (!client) {
        if (fd >= 0)
            close(fd);
        return;
    }
    control_session_init(&client->session, fd);
    list_push_back(&s->clients, &client->all);
    s->client_cnt++;
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        client_drop(s, client);
}

static void info_reply(struct supervisor *s, struct text *out)
{
    struct control_info info = {.pid = (uint32_t)s->self,
                                .uptime_us = (s->now_ns - s->start_ns) / 1000};

    snprintf(info.name, sizeof info.name, "%s", s->options.name);
    snprintf(info.program, sizeof info.program, "%s", s->options.program[0]);
    snprintf(info.version, sizeof info.version, "%s", LASTACK_VERSION);
    if (s->options.tun)
        lastack_address_text(&s->options.address, info.address);
    lastack_usage(s->stack, &info.usage);
    control_reply_info(out, &info);
}

static void request_answer(struct supervisor *s, const char *line, struct text *out)
{
    struct control_request request;
    struct facts_list list;
    char why[CONTROL_WHY_LEN];
    int result = control_request_parse(&request, line, why, sizeof why);

    if (result != 0) {
        control_reply_error(out, -result, why);
        return;
    }
    switch (request.kind) {
    case CONTROL_INFO:
        info_reply(s, out);
        break;
    case CONTROL_FACTS:
        facts_list_init(&list);
        supervisor_facts(s, &list);
        control_reply_facts(out, &list);
        facts_list_free(&list);
        break;
    case CONTROL_END:
        control_reply_end(out, request.id, ending_operator(s, request.id, request.how));
        break;
    }
}

void control_event(struct supervisor *s, struct control_client *client, uint32_t events)
{
    struct control_session *session = &client->session;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    bool writing = session->out.len > 0;
    int result = 1;

    list_remove(&client->all); /* the front is who has been silent longest */
    list_push_back(&s->clients, &client->all);
    if (!writing && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
        result = control_session_read(session);
        if (result == 1)
            request_answer(s, text_string(&session->in), &session->out);
        writing = result == 1;
    }
    if (writing)
        result = control_session_write(session);
    if (result < 0) {
        client_drop(s, client);
        return;
    }
    event.events = session->out.len > 0 ? EPOLLOUT : EPOLLIN;
    epoll_ctl(s->epoll, EPOLL_CTL_MOD, session->fd, &event);
}
