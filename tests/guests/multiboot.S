# A Multiboot kernel that looks at what it was given, as it must be in a VM with `memory=64M`, the command line `one two`, and
# two modules: `first` with the string `a module`, and an empty string for `second`. The first module holds "MODULE-1", the second
# "module number two".
#
# Prints a line for each thing that is wrong, by port 0xE9, and ends the VM with 0x10 + how many there were.
# Multiboot Specification 0.6.96 "Machine state", "Boot information format".
#
#   as --32 -o multiboot.o multiboot.S && ld -m elf_i386 -N -Ttext 0x100000 -e start -o multiboot multiboot.o

.intel_syntax noprefix
.code32

.equ MAGIC, 0x1badb002
.equ FLAGS, 3                       # modules at pages, memory information
.equ GIVEN, 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9

.text
.balign 4
    .long MAGIC, FLAGS, -(MAGIC + FLAGS)

.macro check got, want, what
    push \want
    push \got
    push offset 9f
    call compare
    .pushsection .rodata
9:  .asciz "\what"
    .popsection
.endm

.macro check_string at, want, what
    push offset 8f
    push \at
    push offset 9f
    call compare_strings
    .pushsection .rodata
8:  .asciz "\want"
9:  .asciz "\what"
    .popsection
.endm

.globl start
start:
    # The stack pointer is not given.
    mov esp, offset stack_end
    check eax, 0x2badb002, "EAX"
    mov ebp, ebx

    # Segments: flat, 32 bits; what they are loaded with is open, the caches are what counts.
    mov eax, cs
    lar eax, eax
    and eax, 0xc0fe00
    check eax, 0xc09a00, "CS"
    mov eax, cs
    lsl eax, eax
    check eax, -1, "limit of CS"
.irp segment, ds, es, fs, gs, ss
    mov eax, \segment
    lar eax, eax
    and eax, 0xc0fe00
    check eax, 0xc09200, "\segment"
    mov eax, \segment
    lsl eax, eax
    check eax, -1, "limit of \segment"
.endr
    mov eax, cr0
    and eax, 0x80000001
    check eax, 1, "CR0: PE and PG"
    pushfd
    pop eax
    and eax, 0x20200
    check eax, 0, "EFLAGS: VM and IF"
    mov eax, cr4
    check eax, 0, "CR4"

    # A20: two addresses that differ in that bit are two places.
    mov dword ptr [0x500], 0x11111111
    mov dword ptr [0x300500], 0x22222222
    mov eax, [0x500]
    check eax, 0x11111111, "A20"

    mov eax, [ebp]
    and eax, GIVEN
    check eax, GIVEN, "flags"
    mov eax, [ebp]
    and eax, 0x30
    check eax, 0, "flags of symbols"
    mov eax, [ebp + 4]
    check eax, 636, "mem_lower"
    mov eax, [ebp + 8]
    check eax, 64512, "mem_upper"
    mov eax, [ebp + 16]
    check_string eax, "one two", "command line"
    mov eax, [ebp + 64]
    check_string eax, "hv", "boot loader name"

    # The memory map, entry by entry; the size does not count itself.
    mov eax, [ebp + 44]
    check eax, 144, "length of the memory map"
    mov edi, [ebp + 48]
    mov esi, offset map
1:  mov eax, [edi]
    check eax, 20, "size of an entry"
    mov ecx, 5
2:  add edi, 4
    lodsd
    mov edx, [edi]
    check edx, eax, "an entry of the memory map"
    dec ecx
    jnz 2b
    add edi, 4
    cmp esi, offset map_end
    jne 1b

    # Modules: whole pages, not on the kernel, with all their bytes.
    mov eax, [ebp + 20]
    check eax, 2, "number of modules"
    mov edi, [ebp + 24]
    mov eax, [edi]
    and eax, 0xfff
    check eax, 0, "first module: page"
    mov eax, [edi + 4]
    sub eax, [edi]
    check eax, 8, "first module: length"
    mov eax, [edi]
    mov edx, [eax]
    check edx, 0x55444f4d, "first module"
    mov edx, [eax + 4]
    check edx, 0x312d454c, "first module: end"
    mov eax, [edi + 8]
    check_string eax, "a module", "first module: string"
    mov eax, [edi]
    cmp eax, offset kernel_end
    setae al
    movzx eax, al
    check eax, 1, "first module behind the kernel"
    mov eax, [edi + 16]
    and eax, 0xfff
    check eax, 0, "second module: page"
    mov eax, [edi + 20]
    sub eax, [edi + 16]
    check eax, 17, "second module: length"
    mov eax, [edi + 16]
    mov edx, [eax + 12]
    check edx, 0x77742072, "second module"
    mov eax, [edi + 24]
    check_string eax, "", "second module: string"
    mov eax, [edi + 16]
    cmp eax, [edi + 4]
    setae al
    movzx eax, al
    check eax, 1, "second module behind the first"

    # What is in memory only is zero.
    mov edi, offset stack
    mov ecx, 1024
    xor eax, eax
    repe scasd
    setne al
    movzx eax, al
    check eax, 0, "the bytes that no file has"

    mov eax, [failures]
    test eax, eax
    jnz 1f
    mov esi, offset fine
    call print
1:  mov eax, [failures]
    add eax, 0x10
    out 0xf4, eax
    hlt

# What, got, want: says so if they differ. Changes nothing.
compare:
    pushfd
    pushad
    mov eax, [esp + 44]
    cmp eax, [esp + 48]
    je 1f
    mov esi, [esp + 40]
    call wrong
    mov eax, [esp + 48]
    call hex
    mov esi, offset is_not
    call print
    mov eax, [esp + 44]
    call hex
    mov al, '\n'
    out 0xe9, al
1:  popad
    popfd
    ret 12

# What, string, wanted string: the same.
compare_strings:
    pushad
    mov esi, [esp + 40]
    mov edi, [esp + 44]
1:  mov al, [esi]
    cmp al, [edi]
    jne 2f
    inc esi
    inc edi
    test al, al
    jnz 1b
    jmp 3f
2:  mov esi, [esp + 36]
    call wrong
    mov esi, [esp + 44]
    call print
    mov esi, offset is_not
    call print
    mov esi, [esp + 40]
    call print
    mov al, '\n'
    out 0xe9, al
3:  popad
    ret 12

wrong:
    inc dword ptr [failures]
    push esi
    mov esi, offset fail
    call print
    pop esi
    call print
    mov esi, offset must
print:
    lodsb
    test al, al
    jz 1f
    out 0xe9, al
    jmp print
1:  ret

hex:
    mov ecx, 8
    mov edx, eax
1:  rol edx, 4
    mov al, dl
    and al, 15
    cmp al, 10
    sbb al, 0x69
    das
    out 0xe9, al
    dec ecx
    jnz 1b
    ret

.section .rodata
fail: .asciz "FAIL: "
must: .asciz ": must be "
is_not: .asciz ", is "
fine: .asciz "multiboot: all as it should be\n"
.balign 4
map:                                # start, length, kind
    .long 0, 0, 0x9f000, 0, 1
    .long 0x9f000, 0, 0x1000, 0, 2
    .long 0xc0000, 0, 0x40000, 0, 2
    .long 0x100000, 0, 0x3f00000, 0, 1
    .long 0xfec00000, 0, 0x1000, 0, 2
    .long 0xfee00000, 0, 0x1000, 0, 2
map_end:

.data
failures: .long 0

.bss
.balign 16
stack:
    .skip 8192
stack_end:
kernel_end:
