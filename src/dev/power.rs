//! What a device's register asks of the whole machine.

/// The guest asked for its machine to be turned off or reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Power {
    /// Off: ACPI's S5.
    Off,
    /// A reset of the whole machine.
    Reset(ResetBy),
}

impl ResetBy {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cf9 => "the reset control register, port 0xCF9",
            Self::KeyboardController => "the keyboard controller",
            Self::Port92 => "port 0x92",
            Self::AcpiRegister => "the ACPI reset register",
        }
    }
}

/// Which register a reset was asked by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResetBy {
    /// The reset control register, port 0xCF9.
    Cf9,
    /// The keyboard controller's output port or pulse command.
    KeyboardController,
    /// The fast reset bit of port 0x92.
    Port92,
    /// A register that only the FADT's `RESET_REG` names (ACPI "Reset Register"). No device here has one: `RESET_REG`
    /// is best port 0xCF9 with the value 6.
    AcpiRegister,
}
