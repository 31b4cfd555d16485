#: summary  breaks its own tables, stack and code at random; `chaos=` gives it its seeds
#: ends     hlt at alone
#: group    adversary

# `chaos=` starts it again and again, with 1 in EDX, the seed in ECX and another number in EBX each time. All that it does
# follows from the two. On its own it has nothing to do.
#
# Long mode, a handler for every vector, and timers that interrupt. Then one action after another, each with random numbers.
# An exception leads to the next action, so that it goes on as long as it has an IDT, a stack and code that are good enough.
# The gates are trap gates, and each action begins with interrupts on.

.include "lib.inc"

# R15: the state of the random numbers. R14: the actions of this run, a bit each. R13D: how many are left.
.equ GDT, 0x2000
.equ TSS, 0x3000
.equ LDT, 0x4000
.equ SCRATCH, 0x5000                # random code
.equ IST_STACK, 0x6ff0
.equ STACK, 0x7c00
.equ DEVICES, PML4 + 0x4000         # the page directory of the last of the first four gibibytes
.equ SELECTOR_TSS, 0x40
.equ PAGE_USER, 1 << 2
.equ ALL_RIGHTS, PAGE_PRESENT + PAGE_WRITE + PAGE_USER
.equ ACTIONS, 32
.equ DESCRIPTORS, 16 * 8             # bytes
.equ PORTS, 49                      # in their table, as the MSRs
.equ MSRS, 74

    cmp edx, 0
    jne begin
alone:
    hlt

.include "modes.inc"

begin:
    mov [state], ecx
    mov [state + 4], ebx
    xor eax, eax
    cpuid
    cmp ecx, 0x6c65746e             # "ntel"
    sete byte ptr [intel]
    to_protected
    to_long

    # All of it for the user too, the APICs, and tables of its own.
    mov edi, PML4
1:  test byte ptr [rdi], PAGE_PRESENT
    jz 2f
    or byte ptr [rdi], PAGE_USER
2:  add edi, 8
    cmp edi, PML4 + 0x4000
    jne 1b
    mov qword ptr [PML4 + 0x1000 + 3 * 8], DEVICES + ALL_RIGHTS
    mov eax, 0xfec00000 + PAGE_LARGE + ALL_RIGHTS
    mov [DEVICES + 0x1f6 * 8], rax
    mov eax, 0xfee00000 + PAGE_LARGE + ALL_RIGHTS
    mov [DEVICES + 0x1f7 * 8], rax
    mov rax, cr3
    mov cr3, rax

    mov esi, offset descriptors
    mov edi, GDT
    mov ecx, DESCRIPTORS
    rep movsb
    lgdt [descriptors_pointer]
    mov edi, TSS + 4                # RSP0 to RSP2, IST1 to IST7
    mov ecx, 12
    mov eax, IST_STACK
    rep stosq
    mov word ptr [TSS + 0x66], 0x68
    mov ax, SELECTOR_TSS
    ltr ax

    mov edi, IDT
    xor ecx, ecx
1:  mov eax, offset fault
    mov edx, offset interrupt
    cmp ecx, 32
    cmovae eax, edx
    mov [rdi], ax
    mov word ptr [rdi + 2], SELECTOR_CODE64
    mov dword ptr [rdi + 4], 0x8f00
    mov qword ptr [rdi + 8], 0
    add edi, 16
    inc ecx
    cmp ecx, 256
    jne 1b
    mov byte ptr [IDT + 8 * 16 + 4], 1
    mov rsp, STACK

    mov r15, [state]
    call random
    mov r14, rax
    call random
    or r14, rax                     # three of four actions
    and eax, 1023
    lea r13d, [rax + 16]

    # The 8259s' interrupts from 0x20 on, the PIT at about a kilohertz, the local APIC's timer.
    mov esi, offset setup
1:  lodsb
    movzx edx, al
    lodsb
    out dx, al
    cmp esi, offset setup_end
    jne 1b
    mov esi, 0xfee00000
    mov dword ptr [rsi + 0x320], 0x20040
    mov dword ptr [rsi + 0x3e0], 0xb
    call random
    and eax, 0x3fffff
    or eax, 0x100000                # seldom enough that something comes between
    mov [rsi + 0x380], eax

