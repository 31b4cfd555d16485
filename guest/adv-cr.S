#: summary  writes 2000 pseudo-random values to CR0 and CR4, without protection or paging
#: ends     hlt at done
#: console  "adv-cr: still here\n"
#: group    adversary

.include "lib.inc"

.equ CR0_ET, 1 << 4
.equ CR0_PE_PG, 0x80000001

    call lib_setup
    vector 13, skip
    mov ebx, 0x12345678
    mov cx, 2000
next:
    imul ebx, ebx, 1664525          # a linear congruential generator
    add ebx, 1013904223
    mov eax, ebx
    and eax, ~CR0_PE_PG
    mov cr0, eax
    mov edx, cr0
    mov eax, ebx
    rol eax, 13
    mov cr4, eax
    mov edx, cr4
    mov cr2, eax
    mov cr3, eax
    dec cx
    jnz next
    mov eax, CR0_ET
    mov cr0, eax
    mov ebx, cr0
    check ebx, CR0_ET, "CR0 at the end"
    xor eax, eax
    mov cr4, eax
    mov ebx, cr4
    check ebx, 0, "CR4 at the end"
    print "adv-cr: still here\n"
done:
    hlt

skip:                               # MOV to a control register has three bytes
    push bp
    mov bp, sp
    add word ptr [bp + 2], 3
    pop bp
    iret
