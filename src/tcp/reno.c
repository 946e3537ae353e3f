/* SPDX-License-Identifier: BSD-2-Clause */
/* Reno with NewReno recovery (RFC 5681, RFC 6582) and byte counting (RFC 3465). */
#include "base/bytes.h"
#include "tcp/congestion.h"

#define CWND_MAX (1u << 30)

/* RFC 6928 2: min(n * MSS, max(2 * MSS, 1460 n)). */
static uint32_t initial_cwnd(uint32_t mss, uint32_t initial_window)
{
    return MIN(initial_window * mss, MAX(2 * mss, initial_window * 1460));
}

static void reno_init(struct congestion *cc, uint32_t mss, uint32_t initial_window)
{
    cc->cwnd = initial_cwnd(mss, initial_window);
    cc->ssthresh = CWND_MAX;
    cc->acked = 0;
}

static void reno_acked(struct congestion *cc, uint32_t mss, uint32_t acked, uint32_t limit)
{
    if (cc->cwnd < cc->ssthresh) {
        cc->cwnd += MIN(acked, limit);
    } else {
        cc->acked += acked;
        if (cc->acked >= cc->cwnd) {
            cc->acked -= cc->cwnd;
            cc->cwnd += mss;
        }
    }
    cc->cwnd = MIN(cc->cwnd, CWND_MAX);
}

/* RFC 5681 equation (4). */
static uint32_t half_flight(uint32_t mss, uint32_t flight)
{
    return MAX(flight / 2, 2 * mss);
}

static void reno_loss(struct congestion *cc, uint32_t mss, uint32_t flight)
{
    cc->ssthresh = half_flight(mss, flight);
    cc->cwnd = cc->ssthresh + 3 * mss;
    cc->acked = 0;
}

static void reno_duplicate(struct congestion *cc, uint32_t mss)
{
    cc->cwnd = MIN(cc->cwnd + mss, CWND_MAX);
}

static void reno_partial(struct congestion *cc, uint32_t mss, uint32_t acked)
{
    cc->cwnd -= MIN(acked, cc->cwnd);
    if (acked >= mss)
        cc->cwnd += mss;
    cc->cwnd = MAX(cc->cwnd, mss);
}

static void reno_recovered(struct congestion *cc, uint32_t mss, uint32_t flight)
{
    cc->cwnd = MIN(cc->ssthresh, MAX(flight, mss) + mss);
}

static void reno_timeout(struct congestion *cc, uint32_t mss, uint32_t flight, int again)
{
    if (!again)
        cc->ssthresh = half_flight(mss, flight);
    cc->cwnd = mss;
    cc->acked = 0;
}

static void reno_idle(struct congestion *cc, uint32_t mss, uint32_t initial_window)
{
    cc->cwnd = MIN(cc->cwnd, initial_cwnd(mss, initial_window));
}

const struct congestion_ops congestion_reno = {
    .name = "reno",
    .init = reno_init,
    .acked = reno_acked,
    .loss = reno_loss,
    .duplicate = reno_duplicate,
    .partial = reno_partial,
    .recovered = reno_recovered,
    .timeout = reno_timeout,
    .idle = reno_idle,
};