next:
    sti
    dec r13d
    js last
    call random
    mov ecx, eax
    and ecx, ACTIONS - 1
    bt r14, rcx
    jnc next
    shr rax, 8
    mov rbx, rax
    jmp qword ptr [actions + rcx * 8]

last:
    mov eax, 0x10
    out EXIT_PORT, al

fault:
    mov rsp, STACK
    jmp next

interrupt:
    push rax
    mov al, 0x20
    out 0xa0, al
    out 0x20, al
    mov eax, 0xfee00000
    mov dword ptr [rax + 0xb0], 0
    pop rax
    iretq

# RAX: the next random number (SplitMix64). Changes RDX.
random:
    movabs rdx, 0x9e3779b97f4a7c15
    add r15, rdx
    mov rax, r15
    mov rdx, rax
    shr rdx, 30
    xor rax, rdx
    movabs rdx, 0xbf58476d1ce4e5b9
    imul rax, rdx
    mov rdx, rax
    shr rdx, 27
    xor rax, rdx
    movabs rdx, 0x94d049bb133111eb
    imul rax, rdx
    mov rdx, rax
    shr rdx, 31
    xor rax, rdx
    ret

# RAX: something in place of RDI: near it, or what a table entry may look like. Changes RCX, RDX.
other_value:
    call random
    mov ecx, eax
    shr rax, 8
    and ecx, 7
    cmp ecx, 4
    jb 1f
    je 2f
    cmp ecx, 6
    jb 3f
    je 4f
    ret                             # 7: anything
1:  btc rdi, rax                    # 0 to 3: one bit, or two
    test ecx, ecx
    jz 5f
    shr rax, 8
    btc rdi, rax
5:  mov rax, rdi
    ret
2:  mov ecx, eax                    # 4: some place, and flags
    and ecx, 15
    shr rax, 8
    and eax, 0xfff
    or rax, [places + rcx * 8]
    ret
3:  and eax, 0x1fffff               # 5: low memory, and flags
    or eax, PAGE_PRESENT + PAGE_WRITE
    ret
4:  sar rax, 63                     # 6: nothing, or everything
    ret

# Changes the quadword at RSI.
spoil:
    mov rdi, [rsi]
    call other_value
    mov [rsi], rax
    ret

# EDX: a port that means something.
port:
    call random
    movzx ecx, al
    shr rax, 8
    movzx edx, ax
    cmp ecx, PORTS
    jae 1f
    movzx edx, word ptr [ports + rcx * 2]
    ret
1:  test ecx, 7
    jz 2f
    and edx, 0x3ff
2:  cmp edx, EXIT_PORT
    je port
    ret

# ECX: an MSR that means something.
msr:
    call random
    movzx edx, al
    shr rax, 8
    mov ecx, eax
    cmp edx, MSRS
    jae 1f
    mov ecx, [msrs + rdx * 4]
    ret
1:  and ecx, 0x7f
    or ecx, 0x800
    test edx, 3
    jnz 2f
    mov ecx, eax
    and ecx, 0xc0011fff
2:  ret

# RSI: an address of a device, or of nothing.
device:
    call random
    mov ecx, eax
    shr rax, 8
    and ecx, 7
    mov rsi, [devices + rcx * 8]
    and eax, 0xffc
    test ecx, 4
    jz 1f
    and eax, 0xff0
1:  add rsi, rax
    ret

# Random code at SCRATCH, with HLT behind it.
scratch:
    mov ebp, 4
    mov edi, SCRATCH
1:  call random
    stosq
    dec ebp
    jnz 1b
    mov byte ptr [rdi], 0xf4
    ret

# --- Actions: RBX is random ---------------------------------------------------------------------------------------

act_page_table:                     # an entry of a page table
    and ebx, 0x4fff
    lea esi, [rbx + PML4]
    and esi, ~7
    call spoil
    test al, 1
    jnz act_flush
    jmp next
act_page_code:                      # the entry of a page that is in use
    and ebx, 15
    lea esi, [rbx * 8 + PML4 + 0x3000]
    call spoil
act_flush:
    mov rax, cr3
    mov cr3, rax
    jmp next
