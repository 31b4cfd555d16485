//! The policy as data: one row per leaf, with the bits of the host's answer that a guest sees.
//!
//! Only what the hypervisor can keep: no nested virtualization, no PMU, no MONITOR, no power or thermal management, no
//! AMX (its state is enabled by IA32_XFD, which is not emulated), no CET, no 5-level paging, no feature that needs an
//! MSR which is not emulated. MPX's state components pass, MPX does not: it needs IA32_BNDCFGS.
//!
//! The local APIC with x2APIC and TSC deadline, and its timer that never stops, are emulated and always there.

use super::xsave::{AVX, AVX512, LEGACY, PKRU};

/// One leaf, or a range of its subleaves.
pub(super) struct Row {
    pub leaf: u32,
    /// First and last subleaf.
    pub subleaves: (u32, u32),
    /// Bits of EAX, EBX, ECX, EDX that pass.
    pub keep: [u32; 4],
    /// Bits that are set whatever the host says.
    pub set: [u32; 4],
}

/// Features that need these bits of XCR0.
pub(super) struct Need {
    pub states: u64,
    pub leaf: u32,
    pub subleaf: u32,
    /// The feature bits in EAX, EBX, ECX, EDX.
    pub bits: [u32; 4],
}

const ALL: u32 = u32::MAX;

const fn row(leaf: u32, keep: [u32; 4]) -> Row {
    rows(leaf, (0, 0), keep)
}

const fn rows(leaf: u32, subleaves: (u32, u32), keep: [u32; 4]) -> Row {
    Row { leaf, subleaves, keep, set: [0; 4] }
}

const fn need(states: u64, leaf: u32, subleaf: u32, bits: [u32; 4]) -> Need {
    Need { states, leaf, subleaf, bits }
}

/// A mask of these bit numbers.
const fn bits(mut numbers: &[u32]) -> u32 {
    let mut mask = 0;
    while let [first, rest @ ..] = numbers {
        mask |= 1 << *first;
        numbers = rest;
    }
    mask
}

/// SSE3, PCLMULQDQ, SSSE3, FMA, CX16, PCID, SSE4.1, SSE4.2, MOVBE, POPCNT, AESNI, XSAVE, AVX, F16C, RDRAND.
const LEAF1_ECX: u32 = bits(&[0, 1, 9, 12, 13, 17, 19, 20, 22, 23, 25, 26, 28, 29, 30]);

/// FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, SEP, MTRR, PGE, MCA, CMOV, PAT, PSE36, CLFSH, MMX, FXSR, SSE, SSE2, SS.
const LEAF1_EDX: u32 = bits(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26, 27]);

/// The local APIC's own: x2APIC, TSC deadline; and "a hypervisor is present".
const LEAF1_ECX_SET: u32 = bits(&[21, 24, 31]);

/// The local APIC.
const LEAF1_EDX_SET: u32 = bits(&[9]);

/// FSGSBASE, TSC_ADJUST, BMI1, AVX2, FDP_EXCPTN_ONLY, SMEP, BMI2, ERMS, INVPCID, no FPU CS/DS, AVX512F, AVX512DQ,
/// RDSEED, ADX, SMAP, AVX512_IFMA, CLFLUSHOPT, CLWB, AVX512PF, AVX512ER, AVX512CD, SHA, AVX512BW, AVX512VL.
const LEAF7_EBX: u32 = bits(&[0, 1, 3, 5, 6, 7, 8, 9, 10, 13, 16, 17, 18, 19, 20, 21, 23, 24, 26, 27, 28, 29, 30, 31]);

/// PREFETCHWT1, AVX512_VBMI, UMIP, PKU, AVX512_VBMI2, GFNI, VAES, VPCLMULQDQ, AVX512_VNNI, AVX512_BITALG,
/// AVX512_VPOPCNTDQ, RDPID, CLDEMOTE. OSPKE is the guest's. Not MOVDIRI, MOVDIR64B, ENQCMD: they are made for devices,
/// and the emulator does not know them.
const LEAF7_ECX: u32 = bits(&[0, 1, 2, 3, 6, 8, 9, 10, 11, 12, 14, 22, 25]);

/// AVX512_4VNNIW, AVX512_4FMAPS, FSRM, AVX512_VP2INTERSECT, MD_CLEAR, SERIALIZE, AVX512_FP16, IBRS and IBPB, STIBP,
/// L1D_FLUSH, ARCH_CAPABILITIES, SSBD.
const LEAF7_EDX: u32 = bits(&[2, 3, 4, 8, 10, 14, 23, 26, 27, 28, 29, 31]);

/// SHA512, SM3, SM4, AVX-VNNI, AVX512_BF16, CMPCCXADD, fast short REP MOVSB/STOSB/CMPSB, AVX-IFMA.
const LEAF7_1_EAX: u32 = bits(&[0, 1, 2, 4, 5, 7, 10, 11, 12, 23]);

