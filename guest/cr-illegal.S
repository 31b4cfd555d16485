#: summary  control registers: values that the CPU must refuse take #GP and change nothing
#: ends     hlt at done
#: console  "cr-illegal: reserved bits and forbidden combinations take #GP\n"

.include "lib.inc"

.equ CR0_ET, 1 << 4
.equ CR0_NW, 1 << 29
.equ CR0_PG, 1 << 31
.equ CR4_VMXE, 1 << 13              # not offered
.equ CR4_RESERVED, 1 << 15

.macro refused register, value
    mov eax, \value
    faults 13, "\register, bad value", mov \register, eax
    check eax, "\value", "EAX"
.endm

    call lib_setup
    refused cr0, CR0_ET|CR0_PG      # paging without protection
    refused cr0, CR0_ET|CR0_NW      # not write-through, but cached
    mov ebx, cr0
    check ebx, CR0_ET, "CR0"
    refused cr4, CR4_RESERVED
    refused cr4, CR4_VMXE
    mov ebx, cr4
    check ebx, 0, "CR4"
    print "cr-illegal: reserved bits and forbidden combinations take #GP\n"
done:
    hlt
