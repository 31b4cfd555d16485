#: summary  reads the CPUID leaves that are the same on every CPU
#: ends     hlt at done
#: console  "vendor is Intel or AMD\n"
#: console  "hypervisor bit set, nested virtualization not offered\n"
#: console  "hypervisor leaf: hvhvhvhvhvhv\n"
#: exits    cpuid 6
#: exits    hlt 1

.include "lib.inc"

.equ HV, 0x76687668                 # "hvhv"
.equ FEATURE_VMX, 1 << 5            # leaf 1 ECX
.equ FEATURE_HYPERVISOR, 1 << 31    # leaf 1 ECX
.equ FEATURE_SVM, 1 << 2            # leaf 0x80000001 ECX

    call lib_setup

    xor eax, eax
    cpuid
    cmp eax, 1
    jae has_leaf_1
    fail "fewer than two leaves"
has_leaf_1:
    cmp ebx, 0x756e6547             # "Genu"
    je intel
    check ebx, 0x68747541, "vendor, first part"             # "Auth"
    check edx, 0x69746e65, "vendor, second part"            # "enti"
    check ecx, 0x444d4163, "vendor, third part"             # "cAMD"
    jmp vendor_known
intel:
    check edx, 0x49656e69, "vendor, second part"            # "ineI"
    check ecx, 0x6c65746e, "vendor, third part"             # "ntel"
vendor_known:
    print "vendor is Intel or AMD\n"

    mov eax, 1
    mov ecx, 0
    cpuid
    and ecx, FEATURE_HYPERVISOR | FEATURE_VMX
    check ecx, FEATURE_HYPERVISOR, "leaf 1 ECX, hypervisor and VMX bits"

    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jae has_extended
    fail "no extended leaves"
has_extended:
    mov eax, 0x80000001
    cpuid
    and ecx, FEATURE_SVM
    check ecx, 0, "leaf 0x80000001 ECX, SVM bit"
    print "hypervisor bit set, nested virtualization not offered\n"

    mov eax, 0x40000000
    cpuid
    cmp eax, 0x40000001
    jae has_hypercall_leaf
    fail "hypervisor leaves end before 0x40000001"
has_hypercall_leaf:
    check ebx, HV, "signature, first part"
    check ecx, HV, "signature, second part"
    check edx, HV, "signature, third part"
    mov eax, 0x40000001
    cpuid
    dec eax
    cmp eax, 1
    jbe hypercall_known
    fail "leaf 0x40000001 EAX is neither 1 (VMCALL) nor 2 (VMMCALL)"
hypercall_known:
    print "hypervisor leaf: hvhvhvhvhvhv\n"
done:
    hlt
