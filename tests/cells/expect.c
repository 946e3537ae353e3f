/* SPDX-License-Identifier: BSD-2-Clause */
/* Expected segments as text: parser, matcher, printer. */
#include "expect.h"

#include <ctype.h>

#define ITEM_MAX 24

struct item {
    uint8_t flags;
    bool ack_optional; /* the ACK bit */
    bool optional;     /* the segment */
    bool has_ack;
    uint32_t seq, ack, len;
    unsigned times;
};

struct reader {
    const char *text, *at;
    const struct expect_numbers *n;
};

__attribute__((noreturn)) static void malformed(const struct reader *r)
{
    fprintf(stderr, "expected segments \"%s\": not understood at \"%s\"\n", r->text, r->at);
    abort();
}

static void skip_blank(struct reader *r)
{
    while (*r->at == ' ')
        r->at++;
}

static uint32_t read_number(struct reader *r)
{
    char *end;
    unsigned long value = strtoul(r->at, &end, 10);

    if (end == r->at)
        malformed(r);
    r->at = end;
    return (uint32_t)value;
}

static uint32_t read_position(struct reader *r)
{
    const struct {
        const char *name;
        uint32_t value;
    } names[] = {{"iss", r->n->iss},   {"una", r->n->una},   {"nxt", r->n->nxt}, {"rcv", r->n->rcv},
                 {"sack", r->n->sack}, {"send", r->n->send}, {"zero", 0}};
    size_t len = strspn(r->at, "abcdefghijklmnopqrstuvwxyz");
    uint32_t value = 0;
    unsigned i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i].name) == len && strncmp(names[i].name, r->at, len) == 0)
            break;
    if (i == sizeof(names) / sizeof(names[0]))
        malformed(r);
    value = names[i].value;
    r->at += len;
    if (*r->at == '+' || *r->at == '-') {
        bool minus = *r->at++ == '-';
        uint32_t offset = read_number(r);

        value = minus ? value - offset : value + offset;
    }
    return value;
}

static void read_flags(struct reader *r, struct item *item)
{
    static const char letters[] = "FSRPAU";
    const char *found;

    while (*r->at && *r->at != ' ') {
        if (*r->at == 'a') {
            item->ack_optional = true;
        } else {
            found = strchr(letters, *r->at);
            if (!found)
                malformed(r);
            item->flags |= (uint8_t)(1u << (found - letters));
        }
        r->at++;
    }
}

static void read_item(struct reader *r, struct item *item)
{
    *item = (struct item){.times = 1};
    if (*r->at == '?') {
        item->optional = true;
        r->at++;
    }
    read_flags(r, item);
    skip_blank(r);
    item->seq = read_position(r);
    if (*r->at == '(') {
        r->at++;
        item->len = read_number(r);
        if (*r->at++ != ')')
            malformed(r);
    }
    skip_blank(r);
    if (isalpha((unsigned char)*r->at) && *r->at != 'x') {
        item->has_ack = true;
        item->ack = read_position(r);
        skip_blank(r);
    }
    if (*r->at == 'x') {
        r->at++;
        item->times = read_number(r);
        skip_blank(r);
    }
}

static bool item_is(const struct item *item, const struct wire_segment *s)
{
    uint8_t flags = item->flags;

    if (item->ack_optional)
        flags |= s->flags & TCP_ACK;
    return s->flags == flags && s->seq == item->seq && s->len == item->len &&
           (!(s->flags & TCP_ACK) || !item->has_ack || s->ack == item->ack);
}

static bool items_match(const struct item *items, unsigned item_cnt,
                        const struct wire_segment *sent, unsigned sent_cnt)
{
    if (item_cnt == 0)
        return sent_cnt == 0;
    if (items->optional && items_match(items + 1, item_cnt - 1, sent, sent_cnt))
        return true;
    if (sent_cnt < items->times)
        return false;
    for (unsigned i = 0; i < items->times; i++)
        if (!item_is(items, &sent[i]))
            return false;
    return items_match(items + 1, item_cnt - 1, sent + items->times, sent_cnt - items->times);
}

bool expect_sent(const char *text, const struct expect_numbers *n, const struct wire_segment *sent,
                 unsigned sent_cnt)
{
    struct reader r = {text, text, n};
    struct item items[ITEM_MAX];
    bool matched = false;
    unsigned cnt;

    do {
        cnt = 0;
        for (skip_blank(&r); *r.at && *r.at != '|'; skip_blank(&r)) {
            if (cnt == ITEM_MAX)
                malformed(&r);
            read_item(&r, &items[cnt++]);
            if (*r.at == ';')
                r.at++;
            else if (*r.at && *r.at != '|')
                malformed(&r);
        }
        matched |= items_match(items, cnt, sent, sent_cnt);
    } while (*r.at++ == '|');
    return matched;
}

static int describe_position(char *out, size_t len, const struct expect_numbers *n, uint32_t value,
                             bool is_ack)
{
    uint32_t base = is_ack ? n->rcv : n->nxt;

    if (value == 0 && value - base > 1000 && base - value > 1000)
        return snprintf(out, len, "zero");
    if (!is_ack && n->una != n->nxt && value - n->una < n->nxt - n->una)
        return value == n->una ? snprintf(out, len, "una")
                               : snprintf(out, len, "una+%u", value - n->una);
    if (value == base)
        return snprintf(out, len, "%s", is_ack ? "rcv" : "nxt");
    return snprintf(out, len, "%s%+d", is_ack ? "rcv" : "nxt", (int)(value - base));
}

void expect_describe(char *out, size_t out_len, const struct expect_numbers *n,
                     const struct wire_segment *sent, unsigned sent_cnt)
{
    static const char letters[] = "FSRPAUEC";
    char seq[40], ack[40], flags[9];
    size_t at = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < sent_cnt && at < out_len; i++) {
        unsigned flag_cnt = 0;

        for (unsigned f = 0; f < 8; f++)
            if (sent[i].flags & (1u << f))
                flags[flag_cnt++] = letters[f];
        flags[flag_cnt] = '\0';
        describe_position(seq, sizeof(seq), n, sent[i].seq, false);
        describe_position(ack, sizeof(ack), n, sent[i].ack, true);
        at += (size_t)snprintf(out + at, out_len - at, "%s%s %s(%u) %s", i ? "; " : "", flags, seq,
                               sent[i].len, (sent[i].flags & TCP_ACK) ? ack : "");
    }
}

bool expect_word(const char *text, const char *name)
{
    size_t len = strlen(name);

    for (;;) {
        const char *bar = strstr(text, " | ");
        size_t word_len = bar ? (size_t)(bar - text) : strlen(text);

        if (word_len == len && strncmp(text, name, len) == 0)
            return true;
        if (!bar)
            return false;
        text = bar + 3;
    }
}
