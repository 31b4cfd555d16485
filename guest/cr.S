#: summary  control registers: legal values of CR0, CR2, CR3 and CR4, SMSW, LMSW, CLTS
#: ends     hlt at done
#: console  "cr: cr0, cr2, cr3, cr4 hold what is written\n"
#: console  "cr: smsw, lmsw, clts\n"

.include "lib.inc"

.equ CR0_MP, 1 << 1
.equ CR0_EM, 1 << 2
.equ CR0_TS, 1 << 3
.equ CR0_ET, 1 << 4                 # always 1
.equ CR0_NE, 1 << 5
.equ CR0_WP, 1 << 16
.equ CR0_AM, 1 << 18
.equ CR0_NW, 1 << 29
.equ CR0_CD, 1 << 30
.equ CR4_TSD, 1 << 2
.equ CR4_DE, 1 << 3
.equ CR4_PSE, 1 << 4
.equ CR4_PAE, 1 << 5
.equ CR4_PGE, 1 << 7

.macro holds register, value
    mov eax, \value
    mov \register, eax
    mov ebx, 0xffffffff
    mov ebx, \register
    check ebx, "\value", "\register"
.endm

    call lib_setup
    mov ebx, cr0
    check ebx, CR0_ET, "CR0 at the start"
    mov ebx, cr4
    check ebx, 0, "CR4 at the start"

    holds cr0, CR0_ET|CR0_CD
    holds cr0, CR0_ET|CR0_CD|CR0_NW
    holds cr0, CR0_ET
    holds cr0, CR0_ET|CR0_MP|CR0_EM|CR0_TS|CR0_NE|CR0_WP|CR0_AM
    holds cr0, CR0_ET|CR0_NE
    holds cr0, CR0_ET
    xor eax, eax
    mov cr0, eax
    mov ebx, cr0
    check ebx, CR0_ET, "CR0.ET cannot be cleared"

    holds cr2, 0x12345678
    holds cr3, 0x00055000
    holds cr3, 0
    holds cr4, CR4_TSD|CR4_DE|CR4_PSE|CR4_PAE|CR4_PGE
    rdtsc                           # TSD does not matter at CPL 0
    holds cr4, CR4_PSE
    holds cr4, 0
    print "cr: cr0, cr2, cr3, cr4 hold what is written\n"

    mov ax, CR0_MP | CR0_TS
    lmsw ax
    smsw bx
    check16 bx, "CR0_ET | CR0_MP | CR0_TS", "SMSW after LMSW"
    mov ebx, cr0
    check ebx, "CR0_ET | CR0_MP | CR0_TS", "CR0 after LMSW"
    clts
    mov ebx, cr0
    check ebx, "CR0_ET | CR0_MP", "CR0 after CLTS"
    mov ax, 0
    lmsw ax
    mov ebx, cr0
    check ebx, CR0_ET, "CR0 after LMSW, cleared"
    print "cr: smsw, lmsw, clts\n"
done:
    hlt
