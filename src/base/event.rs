//! Events that are delivered to a guest: exceptions, NMIs, interrupts; and how two of them combine.

/// An exception's vector (SDM 3A "Exception and Interrupt Reference").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct Exception(pub u8);

#[allow(missing_docs)]
impl Exception {
    pub const DE: Self = Self(0);
    pub const DB: Self = Self(1);
    pub const BP: Self = Self(3);
    pub const OF: Self = Self(4);
    pub const BR: Self = Self(5);
    pub const UD: Self = Self(6);
    pub const NM: Self = Self(7);
    pub const DF: Self = Self(8);
    pub const TS: Self = Self(10);
    pub const NP: Self = Self(11);
    pub const SS: Self = Self(12);
    pub const GP: Self = Self(13);
    pub const PF: Self = Self(14);
    pub const MF: Self = Self(16);
    pub const AC: Self = Self(17);
    pub const MC: Self = Self(18);
    pub const XM: Self = Self(19);
    pub const VE: Self = Self(20);
    pub const CP: Self = Self(21);

    /// Whether delivery in protected mode pushes an error code.
    pub const fn has_error_code(self) -> bool {
        matches!(self.0, 8 | 10..=14 | 17 | 21)
    }

    /// The mnemonic, or `"#?"` for a reserved vector.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "#DE",
            1 => "#DB",
            3 => "#BP",
            4 => "#OF",
            5 => "#BR",
            6 => "#UD",
            7 => "#NM",
            8 => "#DF",
            10 => "#TS",
            11 => "#NP",
            12 => "#SS",
            13 => "#GP",
            14 => "#PF",
            16 => "#MF",
            17 => "#AC",
            18 => "#MC",
            19 => "#XM",
            20 => "#VE",
            21 => "#CP",
            _ => "#?",
        }
    }

    const fn is_page_fault(self) -> bool {
        matches!(self.0, 14 | 20)
    }

    const fn is_contributory(self) -> bool {
        matches!(self.0, 0 | 10..=13 | 21)
    }
}

/// What kind of event it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventKind {
    /// An external (maskable) interrupt.
    Interrupt,
    /// A non-maskable interrupt, vector 2.
    Nmi,
    /// A hardware exception, or a fault raised by an instruction other than INT n, INT3, INTO, ICEBP.
    Exception,
}

/// An event that waits for, or was cut off in, its delivery to a guest.
///
/// Software interrupts (INT n, INT3, INTO, ICEBP) are not events here: when their delivery is cut off, RIP still points
/// at the instruction, and executing it again delivers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Event {
    /// What kind.
    pub kind: EventKind,
    /// The vector, 0 to 255.
    pub vector: u8,
    /// The error code, where this exception has one; real-address mode does not push it.
    pub error_code: Option<u32>,
}

impl Event {
    /// An exception without an error code.
    pub const fn exception(e: Exception) -> Self {
        Self { kind: EventKind::Exception, vector: e.0, error_code: None }
    }

    /// An exception with an error code.
    pub const fn fault(e: Exception, error_code: u32) -> Self {
        Self { kind: EventKind::Exception, vector: e.0, error_code: Some(error_code) }
    }

    /// An invalid opcode exception.
    pub const UD: Self = Self::exception(Exception::UD);
    /// An NMI.
    pub const NMI: Self = Self { kind: EventKind::Nmi, vector: 2, error_code: None };
    /// A general protection exception with error code 0.
    pub const GP: Self = Self::fault(Exception::GP, 0);
}

/// What is delivered when `second` is raised while `first` was being delivered; `None` is a triple fault.
///
/// SDM 3A "Interrupt 8—Double Fault Exception (#DF)", tables of exception classes and conditions.
pub fn merge(first: Event, second: Event) -> Option<Event> {
    if first.kind != EventKind::Exception || second.kind != EventKind::Exception {
        return Some(second);
    }
    let (a, b) = (Exception(first.vector), Exception(second.vector));
    if a == Exception::DF && (b.is_contributory() || b.is_page_fault()) {
        return None;
    }
    let double = (a.is_contributory() && b.is_contributory())
        || (a.is_page_fault() && (b.is_contributory() || b.is_page_fault()));
    Some(if double { Event::fault(Exception::DF, 0) } else { second })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_combine_as_the_manual_says() {
        let e = |v| Event::exception(Exception(v));
        let df = Event::fault(Exception::DF, 0);
        assert_eq!(merge(e(13), e(13)), Some(df));
        assert_eq!(merge(e(14), e(13)), Some(df));
        assert_eq!(merge(e(14), e(14)), Some(df));
        assert_eq!(merge(e(13), e(14)), Some(e(14)));
        assert_eq!(merge(e(1), e(13)), Some(e(13)));
        assert_eq!(merge(df, e(13)), None);
        assert_eq!(merge(df, e(14)), None);
        assert_eq!(merge(df, e(1)), Some(e(1)));
        let irq = Event { kind: EventKind::Interrupt, vector: 13, error_code: None };
        assert_eq!(merge(irq, e(13)), Some(e(13)));
    }
}
