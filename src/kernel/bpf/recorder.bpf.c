/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recorder: tracepoints only, no function is patched. A connection's record begins when it is
 * established or connects, and goes when the kernel frees the socket. State changes and receives come
 * from the kernel's own tracepoints; closes that leave references from the calls' (attached only
 * when they are to be seen: they slow every call of the machine a little).
 *
 * A FIN leaves in the context of the call that caused it: the registers of that call say which.
 */
#include "kernel/bpf/kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel/bpf/recorder_memory.h"
#include "kernel/bpf/recorder_records.h"

#pragma clang diagnostic ignored "-Wunused-parameter" /* what a tracepoint gives is given */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- sockets ---- */

static __always_inline struct recorder_socket *find_socket(u64 cookie)
{
    return bpf_map_lookup_elem(&lastack_sockets, &cookie);
}

static __always_inline struct recorder_socket *make_socket(u64 cookie)
{
    struct recorder_socket *s;
    if (bpf_map_update_elem(&lastack_sockets, &cookie, &no_socket, BPF_NOEXIST) == 0)
        count(COUNT_MADE);
    s = find_socket(cookie);
    if (!s)
        count(COUNT_LOST);
    return s;
}

static __always_inline void fill_tuple(struct recorder_socket *s, const struct sock *sk)
{
    s->family = sk->__sk_common.skc_family;
    s->local_port = sk->__sk_common.skc_num;
    s->remote_port = __builtin_bswap16(sk->__sk_common.skc_dport);
    if (s->family == AF_INET) {
        *(u32 *)s->local = sk->__sk_common.skc_rcv_saddr;
        *(u32 *)s->remote = sk->__sk_common.skc_daddr;
    } else {
        bpf_probe_read_kernel(s->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
        bpf_probe_read_kernel(s->remote, 16, &sk->__sk_common.skc_v6_daddr);
    }
}

static __always_inline bool wanted(const struct recorder_socket *s, u32 pid)
{
    if (config.pid && pid != config.pid)
        return false;
    return !config.port || s->local_port == config.port || s->remote_port == config.port;
}

static __always_inline void tell(u8 kind, u64 cookie, const struct recorder_socket *s,
                                 const struct recorder_call *call)
{
    struct recorder_event *event;
    if (!config.events || !wanted(s, call ? call->pid : config.pid))
        return;
    event = bpf_ringbuf_reserve(&lastack_events, sizeof *event, 0);
    if (!event) {
        count(COUNT_EVENTS_LOST);
        return;
    }
    event->ns = bpf_ktime_get_ns();
    event->cookie = cookie;
    event->kind = kind;
    event->family = s->family;
    event->local_port = s->local_port;
    event->remote_port = s->remote_port;
    __builtin_memcpy(event->local, s->local, 16);
    __builtin_memcpy(event->remote, s->remote, 16);
    if (call)
        event->call = *call;
    else
        __builtin_memset(&event->call, 0, sizeof event->call);
    bpf_ringbuf_submit(event, 0);
}

/* ---- stacks ---- */

static __always_inline u64 mix(u64 hash, u64 word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}


#define KEY_WORDS 16 /* at a time: a program's own stack is small */

/* The words at the top of the stack that point into the program's own code: return addresses.
 * Other words (buffers, descriptors) differ from call to call and must not make a new stack. */
static __noinline u64 hash_words(u64 hash, u64 sp, u64 start, u64 end)
{
    u64 words[KEY_WORDS];
    for (int part = 0; part < 3; part++) {
        if (bpf_probe_read_user(words, sizeof words, (void *)(sp + part * sizeof words)))
            return hash;
#pragma unroll
        for (int i = 0; i < KEY_WORDS; i++)
            if (words[i] - start < end - start)
                hash = mix(hash, words[i]);
    }
    return hash;
}

static __noinline void send_stack(struct task_struct *task, struct pt_regs *regs, u64 key,
                                       const struct recorder_layout *layout)
{
    struct recorder_stack *r = bpf_ringbuf_reserve(&lastack_news, sizeof *r, 0);
    u64 sp = regs->sp;
    if (!r) {
        count(COUNT_STACKS_LOST);
        bpf_map_delete_elem(&lastack_stacks, &key); /* another time */
        return;
    }
    r->key = key;
    r->pid = task->tgid;
    r->parent = task->real_parent->tgid;
    r->layout = *layout;
    r->reg[0] = regs->ax, r->reg[1] = regs->dx, r->reg[2] = regs->cx, r->reg[3] = regs->bx;
    r->reg[4] = regs->si, r->reg[5] = regs->di, r->reg[6] = regs->bp, r->reg[7] = sp;
    r->reg[8] = regs->r8, r->reg[9] = regs->r9, r->reg[10] = regs->r10, r->reg[11] = regs->r11;
    r->reg[12] = regs->r12, r->reg[13] = regs->r13, r->reg[14] = regs->r14;
    r->reg[15] = regs->r15, r->reg[16] = regs->ip;
    r->pad = 0;
    r->len = 4096; /* less where the stack ends */
    if (bpf_probe_read_user(r->bytes, 4096, (void *)sp)) {
        r->len = 1024;
        if (bpf_probe_read_user(r->bytes, 1024, (void *)sp)) {
            r->len = 256;
            if (bpf_probe_read_user(r->bytes, 256, (void *)sp))
                r->len = 0;
        }
    }
    count(COUNT_STACKS);
    bpf_ringbuf_submit(r, 0);
}

/* The key of the stack of the program that makes this call; sent to be named if it is new. */
static __noinline u64 take_stack(const struct recorder_socket *s, u64 cookie)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct mm_struct___layout *mm = (void *)task->mm;
    struct recorder_layout layout;
    struct pt_regs *regs = NULL;
    u64 key, end;
    u32 none = 0;
    if (!config.lines || !mm || !wanted(s, task->tgid) || !bpf_core_field_exists(regs->orig_ax))
        return 0;
    if (config.sample > 1 && (u32)(mix(1, cookie) >> 32) % config.sample)
        return 0;
    regs = (void *)bpf_task_pt_regs(task);
    if (!regs)
        return 0;
    layout.start_code = mm->start_code;
    layout.start_stack = mm->start_stack;
    layout.exe_inode = mm->exe_file->f_inode->i_ino;
    end = mm->end_code;
    key = mix(mix(mix(layout.start_code, layout.start_stack), layout.exe_inode), regs->ip);
    key = hash_words(mix(key, regs->sp), regs->sp, layout.start_code, end);
    key |= 1; /* 0 is none */
    if (bpf_map_lookup_elem(&lastack_stacks, &key))
        return key;
    if (bpf_map_update_elem(&lastack_stacks, &key, &none, BPF_NOEXIST) == 0)
        send_stack(task, regs, key, &layout);
    return key;
}