act_page_device:                    # a page that becomes another one, and an access to it
    mov edi, ebx
    and edi, 0x1f
    call other_value
    mov esi, ebx
    and esi, 0xff
    mov [PML4 + 0x3000 + 0x100 * 8 + rsi * 8], rax
    shl esi, 12
    add esi, 0x100000
    invlpg [rsi]
    mov eax, [rsi]
    mov [rsi + 8], rbx
    jmp next
act_idt:
    and ebx, 0xff8
    lea esi, [rbx + IDT]
    call spoil
    jmp next
act_gdt:
    and ebx, 0x78
    lea esi, [rbx + GDT]
    call spoil
    bt rax, 53                      # L and D/B at once: QEMU 7.2 takes such a segment, and its VMRUN does not
    jnc act_segment
    btr rax, 54
    mov [rsi], rax
act_segment:
    call random
    movzx ecx, al
    shr eax, 8
    and eax, 0x7f
    test cl, 0x30
    jz 1f
    mov ds, ax
    mov fs, ax
1:  test cl, 0xc0
    jz 1f
    mov gs, ax
    mov es, ax
    jmp next
1:  mov ss, ax
    jmp next
act_tss:
    and ebx, 0x78
    lea esi, [rbx + TSS]
    call spoil
    jmp next
act_stack:
    and ebx, 0x1f8
    mov esi, STACK
    sub esi, ebx
    call spoil
    test ebx, 0x30
    jnz next
    mov edi, STACK
    call other_value
    mov rsp, rax
    jmp next
act_code:
    test ebx, 0x700
    jnz next
    and ebx, 0x7ff
    lea esi, [rbx + begin]
    call spoil
    jmp next
act_cr0:
    mov rdi, cr0
    call other_value
    mov cr0, rax
    jmp next
act_cr3:
    test ebx, 0xf
    jnz act_flush
    mov rdi, cr3
    call other_value
    cmp byte ptr [intel], 0
    jne 1f
    shl rax, 28                     # reserved bits end a VM of QEMU 7.2, they should raise #GP
    shr rax, 28
1:  mov cr3, rax
    jmp next
act_cr4:
    mov rdi, cr4
    call other_value
    mov cr4, rax
    jmp next
act_cr8:
    mov cr2, rbx
    mov cr8, rbx
    mov rax, cr8
    jmp next
act_efer:
    mov ecx, MSR_EFER
    jmp 1f
act_msr_write:
    call msr
1:  rdmsr
    mov edi, edx
    shl rdi, 32
    or rdi, rax
    mov r8d, ecx
    call other_value
    mov rdx, rax
    shr rdx, 32
    mov ecx, r8d
    wrmsr
    jmp next
act_msr_read:
    call msr
    rdmsr
    jmp next
act_debug:
    mov rdi, rbx
    call other_value
    test ebx, 0x300
    jz 1f
    mov eax, eax
1:  cmp byte ptr [intel], 0         # enabled breakpoints and SVM together are too much for QEMU 7.2
    jne 2f
    test ebx, 3
    jnz 2f
    and eax, 0xff00
2:  and ebx, 3
    mov r9, offset debug_registers
    lea r9, [r9 + rbx * 8]
    jmp r9
act_xcr0:
    xor ecx, ecx
    xgetbv
    mov edi, eax
    call other_value
    xor edx, edx
    xor ecx, ecx
    xsetbv
    jmp next
act_out:
    call port
    mov eax, ebx
    shr ebx, 30
    jz 1f
    out dx, al
    jmp next
1:  test eax, 1
    jz 1f
    out dx, ax
    jmp next
1:  out dx, eax
    jmp next
act_in:
    call port
    test ebx, 0x600
    jz 1f
    in al, dx
    jmp next
1:  in eax, dx
    in ax, dx
    jmp next
act_string:
    call port
    mov ecx, ebx
    test ebx, 0x0f00
    jz 1f
    and ecx, 0x3ff
1:  shr rbx, 16
    mov esi, ebx
    and esi, 0x1fffff
    mov edi, 0x20000
    test ebx, 0x60000000
    jnz 1f
    mov edi, esi
1:  mov r9, offset string_instructions
    jmp 5f
act_lapic:
    and ebx, 0x3f0
    mov esi, 0xfee00000
    add esi, ebx
    mov rdi, [rsi]
    call other_value
    mov [rsi], eax
    jmp next
