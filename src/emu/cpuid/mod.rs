//! What CPUID answers a guest (SDM 2A "CPUID—CPU Identification", APM 3 "Obtaining Processor Information Via the CPUID
//! Instruction").
//!
//! The rows in `rows` say which bits of the host's answers a guest may see: a feature that nobody decided on is hidden.
//! A [`Policy`] is those rows applied to one host, once; after that an answer is an index into a table.

mod allowed;
mod rows;
mod xsave;

#[cfg(test)]
mod tests;

use rows::{NEEDS, ROWS, Row};
use xsave::Xsave;

/// EAX, EBX, ECX, EDX.
pub type Answer = [u32; 4];

const ZERO: Answer = [0; 4];
/// The highest basic leaf that is offered.
const BASIC_MAX: u32 = 0xd;
const EXTENDED: u32 = 0x8000_0000;
/// The highest extended leaf that is offered.
const EXTENDED_MAX: u32 = 0x8000_0008;
const HYPERVISOR: u32 = 0x4000_0000;
/// Leaf 1 ECX.
const XSAVE: u32 = 1 << 26;
const OSXSAVE: u32 = 1 << 27;
/// Linear-address bits without LA57.
const LINEAR_BITS: u32 = 48;

/// The state of a vCPU that its CPUID answers depend on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Dynamic {
    /// Whether the guest has set CR4.OSXSAVE.
    pub cr4_osxsave: bool,
    /// The guest's XCR0.
    pub xcr0: u64,
    /// The vCPU's number; its low byte is the initial APIC ID.
    pub apic_id: u32,
}

/// The answers for one VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    basic: [Answer; 16],
    extended: [Answer; 16],
    hypervisor: [Answer; 2],
    /// Leaf 4 by subleaf.
    caches: [Answer; 8],
    /// Leaf 7 by subleaf.
    features: [Answer; 2],
    xsave: Xsave,
}

impl Policy {
    /// The policy on a host whose CPUID is `host(leaf, subleaf)`. `hypercall` is what leaf 0x4000_0001 EAX tells the
    /// guest: 1 to use VMCALL, 2 to use VMMCALL.
    pub fn new(host: impl Fn(u32, u32) -> Answer, hypercall: u32) -> Self {
        let max = Maxima::of(&host);
        let mut policy = Self {
            basic: [ZERO; 16],
            extended: [ZERO; 16],
            hypervisor: [
                [
                    HYPERVISOR + 1,
                    u32::from_le_bytes(*b"hvhv"),
                    u32::from_le_bytes(*b"hvhv"),
                    u32::from_le_bytes(*b"hvhv"),
                ],
                [hypercall, 0, 0, 0],
            ],
            caches: [ZERO; 8],
            features: [ZERO; 2],
            xsave: Xsave::default(),
        };
        for row in ROWS {
            policy.apply(row, &host, &max);
        }
        let xsave = policy.leaf1()[2] & XSAVE != 0 && max.basic >= 0xd;
        policy.xsave.settle(if xsave { host(0xd, 0)[0] } else { 0 });
        policy.withdraw();
        policy.settle_limits();
        policy
    }

    /// What CPUID answers with EAX = `leaf` and ECX = `subleaf`.
    ///
    /// A leaf above the offered maximum gives zeros, as on AMD; on Intel it would repeat the highest basic leaf (SDM 2A
    /// "CPUID—CPU Identification"), which no software should lean on. So do unknown subleaves.
    #[inline(always)]
    pub fn lookup(&self, leaf: u32, subleaf: u32, dynamic: &Dynamic) -> Answer {
        let at = |table: &[Answer], i: u32| table.get(i as usize).copied().unwrap_or(ZERO);
        match leaf {
            1 => {
                let [eax, ebx, ecx, edx] = self.leaf1();
                let os = if dynamic.cr4_osxsave && ecx & XSAVE != 0 { OSXSAVE } else { 0 };
                [eax, ebx | dynamic.apic_id << 24, ecx | os, edx]
            }
            4 => at(&self.caches, subleaf),
            7 => at(&self.features, subleaf),
            0xd => self.xsave.lookup(subleaf, dynamic.xcr0),
            0..HYPERVISOR => at(&self.basic, leaf),
            HYPERVISOR..EXTENDED => at(&self.hypervisor, leaf - HYPERVISOR),
            EXTENDED.. => at(&self.extended, leaf - EXTENDED),
        }
    }

    const fn leaf1(&self) -> Answer {
        self.basic[1]
    }

    /// Where the answer of a leaf and subleaf is kept.
    fn slot(&mut self, leaf: u32, subleaf: u32) -> Option<&mut Answer> {
        match leaf {
            4 => self.caches.get_mut(subleaf as usize),
            7 => self.features.get_mut(subleaf as usize),
            0xd => self.xsave.slot(subleaf),
            EXTENDED.. => self.extended.get_mut((leaf - EXTENDED) as usize),
            _ => self.basic.get_mut(leaf as usize),
        }
    }

    fn apply(&mut self, row: &Row, host: &impl Fn(u32, u32) -> Answer, max: &Maxima) {
        for subleaf in row.subleaves.0..=row.subleaves.1 {
            if !max.has(row.leaf, subleaf) {
                continue;
            }
            let answer = host(row.leaf, subleaf);
            // Leaf 4: cache type 0 ends the list, whatever stands beside it.
            if row.leaf == 4 && answer[0] & 0x1f == 0 {
                break;
            }
            if let Some(slot) = self.slot(row.leaf, subleaf) {
                let [a, b, c, d] = answer;
                let ([ka, kb, kc, kd], [sa, sb, sc, sd]) = (row.keep, row.set);
                *slot = [a & ka | sa, b & kb | sb, c & kc | sc, d & kd | sd];
            }
        }
    }

    /// Takes back the features whose register state XCR0 cannot enable.
    fn withdraw(&mut self) {
        let states = self.xsave.allowed();
        for need in NEEDS.iter().filter(|need| states & need.states != need.states) {
            if let Some(slot) = self.slot(need.leaf, need.subleaf) {
                for (to, bits) in slot.iter_mut().zip(need.bits) {
                    *to &= !bits;
                }
            }
        }
    }

    /// Lowers the maxima to what is offered, and the linear-address width to what is left without LA57.
    fn settle_limits(&mut self) {
        let [basic, ..] = &mut self.basic[0];
        *basic = (*basic).min(BASIC_MAX);
        let [subleaves, ..] = &mut self.features[0];
        *subleaves = (*subleaves).min(1);
        let [extended, ..] = &mut self.extended[0];
        *extended = (*extended).min(EXTENDED_MAX);
        let [widths, ..] = &mut self.extended[8];
        let linear = (*widths >> 8 & 0xff).min(LINEAR_BITS);
        *widths = *widths & 0xff | linear << 8;
    }
}

/// The host's own maxima: what lies above them is not read.
struct Maxima {
    basic: u32,
    extended: u32,
    features: u32,
}

impl Maxima {
    fn of(host: &impl Fn(u32, u32) -> Answer) -> Self {
        let basic = host(0, 0)[0];
        let features = if basic >= 7 { host(7, 0)[0] } else { 0 };
        Self { basic, extended: host(EXTENDED, 0)[0], features }
    }

    const fn has(&self, leaf: u32, subleaf: u32) -> bool {
        match leaf {
            7 => self.basic >= 7 && subleaf <= self.features,
            EXTENDED.. => leaf <= self.extended,
            _ => leaf <= self.basic,
        }
    }
}
