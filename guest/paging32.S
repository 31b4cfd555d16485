#: summary  32-bit paging: 4 KiB and 4 MiB pages, page faults through the IDT, device memory behind paging
#: ends     hlt at done
#: console  "paging32: page faults have the right address and error code\n"
#: console  "paging32: mapped and tried again\n"
#: console  "paging32: device memory, unmapped memory and exits behind paging\n"
#: console  "paging32: 4 MiB pages\n"

.include "lib.inc"
.include "modes.inc"

.equ DIRECTORY, 0x20000
.equ TABLE_LOW, 0x21000             # maps 0 to 4 MiB: the first 640 KiB at their own addresses
.equ TABLE_HIGH, 0x22000            # maps WINDOW
.equ WINDOW, 0x80000000
.equ FRAME, 0x30000
.equ SCRATCH, 0xd0000
.equ NOWHERE, 0xc0000
.equ CR0_WP, 1 << 16
.equ FAULT_PRESENT, 1 << 0          # in a page fault's error code
.equ FAULT_WRITE, 1 << 1

    call lib_setup
    to_protected

    zero_page DIRECTORY
    zero_page TABLE_LOW
    zero_page TABLE_HIGH
    mov dword ptr [DIRECTORY], TABLE_LOW + PAGE_PRESENT + PAGE_WRITE
    mov dword ptr [DIRECTORY + (WINDOW >> 22) * 4], TABLE_HIGH + PAGE_PRESENT + PAGE_WRITE
    mov edi, TABLE_LOW
    mov eax, PAGE_PRESENT + PAGE_WRITE
next:
    mov [edi], eax
    add eax, 0x1000
    add edi, 4
    cmp eax, 0xa0000
    jb next
    mov eax, DIRECTORY
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG | CR0_WP
    mov cr0, eax
    jmp paging
paging:

# 1. Faults: nothing there (read, write), and a write to a read-only page.
    mov ebx, WINDOW + 0x1234
    xor eax, eax
    mov cr2, eax
    faults_code 14, 0, "read of a page that is not there", mov eax, [ebx]
    mov eax, cr2
    check eax, ebx, "CR2 after a read"
    faults_code 14, FAULT_WRITE, "write of a page that is not there", mov dword ptr [ebx + 8], eax
    mov eax, cr2
    lea ecx, [ebx + 8]
    check eax, ecx, "CR2 after a write"

    mov dword ptr [FRAME + 0x234], 0xfacade00
    mov dword ptr [TABLE_HIGH + 4], FRAME + PAGE_PRESENT
    invlpg [ebx]
    check "dword ptr [ebx]", 0xfacade00, "a read-only page"
    faults_code 14, FAULT_WRITE + FAULT_PRESENT, "write to a read-only page", mov dword ptr [ebx], 1
    check "dword ptr [FRAME + 0x234]", 0xfacade00, "a read-only page after a write"
    print "paging32: page faults have the right address and error code\n"

# 2. A handler that maps the page; the instruction runs again.
    vector 14, map_it
    xor esi, esi
    mov dword ptr [WINDOW + 0x5678], 0x5ca1ab1e
    check esi, 1, "number of faults"
    check "dword ptr [FRAME + 0x5678]", 0x5ca1ab1e, "memory behind the page that was mapped"
    print "paging32: mapped and tried again\n"

# 3. The hypervisor walks these tables when it emulates.
    mov dword ptr [TABLE_HIGH + 0x10 * 4], SCRATCH + PAGE_PRESENT + PAGE_WRITE
    mov dword ptr [TABLE_HIGH + 0x11 * 4], NOWHERE + PAGE_PRESENT + PAGE_WRITE
    mov ebx, WINDOW + 0x10000
    mov dword ptr [ebx + 0x20], 0x0badcafe
    mov eax, [ebx + 0x20]
    check eax, 0x0badcafe, "device memory behind paging"
    or word ptr [ebx + 0x20], 0x0101
    movzx eax, word ptr [ebx + 0x20]
    check eax, 0xcbff, "device memory behind paging, OR"
    mov eax, [ebx + 0x1000]
    check eax, 0xffffffff, "unmapped memory behind paging"

    # String I/O between a port and pages that are linear neighbours and physical strangers.
    mov dword ptr [TABLE_HIGH + 0x20 * 4], 0x51000 + PAGE_PRESENT + PAGE_WRITE
    mov dword ptr [TABLE_HIGH + 0x21 * 4], 0x40000 + PAGE_PRESENT + PAGE_WRITE
    mov dx, FIFO_PORT
    mov eax, 0x33221100
    out dx, eax
    mov eax, 0x77665544
    out dx, eax
    mov edi, WINDOW + 0x20ffd
    mov ecx, 2
    rep insd
    check edi, WINDOW + 0x21005, "EDI after REP INSD"
    check "dword ptr [0x51ffc]", 0x22110000, "REP INSD, end of the first page"
    check "dword ptr [0x40000]", 0x66554433, "REP INSD, start of the second page"

    # A page fault in the middle of REP INSB: what was done stays done, and the rest follows after the handler.
    mov eax, 0x0f0e0d0c
    out dx, eax
    mov eax, 0x2f2e2d2c
    out dx, eax
    xor esi, esi
    mov edi, WINDOW + 0x21ffc
    mov ecx, 8
    rep insb
    check esi, 1, "number of faults in REP INSB"
    check edi, WINDOW + 0x22004, "EDI after REP INSB"
    check ecx, 0, "ECX after REP INSB"
    check "dword ptr [0x40ffc]", 0x0f0e0d0c, "REP INSB, before the fault"
    check "dword ptr [FRAME + 0x22000]", 0x2f2e2d2c, "REP INSB, after the fault"
    xor eax, eax
    cpuid
    print "paging32: device memory, unmapped memory and exits behind paging\n"

# 4. A 4 MiB page: the same memory a second time.
    mov eax, cr4
    or eax, CR4_PSE
    mov cr4, eax
    mov dword ptr [DIRECTORY + (WINDOW >> 22) * 4 + 4], PAGE_PRESENT + PAGE_WRITE + PAGE_LARGE
    mov ebx, WINDOW + 0x400000
    check "dword ptr [ebx + FRAME + 0x234]", 0xfacade00, "memory through a 4 MiB page"
    mov dword ptr [ebx + SCRATCH], 0x600dbeef
    mov eax, [ebx + SCRATCH]
    check eax, 0x600dbeef, "device memory through a 4 MiB page"
    print "paging32: 4 MiB pages\n"

    mov eax, cr0
    and eax, ~(CR0_PG | CR0_WP)
    mov cr0, eax
    to_real
done:
    hlt

bits32
map_it:                             # maps page n of the window to FRAME + n pages; counts in ESI
    push eax
    push ebx
    inc esi
    mov ebx, cr2
    mov eax, ebx
    sub eax, WINDOW
    shr eax, 12
    and ebx, 0x1ff000
    lea ebx, [ebx + FRAME + PAGE_PRESENT + PAGE_WRITE]
    mov [TABLE_HIGH + eax * 4], ebx
    pop ebx
    pop eax
    add esp, 4                      # the error code
    iretd
