//! Integer arithmetic and its flags, as pure functions (SDM 1 "Status Flags").

use crate::base::Width;
use crate::base::cpu::rflags::{AF, CF, OF, PF, SF, ZF};

/// An operation on two operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binary {
    Add,
    Or,
    Adc,
    Sbb,
    And,
    Sub,
    Xor,
    Cmp,
    Test,
}

impl Binary {
    /// Whether the first operand gets the result.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Cmp | Self::Test)
    }

    /// The result, and RFLAGS after the operation where they were `flags` before.
    pub const fn apply(self, width: Width, a: u64, b: u64, flags: u64) -> (u64, u64) {
        let carry = flags & CF;
        match self {
            Self::Add => add(width, a, b, 0, flags),
            Self::Adc => add(width, a, b, carry, flags),
            Self::Sub | Self::Cmp => sub(width, a, b, 0, flags),
            Self::Sbb => sub(width, a, b, carry, flags),
            Self::And | Self::Test => logic(width, a & b, flags),
            Self::Or => logic(width, a | b, flags),
            Self::Xor => logic(width, a ^ b, flags),
        }
    }
}

/// An operation on one operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unary {
    Not,
    Neg,
    Inc,
    Dec,
}

impl Unary {
    /// The result, and RFLAGS after the operation where they were `flags` before.
    pub const fn apply(self, width: Width, a: u64, flags: u64) -> (u64, u64) {
        let (result, after) = match self {
            Self::Not => (!a & width.mask(), flags),
            Self::Neg => return sub(width, 0, a, 0, flags),
            Self::Inc => add(width, a, 1, 0, flags),
            Self::Dec => sub(width, a, 1, 0, flags),
        };
        // INC and DEC leave CF alone.
        (result, after & !CF | flags & CF)
    }
}

const fn add(width: Width, a: u64, b: u64, carry: u64, flags: u64) -> (u64, u64) {
    let (a, b) = (a & width.mask(), b & width.mask());
    let r = a.wrapping_add(b).wrapping_add(carry) & width.mask();
    let carries = a & b | (a | b) & !r;
    (r, arithmetic(width, r, carries, (a ^ r) & (b ^ r), flags))
}

const fn sub(width: Width, a: u64, b: u64, borrow: u64, flags: u64) -> (u64, u64) {
    let (a, b) = (a & width.mask(), b & width.mask());
    let r = a.wrapping_sub(b).wrapping_sub(borrow) & width.mask();
    let borrows = !a & b | (!a | b) & r;
    (r, arithmetic(width, r, borrows, (a ^ b) & (a ^ r), flags))
}

/// AF is undefined after a logical operation; CPUs clear it.
const fn logic(width: Width, r: u64, flags: u64) -> (u64, u64) {
    let r = r & width.mask();
    (r, arithmetic(width, r, 0, 0, flags))
}

/// `carries` and `overflows` hold the carry and the overflow out of each bit.
const fn arithmetic(width: Width, r: u64, carries: u64, overflows: u64, flags: u64) -> u64 {
    let top = 1 << (8 * width as u32 - 1);
    flags & !(CF | PF | AF | ZF | SF | OF)
        | if carries & top != 0 { CF } else { 0 }
        | if carries & 8 != 0 { AF } else { 0 }
        | if (r as u8).count_ones().is_multiple_of(2) { PF } else { 0 }
        | if r == 0 { ZF } else { 0 }
        | if r & top != 0 { SF } else { 0 }
        | if overflows & top != 0 { OF } else { 0 }
}

#[cfg(test)]
#[path = "alu_tests.rs"]
pub mod tests;
