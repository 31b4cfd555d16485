#: summary  flags and registers survive exits
#: ends     hlt at done
#: console  "flags: all flags and registers survive cpuid, in, out and device memory\n"

.include "lib.inc"

.equ FIXED, 1 << 1
.equ STATUS, FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF
.equ IOPL_3, 3 << 12
.equ NESTED, 1 << 14
.equ AC, 1 << 18
.equ ALL, FIXED | STATUS | FLAG_IF | FLAG_DF | IOPL_3 | NESTED | AC
.equ LOOKED_AT, 0x00247fff          # all of them, ID (bit 21) too

# Executes the instruction with these flags and seven known registers, and checks all of them. EAX is loaded with `in`
# and must be `out` afterwards; EBX, ECX and EDX are left out for CPUID, which changes them.
.macro survives what, flags, in, out, insn:vararg
    push dword ptr \flags
    mov ebx, 0xb0b1b2b3
    mov ecx, 0xc0c1c2c3
    mov edx, 0xd0d10000 + POST_PORT
    mov esi, 0x51525354
    mov edi, 0xd1d2d3d4
    mov ebp, 0xb4b5b6b7
    mov eax, \in
    popfd
    \insn
    pushfd
    push dword ptr FIXED
    popfd
    .ifnc \insn,cpuid
    check eax, \out, "\what: EAX"
    check ebx, 0xb0b1b2b3, "\what: EBX"
    check ecx, 0xc0c1c2c3, "\what: ECX"
    check edx, 0xd0d10000 + POST_PORT, "\what: EDX"
    .endif
    check esi, 0x51525354, "\what: ESI"
    check edi, 0xd1d2d3d4, "\what: EDI"
    check ebp, 0xb4b5b6b7, "\what: EBP"
    pop eax
    and eax, LOOKED_AT
    check eax, \flags, "\what: EFLAGS"
    check esp, 0x7c00, "\what: ESP"
.endm

    call lib_setup
    mov ax, 0xd000
    mov fs, ax
    mov dword ptr fs:[0x10], 0x12345678

    survives "cpuid, all flags set", ALL, 1, 0, cpuid
    survives "cpuid, all flags clear", FIXED, 1, 0, cpuid
    survives "out, all flags set", ALL, 0xa0a1a25a, 0xa0a1a25a, out dx, al
    survives "out, all flags clear", FIXED, 0xa0a1a2a5, 0xa0a1a2a5, out dx, al
    survives "in, all flags set", ALL, 0xa0a1a200, 0xa0a1a2a5, in al, dx
    survives "in, all flags clear", FIXED, 0xa0a1a200, 0xa0a1a2a5, in al, dx
    survives "device memory, all flags set", ALL, 0xa0a1a200, 0xa0a15678, mov ax, fs:[0x10]
    survives "device memory, all flags clear", FIXED, 0xa0a1a200, 0xa0a15678, mov ax, fs:[0x10]
    survives "new memory, all flags set", ALL, 0xa0a1a200, 0xa0a10000, mov ax, ds:[0x6000]
    print "flags: all flags and registers survive cpuid, in, out and device memory\n"
done:
    hlt
