#: summary  XSETBV with good and bad values, where the CPU has XSAVE
#: ends     hlt at done
#: console  "xsetbv: checked\n"

.include "lib.inc"
.include "modes.inc"

.equ FEATURE_XSAVE, 1 << 26         # CPUID leaf 1 ECX
.equ FEATURE_OSXSAVE, 1 << 27       # mirrors CR4.OSXSAVE
.equ CR4_OSXSAVE, 1 << 18
.equ XCR0_X87, 1 << 0
.equ XCR0_SSE, 1 << 1
.equ XCR0_AVX, 1 << 2

.macro xcr0_check value, what
    xor ecx, ecx
    xgetbv
    check eax, \value, "\what"
    check edx, 0, "\what, upper half"
.endm

    call lib_setup
    to_protected

    mov eax, 1
    cpuid
    mov esi, ecx
    and ecx, FEATURE_OSXSAVE
    check ecx, 0, "CPUID OSXSAVE at the start"
    test esi, FEATURE_XSAVE
    jz checked

    xor ecx, ecx
    xor edx, edx
    mov eax, XCR0_X87
    faults 6, "xsetbv while CR4.OSXSAVE is clear", xsetbv

    mov eax, cr4
    or eax, CR4_OSXSAVE
    mov cr4, eax
    mov eax, 1
    cpuid
    and ecx, FEATURE_OSXSAVE
    check ecx, FEATURE_OSXSAVE, "CPUID OSXSAVE after CR4.OSXSAVE was set"

    xcr0_check XCR0_X87, "XCR0 at the start"
    mov eax, XCR0_X87 | XCR0_SSE
    xsetbv
    xcr0_check XCR0_X87 | XCR0_SSE, "XCR0"

    xor eax, eax
    faults 13, "XCR0 without x87", xsetbv
    mov eax, XCR0_X87 | XCR0_AVX
    faults 13, "XCR0 with AVX, without SSE", xsetbv
    mov eax, XCR0_X87
    mov edx, 1 << 31
    faults 13, "XCR0, reserved bit 63", xsetbv
    xor edx, edx
    mov ecx, 1
    faults 13, "XCR1", xsetbv
    xcr0_check XCR0_X87 | XCR0_SSE, "XCR0 after values that were refused"

    mov eax, XCR0_X87
    xsetbv
    xcr0_check XCR0_X87, "XCR0 at the end"
    mov eax, cr4
    and eax, ~CR4_OSXSAVE
    mov cr4, eax
checked:
    print "xsetbv: checked\n"
    to_real
done:
    hlt
