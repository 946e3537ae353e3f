/* SPDX-License-Identifier: BSD-2-Clause */
#include "socket/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "socket/epoll.h"

#define TABLE_LEN_MIN 64u
#define WORD_BITS     64u

/* ---- the table ------------------------------------------------------------ */

static bool array_grow(void **array, size_t size, size_t old_cnt, size_t cnt)
{
    void *bigger = realloc(*array, size * cnt);
    if (bigger == NULL)
        return false;
    memset((char *)bigger + size * old_cnt, 0, size * (cnt - old_cnt));
    *array = bigger;
    return true;
}

static size_t words(size_t bits)
{
    return (bits + WORD_BITS - 1) / WORD_BITS;
}

static bool table_grow(lastack_process *p, uint32_t len)
{
    uint32_t new_len = p->table_len ? p->table_len : TABLE_LEN_MIN;
    while (new_len < len)
        new_len *= 2;
    uint32_t old = p->table_len;
    if (!array_grow((void **)&p->table, sizeof *p->table, old, new_len) ||
        !array_grow((void **)&p->used, sizeof *p->used, words(old), words(new_len)) ||
        !array_grow((void **)&p->full, sizeof *p->full, words(words(old)), words(words(new_len))))
        return false;
    p->table_len = new_len;
    return true;
}

/* First clear bit at or after `from`, below `cnt`; cnt: none. */
static uint32_t first_clear(const uint64_t *bits, uint32_t from, uint32_t cnt)
{
    for (uint32_t w = from / WORD_BITS; w < words(cnt); w++) {
        uint64_t clear = ~bits[w];
        if (w == from / WORD_BITS)
            clear &= ~0ull << (from % WORD_BITS);
        if (clear != 0)
            return MIN(w * WORD_BITS + (uint32_t)__builtin_ctzll(clear), cnt);
    }
    return cnt;
}

static uint32_t lowest_free(const lastack_process *p, uint32_t from)
{
    if (from >= p->table_len)
        return from;
    uint32_t word = from / WORD_BITS;
    uint64_t clear = ~p->used[word] & ~0ull << (from % WORD_BITS);
    if (clear == 0) {
        word = first_clear(p->full, word + 1, p->table_len / WORD_BITS);
        if (word >= p->table_len / WORD_BITS)
            return p->table_len;
        clear = ~p->used[word];
    }
    return word * WORD_BITS + (uint32_t)__builtin_ctzll(clear);
}

static void bit_mark(lastack_process *p, uint32_t fd, bool used)
{
    uint32_t word = fd / WORD_BITS;
    if (used)
        p->used[word] |= 1ull << (fd % WORD_BITS);
    else
        p->used[word] &= ~(1ull << (fd % WORD_BITS));
    if (p->used[word] == ~0ull)
        p->full[word / WORD_BITS] |= 1ull << (word % WORD_BITS);
    else
        p->full[word / WORD_BITS] &= ~(1ull << (word % WORD_BITS));
}

static void descriptor_set(lastack_process *p, uint32_t fd, struct file *file,
                           enum lastack_origin origin, bool close_on_exec)
{
    p->table[fd] = (struct descriptor){
        .file = file,
        .since_ms = tcp_of(p->stack)->now,
        .origin = (uint8_t)origin,
        .close_on_exec = close_on_exec,
    };
    bit_mark(p, fd, true);
    p->open_cnt++;
    file->refs++;
}

int descriptor_open(lastack_process *p, struct file *file, int low, enum lastack_origin origin,
                    bool close_on_exec)
{
    uint32_t fd = lowest_free(p, (uint32_t)low);
    if (fd >= tcp_of(p->stack)->config.descriptor_max)
        return -EMFILE;
    if (fd >= p->table_len && !table_grow(p, fd + 1))
        return -ENOMEM;
    descriptor_set(p, fd, file, origin, close_on_exec);
    return (int)fd;
}

struct file *process_file(const lastack_process *p, int fd)
{
    return fd >= 0 && (uint32_t)fd < p->table_len ? p->table[fd].file : NULL;
}

struct socket *process_socket(lastack_process *p, int fd, int *error)
{
    struct file *file = process_file(p, fd);
    *error = file == NULL ? -EBADF : file->kind == FILE_SOCKET ? 0 : -ENOTSOCK;
    if (*error != 0)
        return NULL;
    process_acts(p, fd);
    struct socket *s = container_of(file, struct socket, file);
    if (s->body == BODY_CONNECTION)
        connection_prefetch(s->connection);
    return s;
}