/* ---- calls ---- */

static __always_inline bool is_borrowed(u32 pid, u32 fd)
{
    u64 key = (u64)pid << 32 | fd;
    return borrowed_ever && bpf_map_lookup_elem(&lastack_borrowed, &key);
}

static __always_inline void fill_program(char program[16], struct task_struct *task)
{
    bpf_probe_read_kernel(program, 16, task->comm);
}

/* Numbers of calls of x86-64, as the registers of a thread have them. */
enum {
    NR_CLOSE = 3, NR_DUP2 = 33, NR_RECVMSG = 47, NR_SHUTDOWN = 48, NR_EXECVE = 59, NR_EXIT = 60,
    NR_EXIT_GROUP = 231, NR_DUP3 = 292, NR_EXECVEAT = 322, NR_CLOSE_RANGE = 436,
};

/* Which call this thread is in: from its registers, no tracepoint of the call is needed. */
static __always_inline void fill_call(struct recorder_call *call, struct task_struct *task)
{
    struct pt_regs *regs;
    call->ns = bpf_ktime_get_ns();
    call->stack = 0;
    call->pid = 0;
    call->fd = -1;
    call->left = 0;
    call->kind = CALL_NONE;
    if (task->flags & PF_KTHREAD) /* a worker of the kernel closes what somebody left to it */
        return;
    call->pid = task->tgid;
    fill_program(call->program, task);
    if (task->flags & PF_EXITING) {
        call->kind = CALL_EXIT;
        return;
    }
    regs = (void *)bpf_task_pt_regs(task);
    if (!regs || !bpf_core_field_exists(regs->orig_ax)) /* another machine than x86-64 */
        return;
    switch ((u32)regs->orig_ax) {
    case NR_CLOSE:
        call->kind = CALL_CLOSE;
        call->fd = regs->di;
        break;
    case NR_CLOSE_RANGE: call->kind = CALL_CLOSE; break;
    case NR_DUP2:
    case NR_DUP3:
        call->kind = CALL_DUP_OVER;
        call->fd = regs->si;
        break;
    case NR_EXECVE:
    case NR_EXECVEAT: call->kind = CALL_EXEC; break;
    case NR_EXIT:
    case NR_EXIT_GROUP: call->kind = CALL_EXIT; break;
    case NR_RECVMSG: call->kind = CALL_MESSAGE_DROP; break;
    case NR_SHUTDOWN:
        call->kind = (u32)regs->si == 0 ? CALL_SHUT_RD : (u32)regs->si == 1 ? CALL_SHUT_WR : CALL_SHUT_RDWR;
        call->fd = regs->di;
        if (is_borrowed(call->pid, call->fd))
            call->kind = CALL_OPERATOR;
        break;
    }
}

