/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts completed with what a recorder remembers. */
#include "kernel/recorder_history.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/bpf_object.h"
#include "kernel/process.h"
#include "kernel/recorder_name.h"

_Static_assert((int)CALL_CLOSE == (int)FACT_CALL_CLOSE && (int)CALL_EXEC == (int)FACT_CALL_EXEC &&
                   (int)CALL_MESSAGE_DROP == (int)FACT_CALL_MESSAGE_DROP &&
                   (int)CALL_OPERATOR == (int)FACT_CALL_OPERATOR,
               "kinds of calls have the same numbers in records and facts");

/* What connections that were born at one site came to. */
struct siblings {
    uint64_t born_cnt, closed_cnt, vote_cnt, close_stack, linger_ns;
};

struct reader {
    struct recorder_maps maps;
    struct facts_list *list;
    uint64_t now_ns; /* from which the ages of the record in hand count */
    fact_site_id ids[RECORDER_SITE_MAX + 1]; /* of sites in the list */
    bool looked[RECORDER_SITE_MAX + 1];
    bool runtime[RECORDER_SITE_MAX + 1]; /* recorder_site.runtime */
    struct siblings siblings[RECORDER_SITE_MAX + 1];
};

/* ---- pieces ---- */

static void address_get(struct lastack_address *to, uint8_t family, const uint8_t bytes[16])
{
    memset(to, 0, sizeof *to);
    if (family == 2) { /* ::ffff:a.b.c.d */
        to->bytes[10] = to->bytes[11] = 0xff;
        memcpy(to->bytes + 12, bytes, 4);
    } else {
        memcpy(to->bytes, bytes, 16);
    }
}

void recorder_tuple_get(struct lastack_tuple *to, uint8_t family, const uint8_t local[16],
                        uint16_t local_port, const uint8_t remote[16], uint16_t remote_port)
{
    address_get(&to->local, family, local);
    address_get(&to->remote, family, remote);
    to->local_port = local_port;
    to->remote_port = remote_port;
}

static uint64_t age_us(uint64_t now_ns, uint64_t ns)
{
    return now_ns > ns ? (now_ns - ns) / 1000 : 0;
}

void recorder_call_get(struct fact_call *to, const struct recorder_call *from, uint64_t now_ns)
{
    memset(to, 0, sizeof *to);
    to->kind = from->kind < FACT_CALL_KIND_CNT ? (enum fact_call_kind)from->kind : FACT_CALL_NONE;
    to->age_us = age_us(now_ns, from->ns);
    to->pid = from->pid;
    memcpy(to->program, from->program, sizeof from->program);
    to->program[sizeof from->program - 1] = '\0';
    to->fd = from->fd;
    to->left = from->left;
}

static uint32_t stack_site(const struct reader *reader, uint64_t stack)
{
    __u64 key = stack;
    __u32 id = 0;
    if (stack == 0 || !reader->maps.about.lines ||
        bpf_map_lookup_elem(reader->maps.stacks, &key, &id) != 0 || id > RECORDER_SITE_MAX)
        return 0;
    return id;
}

/* The site of a stack, in the list; 0: not known. */
static fact_site_id stack_fact(struct reader *reader, uint64_t stack)
{
    struct recorder_site record;
    struct fact_site site;
    uint32_t id = stack_site(reader, stack);
    if (id == 0 || reader->looked[id])
        return id ? reader->ids[id] : 0;
    reader->looked[id] = true;
    if (bpf_map_lookup_elem(reader->maps.sites, &id, &record) == 0) {
        recorder_site_get(&site, &record);
        reader->ids[id] = facts_site_add(reader->list, &site);
        reader->runtime[id] = record.runtime;
    }
    return reader->ids[id];
}

/* ---- siblings ---- */

