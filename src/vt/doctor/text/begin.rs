//! Where dumps begin.

use super::Dumped;
use super::prefix::{before, find};
use crate::vt::svm::case::SvmCase;
use crate::vt::trace::is_of_guest;
use crate::vt::vmx::case::VmxCase;

/// Whose dump begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// A VMCS.
    Vmx,
    /// A VMCB.
    Svm,
}

/// Whether a line is the first of a dump, and has its header. The title of the first section is one too: older versions
/// of Linux have no header. What a guest prints begins nothing.
pub fn begins(line: &[u8]) -> Option<(Begin, bool)> {
    if is_of_guest(line) {
        return None;
    }
    if find(line, ", last attempted VM-entry on CPU").is_some() && find(line, "VMCS ").is_some() {
        return Some((Begin::Vmx, true));
    }
    if find(line, ", last attempted VMRUN on CPU").is_some() && find(line, "VMCB ").is_some() {
        return Some((Begin::Svm, true));
    }
    let title = |sections: &[&str]| sections.first().is_some_and(|first| before(line, first).is_some());
    match (title(VmxCase::SECTIONS), title(SvmCase::SECTIONS)) {
        (true, _) => Some((Begin::Vmx, false)),
        (_, true) => Some((Begin::Svm, false)),
        _ => None,
    }
}
