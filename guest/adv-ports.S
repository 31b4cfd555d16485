#: summary  writes and reads 9,363 ports
#: ends     hlt at done
#: console  "adv-ports: still here\n"
#: group    adversary

.include "lib.inc"

    call lib_setup
    xor dx, dx
next:                               # each seventh port: 0xe9, 0xf4 and 0x3f8 are not among them
    mov al, dl
    out dx, al
    in al, dx
    cmp dx, 0x1000                  # wider accesses above the devices, so as not to reach those three
    jb narrow
    mov eax, 0xffffffff
    out dx, eax
    out dx, ax
    in ax, dx
    in eax, dx
narrow:
    add dx, 7
    jnc next
    print "adv-ports: still here\n"
done:
    hlt
