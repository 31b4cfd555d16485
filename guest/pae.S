#: summary  PAE paging without long mode: three levels, 4 KiB and 2 MiB pages, page faults
#: ends     hlt at done
#: console  "pae: 2 MiB and 4 KiB pages, page faults, exits and device memory\n"

.include "lib.inc"
.include "modes.inc"

.equ POINTERS, 0x20000              # four entries of eight bytes
.equ DIRECTORY_LOW, 0x21000         # maps 0 to 1 GiB
.equ DIRECTORY_HIGH, 0x22000        # maps 3 to 4 GiB
.equ TABLE, 0x23000                 # maps the last 2 MiB below 4 GiB
.equ FRAME, 0x30000
.equ SCRATCH, 0xd0000
.equ TOP, 0xfffff000                # the last page below 4 GiB

    call lib_setup
    to_protected

    zero_page POINTERS
    zero_page DIRECTORY_LOW
    zero_page DIRECTORY_HIGH
    zero_page TABLE
    mov dword ptr [POINTERS], DIRECTORY_LOW + PAGE_PRESENT
    mov dword ptr [POINTERS + 3 * 8], DIRECTORY_HIGH + PAGE_PRESENT
    mov dword ptr [DIRECTORY_LOW], PAGE_PRESENT + PAGE_WRITE + PAGE_LARGE
    mov dword ptr [DIRECTORY_HIGH + 511 * 8], TABLE + PAGE_PRESENT + PAGE_WRITE
    mov dword ptr [TABLE + 511 * 8], FRAME + PAGE_PRESENT + PAGE_WRITE
    mov dword ptr [TABLE + 510 * 8], SCRATCH + PAGE_PRESENT + PAGE_WRITE
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov eax, POINTERS
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    jmp paging
paging:

    mov dword ptr [FRAME + 0x10], 0xfeedface
    check "dword ptr [TOP + 0x10]", 0xfeedface, "a 4 KiB page at the top"
    mov ebx, 0x40000010             # no entry in POINTERS
    faults_code 14, 0, "read without a directory", mov eax, [ebx]
    mov eax, cr2
    check eax, ebx, "CR2"
    mov ebx, TOP - 0x2000           # no entry in TABLE
    faults_code 14, 2, "write of a page that is not there", mov [ebx], eax

    xor eax, eax
    cpuid
    check "dword ptr [TOP + 0x10]", 0xfeedface, "memory after an exit"
    mov dword ptr [TOP - 0x1000 + 0x30], 0x0ddba11
    mov eax, [TOP - 0x1000 + 0x30]
    check eax, 0x0ddba11, "device memory through a 4 KiB page"
    mov eax, [SCRATCH + 0x30]
    check eax, 0x0ddba11, "device memory through a 2 MiB page"

    # Give the second gigabyte a directory: loading CR3 makes the CPU read POINTERS again.
    mov dword ptr [POINTERS + 1 * 8], DIRECTORY_LOW + PAGE_PRESENT
    mov eax, cr3
    mov cr3, eax
    check "dword ptr [0x40000000 + FRAME + 0x10]", 0xfeedface, "the second gigabyte"
    mov eax, [0x40000000 + SCRATCH + 0x30]
    check eax, 0x0ddba11, "device memory in the second gigabyte"
    print "pae: 2 MiB and 4 KiB pages, page faults, exits and device memory\n"

    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    mov eax, cr4
    and eax, ~CR4_PAE
    mov cr4, eax
    to_real
done:
    hlt