/* Several stacks are one site (threads, workers): their counts are summed, the loudest vote wins. */
static void read_siblings(struct reader *reader)
{
    __u64 key, *last = NULL;
    struct recorder_place place;
    if (!reader->maps.about.lines || reader->maps.places < 0)
        return;
    for (uint32_t steps = 0; steps < 65536; steps++) {
        if (bpf_map_get_next_key(reader->maps.places, last, &key) != 0)
            return;
        last = &key;
        uint32_t id = stack_site(reader, key);
        if (id == 0 || bpf_map_lookup_elem(reader->maps.places, &key, &place) != 0)
            continue;
        struct siblings *all = &reader->siblings[id];
        all->born_cnt += place.born_cnt;
        all->closed_cnt += place.closed_cnt;
        if (place.linger_ns > all->linger_ns)
            all->linger_ns = place.linger_ns;
        if (place.close_stack && place.vote_cnt >= all->vote_cnt) {
            all->vote_cnt = place.vote_cnt;
            all->close_stack = place.close_stack;
        }
    }
}

static void fill_places(struct reader *reader, struct facts *f, const struct recorder_socket *s)
{
    uint32_t born = stack_site(reader, s->born_stack);
    f->born_at = stack_fact(reader, s->born_stack);
    f->eof_read_at = stack_fact(reader, s->end_read_stack);
    if (!f->born_at)
        return;
    const struct siblings *all = &reader->siblings[born];
    f->sibling_linger_us = all->linger_ns / 1000;
    if (reader->runtime[born])
        return; /* other programs' connections are born there, too, and closed by what they please */
    f->sibling_cnt = all->born_cnt;
    f->sibling_closed_cnt = all->closed_cnt;
    f->sibling_close_at = stack_fact(reader, all->close_stack);
}

/* ---- one socket ---- */

/* Whether this side has given bytes to send since the peer's FIN: what was given then, and is now. */
static void fill_answered(struct facts *f, const struct recorder_socket *s)
{
    if (f->state != LASTACK_CLOSE_WAIT || !s->given_at_fin || !fact_known(f->bytes_out) ||
        !fact_known(f->send_unsent))
        return;
    f->answered = f->bytes_out + f->send_unsent > s->given_at_fin - 1 ? FACT_YES : FACT_NO;
}

/* The kernel's own ages count in ticks: what lies this close together has no order. */
#define COARSE_US 20000

/* When it was sent is put where it is known to belong: before the FIN, or not before it. */
static void settle_data_out(struct facts *f)
{
    uint64_t fin_us = f->fin_in_us, out_us = f->data_out_us;
    uint64_t apart_us = out_us < fin_us ? fin_us - out_us : out_us - fin_us;
    if (!fact_known(out_us))
        return;
    if (f->answered == FACT_NO ? out_us < fin_us : apart_us < COARSE_US)
        f->data_out_us = fin_us;
}

/* No data came before the birth or after the FIN; none is said to have been sent after it unless that
 * is sure. */
static void settle_ages(struct facts *f, const struct recorder_socket *s)
{
    if (s->born_ns && fact_known(f->data_in_us) && f->data_in_us > f->born_us)
        f->data_in_us = f->born_us;
    if (s->born_ns && fact_known(f->data_out_us) && f->data_out_us > f->born_us)
        f->data_out_us = f->born_us;
    if (!fact_known(f->fin_in_us))
        return;
    if (fact_known(f->data_in_us) && f->data_in_us < f->fin_in_us)
        f->data_in_us = f->fin_in_us;
    settle_data_out(f);
    if (fact_known(f->eof_read_us) && f->eof_read_us > f->fin_in_us)
        f->eof_read_us = f->fin_in_us;
}

static void fill_ages(const struct reader *reader, struct facts *f, const struct recorder_socket *s)
{
    const struct recorder_about *about = &reader->maps.about;
    uint64_t now = reader->now_ns;
    if (s->born_ns) {
        f->born_us = age_us(now, s->born_ns);
        f->at_least = FACT_NO;
        f->passive = s->passive ? FACT_YES : FACT_NO;
    }
    if (s->state_ns && f->state != LASTACK_LISTEN)
        f->state_us = age_us(now, s->state_ns);
    if (s->fin_in_ns)
        f->fin_in_us = age_us(now, s->fin_in_ns);
    if (s->fin_out_ns)
        f->fin_out_us = age_us(now, s->fin_out_ns);
    f->eof_read_pid = s->end_read_ns ? s->end_read_pid : FACT_NO_PID;
    if (s->end_read_ns)
        f->eof_read_us = age_us(now, s->end_read_ns);
    else if (s->born_ns && about->end_reads && about->calls && !s->spliced)
        f->eof_read_us = FACT_NEVER;
}