static __always_inline void fill_creator(struct recorder_socket *s, struct task_struct *task)
{
    s->creator_pid = task->tgid;
    s->creator_start_ns = task->group_leader->start_boottime;
    fill_program(s->creator_program, task);
}

static __always_inline void count_birth(u64 stack)
{
    struct recorder_place *place;
    if (!stack)
        return;
    place = bpf_map_lookup_elem(&lastack_places, &stack);
    if (!place) {
        bpf_map_update_elem(&lastack_places, &stack, &no_place, BPF_NOEXIST);
        place = bpf_map_lookup_elem(&lastack_places, &stack);
    }
    if (place)
        __sync_fetch_and_add(&place->born_cnt, 1);
}

/* The place where most siblings are closed wins the vote of Boyer and Moore. `call`: NULL if nobody
 * knows by which. */
static __always_inline void count_close(struct recorder_socket *s, const struct recorder_call *call)
{
    struct recorder_place *place;
    u64 born = s->born_stack, stack = call ? call->stack : 0;
    if (!born || s->closed)
        return;
    s->closed = 1;
    place = bpf_map_lookup_elem(&lastack_places, &born);
    if (!place)
        return;
    __sync_fetch_and_add(&place->closed_cnt, 1);
    if (call && call->kind == CALL_CLOSE && s->end_read_ns &&
        call->ns - s->end_read_ns > place->linger_ns)
        place->linger_ns = call->ns - s->end_read_ns;
    if (!stack)
        return;
    if (place->close_stack == stack) {
        place->vote_cnt++;
    } else if (place->vote_cnt == 0) {
        place->close_stack = stack;
        place->vote_cnt = 1;
    } else {
        place->vote_cnt--;
    }
}

static __always_inline void add_close(struct recorder_socket *s, const struct recorder_call *call)
{
    s->closes[s->close_cnt & (RECORDER_CLOSES - 1)] = *call;
    s->close_cnt++;
}

/* ---- states ---- */

static __always_inline void born(const struct sock *sk, u64 cookie, u8 passive)
{
    struct recorder_socket *s = make_socket(cookie);
    struct task_struct *task;
    if (!s)
        return;
    s->born_ns = s->state_ns = bpf_ktime_get_ns();
    s->passive = passive;
    fill_tuple(s, sk);
    if (!passive) { /* in connect() */
        task = bpf_get_current_task_btf();
        fill_creator(s, task);
        s->born_stack = take_stack(s, cookie);
        count_birth(s->born_stack);
    }
    count(COUNT_BORN);
    if (config.events) {
        struct recorder_call call = {.fd = -1};
        if (!passive) {
            call.pid = s->creator_pid;
            __builtin_memcpy(call.program, s->creator_program, 16);
        }
        tell(EVENT_BORN, cookie, s, passive ? NULL : &call);
    }
}

