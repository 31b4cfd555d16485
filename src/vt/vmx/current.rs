//! The current VMCS of this core: VMREAD and VMWRITE on typed fields.

use core::arch::asm;

use super::error::VmFail;
use super::exit::FieldReader;
use super::field::{Direction, Field, FieldValue, Writable, ro};

/// The current VMCS. It is made where VMPTRLD succeeded and lives no longer than that VMCS is current.
#[derive(Clone, Copy, Debug)]
pub struct Current(());

impl Current {
    /// # Safety
    /// A VMCS is current on this core, and stays so while the value is used.
    pub const unsafe fn new() -> Self {
        Self(())
    }

    /// Writes a field. What a VMWRITE says that fails is not looked at here: every field was written once with
    /// [`Current::try_write`] when the VMCS was set up.
    #[inline(always)]
    pub fn write<T: FieldValue>(self, field: Field<T, Writable>, value: T) {
        // SAFETY: a VMCS is current (by construction). A field that does not exist leaves everything as it was.
        unsafe {
            asm!("vmwrite {0}, {1}", in(reg) u64::from(field.encoding()), in(reg) value.to_raw(), options(nostack));
        }
    }

    /// Reads a field by number; `None` where the CPU has no such field.
    pub fn read_any(self, encoding: u32) -> Option<u64> {
        let (value, failed): (u64, u8);
        // SAFETY: a VMCS is current (by construction). A field that does not exist changes the VM-instruction error alone.
        unsafe {
            asm!("vmread {0}, {1}", "setbe {2}",
                lateout(reg) value, in(reg) u64::from(encoding), lateout(reg_byte) failed, options(nostack));
        }
        (failed == 0).then_some(value)
    }

    /// Writes a field by number, whatever the CPU makes of it: for what breaks a VMCS on purpose.
    pub fn write_any(self, encoding: u32, value: u64) -> bool {
        let failed: u8;
        // SAFETY: a VMCS is current (by construction). What a broken VMCS does is up to the caller, who holds it loaded.
        unsafe {
            asm!("vmwrite {0}, {1}", "setbe {2}",
                in(reg) u64::from(encoding), in(reg) value, lateout(reg_byte) failed, options(nostack));
        }
        failed == 0
    }

    /// Writes a field and checks that the CPU took it.
    pub fn try_write<T: FieldValue>(self, field: Field<T, Writable>, value: T) -> Result<(), VmFail> {
        let (invalid, valid): (u8, u8);
        // SAFETY: as in `write`.
        unsafe {
            asm!("vmwrite {0}, {1}", "setc {2}", "setz {3}",
                in(reg) u64::from(field.encoding()), in(reg) value.to_raw(),
                out(reg_byte) invalid, out(reg_byte) valid, options(nostack));
        }
        match (invalid, valid) {
            (0, 0) => Ok(()),
            (0, _) => Err(VmFail::Valid(self.read(ro::INSTRUCTION_ERROR))),
            _ => Err(VmFail::Invalid),
        }
    }
}

impl FieldReader for Current {
    #[inline(always)]
    fn read<T: FieldValue, D: Direction>(&self, field: Field<T, D>) -> T {
        let value: u64;
        // SAFETY: a VMCS is current (by construction); VMREAD has no effect but its result. Not `pure`: an entry
        // changes fields.
        unsafe {
            asm!("vmread {0}, {1}", out(reg) value, in(reg) u64::from(field.encoding()), options(nostack, nomem));
        }
        T::from_raw(value)
    }
}
