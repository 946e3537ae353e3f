/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Iterators over the kernel's TCP sockets, the descriptors of all processes, messages in flight and
 * credentials. They only read. Objects that an iterator gives, and what hangs on them, are read by
 * plain loads, which are quick and cannot fault; lists that are not ours to lock are walked by
 * bpf_probe_read_kernel, which cannot fault either, and for a bounded number of steps.
 */
#include "kernel/bpf/kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernel/bpf/iterator_records.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Where functions lie that tell who waits and what a file is (0: not known). */
static u64 at_ep_poll_callback, at_pollwake, at_io_poll_wake, at_ep_show_fdinfo,
    at_io_uring_show_fdinfo;
struct iterators_wanted wanted SEC(".data.wanted") = {.states = ~0u};
/* Of the walk over descriptors under way. */
static u64 last_task, last_bits_task, last_bits;
static u32 last_bits_at;

#define QUEUED_MAX 1024 /* fits the buffer of an iterator */
#define SKB_MAX    256
#define FILE_MAX   253  /* SCM_MAX_FD */

#define PF_IO_WORKER 0x10
#define PF_KTHREAD   0x200000

#define WRITE(seq, record) bpf_seq_write(seq, &(record), sizeof(record))
#define HEAD(of_kind, record) {.kind = (of_kind), .len = sizeof(record)}

/* ---- functions ---- */