/* Our half ends, by a shutdown or by the last close: with a FIN, or, if data was not read, with a
 * reset. */
static __always_inline void end_out(struct recorder_socket *s, u64 cookie, bool fin)
{
    struct recorder_call call = {};
    u8 kind;
    fill_call(&call, bpf_get_current_task_btf());
    kind = call.kind;
    if (kind != CALL_EXIT && call.pid)
        call.stack = take_stack(s, cookie);
    if (fin) {
        s->fin_out_ns = call.ns;
        s->fin_out_by = call;
        count(COUNT_FIN_OUT);
    }
    if (kind < CALL_SHUT_RD) {
        if (kind != CALL_NONE)
            add_close(s, &call);
        count_close(s, &call);
    }
    tell(fin ? EVENT_FIN_OUT : EVENT_CLOSE, cookie, s, &call);
}

/* Whether this side has answered after the peer's FIN is a question of bytes: stamps are too coarse. */
static __always_inline void fin_in(struct recorder_socket *s, u64 cookie, const struct sock *sk)
{
    const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
    s->fin_in_ns = s->state_ns;
    if (tp)
        s->given_at_fin = tp->bytes_sent - tp->bytes_retrans + (u32)(tp->write_seq - tp->snd_nxt) + 1;
    count(COUNT_FIN_IN);
    tell(EVENT_FIN_IN, cookie, s, NULL);
}

#define SHUTDOWN_BOTH 3

/* States in which the last close changes the state, and is seen by that. */
static __always_inline bool is_open(int state)
{
    return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, const struct sock *sk, int old, int new)
{
    struct recorder_socket *s;
    u64 cookie;
    if (sk->sk_protocol != IPPROTO_TCP || new == TCP_LISTEN || new == TCP_SYN_RECV ||
        old == TCP_LISTEN)
        return 0;
    if (!sk->sk_socket && (new == TCP_CLOSE || new == TCP_FIN_WAIT2))
        return 0; /* nobody holds it: it is about to go */
    cookie = sk->__sk_common.skc_cookie.counter;
    if (!cookie)
        cookie = bpf_get_socket_cookie((void *)sk);
    if (new == TCP_SYN_SENT || (new == TCP_ESTABLISHED && old == TCP_SYN_RECV)) {
        born(sk, cookie, new == TCP_ESTABLISHED);
        return 0;
    }
    s = find_socket(cookie);
    if (!s) { /* older than the recorder: from now on at least */
        if (new == TCP_CLOSE || !(s = make_socket(cookie)))
            return 0;
        fill_tuple(s, sk);
    }
    if (!s->local_port) /* connect() chooses it late */
        fill_tuple(s, sk);
    s->state_ns = bpf_ktime_get_ns();
    if (new == TCP_CLOSE_WAIT || new == TCP_CLOSING)
        fin_in(s, cookie, sk);
    else if (new == TCP_FIN_WAIT1 || new == TCP_LAST_ACK)
        end_out(s, cookie, true);
    else if (new == TCP_CLOSE && is_open(old) && sk->sk_shutdown == SHUTDOWN_BOTH)
        end_out(s, cookie, false); /* only close() shuts both before the state changes */
    return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_destroy, struct sock *sk)
{
    u64 cookie = sk->__sk_common.skc_cookie.counter;
    struct recorder_socket *s;
    if (!cookie)
        return 0;
    if (config.lines || config.events) {
        s = find_socket(cookie);
        if (!s)
            return 0;
        tell(EVENT_GONE, cookie, s, NULL);
        count_close(s, NULL);
    }
    if (bpf_map_delete_elem(&lastack_sockets, &cookie) == 0)
        count(COUNT_GONE);
    return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(on_reset, struct sock *sk)
{
    u64 cookie = sk->__sk_common.skc_cookie.counter;
    struct recorder_socket *s = cookie ? find_socket(cookie) : NULL;
    if (!s)
        return 0;
    s->reset_ns = bpf_ktime_get_ns();
    tell(EVENT_RESET, cookie, s, NULL);
    return 0;
}

/* A receive that returned 0: the end of the stream, if all before it is read. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_receive, struct sock *sk, int length, int flags)
{
    struct recorder_socket *s;
    struct task_struct *task;
    struct tcp_sock *tp;
    u64 cookie;
    u8 state;
    if (length != 0 || sk->sk_protocol != IPPROTO_TCP)
        return 0;
    state = sk->__sk_common.skc_state;
    if (state == TCP_ESTABLISHED || state == TCP_LISTEN)
        return 0;
    cookie = sk->__sk_common.skc_cookie.counter;
    s = cookie ? find_socket(cookie) : NULL;
    if (!s || !s->fin_in_ns)
        return 0;
    tp = bpf_skc_to_tcp_sock(sk);
    if (!tp || tp->copied_seq != tp->rcv_nxt) /* it had asked for no bytes */
        return 0;
    s->end_read_cnt++;
    if (s->end_read_ns)
        return 0;
    task = bpf_get_current_task_btf();
    s->end_read_ns = bpf_ktime_get_ns();
    s->end_read_pid = task->tgid;
    s->end_read_stack = take_stack(s, cookie);
    count(COUNT_END_READ);
    if (config.events) {
        struct recorder_call call = {.pid = task->tgid, .fd = -1, .stack = s->end_read_stack};
        fill_program(call.program, task);
        tell(EVENT_END_READ, cookie, s, &call);
    }
    return 0;
}

