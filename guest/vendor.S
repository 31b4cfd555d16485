#: summary  VMX and SVM instructions, which are not offered, raise #UD, and do not reach the host
#: ends     hlt at done
#: console  "vendor: vmx and svm instructions raise #UD in real mode\n"
#: console  "vendor: vmx and svm instructions raise #UD in protected mode\n"

.include "lib.inc"
.include "modes.inc"

.macro each_is_undefined
    mov eax, 0x5000
    faults 6, "vmxon", vmxon [area]
    faults 6, "vmptrld", vmptrld [area]
    faults 6, "vmclear", vmclear [area]
    faults 6, "vmlaunch", vmlaunch
    faults 6, "vmresume", vmresume
    faults 6, "vmxoff", vmxoff
    faults 6, "vmrun", vmrun
    faults 6, "vmload", vmload
    faults 6, "vmsave", vmsave
    faults 6, "stgi", stgi
    faults 6, "clgi", clgi
    faults 6, "skinit", skinit
    faults 6, "invlpga", invlpga
.endm

.equ area, 0x2000

    call lib_setup
    each_is_undefined
    print "vendor: vmx and svm instructions raise #UD in real mode\n"
    to_protected
    each_is_undefined
    print "vendor: vmx and svm instructions raise #UD in protected mode\n"
    to_real
done:
    hlt
