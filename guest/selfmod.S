#: summary  writes a program to a new page, runs it, changes it, and runs it again
#: ends     hlt at done
#: gpr      eax 0x22226666
#: console  "selfmod: new code, changed code, code in two pages\n"

.include "lib.inc"

.equ SEGMENT, 0x3000                # linear 0x30000, touched by nobody before

    call lib_setup
    mov ax, SEGMENT
    mov fs, ax

    # mov eax, 0x11115555; retf
    mov word ptr fs:[0], 0xb866
    mov dword ptr fs:[2], 0x11115555
    mov byte ptr fs:[6], 0xcb
    lcall SEGMENT, 0
    check eax, 0x11115555, "new code"

    # The operand changes; then the instruction does, to CPUID, which exits.
    mov dword ptr fs:[2], 0x22226666
    lcall SEGMENT, 0
    check eax, 0x22226666, "changed code"
    mov word ptr fs:[0], 0xa20f     # cpuid
    mov byte ptr fs:[2], 0xcb       # retf
    mov eax, 0x40000000
    lcall SEGMENT, 0
    check ebx, 0x76687668, "code that was changed to CPUID"

    # mov eax, 0x22226666 in two pages: 66 b8 | 66 66 22 22
    mov word ptr fs:[0x1ffe], 0xb866
    mov dword ptr fs:[0x2000], 0x22226666
    mov byte ptr fs:[0x2004], 0xcb
    xor eax, eax
    lcall SEGMENT, 0x1ffe
    check eax, 0x22226666, "code in two pages"
    # The same with an instruction that exits: 0f | a2.
    mov byte ptr fs:[0x2fff], 0x0f
    mov word ptr fs:[0x3000], 0xcba2
    mov eax, 0x40000000
    lcall SEGMENT, 0x2fff
    check ecx, 0x76687668, "CPUID in two pages"

    print "selfmod: new code, changed code, code in two pages\n"
    mov eax, 0x22226666
done:
    hlt
