// One stub per vector, 16 bytes apart, then one way in and out: builds a TrapFrame (src/hw/trap.rs).
.section .text.trap_stubs, "ax"
.balign 16
.global trap_stubs
trap_stubs:
.set vector, 0
.rept 256
    .balign 16, 0xcc
    // Exceptions 8, 10 to 14, 17, 21, 29, 30 push an error code; the others get a 0 in its place.
    .if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17 && vector != 21 && vector != 29 && vector != 30
    push 0
    .endif
    push vector
    jmp trap_common
    .set vector, vector + 1
.endr
    .balign 16, 0xcc

trap_common:
    push r15
    push r14
    push r13
    push r12
    push r11
    push r10
    push r9
    push r8
    push rdi
    push rsi
    push rbp
    push qword ptr [rsp + 16 * 8]           // RSP of the interrupted code
    push rbx
    push rdx
    push rcx
    push rax
    mov rax, cr2
    push rax
    cld
    mov rdi, rsp
    // The CPU aligned the stack before its push of SS, and 24 words lie below that: aligned for the call.
    call trap_dispatch
    add rsp, 8
    pop rax
    pop rcx
    pop rdx
    pop rbx
    add rsp, 8
    pop rbp
    pop rsi
    pop rdi
    pop r8
    pop r9
    pop r10
    pop r11
    pop r12
    pop r13
    pop r14
    pop r15
    add rsp, 16
    iretq
