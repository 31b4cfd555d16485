//! VM-execution, VM-exit and VM-entry controls, adjusted to what the CPU allows
//! (SDM 3D "Reserved Controls and Default Settings").

use core::fmt;

use x86::vmx::vmcs::control::{EntryControls, ExitControls, PinbasedControls, PrimaryControls, SecondaryControls};

use super::caps::VmxCaps;

/// What a control word should be: bits it cannot do without, and bits that are taken where the CPU has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Without one of these the word is refused.
    pub required: u32,
    /// Set where allowed.
    pub optional: u32,
}

/// Bits of a control word that the CPU does not let us set as required.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Which control word.
    pub word: &'static str,
    /// Required bits that must be 0 on this CPU.
    pub missing: u32,
    /// Bits that must be 1 on this CPU but are neither required nor optional nor in the default-1 class.
    pub forced: u32,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} controls", self.word)?;
        for (bits, what) in [(self.missing, "cannot be 1"), (self.forced, "cannot be 0")] {
            for bit in (0..32).filter(|b| bits >> b & 1 != 0) {
                write!(f, ", bit {bit} {what}")?;
            }
        }
        Ok(())
    }
}

/// One control word: `wanted`, adjusted against `capability` (allowed 0-settings in 31:0, allowed 1-settings in 63:32).
/// `harmless` are bits that may be forced to 1 without changing what the hypervisor has to handle.
pub fn adjust(word: &'static str, wanted: Wanted, harmless: u32, capability: u64) -> Result<u32, Refused> {
    let must_be_one = capability as u32;
    let may_be_one = (capability >> 32) as u32;
    let value = ((wanted.required | wanted.optional) & may_be_one) | must_be_one;
    let missing = wanted.required & !may_be_one;
    let forced = value & !(wanted.required | wanted.optional | harmless);
    if missing | forced != 0 { Err(Refused { word, missing, forced }) } else { Ok(value) }
}

/// All control words of a vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Controls {
    /// Pin-based.
    pub pin: u32,
    /// Primary processor-based.
    pub primary: u32,
    /// Secondary processor-based.
    pub secondary: u32,
    /// VM-exit.
    pub exit: u32,
    /// VM-entry, without "IA-32e mode guest", which follows the guest.
    pub entry: u32,
}

/// Default-1 bits that have no meaning (SDM 3D "Reserved Controls and Default Settings", the default1 class).
mod default1 {
    pub const PIN: u32 = 0x16;
    /// Less CR3-load and CR3-store exiting (bits 15 and 16), which do change what must be handled.
    pub const PRIMARY: u32 = 0x0400_6172;
    pub const EXIT: u32 = 0x3_6dff;
    pub const ENTRY: u32 = 0x11ff;
}

impl Controls {
    /// The controls that this hypervisor runs guests with.
    pub fn new(caps: &VmxCaps) -> Result<Self, Refused> {
        let pin = Wanted {
            required: (PinbasedControls::EXTERNAL_INTERRUPT_EXITING
                | PinbasedControls::NMI_EXITING
                | PinbasedControls::VIRTUAL_NMIS)
                .bits(),
            optional: 0,
        };
        let primary = Wanted {
            required: (PrimaryControls::HLT_EXITING
                | PrimaryControls::RDPMC_EXITING
                | PrimaryControls::CR8_LOAD_EXITING
                | PrimaryControls::CR8_STORE_EXITING
                | PrimaryControls::MWAIT_EXITING
                | PrimaryControls::MONITOR_EXITING
                | PrimaryControls::USE_IO_BITMAPS
                | PrimaryControls::USE_MSR_BITMAPS
                | PrimaryControls::USE_TSC_OFFSETTING
                | PrimaryControls::SECONDARY_CONTROLS)
                .bits(),
            optional: 0,
        };
        let secondary = Wanted {
            required: (SecondaryControls::ENABLE_EPT
                | SecondaryControls::UNRESTRICTED_GUEST
                | SecondaryControls::WBINVD_EXITING)
                .bits(),
            optional: (SecondaryControls::ENABLE_RDTSCP
                | SecondaryControls::ENABLE_VPID
                | SecondaryControls::ENABLE_INVPCID
                | SecondaryControls::ENABLE_XSAVES_XRSTORS)
                .bits(),
        };
        let exit = Wanted {
            required: (ExitControls::HOST_ADDRESS_SPACE_SIZE
                | ExitControls::SAVE_IA32_PAT
                | ExitControls::LOAD_IA32_PAT
                | ExitControls::SAVE_IA32_EFER
                | ExitControls::LOAD_IA32_EFER
                | ExitControls::SAVE_DEBUG_CONTROLS)
                .bits(),
            optional: 0,
        };
        let entry = Wanted {
            required: (EntryControls::LOAD_IA32_PAT
                | EntryControls::LOAD_IA32_EFER
                | EntryControls::LOAD_DEBUG_CONTROLS)
                .bits(),
            optional: 0,
        };
        Ok(Self {
            pin: adjust("pin-based", pin, default1::PIN, caps.pin)?,
            primary: adjust("primary processor-based", primary, default1::PRIMARY, caps.primary)?,
            secondary: adjust("secondary processor-based", secondary, 0, caps.secondary)?,
            exit: adjust("VM-exit", exit, default1::EXIT, caps.exit)?,
            entry: adjust("VM-entry", entry, default1::ENTRY, caps.entry)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    proptest! {
        #[test]
        fn an_adjusted_word_is_one_the_cpu_accepts(required: u32, optional: u32, zeros: u32, ones: u32) {
            // Allowed settings are consistent: what must be 1 may be 1.
            let capability = u64::from(zeros) | u64::from(ones | zeros) << 32;
            match adjust("test", Wanted { required, optional }, u32::MAX, capability) {
                Ok(v) => {
                    prop_assert_eq!(v & zeros, zeros);
                    prop_assert_eq!(v & !(ones | zeros), 0);
                    prop_assert_eq!(v & required, required);
                    prop_assert_eq!(v & !(required | optional | zeros), 0);
                }
                Err(r) => prop_assert_eq!(r.missing, required & !(ones | zeros)),
            }
        }
    }

    #[test]
    fn each_refused_bit_is_named() {
        let r = adjust("test", Wanted { required: 0b101, optional: 0 }, 0, 0b10 | 0b111 << 32).unwrap_err();
        assert_eq!((r.missing, r.forced), (0, 0b10));
        let r = adjust("test", Wanted { required: 0b101, optional: 0 }, 0, 0b1 << 32).unwrap_err();
        assert_eq!(r.to_string(), "the test controls, bit 2 cannot be 1");
    }
}
