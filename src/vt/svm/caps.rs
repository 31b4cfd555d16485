//! What this CPU's SVM can do (APM 3 "CPUID Fn8000_000A SVM Features").

/// The SVM feature leaf, as read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SvmCaps {
    /// EAX: the revision in bits 7:0.
    pub eax: u32,
    /// EBX: the number of ASIDs.
    pub asids: u32,
    /// ECX: more features; 0 on CPUs that reserve it.
    pub ecx: u32,
    /// EDX: features.
    pub edx: u32,
}

impl SvmCaps {
    /// Reads the leaf through `cpuid(leaf, subleaf)`. The caller has checked Fn8000_0001:ECX.SVM.
    pub fn read(mut cpuid: impl FnMut(u32, u32) -> [u32; 4]) -> Self {
        let [eax, ebx, ecx, edx] = cpuid(0x8000_000a, 0);
        Self { eax, asids: ebx, ecx, edx }
    }

    const fn has(&self, bit: u32) -> bool {
        self.edx >> bit & 1 != 0
    }

    /// Nested paging.
    pub const fn nested_paging(&self) -> bool {
        self.has(0)
    }
    /// The CPU saves the next instruction's RIP on an intercept.
    pub const fn next_rip(&self) -> bool {
        self.has(3)
    }
    /// TSC ratio MSR.
    pub const fn tsc_scaling(&self) -> bool {
        self.has(4)
    }
    /// VMCB clean bits.
    pub const fn clean_bits(&self) -> bool {
        self.has(5)
    }
    /// TLB flush of one ASID.
    pub const fn flush_by_asid(&self) -> bool {
        self.has(6)
    }
    /// Decode assists: instruction bytes and operands of some intercepts.
    pub const fn decode_assists(&self) -> bool {
        self.has(7)
    }
    /// Advanced virtual interrupt controller.
    pub const fn avic(&self) -> bool {
        self.has(13)
    }
    /// Virtual GIF.
    pub const fn virtual_gif(&self) -> bool {
        self.has(16)
    }
    /// x2AVIC for up to 4096 virtual CPUs: x2AVIC_EXT.
    pub const fn x2avic_ext(&self) -> bool {
        self.ecx >> 6 & 1 != 0
    }
}
