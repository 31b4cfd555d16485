#: summary  single-steps through instructions that exit: #DB comes right after each
#: ends     hlt at done
#: console  "db: one #DB after each instruction, exits included\n"

.include "lib.inc"

.equ STEPS, 0x2000                  # where the handler writes the IP of each step
.equ PAT, 0x277
.equ DR6_SINGLE_STEP, 1 << 14

    call lib_setup
    vector 1, stepped
    mov ax, 0xd000
    mov fs, ax
    mov bp, STEPS
    mov dx, POST_PORT
    mov ecx, PAT

    pushf
    pop ax
    mov bx, ax
    or ax, FLAG_TF
    push bx                         # to switch stepping off
    push ax
    popf                            # stepping starts after the next instruction
    nop
step_1:
    inc si
step_2:
    cpuid                           # exits
step_3:
    nop
step_4:
    mov dx, POST_PORT
step_5:
    in al, dx                       # exits
step_6:
    out dx, al                      # exits
step_7:
    mov ecx, PAT
step_8:
    rdmsr                           # exits
step_9:
    mov al, fs:[0]                  # exits: device memory
step_10:
    mov fs:[0], al                  # exits
step_11:
    popf                            # stepping ends; this instruction is still stepped
step_12:
    nop
    nop

    # What the handler saw must be the addresses of the labels, in order, and no more.
    mov si, STEPS
    mov di, offset expected
next:
    mov ax, [di]
    check16 [si], ax, "place of a step"
    add si, 2
    add di, 2
    cmp di, offset expected_end
    jne next
    check16 bp, si, "number of steps, times two"

    mov eax, dr6
    and eax, DR6_SINGLE_STEP
    check eax, DR6_SINGLE_STEP, "DR6.BS"
    print "db: one #DB after each instruction, exits included\n"
done:
    hlt

stepped:                            # keeps all registers but BP, which points behind the list
    push ax
    mov ax, [esp + 2]
    mov [bp], ax
    add bp, 2
    pop ax
    iret

expected:
    .word step_1, step_2, step_3, step_4, step_5, step_6, step_7, step_8, step_9, step_10, step_11, step_12
expected_end:
