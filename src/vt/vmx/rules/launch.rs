//! Rules about VMX instructions themselves: launch state, the operands of VMXON, VMCLEAR and VMPTRLD, fields that do
//! not exist.

use core::fmt;

use super::controls::{address_width, from_bit};
use super::{Found, VmxRule};
use crate::vt::doctor::{Class, Field, Must};
use crate::vt::vmx::caps::VmxCaps;
use crate::vt::vmx::case::{Launch, VmxCase, VmxCpu};
use crate::vt::vmx::error::VmFail;
use crate::vt::vmx::state::F;

const BASIC_CHECKS: &str = "SDM 3C \"Basic VM-Entry Checks\"";

/// A rule about what no field says. It points at the field that holds what the CPU answers.
const fn rule(id: &'static str, says: &'static str, check: fn(&VmxCase, Found<'_>)) -> VmxRule {
    VmxRule { id, class: Class::Launch, section: BASIC_CHECKS, fields: &[F::InstructionError], says, check }
}

pub(super) const RULES: &[VmxRule] = &[
    rule(
        "launch.mov-ss",
        "VMLAUNCH and VMRESUME must not follow a MOV to SS or POP to SS directly (VM-instruction error 26)",
        |c, found| {
            if c.launch != Launch::Unknown && c.after_mov_ss {
                found(Must::Do("another instruction must come in between"));
            }
        },
    ),
    rule(
        "launch.not-clear",
        "VMLAUNCH needs a VMCS that is clear: VMCLEAR first, or VMRESUME (VM-instruction error 4)",
        |c, found| {
            if c.launch == Launch::Vmlaunch && c.launched {
                found(Must::Do("VMCLEAR it, or use VMRESUME"));
            }
        },
    ),
    rule(
        "launch.not-launched",
        "VMRESUME needs a VMCS that is launched: VMLAUNCH first (VM-instruction error 5)",
        |c, found| {
            if c.launch == Launch::Vmresume && !c.launched {
                found(Must::Do("use VMLAUNCH"));
            }
        },
    ),
];

/// Whether the address is that of a page within the physical-address width (32 bits where IA32_VMX_BASIC\[48\]
/// says so).
fn is_region(address: u64, cpu: &VmxCpu) -> bool {
    let width = address_width(cpu.caps.basic, cpu.phys_bits);
    address & (0xfff | from_bit(width)) == 0
}

/// What VMXON says of the region at `address`, whose first word is `first_word` (SDM 3D "VMXON—Enter VMX Operation").
pub fn vmxon(address: u64, first_word: u32, cpu: &VmxCpu) -> Result<(), VmFail> {
    if is_region(address, cpu) && first_word == cpu.caps.revision() { Ok(()) } else { Err(VmFail::Invalid) }
}

/// What VMCLEAR says of `address` (SDM 3D "VMCLEAR—Clear Virtual-Machine Control Structure"). Without a current VMCS
/// that could hold the number it is VMfailInvalid instead.
pub fn vmclear(address: u64, vmxon: u64, cpu: &VmxCpu) -> Result<(), VmFail> {
    match address {
        _ if !is_region(address, cpu) => Err(VmFail::Valid(2)),
        _ if address == vmxon => Err(VmFail::Valid(3)),
        _ => Ok(()),
    }
}

/// What VMPTRLD says of the VMCS at `address`, whose first word is `first_word`: the revision identifier in 30:0, the
/// shadow indicator in 31 (SDM 3D "VMPTRLD—Load Pointer to Virtual-Machine Control Structure"). Without a current VMCS
/// that could hold the number it is VMfailInvalid instead.
pub fn vmptrld(address: u64, vmxon: u64, first_word: u32, cpu: &VmxCpu) -> Result<(), VmFail> {
    // A shadow VMCS needs the 1-setting of "VMCS shadowing".
    let shadows = cpu.caps.has_secondary(1 << 14);
    match first_word {
        _ if !is_region(address, cpu) => Err(VmFail::Valid(9)),
        _ if address == vmxon => Err(VmFail::Valid(10)),
        _ if first_word & 0x7fff_ffff != cpu.caps.revision() => Err(VmFail::Valid(11)),
        _ if first_word >> 31 != 0 && !shadows => Err(VmFail::Valid(11)),
        _ => Ok(()),
    }
}

/// Why VMREAD or VMWRITE refuses a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// VM-instruction error 12: there is no field with this encoding. The nearest ones that the manual has.
    NoSuchField {
        /// The encoding that was asked for.
        encoding: u64,
        /// The field with the next lower encoding.
        below: Option<F>,
        /// The field with the next higher encoding.
        above: Option<F>,
    },
    /// VM-instruction error 13: VMWRITE of a VM-exit information field.
    ReadOnly(F),
}

