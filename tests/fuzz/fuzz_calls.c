/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: socket calls of three processes, packets and time, mixed as the input says. */
#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz f;
    fuzz_begin(&f, data, size);
    for (unsigned i = 0; f.in.len && i < 2000; i++) {
        uint8_t what = take_u8(&f.in);
        switch (what & 15) {
        case 0:
        case 1:
        case 2:
        case 3:
            fuzz_segment(&f);
            break;
        case 4:
            fuzz_time(&f);
            break;
        case 5:
            if (what & 16)
                fuzz_icmp(&f);
            else
                fuzz_reflect(&f);
            break;
        default:
            fuzz_call(&f);
            break;
        }
        if (!(what & 0x80)) /* else nobody asks for frames yet */
            fuzz_pump(&f);
        if (i % 8 == 0) {
            fuzz_pump(&f);
            fuzz_audit(&f);
        }
    }
    fuzz_end(&f);
    return 0;
}
