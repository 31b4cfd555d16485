#: summary  when events come: after STI, POPF, IRET and MOV SS, between nested faults, beside single-stepping and NMIs
#: ends     hlt at done
#: console  "windows: STI\nwindows: POPF and IRET\nwindows: MOV SS\nwindows: cut off by a nested fault\n"
#: console  "windows: single-stepping\nwindows: NMI\nwindows: HLT\n"

.include "lib.inc"
.include "modes.inc"
.include "pc.inc"
.include "apic.inc"

.equ UNTOUCHED, 0x40000             # pages that nobody has touched, up to the stack's end
.equ UNTOUCHED_END, 0x60000
.equ VENDOR, 0x2120                 # 1: VMX, 2: SVM
.equ RFLAGS_ON, 0x202
.equ DR6_SINGLE_STEP, 1 << 14

# An interrupt that waits.
.macro send
    apic_self 0x41
.endm

# What came in a window that an exit is part of. On SVM the window has to outlive VMRUN, which not every emulator does:
# there it may take the next one.
.macro expect_in_window what, label
    cmp byte ptr [VENDOR], 1
    je .Lstrict\@
    open_window
    expect_log "\what", 0x41
    jmp .Lgoes_on\@
.Lstrict\@:
    expect_log "\what", 0x41
    expect_place "\what", \label
.Lgoes_on\@:
.endm

# The instruction that sends one itself; EAX is ready.
.macro prepare vector
    mov eax, ICR_SELF | \vector
.endm
.macro send_eax
    mov [r12 + APIC_ICR], eax
.endm

    call lib_setup
    to_apic
    mov eax, 0x40000001
    cpuid
    mov [VENDOR], al
    vector 0x41, log_41
    vector 0x51, log_51
    vector 1, log_db
    vector 2, log_nmi
    mov ebp, UNTOUCHED

# 1. STI: not before the next instruction has ended, whatever that is.
    send
    sti
    nop
sti_nop:
    nop
    cli
    expect_log "STI, NOP", 0x41
    expect_place "STI, NOP", sti_nop
    send
    sti
    cli
    nop
    nop
    expect_silence "STI, CLI"
    xor eax, eax
    sti                             # the same one still waits
    cpuid
sti_cpuid:
    nop
    cli
    expect_in_window "STI, CPUID", sti_cpuid
    send
    sti
    in al, POST_PORT
sti_in:
    nop
    cli
    expect_in_window "STI, IN", sti_in
    send
    sti
    mov eax, [r12 + APIC_TPR]
sti_device:
    nop
    cli
    expect_in_window "STI, a device's memory", sti_device
    mov edi, 10                     # pages
touch:
    add ebp, 0x1000
    send
    sti
    mov byte ptr [rbp], 1           # faults in, and is done again
sti_touch:
    nop
    cli
    expect_in_window "STI, an untouched page", sti_touch
    dec edi
    jnz touch
    send
    mov eax, 0x50
    mov [r12 + APIC_TPR], eax
    sti
    nop
    nop
    expect_silence "TPR holds it"
    xor eax, eax
    mov [r12 + APIC_TPR], eax
tpr_opens:
    nop
    cli
    expect_log "TPR lets it in", 0x41
    expect_place "TPR lets it in", tpr_opens
    print "windows: STI\n"

# 2. POPF and IRET have no shadow.
    send
    push RFLAGS_ON
    popfq
after_popf:
    nop
    cli
    expect_log "POPF", 0x41
    expect_place "POPF", after_popf
    send
    mov rax, rsp
    push SELECTOR_DATA32
    push rax
    push RFLAGS_ON
    push SELECTOR_CODE64
    push offset after_iret
    iretq
    fail "IRET went on"
after_iret:
    nop
    cli
    expect_log "IRET", 0x41
    expect_place "IRET", after_iret
    print "windows: POPF and IRET\n"

# 3. MOV SS: what comes with the next instruction comes after it, even an NMI; STI after it counts.
    mov ecx, SELECTOR_DATA32
    prepare 0x41
    sti
    mov ss, cx
    send_eax
after_ss_send:
    nop
    cli
    expect_log "MOV SS", 0x41
    expect_place "MOV SS", after_ss_send
    mov ecx, SELECTOR_DATA32
    mov eax, ICR_NMI
    mov ss, cx
    send_eax
after_ss_nmi:
    nop
    expect_log "MOV SS, NMI", 0x02
    expect_place "MOV SS, NMI", after_ss_nmi
    send
    mov ecx, SELECTOR_DATA32
    mov ss, cx
    sti
    nop
    nop
    cli
    expect_log "MOV SS, STI, NOP", 0x41
    # Of two shadows in a row, CPUs may leave out the second.
    print "windows: MOV SS\n"

# 4. The stack's page is touched first by the CPU, on its way to the handler: once is enough.
    mov edi, 8
cut_off:
    add ebp, 0x1000
    mov rbx, rsp
    lea rsp, [rbp + 0x800]
    mov dword ptr [r12 + APIC_ICR], ICR_SELF | 0x41
    sti
    nop
