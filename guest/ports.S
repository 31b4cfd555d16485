#: summary  IN and OUT in 8, 16 and 32 bits, with the port in DX and in the instruction
#: ends     hlt at done
#: console  "ports: dx and immediate, 8, 16 and 32 bits\n"
#: console  "ports: nobody there reads as all ones\n"

.include "lib.inc"

.equ NOBODY, 0xe0                   # a port without a device, in reach of an immediate
.equ NOBODY_FAR, 0xabc0

    call lib_setup

# 1. DX, each width, on the storage ports: what was written comes back, little-endian.
    mov dx, STORAGE_PORT
    mov eax, 0x44332211
    out dx, eax
    mov dx, STORAGE_PORT + 4
    mov ax, 0x6655
    out dx, ax
    mov dx, STORAGE_PORT + 6
    mov al, 0x77
    out dx, al
    inc dx
    mov al, 0x88
    out dx, al

    mov dx, STORAGE_PORT
    mov eax, 0xaaaaaaaa
    in al, dx
    check eax, 0xaaaaaa11, "IN AL, DX"
    in ax, dx
    check eax, 0xaaaa2211, "IN AX, DX"
    in eax, dx
    check eax, 0x44332211, "IN EAX, DX"
    mov dx, STORAGE_PORT + 4
    in eax, dx
    check eax, 0x88776655, "IN EAX, DX after narrow writes"
    mov dx, STORAGE_PORT + 3
    in ax, dx
    check16 ax, 0x5544, "IN AX, DX at an odd port"

    # Only the named bytes are written.
    mov dx, STORAGE_PORT + 1
    mov eax, 0xffffffee
    out dx, al
    mov dx, STORAGE_PORT
    in eax, dx
    check eax, 0x4433ee11, "OUT DX, AL writes one byte"
    check16 dx, STORAGE_PORT, "DX"

# 2. The port in the instruction.
    mov al, 0x5a
    out POST_PORT, al
    mov eax, 0xbbbbbbbb
    in al, POST_PORT
    check eax, 0xbbbbbb5a, "IN AL, imm8"
    mov dx, POST_PORT
    mov al, 0xa5
    out dx, al
    in al, POST_PORT
    check8 al, 0xa5, "OUT DX, AL and IN AL, imm8 mean the same port"

    mov eax, 0x12345678
    out NOBODY, al
    out NOBODY, ax
    out NOBODY, eax
    check eax, 0x12345678, "EAX after OUT imm8"
    print "ports: dx and immediate, 8, 16 and 32 bits\n"

# 3. No device.
    in al, NOBODY
    check eax, 0x123456ff, "IN AL from nobody"
    in ax, NOBODY
    check eax, 0x1234ffff, "IN AX from nobody"
    xor eax, eax
    in eax, NOBODY
    check eax, 0xffffffff, "IN EAX from nobody"
    mov dx, NOBODY_FAR
    xor eax, eax
    out dx, eax
    in eax, dx
    check eax, 0xffffffff, "IN EAX, DX from nobody"
    mov dx, 0xffff
    xor eax, eax
    in al, dx
    check eax, 0xff, "IN AL from the last port"
    print "ports: nobody there reads as all ones\n"
done:
    hlt
