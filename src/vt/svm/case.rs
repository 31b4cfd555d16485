//! A VMCB with what is known of its CPU: what the rules of VMRUN are judged on.

use super::caps::SvmCaps;
use super::dump;
use super::lab;
use super::rules;
use super::state::F;
use crate::vt::doctor::rule::Peril;
use crate::vt::doctor::{Patient, Rule, State};
use core::fmt;

/// What VMRUN depends on besides the VMCB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SvmCpu {
    /// The SVM feature leaf.
    pub caps: SvmCaps,
    /// Physical-address bits (CPUID 8000_0008:EAX\[7:0\]).
    pub phys_bits: u32,
    /// EFER bits that the CPU has.
    pub efer: u64,
    /// CR4 bits that the CPU has.
    pub cr4: u64,
    /// The address bit that says that a page is encrypted (CPUID 8000_001F:EBX\[5:0\]), where the CPU encrypts memory.
    /// Where it is known, it counts as no bit of a physical address.
    pub encryption_bit: Option<u32>,
    /// Whether the CPU has indirect-branch tracking, whose bits S_CET has then.
    pub ibt: bool,
    /// Whether the CPU has long mode.
    pub long_mode: bool,
    /// Whether host paging is on (CR0.PG): nested paging needs it.
    pub host_paging: bool,
}

impl Default for SvmCpu {
    fn default() -> Self {
        Self {
            caps: SvmCaps::default(),
            phys_bits: 48,
            efer: 0x7d01,
            cr4: 0x00f7_0fff,
            encryption_bit: None,
            ibt: false,
            long_mode: true,
            host_paging: true,
        }
    }
}

impl SvmCpu {
    /// What CPUID says of this CPU, through `cpuid(leaf, subleaf)`, with the SVM leaf read before. Its paging is taken to be on.
    pub fn read(caps: &SvmCaps, mut cpuid: impl FnMut(u32, u32) -> [u32; 4]) -> Self {
        let bit = |value: u32, bit: u32, to: u32| u64::from(value >> bit & 1) << to;
        let [most, ..] = cpuid(0, 0);
        let [most_extended, ..] = cpuid(0x8000_0000, 0);
        let [_, _, c, d] = cpuid(1, 0);
        let [most7, b7, c7, d7] = if most >= 7 { cpuid(7, 0) } else { [0; 4] };
        let [a71, ..] = if most7 >= 1 { cpuid(7, 1) } else { [0; 4] };
        let [_, _, ec, ed] = cpuid(0x8000_0001, 0);
        let [sizes, e8b, ..] = if most_extended >= 0x8000_0008 { cpuid(0x8000_0008, 0) } else { [0x3028, 0, 0, 0] };
        let [e1f, e1f_b, ..] = if most_extended >= 0x8000_001f { cpuid(0x8000_001f, 0) } else { [0; 4] };
        let [e21, ..] = if most_extended >= 0x8000_0021 { cpuid(0x8000_0021, 0) } else { [0; 4] };
        // VME has VME and PVI; the other features have a bit each.
        let cr4 = bit(d, 1, 0)
            | bit(d, 1, 1)
            | bit(d, 4, 2)
            | bit(d, 2, 3)
            | bit(d, 3, 4)
            | bit(d, 6, 5)
            | bit(d, 7, 6)
            | bit(d, 13, 7)
            | 1 << 8
            | bit(d, 24, 9)
            | bit(d, 25, 10)
            | bit(c7, 2, 11)
            | bit(c7, 16, 12)
            | bit(b7, 0, 16)
            | bit(c, 17, 17)
            | bit(c, 26, 18)
            | bit(b7, 7, 20)
            | bit(b7, 20, 21)
            | bit(c7, 3, 22)
            | (bit(c7, 7, 23) | bit(d7, 20, 23))
            | bit(a71, 6, 27)
            | bit(a71, 17, 32);
        let efer = bit(ed, 11, 0)
            | bit(ed, 29, 8)
            | bit(ed, 29, 10)
            | bit(ed, 20, 11)
            | 1 << 12
            | u64::from(e8b >> 20 & 1 == 0) << 13
            | bit(ed, 25, 14)
            | bit(ec, 17, 15)
            | bit(e8b, 8, 17)
            | bit(e8b, 13, 18)
            | bit(e21, 7, 20)
            | bit(e21, 8, 21);
        Self {
            caps: *caps,
            phys_bits: sizes & 0xff,
            efer,
            cr4,
            // SME or SEV.
            encryption_bit: (e1f & 3 != 0).then_some(e1f_b & 0x3f),
            ibt: d7 >> 20 & 1 != 0,
            long_mode: ed >> 29 & 1 != 0,
            host_paging: true,
        }
    }
}

/// A VMCB with what is known of its CPU.
#[derive(Clone, Debug)]
pub struct SvmCase {
    /// The VMCB.
    pub state: State<F>,
    /// The CPU.
    pub cpu: SvmCpu,
    /// HPA of the VMCB: VMRUN's operand. 0 where it is not known.
    pub vmcb: u64,
    /// The host's CR3. 0 where it is not known.
    pub host_cr3: u64,
}

impl SvmCase {
    /// A case about which nothing is known but the fields and the CPU.
    pub const fn new(state: State<F>, cpu: SvmCpu) -> Self {
        Self { state, cpu, vmcb: 0, host_cr3: 0 }
    }