#define FIND(name)                                                      \
    do {                                                                \
        u64 at = 0;                                                     \
        bpf_kallsyms_lookup_name(#name, sizeof #name, 0, &at);          \
        at_##name = at;                                                 \
    } while (0)

/* Run once. /proc/kallsyms says the same, but takes as long as all the rest. */
SEC("syscall")
int find_functions(void *ctx)
{
    FIND(ep_poll_callback);
    FIND(pollwake);
    FIND(io_poll_wake);
    FIND(ep_show_fdinfo);
    FIND(io_uring_show_fdinfo);
    return 0;
}

/* ---- sockets ---- */

static __always_inline u64 file_references(struct file *file)
{
    if (bpf_core_field_exists(file->f_ref))
        return file->f_ref.refcnt.counter + 1;
    return file->f_count.counter;
}

static __always_inline void fill_addresses(struct record_socket *r, struct sock_common *common)
{
    if (r->family == AF_INET) {
        *(u32 *)&r->local[12] = common->skc_rcv_saddr;
        *(u32 *)&r->remote[12] = common->skc_daddr;
        *(u32 *)&r->local[8] = *(u32 *)&r->remote[8] = 0xffff0000; /* ::ffff:a.b.c.d */
        return;
    }
    for (int i = 0; i < 4; i++) {
        *(u32 *)&r->local[i * 4] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
        *(u32 *)&r->remote[i * 4] = common->skc_v6_daddr.in6_u.u6_addr32[i];
    }
}

static __always_inline void fill_common(struct record_socket *r, struct sock_common *common)
{
    r->head.kind = RECORD_SOCKET;
    r->head.len = sizeof *r;
    r->family = common->skc_family;
    r->state = common->skc_state;
    r->sock = (u64)common;
    r->cookie = bpf_get_socket_cookie(common);
    r->hash = common->skc_hash;
    r->local_port = common->skc_num;
    r->remote_port = __builtin_bswap16(common->skc_dport);
    r->interface = common->skc_bound_dev_if;
    r->space = common->skc_net.net->ns.inum;
    fill_addresses(r, common);
}

/* As inet_diag shows it: 1 retransmission, 2 keepalive (or FIN_WAIT_2), 4 probe of a window. */
static __always_inline void fill_timer(struct record_socket *r, struct inet_connection_sock *icsk,
                                       struct sock *sk, u32 now)
{
    u8 pending = icsk->icsk_pending;
    if (pending == 1 || pending == 3 || pending == 5 || pending == 6) {
        if (bpf_core_field_exists(icsk->icsk_timeout))
            r->timer_ticks = icsk->icsk_timeout - now;
        else
            r->timer_ticks = icsk->icsk_retransmit_timer.expires - now;
        r->timer = pending == 3 ? 4 : 1;
        r->timer_cnt = pending == 3 ? icsk->icsk_probes_out : icsk->icsk_retransmits;
    } else if (r->state != TCP_LISTEN && bpf_core_field_exists(sk->sk_timer) &&
               sk->sk_timer.entry.pprev) {
        r->timer = 2;
        r->timer_cnt = icsk->icsk_probes_out;
        r->timer_ticks = sk->sk_timer.expires - now;
    }
}

static __always_inline void fill_tcp(struct record_socket *r, struct tcp_sock *tp, u32 now)
{
    struct inet_connection_sock *icsk = &tp->inet_conn;
    u32 una = tp->snd_una, nxt = tp->snd_nxt, written = tp->write_seq;
    s32 unread = tp->rcv_nxt - tp->copied_seq;
    r->backoff = icsk->icsk_backoff;
    r->probes = icsk->icsk_probes_out;
    r->retransmits = icsk->icsk_retransmits;
    r->receive_len = unread > 0 ? unread : 0;
    r->send_len = written - una;
    r->unsent = (s32)(written - nxt) > 0 ? written - nxt : 0;
    r->receive_window = tp->rcv_wnd;
    r->send_window = tp->snd_wnd;
    r->data_in_ticks = now - icsk->icsk_ack.lrcvtime;
    r->data_out_ticks = now - tp->lsndtime;
    r->ack_in_ticks = now - tp->rcv_tstamp;
    r->segments_in = tp->segs_in;
    r->segments_out = tp->segs_out;
    r->data_segments_in = tp->data_segs_in;
    r->data_segments_out = tp->data_segs_out;
    r->busy_ticks = tp->chrono_stat[0] + tp->chrono_stat[1] + tp->chrono_stat[2];
    if (BPF_CORE_READ_BITFIELD(tp, chrono_type))
        r->busy_ticks += now - tp->chrono_start;
    r->bytes_received = tp->bytes_received;
    r->bytes_acked = tp->bytes_acked;
    r->bytes_sent = tp->bytes_sent;
    r->bytes_again = tp->bytes_retrans;
}

static __always_inline void fill_file(struct record_socket *r, struct sock *sk)
{
    struct socket *socket = sk->sk_socket;
    struct sock *owner;
    struct file *file;
    if (!socket)
        return;
    file = socket->file;
    if (!file) {
        struct socket_alloc *with_inode =
            (void *)((u64)socket - bpf_core_field_offset(struct socket_alloc, socket));
        r->inode = BPF_CORE_READ(with_inode, vfs_inode.i_ino);
        r->flags |= SOCKET_KERNEL;
        return;
    }
    owner = socket->sk;
    if (owner && owner != sk) { /* a connection of MPTCP: its file, and what leads there, is the owner's */
        r->owner = (u64)owner;
        r->hash = owner->__sk_common.skc_hash;
    }
    r->flags |= SOCKET_OPEN;
    r->inode = file->f_inode->i_ino;
    r->cred = (u64)file->f_cred;
    r->references = file_references(file);
}

struct watch_walk {
    struct seq_file *seq;
    u64 at, end; /* struct list_head */
    u32 cut;
};

static __always_inline void watch_task(struct record_watch *r, struct task_struct *task)
{
    r->pid = BPF_CORE_READ(task, tgid);
    r->tid = BPF_CORE_READ(task, pid);
    if (r->kind == WATCH_CALL && BPF_CORE_READ(task, flags) & PF_IO_WORKER)
        r->kind = WATCH_RING; /* a worker of io_uring that blocks in the call for its ring */
}

static __always_inline void watch_epoll(struct record_watch *r, u64 entry)
{
    struct eppoll_entry *poll = (void *)(entry - bpf_core_field_offset(struct eppoll_entry, wait));
    struct epitem *item = BPF_CORE_READ(poll, base);
    r->kind = WATCH_EPOLL;
    r->object = (u64)BPF_CORE_READ(item, ep);
    r->events = BPF_CORE_READ(item, event.events);
    r->data = BPF_CORE_READ(item, event.data);
    r->target_fd = BPF_CORE_READ(item, ffd.fd);
}

static __always_inline void watch_poll(struct record_watch *r, u64 entry, u64 private)
{
    struct poll_table_entry *poll =
        (void *)(entry - bpf_core_field_offset(struct poll_table_entry, wait));
    struct poll_wqueues *wait = (void *)private;
    r->kind = WATCH_POLL;
    r->events = BPF_CORE_READ(poll, key);
    watch_task(r, BPF_CORE_READ(wait, polling_task));
}

static __always_inline void watch_ring(struct record_watch *r, u64 private)
{
    struct io_kiocb *request = (void *)(private & ~1ull);
    r->kind = WATCH_RING;
    r->fixed = BPF_CORE_READ(request, flags) & 1;
    r->object = (u64)BPF_CORE_READ(request, ctx);
    if (bpf_core_field_exists(request->tctx))
        watch_task(r, BPF_CORE_READ(request, tctx, task));
    else
        watch_task(r, BPF_CORE_READ(request, task));
}

static int watch_step(u32 i, struct watch_walk *walk)
{
    struct record_watch r = {.head = HEAD(RECORD_WATCH, r), .target_fd = -1};
    u64 address = walk->at - bpf_core_field_offset(struct wait_queue_entry, entry), func, private;
    struct wait_queue_entry *entry = (void *)address;
    if (walk->at == walk->end || !walk->at)
        return 1;
    func = (u64)BPF_CORE_READ(entry, func);
    private = (u64)BPF_CORE_READ(entry, private);
    if (func == at_ep_poll_callback) {
        watch_epoll(&r, address);
    } else if (func == at_pollwake) {
        watch_poll(&r, address, private);
    } else if (func == at_io_poll_wake) {
        watch_ring(&r, private);
    } else {
        r.kind = WATCH_CALL;
        watch_task(&r, (struct task_struct *)private);
        if (!r.tid)
            r.kind = WATCH_OTHER;
    }
    WRITE(walk->seq, r);
    walk->at = (u64)BPF_CORE_READ(entry, entry.next);
    return 0;
}

/* Who waits. An empty queue is by far the commonest. */
static __always_inline void write_watches(struct seq_file *seq, struct sock *sk)
{
    struct socket_wq *wq = sk->sk_wq;
    struct watch_walk walk = {.seq = seq};
    if (!wq)
        return;
    walk.end = (u64)&wq->wait.head;
    walk.at = (u64)wq->wait.head.next;
    if (walk.at != walk.end)
        bpf_loop(RECORD_WATCH_MAX, watch_step, &walk, 0);
}

struct queue_walk {
    struct seq_file *seq;
    u64 at; /* struct request_sock */
};

static int queue_step(u32 i, struct queue_walk *walk)
{
    struct record_queued r = {.head = HEAD(RECORD_QUEUED, r)};
    struct request_sock *request = (void *)walk->at;
    if (!request)
        return 1;
    r.sock = (u64)BPF_CORE_READ(request, sk);
    WRITE(walk->seq, r);
    walk->at = (u64)BPF_CORE_READ(request, dl_next);
    return 0;
}

static __always_inline void write_queue(struct seq_file *seq, struct inet_connection_sock *icsk)
{
    struct queue_walk walk = {seq, (u64)icsk->icsk_accept_queue.rskq_accept_head};
    if (walk.at)
        bpf_loop(QUEUED_MAX, queue_step, &walk, 0);
}

/* `dead`: met through a descriptor, on which the iterator itself has one reference. */
static __always_inline void write_socket(struct seq_file *seq, struct tcp_sock *tp, bool dead)
{
    struct inet_connection_sock *icsk = &tp->inet_conn;
    struct sock *sk = &icsk->icsk_inet.sk;
    struct record_socket r = {0};
    u32 now = bpf_jiffies64();
    fill_common(&r, &sk->__sk_common);
    if (dead) {
        r.flags = SOCKET_DEAD;
        r.local_port = __builtin_bswap16(icsk->icsk_inet.inet_sport);
    }
    r.shutdown = sk->sk_shutdown;
    r.uid = sk->sk_uid.val;
    r.error = sk->sk_err;
    fill_timer(&r, icsk, sk, now);
    fill_tcp(&r, tp, now);
    fill_file(&r, sk);
    if (r.state == TCP_LISTEN) {
        r.receive_len = sk->sk_ack_backlog;
        r.send_len = sk->sk_max_ack_backlog;
    }
    r.references -= dead;
    WRITE(seq, r);
    write_watches(seq, sk);
    if (r.state == TCP_LISTEN)
        write_queue(seq, icsk);
}

static __always_inline void write_half(struct seq_file *seq, struct sock_common *common, u8 state,
                                       u8 timer, u32 ticks)
{
    struct record_socket r = {0};
    fill_common(&r, common);
    r.state = state;
    r.flags = SOCKET_HALF;
    r.timer = timer;
    r.timer_ticks = ticks;
    WRITE(seq, r);
}

SEC("iter/tcp")
int iterate_sockets(struct bpf_iter__tcp *ctx)
{
    struct sock_common *common = ctx->sk_common;
    struct tcp_request_sock *request;
    struct tcp_timewait_sock *wait;
    struct tcp_sock *tp;
    u32 now;
    if (!common)
        return 0;
    if (common->skc_state == TCP_TIME_WAIT) { /* or FIN_WAIT2, without a socket */
        if (!(wanted.states & (1 << TCP_TIME_WAIT | 1 << TCP_FIN_WAIT2)))
            return 0;
        wait = bpf_skc_to_tcp_timewait_sock(common);
        now = bpf_jiffies64();
        if (wait && wanted.states >> wait->tw_sk.tw_substate & 1)
            write_half(ctx->meta->seq, common, wait->tw_sk.tw_substate, 3,
                       (u32)wait->tw_sk.tw_timer.expires - now);
        return 0;
    }
    if (common->skc_state == TCP_NEW_SYN_RECV) {
        if (!(wanted.states & (1 << TCP_NEW_SYN_RECV | 1 << TCP_SYN_RECV)))
            return 0;
        request = bpf_skc_to_tcp_request_sock(common);
        now = bpf_jiffies64();
        if (request)
            write_half(ctx->meta->seq, common, TCP_SYN_RECV, 1,
                       (u32)request->req.req.rsk_timer.expires - now);
        return 0;
    }
    if (!(wanted.states >> common->skc_state & 1))
        return 0;
    tp = bpf_skc_to_tcp_sock(common);
    if (tp)
        write_socket(ctx->meta->seq, tp, false);
    return 0;
}

/* ---- descriptors ---- */

/* The bits of 64 descriptors are read together: those of one process come in order. */
static __always_inline u32 close_on_exec(struct task_struct *task, u32 fd)
{
    if (last_bits_task != (u64)task || last_bits_at != fd / 64) {
        unsigned long *bits = task->files->fdt->close_on_exec;
        u64 word = 0;
        bpf_probe_read_kernel(&word, sizeof word, bits + fd / 64);
        last_bits = word;
        last_bits_task = (u64)task;
        last_bits_at = fd / 64;
    }
    return last_bits >> (fd % 64) & 1 ? DESCRIPTOR_CLOEXEC : 0;
}

static __always_inline long write_process(struct seq_file *seq, struct task_struct *task, u64 met)
{
    struct record_process r = {.head = HEAD(RECORD_PROCESS, r), .descriptors = met};
    if (task) {
        struct task_struct *leader = task->group_leader;
        r.pid = task->tgid;
        r.tid = task->pid;
        r.start_ns = leader->start_boottime;
        bpf_probe_read_kernel(r.comm, sizeof r.comm, leader->comm);
    }
    return WRITE(seq, r);
}

static __always_inline long write_socket_descriptor(struct bpf_iter__task_file *ctx,
                                                    struct task_struct *task, struct sock *sk)
{
    struct record_descriptor r = {.head = HEAD(RECORD_DESCRIPTOR, r), .fd = (s32)ctx->fd,
                                  .sock = (u64)sk, .hash = sk->__sk_common.skc_hash};
    u16 family = sk->__sk_common.skc_family;
    if (family == AF_UNIX) {
        if (!wanted.unix_too)
            return 0;
        r.flags = DESCRIPTOR_UNIX;
    } else if (family != AF_INET && family != AF_INET6) {
        return 0;
    } else if (sk->__sk_common.skc_state == TCP_CLOSE) { /* or none of TCP: UDP is always so */
        struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk); /* raw ones of TCP, too */
        if (!tp || sk->sk_type != SOCK_STREAM)
            return 0;
        if (wanted.states >> TCP_CLOSE & 1 && (tp->segs_in || tp->segs_out)) /* was connected */
            write_socket(ctx->meta->seq, tp, true);
    }
    r.flags |= close_on_exec(task, ctx->fd);
    return WRITE(ctx->meta->seq, r);
}