act_ioapic:
    mov esi, 0xfec00000
    and ebx, 0x3f
    mov [rsi], ebx
    mov edi, [rsi + 0x10]
    call other_value
    and eax, 0xfffff0ff             # most often a vector that is delivered as it is
    mov [rsi + 0x10], eax
    jmp next
act_device:
    call device
    mov r9, offset device_instructions
    mov rdi, rsi
    mov ecx, 4
    test ebx, 0x10000
    jz 5f
    mov edi, 0x20000
5:  call random                     # one of 32 pieces of 16 bytes
    and eax, 31
    shl eax, 4
    add r9, rax
    mov rax, rbx
    jmp r9
act_privileged:
    mov rsi, rbx
    and esi, 0x1ffff8
    mov ecx, ebx
    mov r9, offset privileged_instructions
    jmp 5b
act_interrupt:
    mov [1f + 1], bl
    jmp 1f
1:  int 0x20
    jmp next
act_far:
    and ebx, 0x7f
    push rbx
    push offset next
    rex.w retf
act_iret:
    mov rdi, SELECTOR_DATA32
    test ebx, 3
    jnz 1f
    call other_value
    mov rdi, rax
1:  push rdi
    push STACK
    mov rdi, 0x202
    call other_value
    or eax, 0x200
    push rax
    mov rdi, SELECTOR_CODE64
    test ebx, 0x30
    jnz 1f
    call other_value
    mov rdi, rax
1:  push rdi
    push offset next
    iretq
act_system:                         # LDTR, TR
    mov edi, SELECTOR_TSS
    call other_value
    and byte ptr [GDT + SELECTOR_TSS + 5], 0xfd
    test ebx, 1
    jz 1f
    test ax, 0xfff8                 # not a null one, which QEMU 7.2 takes and then stops its whole machine
    jz 1f
    ltr ax
    jmp next
1:  lldt ax
    jmp next
act_tables:                         # IDTR, GDTR
    mov edi, 0xfff
    test ebx, 0x700
    jnz 1f
    call other_value
    mov rdi, rax
1:  mov [table_pointer], di
    mov edi, IDT
    test ebx, 0x3800
    jnz 1f
    call other_value
    mov rdi, rax
1:  mov [table_pointer + 2], rdi
    test ebx, 0x4000
    jz 1f
    lidt [table_pointer]
    jmp next
1:  mov rax, [table_pointer + 2]
    sub rax, IDT - GDT
    mov [table_pointer + 2], rax
    lgdt [table_pointer]
    jmp next
act_halt:
    test ebx, 7
    jnz next
    hlt
    jmp next
act_cpuid:
    mov eax, ebx
    and eax, 0xc00000ff
    shr rbx, 32
    mov ecx, ebx
    and ecx, 7
    cpuid
    jmp next
act_flags:
    mov edi, 0x202
    call other_value
    or eax, 0x200
    push rax
    popfq
    jmp next
act_random_code:
    call scratch
    jmp act_scratch
act_self:                           # an interrupt, NMI, INIT or whatever to itself
    mov esi, 0xfee00000
    mov eax, ebx
    and eax, 0xfc7ff
    test ebx, 0x700000
    jz 1f
    and eax, 0xf80ff
    or eax, 0x40000
1:  mov [rsi + 0x300], eax
    mov ecx, 0x830
    xor edx, edx
    wrmsr
    jmp next
act_masked:                         # a bounded time without interrupts
    cli
    movzx ecx, bx
1:  dec ecx
    jnz 1b
    jmp next
act_scratch:
    mov eax, SCRATCH
    jmp rax

act_legacy:                         # out of long mode, and random code there
    test ebx, 0x300
    jnz next
    call scratch
    push SELECTOR_CODE32
    push offset 1f
    rex.w retf
    bits32
1:  load_data_segments SELECTOR_DATA32
    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    test ebx, 1
    jz 1f
    mov ecx, MSR_EFER
    rdmsr
    and eax, ~EFER_LME
    wrmsr
1:  test ebx, 2
    jz 1f
    mov eax, cr4
    xor eax, ebx
    and eax, 0x0077fff0
    mov cr4, eax