after_cut_off:
    nop
    cli
    mov rsp, rbx
    expect_log "an interrupt cut off", 0x41
    expect_place "an interrupt cut off", after_cut_off
    dec edi
    jnz cut_off
    # With another one waiting.
    add ebp, 0x1000
    mov rbx, rsp
    lea rsp, [rbp + 0x800]
    mov dword ptr [r12 + APIC_ICR], ICR_SELF | 0x41
    mov dword ptr [r12 + APIC_ICR], ICR_SELF | 0x51
    sti
    nop
    nop
    cli
    mov rsp, rbx
    expect_log "two interrupts, one cut off", 0x51, 0x41
    # An NMI.
    add ebp, 0x1000
    mov rbx, rsp
    lea rsp, [rbp + 0x800]
    mov dword ptr [r12 + APIC_ICR], ICR_NMI
    nop
    mov rsp, rbx
    expect_log "an NMI cut off", 0x02
    # A software exception.
    vector 3, log_bp
    add ebp, 0x1000
    mov rbx, rsp
    lea rsp, [rbp + 0x800]
    int3
after_int3:
    nop
    mov rsp, rbx
    expect_log "INT3 cut off", 0x03
    expect_place "INT3 cut off", after_int3
    print "windows: cut off by a nested fault\n"

# 5. Single-stepping: its trap comes before the interrupt that the same instruction let in.
    prepare 0x41
    push RFLAGS_ON + FLAG_TF
    popfq
    send_eax                        # here TF is on
after_step:
    nop
    cli
    expect_log "a single-stepped instruction that sends", 0x01, 0x41
    expect_place "a single-stepped instruction that sends", after_step
    # The interrupt is first where it waits for POPF; then comes the trap of the instruction behind.
    send
    push RFLAGS_ON + FLAG_TF
    popfq
before_nop:
    nop
after_nop:
    nop
    cli
    expect_log "POPF with TF and IF", 0x41, 0x01
    expect_place "POPF with TF and IF", after_nop
    xor eax, eax
    push 2 + FLAG_TF
    popfq
    cpuid
after_stepped_cpuid:
    nop
    expect_log "a single-stepped CPUID", 0x01
    expect_place "a single-stepped CPUID", after_stepped_cpuid
    print "windows: single-stepping\n"

# 6. NMIs before interrupts, and neither while the other's handler keeps it out.
    send
    mov eax, ICR_NMI
    sti
    send_eax                        # in STI's shadow
    nop
    cli
    # Both wait when the shadow ends.
    expect_log "an NMI and an interrupt", 0x02, 0x41
    vector 2, nmi_waits
    mov eax, ICR_NMI
    sti
    nop
    send_eax
    nop
    cli
    expect_log "an interrupt in an NMI's handler", 0x20, 0x41, 0x21
    vector 2, log_nmi
    vector 0x51, sends_nmi
    mov eax, ICR_SELF | 0x51
    sti
    nop
    send_eax
    nop
    cli
    expect_log "an NMI in an interrupt's handler", 0x50, 0x02, 0x51
    vector 0x51, log_51
    print "windows: NMI\n"

# 7. HLT: what waits wakes it at once; an NMI does even with interrupts off.
    send
    sti
    hlt
after_hlt:
    nop
    cli
    expect_log "STI, HLT", 0x41
    expect_place "STI, HLT", after_hlt
    mov ecx, SELECTOR_DATA32
    mov eax, ICR_NMI
    mov ss, cx
    send_eax
    nop
    expect_log "an NMI before HLT", 0x02
    mov dword ptr [r12 + APIC_TPR], 0x50
    mov dword ptr [r12 + APIC_LVT_TIMER], 0x61
    mov dword ptr [r12 + APIC_DIVIDE], 0xb
    vector 0x61, log_61
    send
    mov dword ptr [r12 + APIC_INITIAL], 200000
    sti
    hlt                             # 0x41 is below TPR
after_hlt_timer:
    nop
    cli
    expect_log "HLT with a lower one waiting", 0x61
    expect_place "HLT with a lower one waiting", after_hlt_timer
    mov dword ptr [r12 + APIC_TPR], 0
    open_window
    expect_log "the lower one", 0x41
    print "windows: HLT\n"
done:
    hlt

    logs log_41, 0x41, apic_end
    logs log_51, 0x51, apic_end
    logs log_61, 0x61, apic_end
    logs log_nmi, 0x02, no_end
    logs log_bp, 0x03, no_end

log_db:                             # switches single-stepping off
    save_registers
    log_place
    log_byte 0x01
    and qword ptr [rsp + 48], ~FLAG_TF
    cmp byte ptr [VENDOR], 1        # not every SVM has it in DR6 when the trap exits
    jne 1f
    mov rax, dr6
    and eax, DR6_SINGLE_STEP
    check eax, DR6_SINGLE_STEP, "DR6"
1:
    mov eax, 0xffff0ff0
    mov dr6, rax
    restore_registers
    iretq

nmi_waits:                          # lets interrupts in, but no NMI
    save_registers
    log_byte 0x20
    send
    open_window
    log_byte 0x21
    restore_registers
    iretq

sends_nmi:
    save_registers
    log_byte 0x50
    mov dword ptr [r12 + APIC_ICR], ICR_NMI
    nop
    log_byte 0x51
    apic_end
    restore_registers
    iretq