struct waiter_walk {
    struct record_special *record;
    u64 at, end;
};

static int waiter_step(u32 i, struct waiter_walk *walk)
{
    struct wait_queue_entry *entry =
        (void *)(walk->at - bpf_core_field_offset(struct wait_queue_entry, entry));
    struct task_struct *task;
    if (walk->at == walk->end || !walk->at || i >= RECORD_WAITER_MAX)
        return 1;
    task = BPF_CORE_READ(entry, private);
    walk->record->waiters[i & (RECORD_WAITER_MAX - 1)] = BPF_CORE_READ(task, pid);
    walk->record->waiter_cnt = i + 1;
    walk->at = (u64)BPF_CORE_READ(entry, entry.next);
    return 0;
}

static __always_inline long write_special(struct bpf_iter__task_file *ctx, struct file *file,
                                          u16 kind)
{
    struct record_special r = {.head = HEAD(kind, r), .fd = (s32)ctx->fd,
                               .object = (u64)file->private_data};
    if (kind == RECORD_EPOLL) {
        struct eventpoll *ep = file->private_data;
        struct waiter_walk walk = {&r, (u64)BPF_CORE_READ(ep, wq.head.next),
                                   (u64)ep + bpf_core_field_offset(struct eventpoll, wq.head)};
        if (walk.at != walk.end)
            bpf_loop(RECORD_WAITER_MAX, waiter_step, &walk, 0);
    }
    return WRITE(ctx->meta->seq, r);
}

