/* SPDX-License-Identifier: BSD-2-Clause */
/* Iterators over sockets, descriptors and messages in flight. */
#include "kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("iter/tcp")
int dump_sockets(struct bpf_iter__tcp *ctx)
{
    struct sock_common *sk = ctx->sk_common;
    u64 cookie;
    if (!sk)
        return 0;
    cookie = sk->skc_cookie.counter;
    bpf_seq_write(ctx->meta->seq, &cookie, sizeof cookie);
    return 0;
}
