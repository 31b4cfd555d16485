#: summary  writes and reads back each 4 KiB page of the 640 KiB
#: ends     hlt at done
#: console  "memory: 640 KiB are zero at the start, hold what is written, and are not mixed up\n"

.include "lib.inc"

.equ FIRST_PAGE, 0x1                # page 0 holds the IVT
.equ PROGRAM_PAGE, 0x7              # the stack and the program are at 0x7000 to 0x8fff: left out
.equ PROGRAM_PAGES, 2
.equ END_PAGE, 0xa0

# Runs `body` with FS at each page, EAX holding a number that belongs to the page.
.macro each_page body
    mov bx, FIRST_PAGE
.Lpage\@:
    cmp bx, PROGRAM_PAGE
    jne .Lfree\@
    add bx, PROGRAM_PAGES
.Lfree\@:
    mov ax, bx
    shl ax, 8
    mov fs, ax
    movzx eax, bx
    imul eax, eax, 0x9e3779b1       # spreads the page's number over all bits
    \body
    inc bx
    cmp bx, END_PAGE
    jne .Lpage\@
.endm

.macro is_zero
    check "dword ptr fs:[0]", 0, "first bytes of a new page"
    check "dword ptr fs:[0xffc]", 0, "last bytes of a new page"
.endm

.macro write_number
    mov fs:[0], eax
    not eax
    mov fs:[0xffc], eax
.endm

.macro read_number
    mov ecx, eax
    check "dword ptr fs:[0]", ecx, "first bytes of a page"
    not ecx
    check "dword ptr fs:[0xffc]", ecx, "last bytes of a page"
.endm

    call lib_setup
    each_page is_zero
    each_page write_number
    each_page read_number
    # An access that lies in two pages.
    mov ax, 0x4000
    mov fs, ax
    mov dword ptr fs:[0xffe], 0x44332211
    check "dword ptr fs:[0xffe]", 0x44332211, "four bytes in two pages"
    check16 "word ptr fs:[0x1000]", 0x4433, "two bytes of the second page"
    print "memory: 640 KiB are zero at the start, hold what is written, and are not mixed up\n"
done:
    hlt