SEC("iter/task_file")
int iterate_descriptors(struct bpf_iter__task_file *ctx)
{
    struct task_struct *task = ctx->task;
    struct file *file = ctx->file;
    struct socket *socket;
    long error = 0;
    u64 shows;
    if (!task || !file) {
        last_task = last_bits_task = 0;
        write_process(ctx->meta->seq, NULL, ctx->meta->seq_num);
        return 0;
    }
    if ((u64)task != last_task || ctx->meta->seq_num == 0) {
        last_task = (u64)task;
        error = write_process(ctx->meta->seq, task, ctx->meta->seq_num);
    }
    socket = bpf_sock_from_file(file);
    if (socket) {
        struct sock *sk = socket->sk;
        if (sk)
            error |= write_socket_descriptor(ctx, task, sk);
    } else {
        shows = (u64)file->f_op->show_fdinfo;
        if (shows && shows == at_ep_show_fdinfo)
            error |= write_special(ctx, file, RECORD_EPOLL);
        else if (shows && shows == at_io_uring_show_fdinfo)
            error |= write_special(ctx, file, RECORD_RING);
    }
    if (error) /* the buffer is full, and all of this will be asked for again */
        last_task = 0;
    return 0;
}

/* ---- messages in flight ---- */

struct message_walk {
    struct seq_file *seq;
    struct record_message record;
    u64 skb, end;
    struct scm_fp_list *files;
};

