/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes and ends of stream between B and the stack, with back-pressure both ways. */
#ifndef LASTACK_RUN_PUMP_H
#define LASTACK_RUN_PUMP_H

#include <stdint.h>

struct supervisor;
struct pair;

void pump_up(struct supervisor *s, struct pair *pair);   /* program -> stack */
void pump_down(struct supervisor *s, struct pair *pair); /* stack -> program */
/* Take in all that B ends have to tell now (rule 1). */
void pump_drain(struct supervisor *s);
/* Go on with pumps that stopped at their budget. */
void pump_ready(struct supervisor *s);

#endif
