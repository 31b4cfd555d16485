#: summary  device memory: MOV in three widths, MOVZX, MOVSX, string instructions, XCHG, read-modify-write
#: ends     hlt at done
#: console  "mmio: mov, movzx, movsx\n"
#: console  "mmio: movs, stos, lods\n"
#: console  "mmio: xchg, or, and, add, inc, not\n"

.include "lib.inc"

.equ SCRATCH_SEGMENT, 0xd000        # 4 KiB of device memory at 0xd0000
.equ RAM_BUFFER, 0x2000             # in segment 0

    call lib_setup
    mov ax, SCRATCH_SEGMENT
    mov fs, ax

# 1. Moves. Narrow writes change only their bytes, narrow reads only their part of the register.
    mov eax, 0x44332211
    mov fs:[0], eax
    mov dword ptr fs:[4], 0x88776655
    mov ebx, 0xaaaaaaaa
    mov bl, fs:[1]
    check ebx, 0xaaaaaa22, "MOV r8, m8"
    mov bh, fs:[2]
    check ebx, 0xaaaa3322, "MOV to BH"
    mov bx, fs:[5]
    check ebx, 0xaaaa7766, "MOV r16, m16"
    mov ebx, fs:[2]
    check ebx, 0x66554433, "MOV r32, m32, not aligned"
    mov al, fs:[7]
    check8 al, 0x88, "MOV AL, moffs"
    mov byte ptr fs:[0], 0xee
    mov word ptr fs:[2], 0xddcc
    mov ebx, fs:[0]
    check ebx, 0xddcc22ee, "MOV m8, imm8 and MOV m16, imm16"
    mov ecx, 0x12345678
    mov fs:[0], cl
    mov fs:[1], ch
    mov ebx, fs:[0]
    check ebx, 0xddcc5678, "MOV m8, CL and MOV m8, CH"
    mov ebx, 0x1000
    mov si, -8
    mov fs:[bx + si], ecx           # 0xff8
    mov ebx, fs:[0xff8]
    check ebx, 0x12345678, "MOV with base and index"
    mov ebx, 0x10
    mov ecx, 4
    mov dword ptr fs:[ebx + ecx * 4 + 8], 0xcafe0001
    mov ebx, fs:[0x28]
    check ebx, 0xcafe0001, "MOV with 32-bit addresses, scale and displacement"

    mov dword ptr fs:[0x40], 0x8081f2f3
    movzx ebx, byte ptr fs:[0x40]
    check ebx, 0xf3, "MOVZX r32, m8"
    movzx ebx, word ptr fs:[0x42]
    check ebx, 0x8081, "MOVZX r32, m16"
    movsx ebx, byte ptr fs:[0x41]
    check ebx, 0xfffffff2, "MOVSX r32, m8"
    movsx ebx, word ptr fs:[0x42]
    check ebx, 0xffff8081, "MOVSX r32, m16"
    mov ebx, 0x55555555
    movzx bx, byte ptr fs:[0x40]
    check ebx, 0x555500f3, "MOVZX r16, m8"
    print "mmio: mov, movzx, movsx\n"

# 2. Strings, from RAM to the device and back.
    mov dword ptr [RAM_BUFFER], 0x03020100
    mov dword ptr [RAM_BUFFER + 4], 0x07060504
    mov dword ptr [RAM_BUFFER + 8], 0x0b0a0908
    mov ax, SCRATCH_SEGMENT
    mov es, ax
    mov si, RAM_BUFFER
    mov edi, 0x77770100
    mov ecx, 0x5555000c
    rep movsb
    check ecx, 0x55550000, "ECX after REP MOVSB"
    check edi, 0x7777010c, "EDI after REP MOVSB"
    mov ebx, fs:[0x106]
    check ebx, 0x09080706, "REP MOVSB to the device"

    xor ax, ax
    mov es, ax
    mov si, 0x100
    mov di, RAM_BUFFER + 0x40
    mov cx, 3
    rep movsd es:[di], dword ptr fs:[si]
    check "dword ptr [RAM_BUFFER + 0x48]", 0x0b0a0908, "REP MOVSD from the device"
    check16 si, 0x10c, "SI after REP MOVSD"

    mov ax, SCRATCH_SEGMENT
    mov es, ax
    mov eax, 0xfeedf00d
    mov di, 0x200
    mov cx, 16
    rep stosd
    mov ebx, fs:[0x23c]
    check ebx, 0xfeedf00d, "REP STOSD, last"
    mov ebx, fs:[0x240]
    check ebx, 0, "REP STOSD writes no more"
    std
    mov al, 0x99
    mov di, 0x203
    mov cx, 2
    rep stosb
    cld
    check16 di, 0x201, "DI after REP STOSB backward"
    mov ebx, fs:[0x200]
    check ebx, 0x9999f00d, "REP STOSB backward"
    mov si, 0x204
    lods ax, word ptr fs:[si]
    check16 ax, 0xf00d, "LODSW"
    print "mmio: movs, stos, lods\n"

# 3. Instructions that read and write, with their flags.
    mov dword ptr fs:[0x300], 0x0000ffff
    mov eax, 0x11112222
    xchg fs:[0x300], eax
    check eax, 0x0000ffff, "XCHG, register"
    mov ebx, fs:[0x300]
    check ebx, 0x11112222, "XCHG, memory"
    or dword ptr fs:[0x300], 0x80000001
    pushf
    pop cx
    and cx, FLAG_SF | FLAG_ZF | FLAG_CF | FLAG_OF
    check16 cx, FLAG_SF, "flags after OR"
    and byte ptr fs:[0x300], 0x21
    mov ebx, fs:[0x300]
    check ebx, 0x91112221, "OR m32, imm and AND m8, imm"
    mov cx, 0xdddf
    add fs:[0x300], cx              # 0x2221 + 0xdddf = 0x10000
    pushf
    pop cx
    and cx, FLAG_SF | FLAG_ZF | FLAG_CF | FLAG_OF
    check16 cx, FLAG_ZF | FLAG_CF, "flags after ADD"
    mov ebx, fs:[0x300]
    check ebx, 0x91110000, "ADD m16, r16"
    stc
    inc byte ptr fs:[0x300]
    pushf
    pop cx
    and cx, FLAG_ZF | FLAG_CF
    check16 cx, FLAG_CF, "flags after INC: CF stays"
    dec word ptr fs:[0x302]
    not byte ptr fs:[0x301]
    xor byte ptr fs:[0x300], 0xf0
    mov ebx, fs:[0x300]
    check ebx, 0x9110fff1, "INC m8, DEC m16, NOT m8, XOR m8"
    cmp dword ptr fs:[0x300], 0x9110fff1
    je same
    fail "CMP m32, imm"
same:
    test byte ptr fs:[0x300], 0x0e
    jz clear
    fail "TEST m8, imm"
clear:
    mov eax, 0x0f
    add eax, fs:[0x300]
    check eax, 0x91110000, "ADD r32, m32"
    print "mmio: xchg, or, and, add, inc, not\n"
done:
    hlt