    /// A field's value, 0 where it is absent.
    pub fn get(&self, field: F) -> u64 {
        self.state.get(field)
    }

    /// Whether all of these bits of a field are set.
    pub fn all(&self, field: F, bits: u64) -> bool {
        self.get(field) & bits == bits
    }
}

impl Patient for SvmCase {
    type Field = F;
    const VENDOR: &'static str = "svm";

    fn state(&self) -> &State<F> {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State<F> {
        &mut self.state
    }

    fn rules() -> impl Iterator<Item = &'static Rule<F, Self>> {
        rules::ALL.iter().flat_map(|group| group.iter())
    }

    fn take_answer(&mut self, after: &Self) {
        for field in [F::ExitCode, F::ExitInfo1, F::ExitInfo2] {
            self.state.set(field, after.get(field));
        }
    }

    fn is_untouched(field: F) -> bool {
        lab::is_untouched(field)
    }

    fn is_hazard(&self, field: F, value: u64) -> bool {
        lab::is_hazard(field, self.get(field), value)
    }

    fn perils() -> &'static [Peril<Self>] {
        lab::PERILS
    }

    fn dump(&self, core: u32, mut out: &mut dyn fmt::Write) -> fmt::Result {
        dump::write_on(self, core, &mut out)
    }

    fn groups() -> &'static [(&'static str, &'static [F])] {
        GROUPS
    }
}

/// The fields in groups for people.
const GROUPS: &[(&str, &[F])] = &[
    (
        "guest registers",
        &[F::Cr0, F::Cr2, F::Cr3, F::Cr4, F::Efer, F::Rip, F::Rsp, F::Rax, F::Rflags, F::Cpl, F::Dr6, F::Dr7, F::GPat],
    ),
    (
        "guest segments",
        &[
            F::CsSelector,
            F::CsAttrib,
            F::CsLimit,
            F::CsBase,
            F::SsSelector,
            F::SsAttrib,
            F::SsLimit,
            F::SsBase,
            F::DsSelector,
            F::DsAttrib,
            F::DsLimit,
            F::DsBase,
            F::EsSelector,
            F::EsAttrib,
            F::EsLimit,
            F::EsBase,
            F::FsSelector,
            F::FsAttrib,
            F::FsLimit,
            F::FsBase,
            F::GsSelector,
            F::GsAttrib,
            F::GsLimit,
            F::GsBase,
            F::LdtrSelector,
            F::LdtrAttrib,
            F::LdtrLimit,
            F::LdtrBase,
            F::TrSelector,
            F::TrAttrib,
            F::TrLimit,
            F::TrBase,
            F::GdtrBase,
            F::GdtrLimit,
            F::IdtrBase,
            F::IdtrLimit,
        ],
    ),
    (
        "controls",
        &[
            F::InterceptCr,
            F::InterceptDr,
            F::InterceptExceptions,
            F::InterceptMisc1,
            F::InterceptMisc2,
            F::InterceptMisc3,
            F::IopmBase,
            F::MsrpmBase,
            F::TscOffset,
            F::Asid,
            F::TlbControl,
            F::VIntr,
            F::InterruptShadow,
            F::NestedControl,
            F::NCr3,
            F::EventInj,
            F::VirtExt,
            F::Clean,
        ],
    ),
    ("last exit", &[F::ExitCode, F::ExitInfo1, F::ExitInfo2, F::ExitIntInfo, F::NextRip]),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// CPUID of a CPU with these answers, all others 0.
    fn cpuid(known: &[(u32, u32, [u32; 4])]) -> impl Fn(u32, u32) -> [u32; 4] {
        move |leaf, subleaf| known.iter().find(|(l, s, _)| (*l, *s) == (leaf, subleaf)).map_or([0; 4], |(.., r)| *r)
    }

    #[test]
    fn the_encryption_bit_is_known_where_memory_is_encrypted() {
        let read = |eax| {
            let leaves = [(0x8000_0000, 0, [0x8000_001f, 0, 0, 0]), (0x8000_001f, 0, [eax, 5 << 6 | 51, 0, 0])];
            SvmCpu::read(&SvmCaps::default(), cpuid(&leaves)).encryption_bit
        };
        assert_eq!((read(0), read(1), read(2), read(3)), (None, Some(51), Some(51), Some(51)));
    }

    #[test]
    fn newer_bits_of_cr4_are_read() {
        let leaves = [(0, 0, [7, 0, 0, 0]), (7, 0, [1, 0, 1 << 7, 1 << 20]), (7, 1, [1 << 6 | 1 << 17, 0, 0, 0])];
        let cpu = SvmCpu::read(&SvmCaps::default(), cpuid(&leaves));
        assert_eq!((cpu.cr4, cpu.ibt), (1 << 8 | 1 << 23 | 1 << 27 | 1 << 32, true));
    }

    #[test]
    fn both_words_of_features_are_read() {
        let caps = SvmCaps::read(cpuid(&[(0x8000_000a, 0, [1, 16, 1 << 6, 1 << 18])]));
        assert_eq!(caps, SvmCaps { eax: 1, asids: 16, ecx: 1 << 6, edx: 1 << 18 });
        assert!(caps.x2avic_ext());
    }
}