1:  test ebx, 0x30
    jz 1f
    test ebx, 0x40
    jz 2f
    cmp byte ptr [intel], 0
    je 2f
    push 0                          # GS, FS, DS, ES, SS, ESP, EFLAGS with VM
    push 0
    push 0
    push 0
    push 0
    push STACK
    push 0x20202
    push 0
    push SCRATCH
    iretd
1:  to_real
    test bx, 4
    jz 1f
    mov eax, cr4
    xor eax, ebx
    mov cr4, eax
1:  mov ax, SCRATCH
    jmp ax
    bits32
2:  mov eax, SCRATCH
    jmp eax
    bits64

# --- Tables -------------------------------------------------------------------------------------------------------

.balign 8
actions:
    .quad act_page_table, act_page_code, act_page_device, act_idt, act_gdt, act_segment, act_tss, act_stack
    .quad act_code, act_cr0, act_cr3, act_cr4, act_cr8, act_efer, act_msr_write, act_msr_read
    .quad act_debug, act_xcr0, act_out, act_in, act_string, act_lapic, act_ioapic, act_device
    .quad act_privileged, act_interrupt, act_far, act_iret, act_system, act_tables, act_odd, act_random_code
act_odd:                            # one of the rest
    and ebx, 7
    jmp qword ptr [odd + rbx * 8]
.balign 8
odd:
    .quad act_halt, act_cpuid, act_flags, act_self, act_masked, act_legacy, act_device, act_privileged
devices:
    .quad 0xfee00000, 0xfec00000, 0xd0000, 0xa0000, 0xfee00000, 0xfec00000, 0x1ff000, 0xbf000
places:
    .quad 0xfee00000, 0xfec00000, 0xd0000, 0xa0000, 0xf0000, 0x100000, 0xc0000000, 0xfffff000
    .quad 0x100000000, 0x8000000000, 0x7fffffff000, 0x8000000000000, 0xffffffffff000, PML4, 0x7000, IDT
state:
    .quad 0
intel:
    .byte 0
table_pointer:
    .word 0
    .quad 0
descriptors_pointer:
    .word 0x7f
    .quad GDT
.balign 8
descriptors:
    .quad 0
    .quad 0x00cf9b000000ffff        # 0x08: 32-bit code
    .quad 0x00cf93000000ffff        # 0x10: 32-bit data
    .quad 0x00009b000000ffff        # 0x18: 16-bit code
    .quad 0x000093000000ffff        # 0x20: 16-bit data
    .quad 0x00af9b000000ffff        # 0x28: 64-bit code
    .quad 0x00cff3000000ffff        # 0x30: data for the user
    .quad 0x00affb000000ffff        # 0x38: 64-bit code for the user
    .quad 0x0000890030000067        # 0x40: TSS
    .quad 0
    .quad 0x0000820040000fff        # 0x50: LDT
    .quad 0
    .quad 0x00cffb000000ffff        # 0x60: 32-bit code for the user
    .quad 0x00008c0028000000        # 0x68: call gate, without a target
    .quad 0x0000000000000000
    .quad 0x00cf97000000ffff        # 0x78: data that grows down
.if . - descriptors != DESCRIPTORS
    .error "DESCRIPTORS"
.endif

setup:                              # port and value
    .byte 0x20, 0x11, 0x21, 0x20, 0x21, 4, 0x21, 1, 0x21, 0xee
    .byte 0xa0, 0x11, 0xa1, 0x28, 0xa1, 2, 0xa1, 1, 0xa1, 0xfe
    .byte 0x43, 0x34, 0x40, 0xa9, 0x40, 0x04
setup_end:

.balign 2
ports:
    .word 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x80, 0x92, 0xe9
    .word 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x5f0, 0x5f5, 0x5f8, 0x600, 0x602, 0x604, 0x608, 0x60b
    .word 0xcf8, 0xcfa, 0xcfc, 0xcfe, 0xffff, 0x20, 0x21, 0x40, 0x43, 0x70, 0x71, 0x71, 0x3f8, 0x3f9, 0x3fa
.if . - ports != PORTS * 2
    .error "PORTS"
.endif