void process_acts(lastack_process *p, int fd)
{
    tcp_of(p->stack)->actor_pid = p->acting_pid;
    tcp_of(p->stack)->actor_fd = fd;
}

/* ---- references ------------------------------------------------------------ */

static void close_note(lastack *stack, const struct socket *s, uint32_t pid, int fd,
                       enum lastack_cause cause, uint32_t left)
{
    struct connection *c = socket_connection(s);
    if (c == NULL)
        return;
    struct tcp *tcp = tcp_of(stack);
    if (left == 0 && connection_has(c, CONNECTION_CLOSE_NOTED)) { /* by lastack_close_note */
        tcp->actor_pid = c->close_pid;
        tcp->actor_fd = c->close_fd;
        return;
    }
    if (left == 0)
        c->flags |= CONNECTION_CLOSE_NOTED;
    stamp_set(tcp, &c->closed);
    c->close_pid = pid;
    c->close_fd = fd;
    c->close_left = (uint16_t)MIN(left, 65535u);
    tcp->actor_pid = pid;
    tcp->actor_fd = fd;
    tcp_record(tcp, c, LASTACK_RECORD_CALL, cause, left);
}

int file_put(lastack *stack, struct file *file, enum lastack_cause cause)
{
    if (--file->refs > 0)
        return 0;
    if (file->kind == FILE_EPOLL) {
        epoll_release(stack, file);
        return 0;
    }
    return socket_release(stack, container_of(file, struct socket, file), cause);
}

int descriptor_close(lastack_process *p, int fd, enum lastack_cause cause)
{
    struct file *file = p->table[fd].file;
    p->table[fd].file = NULL;
    bit_mark(p, (uint32_t)fd, false);
    p->open_cnt--;
    process_acts(p, fd);
    if (file->kind == FILE_SOCKET)
        close_note(p->stack, container_of(file, struct socket, file), p->acting_pid, fd, cause,
                   file->refs - 1);
    return file_put(p->stack, file, cause);
}

int lastack_close_note(lastack_process *p, int socket_fd, uint32_t pid, int fd, uint32_t left)
{
    int error;
    struct socket *s = process_socket(p, socket_fd, &error);
    if (s != NULL)
        close_note(p->stack, s, pid, fd, LASTACK_CAUSE_CLOSE, left);
    return error;
}

/* ---- processes -------------------------------------------------------------- */

lastack_process *lastack_process_create(lastack *stack, uint32_t pid, const char *name)
{
    if (stack->process_cnt >= tcp_of(stack)->config.process_max) {
        errno = ENFILE;
        return NULL;
    }
    lastack_process *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->stack = stack;
    p->pid = p->acting_pid = pid;
    strncpy(p->name, name != NULL ? name : "", sizeof p->name - 1);
    list_push_back(&stack->processes, &p->link);
    stack->process_cnt++;
    return p;
}

static bool table_copy(lastack_process *child, const lastack_process *parent)
{
    if (parent->table_len == 0)
        return true;
    if (!table_grow(child, parent->table_len))
        return false;
    for (uint32_t fd = 0; fd < parent->table_len; fd++) {
        const struct descriptor *d = &parent->table[fd];
        if (d->file != NULL)
            descriptor_set(child, fd, d->file, LASTACK_ORIGIN_FORK, d->close_on_exec);
    }
    return true;
}

lastack_process *lastack_fork(lastack_process *parent, uint32_t pid)
{
    lastack_process *child = lastack_process_create(parent->stack, pid, parent->name);
    if (child != NULL && !table_copy(child, parent)) {
        lastack_exit(child);
        errno = ENOMEM;
        return NULL;
    }
    return child;
}

static void close_all(lastack_process *p, enum lastack_cause cause, bool only_on_exec)
{
    for (uint32_t fd = 0; fd < p->table_len; fd++)
        if (p->table[fd].file != NULL && (!only_on_exec || p->table[fd].close_on_exec))
            descriptor_close(p, (int)fd, cause);
}

void lastack_exec(lastack_process *p, const char *name)
{
    close_all(p, LASTACK_CAUSE_EXEC, true);
    memset(p->name, 0, sizeof p->name);
    strncpy(p->name, name != NULL ? name : "", sizeof p->name - 1);
}