static int file_step(u32 i, struct message_walk *walk)
{
    struct scm_fp_list *files = walk->files;
    struct file *file = NULL;
    struct socket *socket;
    struct sock *sk;
    u16 family, protocol, type;
    if ((s32)i >= BPF_CORE_READ(files, count))
        return 1;
    bpf_probe_read_kernel(&file, sizeof file, (void *)((u64)files +
                          bpf_core_field_offset(struct scm_fp_list, fp) + i * sizeof file));
    if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
        return 0;
    socket = BPF_CORE_READ(file, private_data);
    sk = BPF_CORE_READ(socket, sk);
    family = BPF_CORE_READ(sk, __sk_common.skc_family);
    protocol = BPF_CORE_READ(sk, sk_protocol);
    type = BPF_CORE_READ(sk, sk_type);
    if ((family != AF_INET && family != AF_INET6) || type != SOCK_STREAM ||
        (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP))
        return 0;
    walk->record.sock = (u64)sk;
    WRITE(walk->seq, walk->record);
    return 0;
}

static int message_step(u32 i, struct message_walk *walk)
{
    struct sk_buff *skb = (void *)walk->skb;
    struct unix_skb_parms *parms = (void *)&skb->cb;
    if (walk->skb == walk->end || !skb)
        return 1;
    walk->files = BPF_CORE_READ(parms, fp);
    if (walk->files)
        bpf_loop(FILE_MAX, file_step, walk, 0);
    walk->skb = (u64)BPF_CORE_READ(skb, next);
    return 0;
}

