#: summary  IRET and a far jump to places where there is no memory, up to FFFF:FFFF
#: ends     hlt at done
#: console  "adv-iret: 500 excursions, all came back\n"
#: group    adversary

.include "lib.inc"

.equ NO_TF, 0xfeff

    call lib_setup
    vector 6, back                  # what is not there cannot be executed
    vector 13, back                 # the instruction would end beyond the segment's limit
    mov ebx, 0x12345678
    mov cx, 500
    ljmp 0xffff, 0xffff
back:
    mov sp, 0x7c00
    cld
    dec cx
    jz enough
    imul ebx, ebx, 1664525          # a linear congruential generator
    add ebx, 1013904223
    mov eax, ebx
    rol eax, 7
    and ax, NO_TF
    push ax                         # flags
    mov eax, ebx
    shr eax, 16
    or ax, 0xe000
    push ax                         # CS, 0xe000 to 0xffff
    push bx                         # IP
    iret
enough:
    print "adv-iret: 500 excursions, all came back\n"
done:
    hlt
