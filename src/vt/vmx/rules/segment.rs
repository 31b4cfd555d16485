//! One segment register of a VMCS, as rules see it.

use super::ask::{above, canonical, virtual8086};
use super::{Found, VmxRule};
use crate::vt::doctor::{Class, Must};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

pub(super) const fn rule(
    id: &'static str,
    fields: &'static [F],
    says: &'static str,
    check: fn(&VmxCase, Found<'_>),
) -> VmxRule {
    VmxRule { id, class: Class::Guest, section: "SDM 3C \"Checks on Guest Segment Registers\"", fields, says, check }
}

/// The place of a register in a run of fields that begins with ES's.
pub(super) const CS: usize = 1;
pub(super) const SS: usize = 2;
pub(super) const LDTR: usize = 6;
pub(super) const TR: usize = 7;
pub(super) const CODE_AND_DATA: [usize; 6] = [0, CS, SS, 3, 4, 5];
/// ES, DS, FS, GS.
pub(super) const DATA: [usize; 4] = [0, 3, 4, 5];

/// Access rights.
pub(super) const S: u64 = 1 << 4;
pub(super) const P: u64 = 1 << 7;
pub(super) const RESERVED: u64 = 0xf << 8 | above(17);
pub(super) const L: u64 = 1 << 13;
pub(super) const DB: u64 = 1 << 14;
pub(super) const G: u64 = 1 << 15;
pub(super) const UNUSABLE: u64 = 1 << 16;
/// Type and S, P, DPL 3: all that a segment has in virtual-8086 mode.
pub(super) const RIGHTS_8086: u64 = 0xf3;
/// TI in a selector.
pub(super) const TI: u64 = 1 << 2;

/// One register of the guest.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) n: usize,
    pub(super) c: &'a VmxCase,
}

impl Segment<'_> {
    pub(super) fn rights(&self) -> u64 {
        self.c.get(F::EsRights.nth(self.n))
    }

    pub(super) fn kind(&self) -> u64 {
        self.rights() & 0xf
    }

    pub(super) fn selector(&self) -> u64 {
        self.c.get(F::EsSelector.nth(self.n))
    }

    pub(super) fn rpl(&self) -> u64 {
        self.selector() & 3
    }

    /// Whether checks that spare unusable registers apply. They never spare CS and TR.
    pub(super) fn is_checked(&self) -> bool {
        matches!(self.n, CS | TR) || self.rights() & UNUSABLE == 0
    }

    pub(super) fn set(&self, bits: u64, found: Found<'_>) {
        if !self.rights() & bits != 0 {
            found(Must::Set(F::EsRights.nth(self.n), bits & !self.rights()));
        }
    }

    pub(super) fn clear(&self, bits: u64, found: Found<'_>) {
        if self.rights() & bits != 0 {
            found(Must::Clear(F::EsRights.nth(self.n), bits & self.rights()));
        }
    }

    /// G goes with the limit: pages need all of bits 11:0, bytes none of 31:20.
    pub(super) fn granularity(&self, found: Found<'_>) {
        let limit = self.c.get(F::EsLimit.nth(self.n));
        if limit & 0xfff != 0xfff {
            self.clear(G, found);
        }
        if limit >> 20 != 0 {
            self.set(G, found);
        }
    }

    pub(super) fn canonical(&self, found: Found<'_>) {
        let field = F::EsBase.nth(self.n);
        if !canonical(self.c.get(field), self.c.cpu.linear_bits) {
            found(Must::Canonical(field, self.c.cpu.linear_bits));
        }
    }

    pub(super) fn no_ti(&self, found: Found<'_>) {
        if self.selector() & TI != 0 {
            found(Must::Clear(F::EsSelector.nth(self.n), TI));
        }
    }
}

pub(super) const fn segment(c: &VmxCase, n: usize) -> Segment<'_> {
    Segment { n, c }
}

pub(super) fn each<'a>(c: &'a VmxCase, which: &'a [usize]) -> impl Iterator<Item = Segment<'a>> {
    which.iter().map(|n| Segment { n: *n, c })
}

/// Those of ES to GS whose access rights are checked: none in virtual-8086 mode, which has one value for all.
pub(super) fn checked<'a>(c: &'a VmxCase, which: &'a [usize]) -> impl Iterator<Item = Segment<'a>> {
    each(c, which).filter(move |s| !virtual8086(c) && s.is_checked())
}
