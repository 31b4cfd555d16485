//! How a local APIC is reached.

/// The modes of a local APIC (SDM 3A "x2APIC State Transitions").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApicMode {
    /// It is disabled.
    Off,
    /// By memory: xAPIC.
    Memory,
    /// By MSR: x2APIC.
    Msr,
}
