#: summary  INS and OUTS: widths, REP, both directions, segments, address sizes
#: ends     hlt at done
#: console  "strings: printed by rep outsb\n"
#: console  "strings: one at a time, 8, 16 and 32 bits\n"
#: console  "strings: rep, both directions\n"
#: console  "strings: segments and address sizes\n"
#: console  "strings: edges\n"

.include "lib.inc"

# The FIFO port keeps what OUTS wrote, so that IN or INS can read it back in the same order.

.equ BUFFER, 0x2000                 # offset in segment 0
.equ SEGMENT_A, 0x2000              # linear 0x20000, touched by nobody before
.equ SEGMENT_B, 0x3000              # linear 0x30000, likewise

.macro fifo_push32 value            # changes EAX
    mov eax, \value
    out dx, eax
.endm

.macro fifo_check32 value, what
    in eax, dx
    check eax, \value, "\what"
.endm

.macro fifo_check_empty what
    in eax, dx
    check eax, 0xffffffff, "\what: nothing more in the fifo"
.endm

    call lib_setup
    mov dx, CONSOLE_PORT
    mov si, offset text
    mov cx, text_end - text
    rep outsb
    mov dx, FIFO_PORT

# 1. Without REP: one element, (E)CX untouched, SI and DI moved by the width.
    mov ecx, 0x12345678
    mov dword ptr [BUFFER], 0x44332211
    mov dword ptr [BUFFER + 4], 0x88776655
    mov esi, 0xabcd0000 + BUFFER
    outsb
    outsw
    outsd
    check esi, 0xabcd0000 + BUFFER + 7, "ESI after OUTSB, OUTSW, OUTSD"
    check ecx, 0x12345678, "ECX after OUTS without REP"
    mov edi, 0x98760000 + BUFFER + 0x10
    insd
    insw
    insb
    check edi, 0x98760000 + BUFFER + 0x17, "EDI after INSD, INSW, INSB"
    check ecx, 0x12345678, "ECX after INS without REP"
    check "dword ptr [BUFFER + 0x10]", 0x44332211, "INSD"
    check16 "word ptr [BUFFER + 0x14]", 0x6655, "INSW"
    check8 "byte ptr [BUFFER + 0x16]", 0x77, "INSB"
    check8 "byte ptr [BUFFER + 0x17]", 0, "the byte after INSB"
    fifo_check_empty "one at a time"
    print "strings: one at a time, 8, 16 and 32 bits\n"

# 2. REP forward and backward. CX counts; the upper half of ECX stays.
    mov ecx, 0x00070004
    mov si, BUFFER
    rep outsw
    check ecx, 0x00070000, "ECX after REP OUTSW"
    check16 si, BUFFER + 8, "SI after REP OUTSW"
    fifo_check32 0x44332211, "REP OUTSW, first half"
    fifo_check32 0x88776655, "REP OUTSW, second half"

    std
    mov ecx, 4
    mov si, BUFFER + 3
    rep outsb
    check16 si, BUFFER-1, "SI after REP OUTSB backward"
    fifo_check32 0x11223344, "REP OUTSB backward"

    fifo_push32 0x03020100
    fifo_push32 0x07060504
    mov ecx, 2
    mov di, BUFFER + 0x24
    rep insd
    check ecx, 0, "ECX after REP INSD backward"
    check16 di, BUFFER + 0x1c, "DI after REP INSD backward"
    check "dword ptr [BUFFER + 0x24]", 0x03020100, "REP INSD backward, first"
    check "dword ptr [BUFFER + 0x20]", 0x07060504, "REP INSD backward, second"
    pushf
    pop ax
    and ax, FLAG_DF
    check16 ax, FLAG_DF, "DF after REP INSD backward"
    cld

    fifo_push32 0x0b0a0908
    mov cx, 4
    mov di, BUFFER + 0x31
    rep insb
    check "dword ptr [BUFFER + 0x31]", 0x0b0a0908, "REP INSB forward"

    # Nothing to do: nothing happens.
    mov ecx, 0x00010000
    mov si, BUFFER
    mov di, BUFFER + 0x24
    rep outsb
    rep insb
    check ecx, 0x00010000, "ECX after REP with CX = 0"
    check16 si, BUFFER, "SI after REP OUTSB with CX = 0"
    check16 di, BUFFER + 0x24, "DI after REP INSB with CX = 0"
    check "dword ptr [BUFFER + 0x24]", 0x03020100, "memory after REP INSB with CX = 0"
    fifo_check_empty "rep"
    print "strings: rep, both directions\n"

