/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of codes and classes that finding.def declares. */
#include <string.h>

#include "doctor/rules.h"

#define FINDING_CLASS(name, code, line)  const char CLASS_##name[] = code;
#define FINDING(name, code, class, line) const char FINDING_##name[] = code;
#include "doctor/finding.def"

static const struct finding_kind kinds[] = {
#define FINDING(name, code, class, line) {FINDING_##name, CLASS_##class, line},
#include "doctor/finding.def"
};

const struct finding_kind *finding_kind_at(unsigned place)
{
    return place < sizeof kinds / sizeof kinds[0] ? &kinds[place] : NULL;
}

const struct finding_kind *finding_kind(const char *code)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (code == kinds[i].code || strcmp(code, kinds[i].code) == 0)
            return &kinds[i];
    return NULL;
}

const char *finding_class_of(const char *code)
{
    const struct finding_kind *kind = finding_kind(code);
    return kind ? kind->class : "";
}

const char *finding_line(const char *code)
{
    const struct finding_kind *kind = finding_kind(code);
    return kind ? kind->line : "";
}
