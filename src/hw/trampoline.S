// What a core executes after SIPI: copied to a page below 1 MiB, position-independent by CS and EBX.
.section .rodata.trampoline, "a"
.balign 16
.global trampoline_start
.global trampoline_end
.global trampoline_parameters
.global trampoline_32
.global trampoline_64
.global trampoline_gdt
trampoline_start:
.code16
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    movzwl %ax, %ebx
    shll $4, %ebx                           // EBX = address of the page
    lgdtl (trampoline_parameters - trampoline_start + 18)
    movl %cr0, %eax
    orl $1, %eax                            // PE
    movl %eax, %cr0
    ljmpl *(trampoline_parameters - trampoline_start)

.code32
trampoline_32:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    leal (trampoline_parameters - trampoline_start)(%ebx), %esi
    movl $0x20, %eax                        // PAE
    movl %eax, %cr4
    movl 24(%esi), %eax                     // root
    movl %eax, %cr3
    movl $0xc0000080, %ecx                  // IA32_EFER
    movl 28(%esi), %eax
    xorl %edx, %edx
    wrmsr
    movl $0x80010011, %eax                  // PG, WP, ET, PE
    movl %eax, %cr0
    ljmpl *8(%esi)

.code64
trampoline_64:
    movl %esi, %esi
    movl $1, %eax
    movq 32(%rsi), %rdx                     // ticket
    lock xaddl %eax, (%rdx)
    cmpq 40(%rsi), %rax                     // count
    jae 1f
    movq 48(%rsi), %rdx                     // slots
    movq 56(%rsi), %rcx                     // entry
    shll $4, %eax
    addq %rax, %rdx
    movq 8(%rdx), %rdi                      // cpu
    movq (%rdx), %rsp                       // stack
    xorl %ebp, %ebp
    pushq $0                                // the last return address
    jmpq *%rcx
1:  cli
    hlt
    jmp 1b

.balign 8
trampoline_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff                // 32-bit code
    .quad 0x00cf93000000ffff                // data
    .quad 0x00af9b000000ffff                // 64-bit code
.balign 8
trampoline_parameters:
    .skip 64
trampoline_end:
