#: summary  tries to reset, to power off and to interrupt the machine that the hypervisor runs on, by what its own lacks
#: ends     hlt at done
#: console  "adv-reset: still here\n"
#: group    adversary

.include "lib.inc"
.include "modes.inc"

.equ APIC_ICR, 0xfee00300
.equ INIT_ALL_BUT_SELF, 0x000c4500
.equ STARTUP_ALL_BUT_SELF, 0x000c4608
.equ X2APIC_ICR, 0x830

.macro write_port number, value
    mov dx, \number
    mov al, \value
    out dx, al
.endm

    call lib_setup
    write_port 0xb2, 0x00           # SMI
    mov dx, 0x501                   # QEMU's exit device
    mov eax, 0x10
    out dx, eax
    mov dx, 0x604                   # QEMU's way to power off; the VM's own takes another sleep type
    mov ax, 0x2000
    out dx, ax
    mov si, offset word_for_bochs
    mov dx, 0x8900
    mov cx, 8
    rep outsb

    to_protected
    mov dword ptr [APIC_ICR], INIT_ALL_BUT_SELF
    mov dword ptr [APIC_ICR], STARTUP_ALL_BUT_SELF
    mov ecx, X2APIC_ICR
    mov eax, INIT_ALL_BUT_SELF
    xor edx, edx
    faults 13, "x2APIC ICR", wrmsr
    to_real
    print "adv-reset: still here\n"
done:
    hlt

word_for_bochs:
    .ascii "Shutdown"
