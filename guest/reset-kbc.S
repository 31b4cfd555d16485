#: summary  resets the machine by the keyboard controller's pulse command
#: ends     reset
#: console  "reset-kbc: now\n"

.include "lib.inc"

    call lib_setup
    mov ecx, 1000
1:  in al, 0x64
    test al, 2
    jz ready
    dec ecx
    jnz 1b
    fail "the keyboard controller's input buffer stays full"
ready:
    mov al, 0xff                    # pulses no line
    out 0x64, al
    print "reset-kbc: now\n"
    mov al, 0xfe
    out 0x64, al
    fail "it went on"
