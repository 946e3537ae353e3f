/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts in words for people. Names of programs are escaped here, so what is built from these is
 * safe for a terminal. */
#ifndef LASTACK_DOCTOR_WORDS_H
#define LASTACK_DOCTOR_WORDS_H

#include "doctor/facts.h"
#include "doctor/text.h"

/* "350 ms", "12 s", "3 min 20 s", "2 h 5 min", "4 d 3 h"; "an unknown time". */
void words_duration(struct text *out, uint64_t us);
/* "12 s ago", "at an unknown time". */
void words_ago(struct text *out, uint64_t us);
/* "1 byte", "20 bytes", "an unknown number of bytes". */
void words_bytes(struct text *out, uint64_t cnt);
/* "process 4711 (forking-server)", "an unknown process". */
void words_process(struct text *out, uint32_t pid, const char *program);
/* "descriptor 4", "a message in flight", ... */
void words_holding(struct text *out, const struct fact_holder *holder);
/* "is waiting in accept()", ... ; adds nothing and returns false if it is not known. */
bool words_doing(struct text *out, const struct facts *facts, const struct fact_holder *holder);
/* "process 4710 (server) holds descriptor 4 (it accepted it) and is waiting in accept()". With
 * `still`: "still holds". */
void words_holder(struct text *out, const struct facts *facts, const struct fact_holder *holder,
                  bool still);
/* "conn_open() at server.c:14", "handle() in libfoo.so", "server.c:14"; safe for a terminal. */
void words_site(struct text *out, const struct fact_site *site);
/* The same with other words than " at "; false, and nothing is added, if nothing is known. */
bool words_place(struct text *out, const struct fact_site *site, const char *before_file);
/* "inherited it by fork", ...; NULL if unknown. */
const char *words_origin(enum fact_origin origin);
/* "process 4711 (server) closed its descriptor 4, which dropped the count from 2 to 1". */
void words_close(struct text *out, const struct fact_call *call);
/* "close()", "shutdown(SHUT_WR)", "its exit", "an operator", ... */
const char *words_call(const struct fact_call *call);
/* "the retransmission timer", "the FIN_WAIT_2 timeout", ... */
const char *words_timer(enum lastack_timer timer);
/* "10.0.0.2:80" (IPv6 in brackets); "*" for no address and for port 0. */
void words_end(struct text *out, const struct lastack_address *address, uint16_t port);

#endif
