#include "fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

void *fiber_stack() {
    const size_t page = 4096;
    void *stack = mmap(NULL, FIBER_STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) return NULL;
    mprotect(stack, page, PROT_NONE);
    return stack;
}

#if defined(__x86_64__) && !defined(FIBER_PORTABLE)

/* What a function of the System V ABI leaves as it was goes on the stack; the state of the floating
 * point unit is everyone's. */
asm(".text\n"
    ".globl fiber_switch\n"
    ".hidden fiber_switch\n"
    ".type fiber_switch, @function\n"
    "fiber_switch:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    ret\n"
    ".size fiber_switch, . - fiber_switch\n");

/* Stacks lie a power of two apart: were their tops all at their ends, they would share a few sets
 * of the caches, and each switch would wait for memory. So they begin at different places. */
static size_t unused_top(const void *stack) {
    return (uintptr_t)stack / FIBER_STACK % 64 * 17 * 64;
}

void *fiber_start(void *stack, void (*run)()) {
    /* Six registers, where to return to, and nothing above: aligned as after a call. */
    uintptr_t *top = (uintptr_t *)((char *)stack + FIBER_STACK - unused_top(stack)) - 8;
    for (int i = 0; i < 8; i++) top[i] = 0;
    top[6] = (uintptr_t)run;
    return top;
}

#else

#include <ucontext.h>

/* The contexts of fibers lie at the low end of their stacks, behind the page. */
void *fiber_start(void *stack, void (*run)()) {
    ucontext_t *context = (ucontext_t *)((char *)stack + 4096);
    const size_t taken = 4096 + (sizeof *context + 63) / 64 * 64;
    if (getcontext(context) != 0) abort();
    context->uc_stack.ss_sp = (char *)stack + taken;
    context->uc_stack.ss_size = FIBER_STACK - taken;
    context->uc_link = NULL;
    makecontext(context, run, 0);
    return context;
}

extern "C" void fiber_switch(void **from, void *to) {
    ucontext_t here;
    *from = &here;
    swapcontext(&here, (const ucontext_t *)to);
}

#endif
