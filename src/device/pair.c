/* SPDX-License-Identifier: BSD-2-Clause */
/* A link in memory between two stacks. */
#include "device/pair.h"

#include "base/bytes.h"

#define BATCH 16

static int interface_add(struct memory_pair *pair, int side, lastack *stack,
                         const struct lastack_address *address, uint8_t prefix_len, uint32_t mtu)
{
    static const struct lastack_address any = {{[10] = 0xff, [11] = 0xff}};
    const struct lastack_interface interface = {
        .name = "pair",
        .link = LASTACK_LINK_IP,
        .mtu = mtu,
        .address = *address,
        .prefix_len = prefix_len,
    };
    int number = lastack_interface_add(stack, &interface);
    if (number < 0)
        return number;
    pair->stack[side] = stack;
    pair->interface[side] = (uint32_t)number;
    return lastack_route_add(stack, &any, 0, (unsigned)number);
}

int memory_pair_init(struct memory_pair *pair, lastack *a, const struct lastack_address *address_a,
                     lastack *b, const struct lastack_address *address_b, uint8_t prefix_len,
                     uint32_t mtu)
{
    *pair = (struct memory_pair){0};
    int error = interface_add(pair, 0, a, address_a, prefix_len, mtu);
    return error ? error : interface_add(pair, 1, b, address_b, prefix_len, mtu);
}

static void deliver(struct memory_pair *pair, int from, struct lastack_frame *frame,
                    uint64_t now_ns)
{
    frame->interface = pair->interface[!from];
    lastack_rx(pair->stack[!from], frame, 1, now_ns);
}

/* What stack `from` owes: at most `max` packets. Its frames stay valid meanwhile, because only
 * the other stack is called. Returns how many left it. */
static size_t depart(struct memory_pair *pair, int from, uint64_t now_ns, size_t max)
{
    struct lastack_frame frames[BATCH];
    size_t cnt = lastack_tx(pair->stack[from], frames, MIN(max, BATCH), now_ns);
    for (size_t i = 0; i < cnt; i++) {
        if (frames[i].interface != pair->interface[from])
            pair->stray++;
        else if (pair->impair[from] != NULL)
            impair_push(pair->impair[from], &frames[i], now_ns);
        else
            deliver(pair, from, &frames[i], now_ns);
    }
    pair->moved[from] += cnt;
    return cnt;
}

/* What is due out of the wire from stack `from`. */
static size_t arrive(struct memory_pair *pair, int from, uint64_t now_ns, size_t max)
{
    struct lastack_frame frame;
    size_t cnt = 0;
    if (pair->impair[from] == NULL)
        return 0;
    for (; cnt < max && impair_pop(pair->impair[from], &frame, now_ns); cnt++)
        deliver(pair, from, &frame, now_ns);
    return cnt;
}

size_t memory_pair_move(struct memory_pair *pair, uint64_t now_ns, size_t max)
{
    size_t total = 0, cnt;
    if (max == 0)
        max = SIZE_MAX;
    do {
        cnt = 0;
        for (int side = 0; side < 2; side++) {
            cnt += depart(pair, side, now_ns, max - total - cnt);
            if (cnt < max - total)
                cnt += arrive(pair, side, now_ns, max - total - cnt);
        }
        total += cnt;
    } while (cnt > 0 && total < max);
    return total;
}

uint64_t memory_pair_deadline(const struct memory_pair *pair)
{
    uint64_t first = LASTACK_NEVER;
    for (int side = 0; side < 2; side++) {
        first = MIN(first, lastack_deadline(pair->stack[side]));
        if (pair->impair[side] != NULL)
            first = MIN(first, impair_deadline(pair->impair[side]));
    }
    return first;
}
