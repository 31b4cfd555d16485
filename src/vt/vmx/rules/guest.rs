//! Rules about the guest's descriptor tables, RIP, RFLAGS, SSP and page-directory-pointer-table entries.

use super::ask::{EPT, above, canonical, cr0, cr4, entry, event, ia32e, injected, long_mode, rflags, secondary};
use super::guest_registers::must_be_canonical;
use super::{Found, VmxRule};
use crate::vt::doctor::{Class, Must};
use crate::vt::vmx::case::VmxCase;
use crate::vt::vmx::state::F;

const TABLES: &str = "SDM 3C \"Checks on Guest Descriptor-Table Registers\"";
const RIP: &str = "SDM 3C \"Checks on Guest RIP, RFLAGS, and SSP\"";
const PDPTES: &str = "SDM 3C \"Checks on Guest Page-Directory-Pointer-Table Entries\"";

const fn rule(
    section: &'static str,
    id: &'static str,
    fields: &'static [F],
    says: &'static str,
    check: fn(&VmxCase, Found<'_>),
) -> VmxRule {
    VmxRule { id, class: Class::Guest, section, fields, says, check }
}

/// Reserved in RFLAGS: bits 63:22, 15, 5 and 3.
const RFLAGS_RESERVED: u64 = above(22) | 1 << 15 | 1 << 5 | 1 << 3;
/// Reserved in a present PDPTE below the physical-address width: bits 8:5 and 2:1.
const PDPTE_RESERVED: u64 = 0x1e6;

/// Asks for bits 31:16 of a limit to be 0.
fn table_limit(c: &VmxCase, field: F, found: Found<'_>) {
    if c.get(field) > 0xffff {
        found(Must::AtMost(field, 0xffff));
    }
}

/// Asks for the bits from the linear-address width up to be the same: one bit less than a canonical address has.
fn nearly_canonical(c: &VmxCase, field: F, found: Found<'_>) {
    let width = c.cpu.linear_bits.saturating_add(1);
    if !canonical(c.get(field), width) {
        found(Must::Canonical(field, width));
    }
}

fn has_pae_paging(c: &VmxCase) -> bool {
    !ia32e(c) && c.all(F::Cr0, cr0::PG) && c.all(F::Cr4, cr4::PAE)
}

/// The reserved bits that are set in a page-directory-pointer-table entry. One that is not present has none.
fn pdpte_reserved(c: &VmxCase, entry: u64) -> u64 {
    if entry & 1 != 0 { entry & (PDPTE_RESERVED | above(c.cpu.phys_bits)) } else { 0 }
}

/// In the order of the manual.
pub const RULES: &[VmxRule] = &[
    rule(TABLES, "guest.gdtr.canonical", &[F::GdtrBase], "the GDTR base must be canonical", |c, found| {
        must_be_canonical(c, F::GdtrBase, found);
    }),
    rule(TABLES, "guest.idtr.canonical", &[F::IdtrBase], "the IDTR base must be canonical", |c, found| {
        must_be_canonical(c, F::IdtrBase, found);
    }),
    rule(TABLES, "guest.gdtr.limit", &[F::GdtrLimit], "bits 31:16 of the GDTR limit must be 0", |c, found| {
        table_limit(c, F::GdtrLimit, found);
    }),
    rule(TABLES, "guest.idtr.limit", &[F::IdtrLimit], "bits 31:16 of the IDTR limit must be 0", |c, found| {
        table_limit(c, F::IdtrLimit, found);
    }),
    rule(
        RIP,
        "guest.rip.high",
        &[F::Rip, F::CsRights, F::EntryControls],
        "bits 63:32 of RIP must be 0 outside 64-bit mode (\"IA-32e mode guest\" and CS.L)",
        |c, found| {
            let wrong = c.get(F::Rip) & above(32);
            if !long_mode(c) && wrong != 0 {
                found(Must::Clear(F::Rip, wrong));
            }
        },
    ),
    rule(
        RIP,
        "guest.rip.linear",
        &[F::Rip, F::CsRights, F::EntryControls],
        "in 64-bit mode the bits of RIP from the CPU's linear-address width up must all be the same",
        |c, found| {
            if long_mode(c) {
                nearly_canonical(c, F::Rip, found);
            }
        },
    ),
    rule(RIP, "guest.rflags.reserved", &[F::Rflags], "reserved bits of RFLAGS must be 0", |c, found| {
        let wrong = c.get(F::Rflags) & RFLAGS_RESERVED;
        if wrong != 0 {
            found(Must::Clear(F::Rflags, wrong));
        }
    }),
    rule(RIP, "guest.rflags.fixed", &[F::Rflags], "bit 1 of RFLAGS must be 1", |c, found| {
        if !c.all(F::Rflags, rflags::FIXED) {
            found(Must::Set(F::Rflags, rflags::FIXED));
        }
    }),
    rule(
        RIP,
        "guest.rflags.vm-ia32e",
        &[F::Rflags, F::EntryControls],
        "RFLAGS.VM must be 0 in IA-32e mode",
        |c, found| {
            if ia32e(c) && c.all(F::Rflags, rflags::VM) {
                found(Must::Clear(F::Rflags, rflags::VM));
            }
        },
    ),
    rule(RIP, "guest.rflags.vm-pe", &[F::Rflags, F::Cr0], "RFLAGS.VM must be 0 while CR0.PE is 0", |c, found| {
        if !c.all(F::Cr0, cr0::PE) && c.all(F::Rflags, rflags::VM) {
            found(Must::Clear(F::Rflags, rflags::VM));
        }
    }),
    rule(
        RIP,
        "guest.rflags.if",
        &[F::Rflags, F::EntryInfo],
        "RFLAGS.IF must be 1 if the entry injects an external interrupt",
        |c, found| {
            let external = injected(c).is_some_and(|(kind, _)| kind == event::EXTERNAL);
            if external && !c.all(F::Rflags, rflags::IF) {
                found(Must::Set(F::Rflags, rflags::IF));
            }
        },
    ),
    rule(
        RIP,
        "guest.ssp.aligned",
        &[F::Ssp, F::EntryControls],
        "bits 1:0 of SSP must be 0 if \"load CET state\" is 1",
        |c, found| {
            if c.all(F::EntryControls, entry::CET) && c.get(F::Ssp) & 3 != 0 {
                found(Must::Aligned(F::Ssp, 4));
            }
        },
    ),
    rule(
        RIP,
        "guest.ssp.linear",
        &[F::Ssp, F::EntryControls],
        "the bits of SSP from the CPU's linear-address width up must all be the same if \"load CET state\" is 1",
        |c, found| {
            if c.all(F::EntryControls, entry::CET) {
                nearly_canonical(c, F::Ssp, found);
            }
        },
    ),
    rule(
        PDPTES,
        "guest.pdpte.reserved",
        &[F::Pdpte0, F::Pdpte1, F::Pdpte2, F::Pdpte3, F::Cr0, F::Cr4, F::EntryControls, F::Primary],
        "with PAE paging under EPT, bits 2:1, 8:5 and those above the physical-address width must be 0 in a present \
         PDPTE",
        |c, found| {
            if !has_pae_paging(c) || !secondary(c, EPT) {
                return;
            }
            for field in [F::Pdpte0, F::Pdpte1, F::Pdpte2, F::Pdpte3] {
                let wrong = pdpte_reserved(c, c.get(field));
                if wrong != 0 {
                    found(Must::Clear(field, wrong));
                }
            }
        },
    ),
    rule(
        PDPTES,
        "guest.pdpte.memory",
        &[F::Cr3, F::Cr0, F::Cr4, F::EntryControls, F::Primary],
        "with PAE paging without EPT, bits 2:1, 8:5 and those above the physical-address width must be 0 in the \
         present PDPTEs that CR3 points to",
        |c, found| {
            let wrong = c.pointed.pdptes.is_some_and(|all| all.iter().any(|entry| pdpte_reserved(c, *entry) != 0));
            if has_pae_paging(c) && !secondary(c, EPT) && wrong {
                found(Must::Change(F::Cr3));
            }
        },
    ),
];