# 3. OUTS reads DS:SI, or the segment of a prefix; INS writes ES:DI always.
    mov ax, SEGMENT_A
    mov es, ax
    mov fs, ax
    mov ax, SEGMENT_B
    mov gs, ax
    mov dword ptr es:[0x100], 0xaaaa5555
    mov dword ptr gs:[0x100], 0xbbbb6666
    mov dword ptr [0x2100], 0xcccc7777
    mov si, 0x100
    outsd dx, dword ptr fs:[si]
    mov si, 0x100
    outsd dx, dword ptr gs:[si]
    mov si, 0x2100
    outsd
    mov si, 0x100
    outsw dx, word ptr es:[si]
    mov cx, 2
    mov si, 0x100
    rep outsb dx, byte ptr gs:[si]
    mov di, 0x200
    mov cx, 4
    rep insd                        # to SEGMENT_A:0x200, a page nobody touched
    check "dword ptr fs:[0x200]", 0xaaaa5555, "OUTSD from FS"
    check "dword ptr fs:[0x204]", 0xbbbb6666, "OUTSD from GS"
    check "dword ptr fs:[0x208]", 0xcccc7777, "OUTSD from DS"
    check "dword ptr fs:[0x20c]", 0x66665555, "OUTSW from ES, REP OUTSB from GS"
    fifo_push32 0x13579bdf
    mov di, 0x300
    .byte 0x64                      # a segment prefix does not change INS: FS = ES here, so take GS
    .byte 0x65
    insd
    check "dword ptr es:[0x300]", 0x13579bdf, "INSD with a segment prefix"
    check "dword ptr gs:[0x300]", 0, "INSD with a segment prefix leaves that segment alone"

    # 32-bit address size: ESI, EDI and ECX in whole.
    fifo_push32 0x2468ace0
    fifo_push32 0x0eca8642
    mov edi, 0x400
    mov ecx, 2
    addr32 rep insd
    check edi, 0x408, "EDI after REP INSD, 32-bit addresses"
    check ecx, 0, "ECX after REP INSD, 32-bit addresses"
    check "dword ptr es:[0x404]", 0x0eca8642, "REP INSD, 32-bit addresses"
    mov esi, 0x400
    mov ecx, 8
    addr32 rep outsb dx, byte ptr es:[esi]
    check esi, 0x408, "ESI after REP OUTSB, 32-bit addresses"
    check ecx, 0, "ECX after REP OUTSB, 32-bit addresses"
    fifo_check32 0x2468ace0, "REP OUTSB, 32-bit addresses, first half"
    fifo_check32 0x0eca8642, "REP OUTSB, 32-bit addresses, second half"
    fifo_check_empty "segments and address sizes"
    print "strings: segments and address sizes\n"

# 4. Edges: 16-bit SI and DI wrap at 64 KiB; an element lies across two pages, one of them new.
    mov ax, SEGMENT_A
    mov ds, ax
    mov word ptr [0xfffe], 0x2211
    mov word ptr [0x0000], 0x4433
    mov esi, 0xabcdfffe
    mov cx, 4
    rep outsb
    check esi, 0xabcd0002, "ESI after REP OUTSB across the end of the segment"
    fifo_check32 0x44332211, "REP OUTSB across the end of the segment"

    fifo_push32 0x99aabbcc
    mov ax, SEGMENT_B
    mov es, ax
    mov edi, 0x4321fffe
    mov cx, 2
    rep insw
    check edi, 0x43210002, "EDI after REP INSW across the end of the segment"
    check16 "word ptr es:[0xfffe]", 0xbbcc, "REP INSW before the end of the segment"
    check16 "word ptr es:[0x0000]", 0x99aa, "REP INSW after the end of the segment"

    fifo_push32 0xdeadbeef
    mov di, 0x4ffe                  # pages 0x34000 and 0x35000
    insd
    check "dword ptr es:[0x4ffe]", 0xdeadbeef, "INSD across two new pages"
    mov ax, SEGMENT_B
    mov ds, ax
    mov si, 0x4ffe
    outsd
    fifo_check32 0xdeadbeef, "OUTSD across two pages"

    # 256 bytes in one go fill the FIFO.
    mov si, 0
    mov cx, 64
    rep outsd
    mov di, 0x8000
    mov cx, 128
    rep insw
    mov si, 0
    mov di, 0x8000
    mov cx, 64
    repe cmpsd
    check16 cx, 0, "256 bytes through the fifo"
    fifo_check_empty "edges"
    print "strings: edges\n"
done:
    hlt

text:
    .ascii "strings: printed by rep outsb\n"
text_end:
