#: summary  REP INSB with the greatest counts there are: it ends at the segment's limit or wraps
#: ends     hlt at done
#: console  "adv-rep: 65535 bytes in one instruction\n"
#: console  "adv-rep: 4294967295 bytes end at the segment's limit\n"
#: group    adversary

.include "lib.inc"

    call lib_setup
    mov ax, 0x2000
    mov es, ax
    mov dx, POST_PORT
    mov al, 0x5a
    out dx, al

    mov edi, 0x8000                 # 16-bit addresses: DI wraps
    mov ecx, 0xffff
    rep insb
    check ecx, 0, "ECX"
    check edi, 0x7fff, "EDI"
    check8 "byte ptr es:[0x7fff]", 0, "the one byte that was left out"
    check8 "byte ptr es:[0x7ffe]", 0x5a, "the last byte"
    print "adv-rep: 65535 bytes in one instruction\n"

    xor edi, edi                    # 32-bit addresses: EDI reaches the limit of the segment, 0xffff
    mov ecx, 0xffffffff
    faults 13, "rep insb beyond the limit", addr32 rep insb
    check ecx, 0xfffeffff, "ECX at the limit"
    check edi, 0x10000, "EDI at the limit"
    check8 "byte ptr es:[0x7fff]", 0x5a, "the byte before"
    print "adv-rep: 4294967295 bytes end at the segment's limit\n"
done:
    hlt