/// AVX-VNNI-INT8, AVX-NE-CONVERT, AVX-VNNI-INT16, PREFETCHI.
const LEAF7_1_EDX: u32 = bits(&[4, 5, 10, 14]);

/// LAHF in 64-bit mode, ABM, SSE4A, MisAlignSse, PREFETCHW, XOP, FMA4, TBM.
const EXT1_ECX: u32 = bits(&[0, 5, 6, 7, 8, 11, 16, 21]);

/// AMD's copy of leaf 1 EDX in the bits below 18, 23 and 24, with the APIC; SYSCALL, NX, MmxExt, 1 GiB pages, RDTSCP,
/// LM, 3DNow!. Not FFXSR: EFER.FFXSR is not offered.
const EXT1_EDX: u32 =
    bits(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 20, 22, 23, 24, 26, 27, 29, 30, 31]);

/// CLZERO, XSaveErPtr, WBNOINVD, IBPB, IBRS, STIBP, no EFER.LMSLE, SSBD, SsbNo, BtcNo.
const EXT8_EBX: u32 = bits(&[0, 2, 9, 12, 14, 15, 20, 24, 26, 29]);

/// All that is offered but for the hypervisor's own leaves; what has no row answers zeros (5, 0xa, 0x1f and all above
/// the maxima).
pub(super) const ROWS: &[Row] = &[
    // Maximum (settled later) and vendor.
    row(0, [ALL; 4]),
    // Family; CLFLUSH size, one logical processor; features.
    Row { set: [0, 1 << 16, LEAF1_ECX_SET, LEAF1_EDX_SET], ..row(1, [ALL, 0xff00, LEAF1_ECX, LEAF1_EDX]) },
    // Cache and TLB descriptors.
    row(2, [ALL; 4]),
    // Cache parameters, less the counts of threads that share and of cores: zero means one.
    rows(4, (0, 7), [0x3fff, ALL, ALL, 7]),
    row(7, [ALL, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX]),
    rows(7, (1, 1), [LEAF7_1_EAX, 0, 0, LEAF7_1_EDX]),
    // XSAVEOPT, XSAVEC, XGETBV with ECX = 1, XSAVES where the terms allow it; subleaf 0 and the sizes are computed.
    rows(0xd, (1, 1), [0b1111, 0, 0, 0]),
    // AVX, the MPX pair, the AVX-512 trio, PKRU: size, offset, alignment.
    rows(0xd, (2, 7), [ALL, ALL, 0b10, 0]),
    rows(0xd, (9, 9), [ALL, ALL, 0b10, 0]),
    row(0x8000_0000, [ALL; 4]),
    row(0x8000_0001, [ALL, 0, EXT1_ECX, EXT1_EDX]),
    // Brand string.
    row(0x8000_0002, [ALL; 4]),
    row(0x8000_0003, [ALL; 4]),
    row(0x8000_0004, [ALL; 4]),
    // Caches.
    row(0x8000_0005, [ALL; 4]),
    row(0x8000_0006, [ALL; 4]),
    // Invariant TSC, as the host says: no measurement could promise it.
    row(0x8000_0007, [0, 0, 0, 1 << 8]),
    // Address widths (the linear one is settled later); features; one core.
    row(0x8000_0008, [0xffff, EXT8_EBX, 0, 0]),
];

/// What is withdrawn when its state is not there.
pub(super) const NEEDS: &[Need] = &[
    need(LEGACY, 1, 0, [0, 0, super::XSAVE, 0]),
    // FMA, AVX, F16C.
    need(AVX, 1, 0, [0, 0, bits(&[12, 28, 29]), 0]),
    // AVX2; VAES, VPCLMULQDQ.
    need(AVX, 7, 0, [0, bits(&[5]), bits(&[9, 10]), 0]),
    // SHA512, SM3, SM4, AVX-VNNI, AVX-IFMA; AVX-VNNI-INT8, AVX-NE-CONVERT, AVX-VNNI-INT16.
    need(AVX, 7, 1, [bits(&[0, 1, 2, 4, 23]), 0, 0, bits(&[4, 5, 10])]),
    // XOP, FMA4.
    need(AVX, 0x8000_0001, 0, [0, 0, bits(&[11, 16]), 0]),
    // PKU.
    need(PKRU, 7, 0, [0, 0, super::PKU, 0]),
    // AVX512*.
    need(AVX512, 7, 0, [0, bits(&[16, 17, 21, 26, 27, 28, 30, 31]), bits(&[1, 6, 11, 12, 14]), bits(&[2, 3, 8, 23])]),
    // AVX512_BF16.
    need(AVX512, 7, 1, [bits(&[5]), 0, 0, 0]),
];