/* ---- descriptors ---- */

/* A field behind a pointer that only we know the type of: by a plain load, which reads 0 where there
 * is nothing, since Linux 6.2; by a call of its own before. The kernel drops the branch not taken. */
extern void *bpf_rdonly_cast(void *object, u32 btf_id) __ksym __weak;
#define TYPED(type, pointer) \
    ((struct type *)bpf_rdonly_cast((void *)(pointer), bpf_core_type_id_kernel(struct type)))
#define LOAD(type, pointer, field)                    \
    (config.casts ? TYPED(type, pointer)->field       \
                  : BPF_CORE_READ((struct type *)(pointer), field))

static __always_inline u64 references(struct file *file)
{
    if (bpf_core_field_exists(struct file___new, f_ref))
        return LOAD(file___new, file, f_ref.refcnt.counter) + 1;
    return LOAD(file___old, file, f_count.counter);
}

struct descriptor {
    u64 references;
    u8 state;
};

/* The cookie of a descriptor, if it is a TCP socket's that has one; else 0. */
static __always_inline u64 descriptor_cookie(struct fdtable *fdt, u32 fd, struct descriptor *out)
{
    struct file **table = fdt->fd, *file = NULL;
    struct inode *inode;
    struct socket *socket;
    struct sock *sk;
    u16 family;
    if (fd >= fdt->max_fds || bpf_probe_read_kernel(&file, sizeof file, table + fd) || !file)
        return 0;
    inode = LOAD(file, file, f_inode);
    if ((LOAD(inode, inode, i_mode) & S_IFMT) != S_IFSOCK)
        return 0;
    socket = LOAD(file, file, private_data);
    sk = LOAD(socket, socket, sk);
    family = LOAD(sock, sk, __sk_common.skc_family);
    if ((family != AF_INET && family != AF_INET6) || LOAD(sock, sk, sk_protocol) != IPPROTO_TCP)
        return 0;
    *out = (struct descriptor){references(file), LOAD(sock, sk, __sk_common.skc_state)};
    return LOAD(sock, sk, __sk_common.skc_cookie.counter);
}

