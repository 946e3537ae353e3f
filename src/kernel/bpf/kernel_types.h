/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The few types of the kernel that our BPF programs look at, cut by hand to the fields that they
 * read. Where a field really lies is found when a program is loaded, from the kernel's own type
 * information (preserve_access_index, "CO-RE"): only names and the way to nest matter here. Fields
 * that a kernel may lack are asked for with bpf_core_field_exists. libbpf walks all types of the
 * kernel for each type from which a path of ours begins, more than a millisecond each: paths should
 * begin from few.
 */
#ifndef LASTACK_KERNEL_BPF_KERNEL_TYPES_H
#define LASTACK_KERNEL_BPF_KERNEL_TYPES_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

/* Of <linux/bpf.h>: numbers of the interface to the kernel, which never change. */
enum bpf_map_type {
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PERCPU_HASH = 5,
    BPF_MAP_TYPE_PERCPU_ARRAY = 6,
    BPF_MAP_TYPE_STACK_TRACE = 7,
    BPF_MAP_TYPE_LRU_HASH = 9,
    BPF_MAP_TYPE_SK_STORAGE = 24,
    BPF_MAP_TYPE_RINGBUF = 27,
    BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum {
    BPF_ANY = 0,
    BPF_NOEXIST = 1,
    BPF_EXIST = 2,
    BPF_F_NO_PREALLOC = 1,
    BPF_F_USER_STACK = 1 << 8,
    BPF_F_FAST_STACK_CMP = 1 << 9,
    BPF_F_REUSE_STACKID = 1 << 10,
    BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};
#define BPF_F_CURRENT_CPU 0xffffffffULL

/* Numbers of the socket interface. */
enum { AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1 };
enum { IPPROTO_TCP = 6, IPPROTO_MPTCP = 262 };
enum {
    TCP_ESTABLISHED = 1, TCP_SYN_SENT, TCP_SYN_RECV, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT,
    TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING, TCP_NEW_SYN_RECV,
};
enum { S_IFMT = 0170000, S_IFSOCK = 0140000 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t;
typedef struct { atomic_t refs; } refcount_t;
typedef struct { u32 val; } kuid_t;

struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };

/* ---- processes ---- */

struct cred { kuid_t uid, euid; };
struct inode { u16 i_mode; unsigned long i_ino; };

struct file_operations { void *show_fdinfo; };
typedef struct { atomic64_t refcnt; } file_ref_t;
struct file {
    const struct file_operations *f_op;
    void *private_data;
    struct inode *f_inode;
    const struct cred *f_cred;
    unsigned int f_flags;
    /* How often it is referred to: f_ref since 6.13, which counts from -1; f_count before. */
    file_ref_t f_ref;
    atomic64_t f_count;
};
struct file___new { file_ref_t f_ref; };
struct file___old { atomic64_t f_count; };

struct fdtable {
    unsigned int max_fds;
    struct file **fd;
    unsigned long *close_on_exec, *open_fds;
};
struct files_struct { atomic_t count; struct fdtable *fdt; };

struct ns_common { unsigned int inum; };
struct net { struct ns_common ns; u64 net_cookie; };
typedef struct { struct net *net; } possible_net_t;
struct nsproxy { struct net *net_ns; };

struct rlimit { unsigned long rlim_cur, rlim_max; };
struct signal_struct { int nr_threads; struct rlimit rlim[16]; };
struct css_set;
struct mm_struct { u64 start_code; };
struct task_struct {
    unsigned int __state;
    unsigned int flags;
    int exit_state;
    int pid, tgid;
    char comm[16];
    const struct cred *real_cred, *cred;
    struct files_struct *files;
    struct nsproxy *nsproxy;
    struct task_struct *real_parent, *group_leader;
    struct signal_struct *signal;
    struct css_set *cgroups;
    struct mm_struct *mm;
    u64 start_time, start_boottime, self_exec_id, parent_exec_id;
};

/* ---- sockets ---- */

struct in6_addr { union { u8 u6_addr8[16]; u32 u6_addr32[4]; } in6_u; };

struct proto;
struct sock_common {
    union { struct { __be32 skc_daddr, skc_rcv_saddr; }; };
    union { unsigned int skc_hash; };
    union { struct { __be16 skc_dport; u16 skc_num; }; };
    u16 skc_family;
    volatile unsigned char skc_state;
    struct proto *skc_prot;
    possible_net_t skc_net;
    struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
    atomic64_t skc_cookie;
    int skc_bound_dev_if;
};

struct wait_queue_head { struct list_head head; };
typedef struct wait_queue_head wait_queue_head_t;
struct wait_queue_entry {
    unsigned int flags;
    void *private;
    void *func;
    struct list_head entry;
};
typedef struct wait_queue_entry wait_queue_entry_t;
struct socket_wq { wait_queue_head_t wait; };

struct timer_list { struct hlist_node entry; unsigned long expires; };

struct sk_buff_head { struct sk_buff *next, *prev; u32 qlen; };
struct sk_buff { struct sk_buff *next, *prev; char cb[48]; };

struct sock {
    struct sock_common __sk_common;
    struct sk_buff_head sk_receive_queue;
    union { struct socket_wq *sk_wq; };
    struct timer_list sk_timer;
    kuid_t sk_uid;
    int sk_err, sk_err_soft;
    struct socket *sk_socket;
    u16 sk_protocol, sk_type;
    u8 sk_shutdown;
    u32 sk_ack_backlog, sk_max_ack_backlog;
};
struct socket {
    s16 type;
    struct file *file;
    struct sock *sk;
};

struct socket_alloc { struct socket socket; struct inode vfs_inode; };

struct request_sock {
    struct request_sock *dl_next;
    struct timer_list rsk_timer;
    struct sock *sk;
};
struct inet_request_sock { struct request_sock req; };
struct tcp_request_sock { struct inet_request_sock req; };
struct inet_timewait_sock {
    unsigned char tw_substate;
    struct timer_list tw_timer;
};
struct tcp_timewait_sock { struct inet_timewait_sock tw_sk; };
struct request_sock_queue { struct request_sock *rskq_accept_head; };
struct inet_sock { struct sock sk; __be16 inet_sport; };
struct inet_connection_sock {
    struct inet_sock icsk_inet;
    struct request_sock_queue icsk_accept_queue;
    struct timer_list icsk_retransmit_timer;
    u8 icsk_retransmits, icsk_pending, icsk_backoff, icsk_probes_out;
    struct { u32 lrcvtime; } icsk_ack;
    u32 icsk_user_timeout;
    unsigned long icsk_timeout; /* in older kernels beside the timer */
};
struct tcp_sock {
    struct inet_connection_sock inet_conn;
    u32 snd_wnd, copied_seq, write_seq, rcv_nxt, snd_nxt, snd_una, rcv_wnd, rcv_wup;
    u32 lsndtime, rcv_tstamp;
    u32 segs_in, segs_out, data_segs_in, data_segs_out;
    u8 chrono_type : 2; /* a byte of its own in newer kernels */
    u32 chrono_start, chrono_stat[3];
    u64 bytes_received, bytes_acked, bytes_sent, bytes_retrans;
};

/* ---- who waits ---- */

struct rb_node;
struct epoll_event { u32 events; u64 data; } __attribute__((packed));
struct epoll_filefd { struct file *file; int fd; } __attribute__((packed));
struct eventpoll { wait_queue_head_t wq; };
struct epitem {
    struct epoll_filefd ffd;
    struct eventpoll *ep;
    struct epoll_event event;
};
struct eppoll_entry { struct epitem *base; wait_queue_entry_t wait; };
struct poll_table_entry { u32 key; wait_queue_entry_t wait; };
struct poll_wqueues { struct task_struct *polling_task; };
struct io_uring_task { struct task_struct *task; };
struct io_kiocb {
    u64 flags;
    struct io_ring_ctx *ctx;
    struct io_uring_task *tctx;
    struct task_struct *task; /* before there was tctx */
};

/* ---- AF_UNIX ---- */

struct scm_fp_list { s16 count; struct file *fp[253]; };
struct unix_skb_parms { struct scm_fp_list *fp; };
struct unix_sock { struct sock sk; struct sock *peer; };

#pragma clang attribute pop

/* ---- what iterators are given: these are as they are for ever ---- */

struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; u64 session_id, seq_num; };
struct bpf_iter__tcp { struct bpf_iter_meta *meta; struct sock_common *sk_common; u32 uid; };
struct bpf_iter__task_file {
    struct bpf_iter_meta *meta;
    struct task_struct *task;
    u32 fd;
    struct file *file;
};
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; };
struct bpf_iter__unix { struct bpf_iter_meta *meta; struct unix_sock *unix_sk; u32 uid; };

#endif