SEC("iter/unix")
int iterate_messages(struct bpf_iter__unix *ctx)
{
    struct unix_sock *unix_sk = ctx->unix_sk;
    struct message_walk walk = {.record = {.head = HEAD(RECORD_MESSAGE, walk.record)}};
    struct sock *sk;
    if (!unix_sk)
        return 0;
    sk = &unix_sk->sk;
    if (!sk->sk_receive_queue.qlen)
        return 0;
    walk.seq = ctx->meta->seq;
    walk.record.holder = (u64)sk;
    walk.record.holder_peer = (u64)unix_sk->peer;
    walk.end = (u64)&sk->sk_receive_queue;
    walk.skb = (u64)sk->sk_receive_queue.next;
    bpf_loop(SKB_MAX, message_step, &walk, 0);
    return 0;
}

/* ---- processes and threads ---- */

#define RLIMIT_NOFILE 7

#ifdef __TARGET_ARCH_x86
struct pt_regs {
    unsigned long r10, r9, r8, dx, si, di, orig_ax, ip, sp;
} __attribute__((preserve_access_index));
#endif

static __always_inline void write_task(struct seq_file *seq, struct task_struct *task)
{
    struct record_task r = {.head = HEAD(RECORD_TASK, r)};
    r.pid = task->tgid;
    r.parent = task->real_parent->tgid;
    bpf_probe_read_kernel(r.comm, sizeof r.comm, task->comm);
    r.start_ns = task->start_boottime;
    r.started_ns = task->start_time;
    r.executed = task->self_exec_id != task->parent_exec_id;
    r.cred = (u64)task->real_cred;
    r.groups = (u64)task->cgroups;
    r.threads = task->signal->nr_threads;
    r.fd_limit = task->signal->rlim[RLIMIT_NOFILE].rlim_cur;
    r.state = task->__state | task->exit_state;
    WRITE(seq, r);
}

/* A 32-bit program, whose calls have other numbers, has its stack and its code below 4 GB. */
static __always_inline void fill_call(struct record_thread *r, struct task_struct *task)
{
#ifdef __TARGET_ARCH_x86
    struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
    r->call = regs->orig_ax;
    r->known = 1;
    if (regs->sp >> 32 == 0 && regs->ip >> 32 == 0)
        r->call = -1;
    r->args[0] = regs->di;
    r->args[1] = regs->si;
    r->args[2] = regs->dx;
    r->args[3] = regs->r10;
    r->args[4] = regs->r8;
    r->args[5] = regs->r9;
#else
    r->call = -1;
#endif
}

SEC("iter/task")
int iterate_tasks(struct bpf_iter__task *ctx)
{
    struct task_struct *task = ctx->task;
    struct record_thread r = {.head = HEAD(RECORD_THREAD, r)};
    if (!task || task->flags & PF_KTHREAD)
        return 0;
    if (task->pid == task->tgid)
        write_task(ctx->meta->seq, task);
    if (task->exit_state)
        return 0;
    r.pid = task->tgid;
    r.tid = task->pid;
    r.running = task->__state == 0;
    r.call = -1;
    if (!r.running)
        fill_call(&r, task);
    WRITE(ctx->meta->seq, r);
    return 0;
}