/* A descriptor is about to go. The last one of an open connection is seen by the change of its state. */
static __noinline void closing(u32 fd, u8 kind)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct recorder_call call = {};
    struct recorder_socket *s;
    struct descriptor of;
    u64 cookie, left;
    cookie = descriptor_cookie(task->files->fdt, fd, &of);
    if (!cookie)
        return;
    left = of.references;
    if (left < 2 && is_open(of.state))
        return;
    s = find_socket(cookie);
    if (!s)
        return;
    if (is_borrowed(task->tgid, fd)) {
        cookie = (u64)task->tgid << 32 | fd;
        bpf_map_delete_elem(&lastack_borrowed, &cookie);
        return;
    }
    call.ns = bpf_ktime_get_ns();
    call.pid = task->tgid;
    call.fd = fd;
    call.left = left - 1;
    call.kind = kind;
    fill_program(call.program, task);
    if (kind != CALL_EXIT)
        call.stack = take_stack(s, cookie);
    add_close(s, &call);
    if (call.left)
        count(COUNT_CLOSE_LEFT);
    else
        count_close(s, &call);
    tell(EVENT_CLOSE, cookie, s, &call);
}

SEC("tracepoint/syscalls/sys_enter_close")
int on_close(struct trace_event_raw_sys_enter *ctx)
{
    closing((u32)ctx->args[0], CALL_CLOSE);
    return 0;
}

SEC("tracepoint/syscalls/sys_enter_dup2")
int on_dup2(struct trace_event_raw_sys_enter *ctx)
{
    if (ctx->args[0] != ctx->args[1])
        closing((u32)ctx->args[1], CALL_DUP_OVER);
    return 0;
}

SEC("tracepoint/syscalls/sys_enter_dup3")
int on_dup3(struct trace_event_raw_sys_enter *ctx)
{
    if (ctx->args[0] != ctx->args[1])
        closing((u32)ctx->args[1], CALL_DUP_OVER);
    return 0;
}

struct range_walk {
    u32 first, last;
    u8 kind;
};

static int range_step(u32 i, struct range_walk *walk)
{
    u32 fd = walk->first + i;
    if (fd > walk->last)
        return 1;
    closing(fd, walk->kind);
    return 0;
}

static __always_inline void close_range(struct task_struct *task, u32 first, u32 last, u8 kind)
{
    struct range_walk walk = {first, last, kind};
    u32 max = task->files->fdt->max_fds;
    if (walk.last >= max)
        walk.last = max - 1;
    if (max && first < max)
        bpf_loop(RECORDER_CALL_MAX, range_step, &walk, 0);
}

SEC("tracepoint/syscalls/sys_enter_close_range")
int on_close_range(struct trace_event_raw_sys_enter *ctx)
{
    if (!(ctx->args[2] & 4)) /* CLOSE_RANGE_CLOEXEC closes nothing yet */
        close_range(bpf_get_current_task_btf(), (u32)ctx->args[0], (u32)ctx->args[1], CALL_CLOSE);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    struct files_struct *files = task->files;
    if (files && files->count.counter == 1)
        close_range(bpf_get_current_task_btf(), 0, ~0u, CALL_EXIT);
    return 0;
}

/* ---- exec: what close-on-exec takes away is known before, that it happens after ---- */

struct exec_walk {
    u32 max, pid;
    unsigned long *bits;
};

static int exec_step(u32 word, struct exec_walk *walk)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct exec_closes *closes;
    unsigned long bits = 0;
    u32 fd = word * 64;
    if (fd >= walk->max)
        return 1;
    bpf_probe_read_kernel(&bits, sizeof bits, walk->bits + word);
    if (!bits)
        return 0;
    closes = bpf_map_lookup_elem(&lastack_execs, &walk->pid);
    if (!closes)
        return 1;
    for (u32 i = 0; i < 64; i++) {
        struct recorder_call *call;
        struct descriptor of;
        u64 cookie, left;
        u32 at = closes->cnt;
        if (!(bits >> i & 1))
            continue;
        if (at >= EXEC_MAX)
            return 1;
        cookie = descriptor_cookie(task->files->fdt, fd + i, &of);
        if (!cookie || !find_socket(cookie))
            continue;
        left = of.references;
        if (left < 2)
            continue;
        call = &closes->call[at & (EXEC_MAX - 1)];
        closes->cookie[at & (EXEC_MAX - 1)] = cookie;
        call->pid = task->tgid;
        call->fd = fd + i;
        call->left = left - 1;
        call->kind = CALL_EXEC;
        fill_program(call->program, task);
        closes->cnt = at + 1;
    }
    return 0;
}

