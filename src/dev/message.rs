//! Interrupt messages: what the I/O APIC, a message-signalled interrupt or another local APIC sends to local APICs.

/// How a message is delivered (SDM 3A "Local Vector Table", "Interrupt Command Register", "Message Data Register Format").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Delivery {
    Fixed = 0,
    LowestPriority = 1,
    Smi = 2,
    Reserved = 3,
    Nmi = 4,
    Init = 5,
    StartUp = 6,
    ExtInt = 7,
}

impl Delivery {
    /// The delivery mode in the low three bits of `bits`.
    pub const fn of(bits: u32) -> Self {
        match bits & 7 {
            0 => Self::Fixed,
            1 => Self::LowestPriority,
            2 => Self::Smi,
            3 => Self::Reserved,
            4 => Self::Nmi,
            5 => Self::Init,
            6 => Self::StartUp,
            _ => Self::ExtInt,
        }
    }
}

/// A message to local APICs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// The vector, for the delivery modes that have one.
    pub vector: u8,
    /// How it is delivered.
    pub delivery: Delivery,
    /// Level-triggered: its EOI goes to the I/O APICs.
    pub level: bool,
    /// An APIC id, or with `logical` a logical destination. From an I/O APIC 8 bits; 0xff is everybody.
    pub destination: u32,
    /// Logical destination mode.
    pub logical: bool,
}