.balign 4
msrs:
    .long 0x10, 0x17, 0x1b, 0x1b, 0x3a, 0x3b, 0x48, 0x49, 0x79, 0x8b, 0xce, 0xfe, 0x10a, 0x10b, 0x122, 0x174, 0x175, 0x176
    .long 0x179, 0x17a, 0x17b, 0x186, 0x198, 0x1a0, 0x1d9, 0x1db, 0x200, 0x201, 0x20f, 0x250, 0x258, 0x26f, 0x277, 0x2ff
    .long 0x345, 0x38f, 0x400, 0x480, 0x48b, 0x492, 0x560, 0x600, 0x6a0, 0x6a2, 0x6e0, 0x6e0, 0x808, 0x80b, 0x80f, 0x830
    .long 0x832, 0x838, 0x83e, 0x83f, 0xda0, 0x40000000, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084
    .long 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xc0010010, 0xc0010015, 0xc001001f, 0xc0010055, 0xc0010111
    .long 0xc0010112, 0xc0010114, 0xc0010117, 0xc0011029
.if . - msrs != MSRS * 4
    .error "MSRS"
.endif

.balign 8
debug_registers:
    mov dr7, rax
    jmp next
    .balign 8
    mov dr0, rax
    jmp next
    .balign 8
    mov dr6, rax
    jmp next
    .balign 8
    mov dr3, rax
    jmp next

# A piece: up to eleven bytes of instructions.
.macro piece instruction:vararg
    .balign 16
    \instruction
    jmp next
.endm
.macro backwards instruction:vararg
    .balign 16
    std
    \instruction
    cld
    jmp next
.endm

.balign 16
device_instructions:                # RSI: the device; RDI: it, or RAM; ECX: 4
    piece mov eax, [rsi]
    piece mov [rsi], eax
    piece mov al, [rsi + 1]
    piece mov [rsi + 3], bx
    piece mov [rsi], rbx
    piece mov rbx, [rsi + 5]
    piece add [rsi], eax
    piece adc eax, [rsi]
    piece xor dword ptr [rsi], 0x55
    piece lock or [rsi], rax
    piece xchg [rsi], eax
    piece lock cmpxchg [rsi], ebx
    piece lock xadd [rsi], eax
    piece cmpxchg8b [rsi]
    piece bts [rsi], ebx
    piece lock btr dword ptr [rsi], 31
    piece push qword ptr [rsi]
    piece pop qword ptr [rsi]
    piece movsb
    piece rep movsd
    piece rep stosq
    piece repne scasb
    piece lodsd
    piece repe cmpsb
    piece not dword ptr [rsi]
    piece movzx eax, word ptr [rsi]
    piece test byte ptr [rsi], 1
    piece call qword ptr [rsi]
    piece imul eax, [rsi], 3
    piece movups xmm0, [rsi]
    piece lgdt [rsi]
    piece jmp rsi
    .org device_instructions + 32 * 16

string_instructions:                # EDX: the port
    piece rep insb
    piece rep outsb
    piece rep insw
    piece rep outsw
    piece rep insd
    piece rep outsd
    piece insb
    piece outsd
    piece addr32 rep insb
    piece addr32 rep outsb
    backwards rep outsb
    backwards rep insb
    piece insd
    piece outsb
    piece insw
    piece outsw
    .rept 2
    piece rep insb
    piece rep outsb
    piece rep insw
    piece rep outsw
    piece rep insd
    piece rep outsd
    piece insb
    piece outsd
    .endr
    .org string_instructions + 32 * 16

privileged_instructions:            # RAX, RCX, RSI: random
    piece invlpg [rax]
    piece invd
    piece wbinvd
    piece clflush [rsi]
    piece vmcall
    piece vmmcall
    piece vmlaunch
    piece vmresume
    piece vmxoff
    piece vmxon [rsi]
    piece vmclear [rsi]
    piece vmptrld [rsi]
    piece vmread rax, rcx
    piece vmwrite rax, rcx
    piece vmrun
    piece vmsave
    piece vmload
    piece stgi
    piece clgi
    piece skinit
    piece invlpga
    piece monitor
    piece mwait
    piece rdpmc
    piece rdtscp
    piece syscall
    piece sysenter
    piece sysretq
    piece swapgs
    piece rsm
    piece invpcid rax, [rsi]
    piece getsec
    .org privileged_instructions + 32 * 16
