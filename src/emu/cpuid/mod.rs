//! What CPUID answers a guest (SDM 2A "CPUID—CPU Identification", APM 3 "Obtaining Processor Information Via the CPUID
//! Instruction").
//!
//! The rows in `rows` say which bits of the host's answers a guest may see: a feature that nobody decided on is hidden.
//! A [`Policy`] is those rows applied to one host, once; after that an answer is an index into a table.

mod allowed;
mod own;
mod rows;
mod xsave;

#[cfg(test)]
mod tests;

use rows::{NEEDS, ROWS, Row};
use xsave::{XSAVES, Xsave};

/// EAX, EBX, ECX, EDX.
pub type Answer = [u32; 4];

const ZERO: Answer = [0; 4];
/// The highest basic leaf that is offered on an Intel CPU: frequencies.
const BASIC_MAX_INTEL: u32 = 0x16;
/// And on all others, which do not have those leaves.
const BASIC_MAX: u32 = 0xd;
/// The topology leaf, and so the lowest maximum that is offered.
const TOPOLOGY: u32 = 0xb;
const EXTENDED: u32 = 0x8000_0000;
/// The highest extended leaf that is offered.
const EXTENDED_MAX: u32 = 0x8000_0008;
const HYPERVISOR: u32 = 0x4000_0000;
/// The highest leaf of the hypervisor's range: frequencies.
const HYPERVISOR_MAX: u32 = HYPERVISOR + 0x10;
/// Leaf 1 ECX.
const XSAVE: u32 = 1 << 26;
const OSXSAVE: u32 = 1 << 27;
/// Leaf 1 EDX.
const APIC: u32 = 1 << 9;
/// Leaf 7 ECX.
const PKU: u32 = 1 << 3;
const OSPKE: u32 = 1 << 4;
/// Leaf 7 EDX.
const ARCH_CAPABILITIES: u32 = 1 << 29;
/// Linear-address bits without LA57.
const LINEAR_BITS: u32 = 48;

/// The state of a vCPU that its CPUID answers depend on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Dynamic {
    /// Whether the guest has set CR4.OSXSAVE.
    pub cr4_osxsave: bool,
    /// Whether the guest has set CR4.PKE.
    pub cr4_pke: bool,
    /// Whether the guest has disabled its local APIC in IA32_APIC_BASE.
    pub apic_off: bool,
    /// The guest's XCR0.
    pub xcr0: u64,
    /// The vCPU's number: its x2APIC ID, whose low byte is the initial APIC ID.
    pub apic_id: u32,
}

/// How fast the guest's clocks run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Clock {
    /// The frequency of the guest's time-stamp counter in kHz; the timer of its local APIC has the same input clock.
    /// 0 where it is not known: then no leaf tells a frequency.
    pub tsc_khz: u32,
}

/// What a policy depends on besides the host's CPUID.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Terms {
    /// What leaf 0x4000_0001 EAX tells the guest: 1 to use VMCALL, 2 to use VMMCALL.
    pub hypercall: u32,
    /// The guest's clocks.
    pub clock: Clock,
    /// Whether the vendor's control structure lets a guest execute XSAVES and XRSTORS.
    pub xsaves: bool,
    /// The host's IA32_ARCH_CAPABILITIES, or 0 where its CPUID does not have it.
    pub arch_capabilities: u64,
}

/// The answers for one VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    basic: [Answer; BASIC_MAX_INTEL as usize + 1],
    extended: [Answer; 16],
    hypervisor: [Answer; 17],
    /// Leaf 4 by subleaf.
    caches: [Answer; 8],
    /// Leaf 7 by subleaf.
    features: [Answer; 2],
    xsave: Xsave,
    clock: Clock,
    /// The host's; see [`Policy::arch_capabilities`].
    arch_capabilities: u64,
}

impl Policy {
    /// The policy on a host whose CPUID is `host(leaf, subleaf)`.
    pub fn new(host: impl Fn(u32, u32) -> Answer, terms: &Terms) -> Self {
        let max = Maxima::of(&host);
        let mut policy = Self {
            basic: [ZERO; _],
            extended: [ZERO; 16],
            hypervisor: own::hypervisor(terms),
            caches: [ZERO; 8],
            features: [ZERO; 2],
            xsave: Xsave::default(),
            clock: terms.clock,
            arch_capabilities: terms.arch_capabilities,
        };
        for row in ROWS {
            policy.apply(row, &host, &max);
        }
        if !terms.xsaves
            && let Some([eax, ..]) = policy.slot(0xd, 1)
        {
            *eax &= !XSAVES;
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
                // SDM 3A "Detecting the Presence of the Local APIC": the flag goes with the APIC.
                let apic = if dynamic.apic_off { APIC } else { 0 };
                [eax, ebx | dynamic.apic_id << 24, ecx | os, edx & !apic]
            }
            4 => at(&self.caches, subleaf),
            7 => {
                let [eax, ebx, ecx, edx] = at(&self.features, subleaf);
                let os = if dynamic.cr4_pke && subleaf == 0 && ecx & PKU != 0 { OSPKE } else { 0 };
                [eax, ebx, ecx | os, edx]
            }
            TOPOLOGY => own::topology(subleaf, dynamic.apic_id),
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

    /// Sets the maxima to what is offered, and the linear-address width to what is left without LA57.
    ///
    /// A basic maximum can be higher than the host's: the leaves in between that the host lacks are zeros.
    fn settle_limits(&mut self) {
        self.basic[6] = own::POWER;
        let intel = self.is_intel();
        if intel {
            [self.basic[0x15], self.basic[0x16]] = own::frequencies(self.clock);
        }
        let [basic, ..] = &mut self.basic[0];
        *basic = if intel { BASIC_MAX_INTEL } else { (*basic).clamp(TOPOLOGY, BASIC_MAX) };
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
