/* SPDX-License-Identifier: BSD-2-Clause */
/* From a seed to a plan: how many hosts, which limits, what kind of network and programs. Most
 * worlds are small and short; the dice are loaded so that each corner is met often. */
#include "sim.h"

static uint32_t pick(struct rng *r, const uint32_t *values, uint32_t cnt)
{
    return values[rng_below(r, cnt)];
}
#define PICK(r, ...)                                                                \
    pick((r), (const uint32_t[]){__VA_ARGS__},                                      \
         sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void draw_timers(struct lastack_config *c, struct rng *r)
{
    c->msl_ms = PICK(r, 10, 50, 200, 1000, 5000, 30000);
    c->orphan_fin_wait_ms = PICK(r, 100, 500, 3000, 10000, 60000);
    c->orphan_probe_max = PICK(r, 2, 4, 8);
    c->syn_retry_max = PICK(r, 2, 3, 6);
    c->syn_ack_retry_max = PICK(r, 2, 3, 5);
    c->retry_max = PICK(r, 4, 6, 15);
    c->rto_min_ms = PICK(r, 20, 50, 200);
    c->rto_initial_ms = PICK(r, 100, 300, 1000);
    c->rto_max_ms = PICK(r, 2000, 10000, 120000);
    c->delayed_ack_ms = PICK(r, 0, 5, 40, 100);
    c->keepalive_idle_ms = PICK(r, 2000, 20000, 7200000);
    c->keepalive_interval_ms = PICK(r, 1000, 5000);
    c->keepalive_count = PICK(r, 3, 5);
    c->initial_window = PICK(r, 0, 0, 1, 2, 10);
}

static void draw_limits(struct lastack_config *c, struct rng *r, bool tight)
{
    c->connection_max = 4096;
    c->half_open_max = 256;
    c->time_wait_max = 1024;
    c->orphan_max = 256;
    c->process_max = 64;
    c->descriptor_max = FD_MAX;
    c->send_buffer = PICK(r, 2048, 4096, 16384, 65536);
    c->receive_buffer = PICK(r, 2048, 4096, 16384, 65536);
    c->buffer_limit = 131072;
    c->buffer_max = 16u << 20;
    c->record_len = 4096;
    if (!tight)
        return;
    c->connection_max = PICK(r, 6, 16, 4096);
    c->half_open_max = PICK(r, 1, 2, 4, 256);
    c->time_wait_max = PICK(r, 1, 3, 1024);
    c->orphan_max = PICK(r, 1, 2, 256);
    c->descriptor_max = PICK(r, 6, 12, FD_MAX);
    c->buffer_max = PICK(r, 65536, 262144, 16u << 20);
    c->process_max = PICK(r, 6, 64);
}

static void draw_config(struct plan *plan, unsigned host, struct rng *r, uint64_t seed)
{
    struct lastack_config *c = &plan->config[host];
    lastack_config_init(c);
    for (int i = 0; i < 4; i++)
        c->seed[i] = rng_u64(r);
    draw_limits(c, r, plan->tight);
    draw_timers(c, r);
    c->late_data_after_shut_rd = rng_chance(r, 20 * PERCENT);
    c->no_syn_cookies = rng_chance(r, 20 * PERCENT);
    c->no_window_scale = rng_chance(r, 20 * PERCENT);
    c->option_order_linux = rng_chance(r, 20 * PERCENT);
    if (plan->wrap) {
        c->fixed_iss_set = true;
        c->fixed_iss = 0u - 1 - rng_below(r, rng_chance(r, 30 * PERCENT) ? 3 : 4000);
    }
    plan->mtu[host] = PICK(r, 576, 600, 1280, 1500, 1500, 9000, 65535);
    (void)seed;
}

static void draw_path(struct path_plan *p, struct rng *r, enum plan_link kind)
{
    *p = (struct path_plan){.queue_max = 4096};
    p->delay_ns = PICK(r, 0, 10, 100, 1000, 10000, 50000) * US;
    if (rng_chance(r, 40 * PERCENT))
        p->jitter_ns = rng_range(r, 0, p->delay_ns + 1 * MS);
    if (rng_chance(r, 30 * PERCENT))
        p->byte_ns = PICK(r, 8, 80, 800, 8000);
    if (kind == PLAN_LINK_CALM)
        return;
    bool awful = kind == PLAN_LINK_AWFUL;
    uint32_t most = awful ? 30 : 8;
    if (rng_chance(r, 80 * PERCENT))
        p->loss_ppm = rng_below(r, most * PERCENT);
    if (rng_chance(r, 50 * PERCENT))
        p->duplicate_ppm = rng_below(r, most * PERCENT);
    if (rng_chance(r, 50 * PERCENT))
        p->reorder_ppm = rng_below(r, most * 2 * PERCENT);
    if (rng_chance(r, 50 * PERCENT))
        p->corrupt_ppm = rng_below(r, most * PERCENT);
    if (rng_chance(r, 15 * PERCENT))
        p->fragment_ppm = rng_below(r, most * 2 * PERCENT);
    if (rng_chance(r, 20 * PERCENT))
        p->queue_max = 1 + rng_below(r, 20);
}

static void draw_links(struct plan *plan, struct rng *r)
{
    enum plan_link kind = (enum plan_link)PICK(r, PLAN_LINK_CALM, PLAN_LINK_CALM, PLAN_LINK_LOSSY,
                                               PLAN_LINK_LOSSY, PLAN_LINK_AWFUL);
    plan->checksum_free = kind == PLAN_LINK_CALM && rng_chance(r, 20 * PERCENT);
    for (unsigned i = 0; i < plan->host_cnt; i++)
        for (unsigned j = 0; j < plan->host_cnt; j++)
            draw_path(&plan->path[i][j], r, kind);
    if (!rng_chance(r, 25 * PERCENT))
        return;
    plan->outage_cnt = 1 + rng_below(r, 4);
    for (uint32_t i = 0; i < plan->outage_cnt; i++) {
        uint64_t from = plan->start_ns + rng_range(r, 0, plan->chaos_ns);
        unsigned source = rng_below(r, plan->host_cnt);
        plan->outages[i] = (struct outage){
            .from_ns = from,
            .to_ns = from + rng_range(r, MS, plan->chaos_ns),
            .source = (uint8_t)source,
            .destination = (uint8_t)((source + 1 + rng_below(r, plan->host_cnt - 1)) %
                                     plan->host_cnt),
            .both = rng_chance(r, 60 * PERCENT),
        };
    }
}

static void draw_programs(struct plan *plan, struct rng *r)
{
    plan->server_cnt = 1 + rng_below(r, 3);
    plan->client_cnt = 1 + rng_below(r, 3);
    plan->connect_max = PICK(r, 1, 2, 4, 8);
    plan->bytes_max = PICK(r, 0, 10, 1000, 5000, 20000, 60000);
    if (rng_chance(r, 2 * PERCENT))
        plan->bytes_max = 400000;
    plan->chaos_ppm = PICK(r, 0, 1, 5, 20) * PERCENT;
    plan->operator_ppm = PICK(r, 0, 0, 0, 1, 5) * PERCENT;
    plan->loopback_ppm = PICK(r, 0, 0, 0, 20, 100) * PERCENT;
    plan->refused_ppm = PICK(r, 0, 5, 20) * PERCENT;
    plan->fixed_port_ppm = plan->wrap ? 0 : PICK(r, 0, 0, 30, 100) * PERCENT;
    plan->simultaneous_cnt = rng_chance(r, 20 * PERCENT) ? 1 + rng_below(r, 3) : 0;
    plan->hold_ppm = PICK(r, 0, 0, 5, 30) * PERCENT;
    plan->never_accept_ppm = PICK(r, 0, 0, 10, 50) * PERCENT;
    plan->stranger_ppm = PICK(r, 0, 0, 0, 2, 20) * PERCENT;
    plan->flood_ppm = PICK(r, 0, 0, 0, 0, 5, 50) * PERCENT;
    plan->icmp_ppm = PICK(r, 0, 0, 10, 100) * PERCENT;
    plan->backlog_max = PICK(r, 1, 2, 8, 128);
    plan->gap_us = PICK(r, 100, 1000, 10000, 100000);
    if (plan->gap_us < plan->chaos_ns / US / 200) /* a program takes so many steps at most */
        plan->gap_us = (uint32_t)(plan->chaos_ns / US / 200);
    plan->lazy_tx = rng_chance(r, 10 * PERCENT);
}

void plan_draw(struct plan *plan, uint64_t seed)
{
    struct rng r = {.s = seed * 0x2545f4914f6cdd1dull + 0x9e37};
    *plan = (struct plan){0};
    plan->host_cnt = rng_chance(&r, 20 * PERCENT) ? 3 : 2;
    plan->wrap = rng_chance(&r, 30 * PERCENT);
    plan->tight = rng_chance(&r, 15 * PERCENT);
    /* Half of the clocks start where a 31 or 32 bit count of milliseconds wraps. */
    plan->start_ns = PICK(&r, 0, 1, 0x7fffff00, 0xffffff00) * MS + rng_below(&r, 1000000);
    if (rng_chance(&r, 20 * PERCENT))
        plan->start_ns = 0;
    plan->chaos_ns = PICK(&r, 20, 200, 1000, 5000, 60000) * MS;
    for (unsigned i = 0; i < plan->host_cnt; i++)
        draw_config(plan, i, &r, seed);
    draw_links(plan, &r);
    draw_programs(plan, &r);
    if (plan->checksum_free)
        plan->stranger_ppm = plan->flood_ppm = 0; /* he would have to be inside the machine */
}