impl Refused {
    /// What the instruction says.
    pub const fn fail(&self) -> VmFail {
        match self {
            Self::NoSuchField { .. } => VmFail::Valid(12),
            Self::ReadOnly(_) => VmFail::Valid(13),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ReadOnly(field) => write!(f, "{} ({:#x}) is read-only", field.name(), field.encoding()),
            Self::NoSuchField { encoding, below, above } => {
                write!(f, "there is no field {encoding:#x}")?;
                for (field, word) in [(below, "below"), (above, "above")] {
                    if let Some(field) = field {
                        write!(f, "; the nearest {word} is {:#x}, {}", field.encoding(), field.name())?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Why there is no field with this encoding; `None` if the manual has one. Whether this CPU has it too is not known
/// here. Bit 0 asks for the high half of a 64-bit field, which only those have.
pub fn no_such_field(encoding: u64) -> Option<Refused> {
    let low = encoding & !1;
    let whole = u32::try_from(low).ok().and_then(F::from_encoding);
    if whole.is_some() && (low == encoding || encoding >> 13 & 3 == 1) {
        return None;
    }
    let fields = || F::ALL.iter().copied();
    let number = |f: &F| u64::from(f.encoding());
    Some(Refused::NoSuchField {
        encoding,
        below: fields().filter(|f| number(f) <= encoding).max_by_key(number),
        above: fields().filter(|f| number(f) > encoding).min_by_key(number),
    })
}

/// What VMREAD says of an encoding (SDM 3D "VMREAD—Read Field from Virtual-Machine Control Structure").
pub fn vmread(encoding: u64) -> Result<(), Refused> {
    no_such_field(encoding).map_or(Ok(()), Err)
}

/// What VMWRITE says of an encoding (SDM 3D "VMWRITE—Write Field to Virtual-Machine Control Structure").
/// IA32_VMX_MISC\[29\] lets it write VM-exit information fields.
pub fn vmwrite(encoding: u64, caps: &VmxCaps) -> Result<(), Refused> {
    vmread(encoding)?;
    match u32::try_from(encoding & !1).ok().and_then(F::from_encoding) {
        Some(field) if field.read_only() && caps.misc >> 29 & 1 == 0 => Err(Refused::ReadOnly(field)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vt::vmx::rules::fixture::cpu;
    use std::string::ToString;

    #[test]
    fn operands_are_refused_by_number() {
        let cpu = cpu();
        assert_eq!(vmptrld(0x5000, 0x6000, 0x12, &cpu), Ok(()));
        assert_eq!(vmptrld(0x5008, 0x6000, 0x12, &cpu), Err(VmFail::Valid(9)));
        assert_eq!(vmptrld(1 << 39, 0x6000, 0x12, &cpu), Err(VmFail::Valid(9)));
        assert_eq!(vmptrld(0x6000, 0x6000, 0x12, &cpu), Err(VmFail::Valid(10)));
        assert_eq!(vmptrld(0x5000, 0x6000, 0x13, &cpu), Err(VmFail::Valid(11)));
        assert_eq!(vmptrld(0x5000, 0x6000, 0x8000_0012, &cpu), Ok(()));
        let mut old = cpu;
        old.caps.secondary = 0;
        assert_eq!(vmptrld(0x5000, 0x6000, 0x8000_0012, &old), Err(VmFail::Valid(11)));
        assert_eq!(vmclear(0x5800, 0x6000, &cpu), Err(VmFail::Valid(2)));
        assert_eq!(vmclear(0x6000, 0x6000, &cpu), Err(VmFail::Valid(3)));
        assert_eq!(vmclear(0x5000, 0x6000, &cpu), Ok(()));
        assert_eq!(vmxon(0x6000, 0x12, &cpu), Ok(()));
        assert_eq!(vmxon(0x6000, 0x8000_0012, &cpu), Err(VmFail::Invalid));
        let mut narrow = cpu;
        narrow.caps.basic |= 1 << 48;
        assert_eq!(vmclear(1 << 32, 0x6000, &cpu), Ok(()));
        assert_eq!(vmclear(1 << 32, 0x6000, &narrow), Err(VmFail::Valid(2)));
    }

    #[test]
    fn a_field_that_does_not_exist_is_told_with_its_neighbours() {
        for field in F::ALL {
            assert_eq!(no_such_field(field.encoding().into()), None);
        }
        let refused = no_such_field(0x488a).unwrap();
        assert_eq!(refused.fail(), VmFail::Valid(12));
        assert_eq!(
            refused.to_string(),
            "there is no field 0x488a; the nearest below is 0x482e, VMX-preemption timer; the nearest above is 0x4c00, \
             host IA32_SYSENTER_CS"
        );
        // The high half of a 64-bit field exists, that of a 32-bit one does not.
        assert_eq!(vmread(0x201b), Ok(()));
        assert!(vmread(0x4001).is_err() && vmread(u64::MAX).is_err() && vmread(1 << 32).is_err());
    }

    #[test]
    fn exit_information_is_read_only_where_the_cpu_says_so() {
        let mut caps = cpu().caps;
        assert_eq!(vmwrite(0x4402, &caps), Ok(()), "IA32_VMX_MISC[29] is 1");
        caps.misc &= !(1 << 29);
        let refused = vmwrite(0x4402, &caps).unwrap_err();
        assert_eq!(refused.fail(), VmFail::Valid(13));
        assert_eq!(refused.to_string(), "exit reason (0x4402) is read-only");
        assert_eq!(vmwrite(0x4000, &caps), Ok(()));
    }
}