static void fill_calls(struct reader *reader, struct facts *f, const struct recorder_socket *s)
{
    struct fact_call call;
    uint32_t cnt = s->close_cnt < RECORDER_CLOSES ? s->close_cnt : RECORDER_CLOSES;
    if (s->fin_out_ns && s->fin_out_by.kind != CALL_NONE) {
        recorder_call_get(&f->fin_out_by, &s->fin_out_by, reader->now_ns);
        f->fin_out_by.at = stack_fact(reader, s->fin_out_by.stack);
    }
    for (uint32_t i = s->close_cnt - cnt; i != s->close_cnt; i++) {
        const struct recorder_call *from = &s->closes[i % RECORDER_CLOSES];
        recorder_call_get(&call, from, reader->now_ns);
        call.at = stack_fact(reader, from->stack);
        facts_close_add(f, &call);
    }
    if (s->born_ns && reader->maps.about.calls)
        f->close_all = s->close_cnt <= RECORDER_CLOSES ? FACT_YES : FACT_NO;
}

static bool holds(const struct facts *f, uint32_t pid)
{
    for (uint32_t i = 0; i < f->holder_cnt; i++)
        if (f->holders[i].pid == pid)
            return true;
    return false;
}

static void fill_creator(struct facts *f, const struct recorder_socket *s)
{
    for (uint32_t i = 0; i < f->holder_cnt && s->creator_pid; i++) {
        struct fact_holder *holder = &f->holders[i];
        if (holder->pid == s->creator_pid && holder->origin == FACT_ORIGIN_UNKNOWN)
            holder->origin = s->passive ? FACT_ORIGIN_ACCEPT : FACT_ORIGIN_SOCKET;
    }
    if (!s->creator_pid || f->creator_pid != FACT_NO_PID)
        return;
    uint64_t ticks_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    f->creator_pid = s->creator_pid;
    memcpy(f->creator_program, s->creator_program, sizeof s->creator_program);
    f->creator_program[sizeof s->creator_program - 1] = '\0';
    bool alive = recorder_process_ticks(s->creator_pid) == s->creator_start_ns / ticks_ns;
    f->creator_alive = alive ? FACT_YES : FACT_NO;
    if (!alive)
        f->creator_holds = FACT_NO;
    else if (f->holders_known == FACT_YES)
        f->creator_holds = holds(f, s->creator_pid) ? FACT_YES : FACT_NO;
}

static void complete(struct reader *reader, struct facts *f, const struct recorder_socket *s)
{
    reader->now_ns = f->taken_ns ? f->taken_ns - (uint64_t)process_clock_offset_ns() : recorder_now_ns();
    fill_ages(reader, f, s);
    fill_answered(f, s);
    settle_ages(f, s);
    fill_calls(reader, f, s);
    fill_creator(f, s);
    fill_places(reader, f, s);
    if (f->state == LASTACK_CLOSED && f->tuple.remote_port == 0 && s->family) /* the kernel forgot */
        recorder_tuple_get(&f->tuple, s->family, s->local, s->local_port, s->remote, s->remote_port);
    if (s->reset_ns && f->last_error < 0)
        f->last_error = ECONNRESET;
}

int facts_add_history(struct facts_list *list, bool *running, char *why, size_t why_len)
{
    struct recorder_socket record;
    int completed = 0;
    *running = false;
    if (!kernel_bpf_allowed(why, why_len))
        return 0;
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader || !recorder_maps_find(&reader->maps, 0)) {
        free(reader);
        return 0;
    }
    *running = true;
    reader->list = list;
    read_siblings(reader);
    for (uint32_t i = 0; i < list->cnt; i++) {
        __u64 cookie = list->all[i].id;
        if (list->all[i].source != FACT_SOURCE_KERNEL || cookie == 0 ||
            bpf_map_lookup_elem(reader->maps.sockets, &cookie, &record) != 0)
            continue;
        complete(reader, &list->all[i], &record);
        completed++;
    }
    recorder_maps_close(&reader->maps);
    free(reader);
    return completed;
}