void lastack_exit(lastack_process *p)
{
    close_all(p, LASTACK_CAUSE_EXIT, false);
    list_remove(&p->link);
    p->stack->process_cnt--;
    free(p->table);
    free(p->used);
    free(p->full);
    free(p);
}

void lastack_process_act_as(lastack_process *p, uint32_t pid)
{
    p->acting_pid = pid;
}

/* ---- calls on descriptors ----------------------------------------------------- */

int lastack_close(lastack_process *p, int fd)
{
    if (process_file(p, fd) == NULL)
        return -EBADF;
    return descriptor_close(p, fd, LASTACK_CAUSE_CLOSE);
}

int lastack_dup(lastack_process *p, int fd)
{
    struct file *file = process_file(p, fd);
    return file == NULL ? -EBADF : descriptor_open(p, file, 0, LASTACK_ORIGIN_DUP, false);
}

int lastack_dup3(lastack_process *p, int fd, int new_fd, int flags)
{
    struct file *file = process_file(p, fd);
    if (fd == new_fd || (flags & ~O_CLOEXEC) != 0)
        return -EINVAL;
    if (file == NULL || new_fd < 0 || (uint32_t)new_fd >= tcp_of(p->stack)->config.descriptor_max)
        return -EBADF;
    if ((uint32_t)new_fd >= p->table_len && !table_grow(p, (uint32_t)new_fd + 1))
        return -ENOMEM;
    file->refs++; /* the descriptor it replaces may be the last of the same file */
    if (p->table[new_fd].file != NULL)
        descriptor_close(p, new_fd, LASTACK_CAUSE_DUP_OVER);
    descriptor_set(p, (uint32_t)new_fd, file, LASTACK_ORIGIN_DUP, flags & O_CLOEXEC);
    file->refs--;
    return new_fd;
}

int lastack_fcntl(lastack_process *p, int fd, int command, int argument)
{
    struct file *file = process_file(p, fd);
    if (file == NULL)
        return -EBADF;
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if (argument < 0 || (uint32_t)argument >= tcp_of(p->stack)->config.descriptor_max)
            return -EINVAL;
        return descriptor_open(p, file, argument, LASTACK_ORIGIN_DUP, command == F_DUPFD_CLOEXEC);
    case F_GETFD:
        return p->table[fd].close_on_exec ? FD_CLOEXEC : 0;
    case F_SETFD:
        p->table[fd].close_on_exec = argument & FD_CLOEXEC;
        return 0;
    case F_GETFL:
        return O_RDWR | (file->nonblock ? O_NONBLOCK : 0);
    case F_SETFL:
        file->nonblock = argument & O_NONBLOCK;
        return 0;
    default:
        return -EINVAL;
    }
}

/* ---- descriptors in messages ---------------------------------------------------- */

lastack_message *lastack_message_put(lastack_process *from, int fd)
{
    struct file *file = process_file(from, fd);
    lastack_message *message = file == NULL ? NULL : pool_get(&from->stack->messages);
    if (message == NULL) {
        errno = file == NULL ? EBADF : ENOMEM;
        return NULL;
    }
    *message = (lastack_message){.stack = from->stack,
                                 .file = file,
                                 .pid = from->acting_pid,
                                 .since_ms = tcp_of(from->stack)->now};
    list_push_back(&from->stack->message_list, &message->link);
    file->refs++;
    return message;
}

static struct file *message_take(lastack_message *message)
{
    struct file *file = message->file;
    list_remove(&message->link);
    pool_put(&message->stack->messages, message);
    return file;
}

int lastack_message_get(lastack_process *to, lastack_message *message, int flags)
{
    int fd = descriptor_open(to, message->file, 0, LASTACK_ORIGIN_MESSAGE, flags & SOCK_CLOEXEC);
    if (fd < 0)
        return fd;
    message_take(message)->refs--; /* the descriptor has taken its place */
    return fd;
}

void lastack_message_drop(lastack_message *message)
{
    lastack *stack = message->stack;
    tcp_of(stack)->actor_pid = message->pid;
    tcp_of(stack)->actor_fd = -1;
    struct file *file = message_take(message);
    if (file->kind == FILE_SOCKET)
        close_note(stack, container_of(file, struct socket, file), tcp_of(stack)->actor_pid, -1,
                   LASTACK_CAUSE_MESSAGE_DROP, file->refs - 1);
    file_put(stack, file, LASTACK_CAUSE_MESSAGE_DROP);
}