static __always_inline int before_exec(void)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct fdtable *fdt = task->files->fdt;
    struct exec_walk walk = {fdt->max_fds, task->tgid, fdt->close_on_exec};
    bpf_map_update_elem(&lastack_execs, &walk.pid, &no_closes, BPF_ANY);
    bpf_loop(RECORDER_CALL_MAX / 64, exec_step, &walk, 0);
    return 0;
}

SEC("tracepoint/syscalls/sys_enter_execve")
int on_execve(struct trace_event_raw_sys_enter *ctx)
{
    return before_exec();
}

SEC("tracepoint/syscalls/sys_enter_execveat")
int on_execveat(struct trace_event_raw_sys_enter *ctx)
{
    return before_exec();
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
    u32 pid = task->tgid;
    struct exec_closes *closes = bpf_map_lookup_elem(&lastack_execs, &pid);
    if (!closes)
        return 0;
    for (u32 i = 0; i < EXEC_MAX; i++) {
        struct recorder_socket *s;
        u64 cookie = closes->cookie[i];
        if (i >= closes->cnt)
            break;
        s = find_socket(cookie);
        if (!s)
            continue;
        closes->call[i].ns = bpf_ktime_get_ns();
        add_close(s, &closes->call[i]);
        count(COUNT_CLOSE_LEFT);
        tell(EVENT_CLOSE, cookie, s, &closes->call[i]);
    }
    bpf_map_delete_elem(&lastack_execs, &pid);
    return 0;
}

/* ---- other calls ---- */

static __always_inline int accepted(long fd)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct recorder_socket *s;
    struct descriptor of;
    u64 cookie;
    if (fd < 0)
        return 0;
    cookie = descriptor_cookie(task->files->fdt, (u32)fd, &of);
    s = cookie ? find_socket(cookie) : NULL;
    if (!s || s->creator_pid)
        return 0;
    fill_creator(s, task);
    s->born_stack = take_stack(s, cookie);
    count_birth(s->born_stack);
    if (config.events) {
        struct recorder_call call = {.pid = task->tgid, .fd = (s32)fd, .stack = s->born_stack};
        fill_program(call.program, task);
        tell(EVENT_ACCEPT, cookie, s, &call);
    }
    return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept")
int on_accept(struct trace_event_raw_sys_exit *ctx)
{
    return accepted(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int on_accept4(struct trace_event_raw_sys_exit *ctx)
{
    return accepted(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_pidfd_getfd")
int on_borrow(struct trace_event_raw_sys_exit *ctx)
{
    u64 key = bpf_get_current_pid_tgid() >> 32 << 32 | (u32)ctx->ret;
    u8 yes = 1;
    if (ctx->ret < 0)
        return 0;
    borrowed_ever = 1;
    bpf_map_update_elem(&lastack_borrowed, &key, &yes, BPF_ANY);
    return 0;
}

/* No tracepoint sees what splice() reads: from then on the end cannot be seen, which is said. */
SEC("tracepoint/syscalls/sys_enter_splice")
int on_splice(struct trace_event_raw_sys_enter *ctx)
{
    struct task_struct *task = bpf_get_current_task_btf();
    struct descriptor of;
    u64 cookie = descriptor_cookie(task->files->fdt, (u32)ctx->args[0], &of);
    struct recorder_socket *s = cookie ? find_socket(cookie) : NULL;
    if (s)
        s->spliced = 1;
    return 0;
}
