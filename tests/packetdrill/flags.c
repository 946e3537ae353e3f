/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The adapter's flags: `key=value,key=value`. Most keys are members of struct lastack_config
 * under their own name or a short one; `linux` is a profile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flags.h"

#define MEMBER(key, name)                                                                          \
    {                                                                                              \
        key, offsetof(struct lastack_config, name), sizeof(((struct lastack_config *)0)->name)     \
    }

/* Plain numbers of the configuration. */
static const struct {
    const char *key;
    size_t offset, size;
} members[] = {
    MEMBER("connection_max", connection_max),
    MEMBER("half_open_max", half_open_max),
    MEMBER("time_wait_max", time_wait_max),
    MEMBER("orphan_max", orphan_max),
    MEMBER("process_max", process_max),
    MEMBER("descriptor_max", descriptor_max),
    MEMBER("buffer_max", buffer_max),
    MEMBER("sndbuf", send_buffer),
    MEMBER("rcvbuf", receive_buffer),
    MEMBER("buffer_limit", buffer_limit),
    MEMBER("msl_ms", msl_ms),
    MEMBER("orphan_fin_wait_ms", orphan_fin_wait_ms),
    MEMBER("orphan_probe_max", orphan_probe_max),
    MEMBER("orphan_retries", orphan_retry_max),
    MEMBER("syn_retries", syn_retry_max),
    MEMBER("syn_ack_retries", syn_ack_retry_max),
    MEMBER("retries", retry_max),
    MEMBER("rto_init_ms", rto_initial_ms),
    MEMBER("rto_min_ms", rto_min_ms),
    MEMBER("rto_max_ms", rto_max_ms),
    MEMBER("delack_ms", delayed_ack_ms),
    MEMBER("keepalive_idle_ms", keepalive_idle_ms),
    MEMBER("keepalive_interval_ms", keepalive_interval_ms),
    MEMBER("keepalive_count", keepalive_count),
    MEMBER("iw", initial_window),
    MEMBER("port_low", port_low),
    MEMBER("port_high", port_high),
    MEMBER("late_data", late_data_after_shut_rd),
    MEMBER("no_syn_cookies", no_syn_cookies),
};

static bool config_set(struct lastack_config *config, const char *key, uint64_t value)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        char *to = (char *)config + members[i].offset;

        if (strcmp(members[i].key, key))
            continue;
        switch (members[i].size) {
        case 1:
            *(bool *)to = value != 0;
            break;
        case 2:
            *(uint16_t *)to = (uint16_t)value;
            break;
        case 4:
            *(uint32_t *)to = (uint32_t)value;
            break;
        default:
            *(uint64_t *)to = value;
        }
        return true;
    }
    return false;
}

/* The values that Linux has out of the box, as far as they differ from ours. */
static void profile_linux(struct flags *flags)
{
    flags->config.option_order_linux = true;
    flags->config.late_data_after_shut_rd = true;
    flags->config.initial_window = 10;
    flags->config.delayed_ack_ms = 40;
    flags->config.rto_initial_ms = 1000;
    flags->config.rto_min_ms = 200;
}

/* The stack offers the smallest shift that its largest buffer needs: make it the one asked for. */
static void window_scale(struct lastack_config *config, uint64_t shift)
{
    config->no_window_scale = shift == 0;
    if (!shift)
        return;
    config->buffer_limit = (65535u << ((shift - 1) & 15)) + 1;
    if (config->send_buffer > config->buffer_limit)
        config->send_buffer = config->buffer_limit;
    if (config->receive_buffer > config->buffer_limit)
        config->receive_buffer = config->buffer_limit;
}

static bool flag_number(struct flags *flags, const char *key, uint64_t value)
{
    if (!strcmp(key, "iss")) {
        flags->config.fixed_iss = (uint32_t)value;
        flags->config.fixed_iss_set = true;
    } else if (!strcmp(key, "wscale")) {
        window_scale(&flags->config, value);
    } else if (!strcmp(key, "quickack")) {
        if (value)
            flags->config.delayed_ack_ms = 0;
    } else if (!strcmp(key, "mtu")) {
        flags->mtu = (uint32_t)value;
    } else if (!strcmp(key, "strict")) {
        flags->strict = value != 0;
    } else if (!strcmp(key, "fork")) {
        flags->fork_at_accept = value != 0;
    } else if (!strcmp(key, "child_exit_ms")) {
        flags->child_exit_ms = value;
    } else {
        return config_set(&flags->config, key, value);
    }
    return true;
}

static bool flag_set(struct flags *flags, const char *key, const char *value)
{
    char *end;
    uint64_t number;

    if (!strcmp(key, "optorder")) {
        flags->config.option_order_linux = !strcmp(value, "linux");
        return !strcmp(value, "linux") || !strcmp(value, "bsd");
    }
    if (!strcmp(key, "linux") || (!strcmp(key, "profile") && !strcmp(value, "linux"))) {
        profile_linux(flags);
        return true;
    }
    if (!strcmp(key, "local_ip")) {
        flags->local_set = true;
        return !lastack_address_parse(&flags->local, value);
    }
    errno = 0;
    number = strtoull(value, &end, 0);
    return !errno && end != value && !*end && flag_number(flags, key, number);
}

static void flags_default(struct flags *flags)
{
    memset(flags, 0, sizeof(*flags));
    lastack_config_init(&flags->config);
    for (unsigned i = 0; i < 4; i++)
        flags->config.seed[i] = 0x9e3779b97f4a7c15u * (i + 1);
    flags->config.record_len = 256;
    flags->mtu = 1500;
    flags->local_prefix_len = 16;
}

bool flags_parse(struct flags *out, const char *text, char *error, size_t error_len)
{
    char copy[512], *rest = copy, *item;

    flags_default(out);
    if (!text)
        return true;
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy)) {
        snprintf(error, error_len, "flags longer than %zu bytes", sizeof(copy) - 1);
        return false;
    }
    while ((item = strsep(&rest, ","))) {
        char *value = strchr(item, '=');

        if (!*item)
            continue;
        if (value)
            *value++ = 0;
        if (!flag_set(out, item, value ? value : "1")) {
            snprintf(error, error_len, "unknown flag or bad value: %s=%s", item,
                     value ? value : "1");
            return false;
        }
    }
    return true;
}
