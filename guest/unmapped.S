#: summary  reads, writes and executes where there is no memory
#: ends     hlt at done
#: console  "unmapped: reads are all ones, writes are dropped\n"
#: console  "unmapped: execution raises #UD\n"

.include "lib.inc"

.equ NOWHERE, 0xc000                # segment of 0xc0000
.equ RAM_BUFFER, 0x2000

    call lib_setup
    mov ax, NOWHERE
    mov fs, ax

# 1. Reads.
    xor eax, eax
    mov al, fs:[0]
    check eax, 0xff, "byte"
    mov ax, fs:[0x123]
    check eax, 0xffff, "word"
    mov eax, fs:[0xffc]
    check eax, 0xffffffff, "doubleword"
    movzx eax, byte ptr fs:[0x8000]
    check eax, 0xff, "MOVZX"
    mov eax, 1
    add eax, fs:[0]
    check eax, 0, "ADD r32, m32"

# 2. Writes, then reads again.
    mov dword ptr fs:[0], 0x12345678
    mov byte ptr fs:[0], 0
    mov eax, fs:[0]
    check eax, 0xffffffff, "doubleword after a write"
    inc word ptr fs:[2]
    mov eax, fs:[0]
    check eax, 0xffffffff, "doubleword after INC"

# 3. String instructions.
    mov ax, NOWHERE
    mov es, ax
    mov si, 0x7c00
    xor di, di
    mov cx, 16
    rep movsd
    xor ax, ax
    mov es, ax
    xor si, si
    mov di, RAM_BUFFER
    mov cx, 2
    rep movsd es:[di], dword ptr fs:[si]
    check "dword ptr [RAM_BUFFER + 4]", 0xffffffff, "REP MOVSD from nowhere"
    check "dword ptr [RAM_BUFFER + 8]", 0, "REP MOVSD writes no more"

# 4. The edges of RAM, the top of the first MiB and what lies above it.
    mov ax, 0x9fff
    mov fs, ax
    mov dword ptr fs:[0xc], 0x13579bdf      # the last four bytes of RAM
    mov eax, fs:[0xc]
    check eax, 0x13579bdf, "end of RAM"
    mov eax, fs:[0x10]
    check eax, 0xffffffff, "behind RAM"
    mov ax, 0xffff
    mov fs, ax
    mov eax, fs:[0]
    check eax, 0xffffffff, "0xffff0"
    mov eax, fs:[0x10]
    check eax, 0xffffffff, "0x100000"
    print "unmapped: reads are all ones, writes are dropped\n"

# 5. Execution: the bytes FF FF are no instruction. The handler finds the place on the stack.
    vector 6, no_instruction
    ljmp NOWHERE, 0x0123
no_instruction:
    pop ax
    check16 ax, 0x0123, "IP of the #UD"
    pop ax
    check16 ax, NOWHERE, "CS of the #UD"
    popf
    vector 6, no_instruction_again
    ljmp 0xffff, 0x8000             # 0x107ff0
no_instruction_again:
    pop ax
    check16 ax, 0x8000, "IP of the second #UD"
    pop ax
    check16 ax, 0xffff, "CS of the second #UD"
    popf
    print "unmapped: execution raises #UD\n"
done:
    hlt
