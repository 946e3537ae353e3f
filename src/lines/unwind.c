/* SPDX-License-Identifier: BSD-2-Clause */
/* From a frame to its caller by call frame information, as compilers leave it in .eh_frame for
 * programs without frame pointers (DWARF 5, section 6.4). */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "lines/file_dw.h"

#define DEPTH_MAX 32
#define OP_MAX    256

bool memory_word(const struct memory *memory, uint64_t address, uint64_t *word)
{
    uint64_t at = address - memory->start;
    if (memory->len < sizeof *word || at > memory->len - sizeof *word)
        return false;
    memcpy(word, memory->bytes + at, sizeof *word);
    return true;
}

/* ---- DWARF expressions, as far as call frame information uses them ---- */

struct machine {
    const struct registers *registers;
    const struct memory *memory;
    uint64_t cfa;
    uint64_t stack[DEPTH_MAX];
    unsigned depth;
    bool is_value; /* the result is the value itself, not where it stands */
    bool failed;
};

static void push(struct machine *machine, uint64_t value)
{
    if (machine->depth == DEPTH_MAX)
        machine->failed = true;
    else
        machine->stack[machine->depth++] = value;
}

static uint64_t pop(struct machine *machine)
{
    if (machine->depth == 0) {
        machine->failed = true;
        return 0;
    }
    return machine->stack[--machine->depth];
}

static uint64_t read_register(struct machine *machine, uint64_t number)
{
    if (number >= REG_CNT || !(machine->registers->known & 1u << number)) {
        machine->failed = true;
        return 0;
    }
    return machine->registers->value[number];
}

static void run_two(struct machine *machine, uint8_t atom)
{
    uint64_t b = pop(machine), a = pop(machine);
    int64_t sa = (int64_t)a, sb = (int64_t)b;
    switch (atom) {
    case DW_OP_plus: push(machine, a + b); break;
    case DW_OP_minus: push(machine, a - b); break;
    case DW_OP_mul: push(machine, a * b); break;
    case DW_OP_and: push(machine, a & b); break;
    case DW_OP_or: push(machine, a | b); break;
    case DW_OP_xor: push(machine, a ^ b); break;
    case DW_OP_shl: push(machine, b < 64 ? a << b : 0); break;
    case DW_OP_shr: push(machine, b < 64 ? a >> b : 0); break;
    case DW_OP_shra: push(machine, (uint64_t)(sa >> (b < 64 ? b : 63))); break;
    case DW_OP_eq: push(machine, a == b); break;
    case DW_OP_ne: push(machine, a != b); break;
    case DW_OP_lt: push(machine, sa < sb); break;
    case DW_OP_le: push(machine, sa <= sb); break;
    case DW_OP_gt: push(machine, sa > sb); break;
    case DW_OP_ge: push(machine, sa >= sb); break;
    case DW_OP_swap:
        push(machine, b);
        push(machine, a);
        break;
    default: machine->failed = true;
    }
}

static void run_one(struct machine *machine, const Dwarf_Op *op)
{
    uint64_t word = 0;
    switch (op->atom) {
    case DW_OP_addr:
    case DW_OP_const1u: case DW_OP_const1s: case DW_OP_const2u: case DW_OP_const2s:
    case DW_OP_const4u: case DW_OP_const4s: case DW_OP_const8u: case DW_OP_const8s:
    case DW_OP_constu: case DW_OP_consts:
        push(machine, op->number);
        break;
    case DW_OP_dup:
        word = pop(machine);
        push(machine, word);
        push(machine, word);
        break;
    case DW_OP_drop: pop(machine); break;
    case DW_OP_neg: push(machine, -pop(machine)); break;
    case DW_OP_not: push(machine, ~pop(machine)); break;
    case DW_OP_plus_uconst: push(machine, pop(machine) + op->number); break;
    case DW_OP_call_frame_cfa: push(machine, machine->cfa); break;
    case DW_OP_bregx: push(machine, read_register(machine, op->number) + op->number2); break;
    case DW_OP_stack_value: machine->is_value = true; break;
    case DW_OP_nop: break;
    case DW_OP_deref:
        machine->failed |= !memory_word(machine->memory, pop(machine), &word);
        push(machine, word);
        break;
    default: run_two(machine, op->atom);
    }
}

/* The result of an expression; `is_value` as in struct machine. */
static bool evaluate(struct machine *machine, const Dwarf_Op *ops, size_t op_cnt, uint64_t *result)
{
    machine->depth = 0;
    machine->failed = op_cnt == 0 || op_cnt > OP_MAX;
    machine->is_value = false;
    for (size_t i = 0; i < op_cnt && !machine->failed; i++) {
        uint8_t atom = ops[i].atom;
        if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31) {
            push(machine, atom - DW_OP_lit0);
        } else if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31) {
            push(machine, read_register(machine, atom - DW_OP_breg0) + ops[i].number);
        } else if (atom >= DW_OP_reg0 && atom <= DW_OP_reg31) { /* it is in another register */
            push(machine, read_register(machine, atom - DW_OP_reg0));
            machine->is_value = true;
        } else if (atom == DW_OP_regx) {
            push(machine, read_register(machine, ops[i].number));
            machine->is_value = true;
        } else {
            run_one(machine, &ops[i]);
        }
    }
    *result = pop(machine);
    return !machine->failed;
}

/* ---- frames ---- */

static Dwarf_Frame *find_rules(struct file *file, uint64_t address)
{
    for (int kind = 0; kind < 2; kind++) {
        Dwarf_Frame *frame;
        if (kind == 1 && file->plain)
            break;
        if (!file->cfi_looked[kind]) {
            file->cfi_looked[kind] = true;
            file->cfi[kind] = kind == 0
                                  ? dwfl_module_eh_cfi(file->module, &file->cfi_bias[0])
                                  : dwfl_module_dwarf_cfi(file->module, &file->cfi_bias[1]);
        }
        if (file->cfi[kind] &&
            dwarf_cfi_addrframe(file->cfi[kind], address - file->cfi_bias[kind], &frame) == 0)
            return frame;
    }
    return NULL;
}

/* The caller's value of one register; false: not to be known. */
static bool find_register(struct machine *machine, Dwarf_Frame *frame, int number, uint64_t *value)
{
    Dwarf_Op room[3], *ops;
    size_t op_cnt;
    if (dwarf_frame_register(frame, number, room, &ops, &op_cnt) != 0)
        return false;
    if (op_cnt == 0) {
        bool same = ops == NULL && machine->registers->known & 1u << number;
        *value = same ? machine->registers->value[number] : 0;
        return same;
    }
    if (!evaluate(machine, ops, op_cnt, value))
        return false;
    return machine->is_value || memory_word(machine->memory, *value, value);
}

static bool is_outermost(Dwarf_Frame *frame, int return_register)
{
    Dwarf_Op room[3], *ops;
    size_t op_cnt;
    return dwarf_frame_register(frame, return_register, room, &ops, &op_cnt) == 0 && op_cnt == 0 &&
           ops == room;
}

static enum step step_frame(Dwarf_Frame *frame, struct registers *registers,
                            const struct memory *memory)
{
    struct machine machine = {.registers = registers, .memory = memory};
    struct registers caller = {.known = 0};
    bool signal_frame = false;
    Dwarf_Op *ops;
    size_t op_cnt;
    int return_register = dwarf_frame_info(frame, NULL, NULL, &signal_frame);
    if (return_register != REG_RIP)
        return STEP_NO_RULE;
    if (is_outermost(frame, return_register))
        return STEP_END;
    if (dwarf_frame_cfa(frame, &ops, &op_cnt) != 0 ||
        !evaluate(&machine, ops, op_cnt, &machine.cfa))
        return STEP_NO_RULE;
    for (int number = 0; number < REG_CNT; number++)
        if (find_register(&machine, frame, number, &caller.value[number]))
            caller.known |= 1u << number;
    if (!signal_frame) { /* by definition: the stack as it was before the call */
        caller.value[REG_RSP] = machine.cfa;
        caller.known |= 1u << REG_RSP;
    }
    if (!(caller.known & 1u << REG_RIP) || !(caller.known & 1u << REG_RSP))
        return STEP_NO_RULE;
    *registers = caller;
    return signal_frame ? STEP_SIGNAL : STEP_DONE;
}

enum step file_step(struct file *file, uint64_t address, struct registers *registers,
                    const struct memory *memory)
{
    Dwarf_Frame *frame = find_rules(file, address);
    if (!frame)
        return STEP_NO_RULE;
    enum step step = step_frame(frame, registers, memory);
    free(frame);
    return step;
}
