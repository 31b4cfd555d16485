//! The entry doctor: what is wrong with a control block, by the manual's own rules.
//!
//! Everything here and in the vendors' `rules` is a pure function over a [`State`] (the fields of a VMCS or VMCB, as numbers)
//! and what is known of the CPU. Nothing is allocated, nothing is privileged: another hypervisor, or a program on a
//! workstation that has only a text dump, uses it just as the kernel does (`examples/doctor.rs`).
//!
//! - [`state`]: fields, their widths and the names of their bits, and a set of their values;
//! - [`rule`]: what a rule is, and what it says when it is broken;
//! - [`report`]: a diagnosis for people, line by line;
//! - `vmx::rules`, `svm::rules`: the rules; `vmx::dump`, `svm::dump`: dumps in Linux KVM's form, written and read.

pub mod bits;
pub mod mistake;
pub mod report;
pub mod rule;
pub mod state;
pub mod text;

pub use rule::{Class, Must, Patient, Rule};
pub use state::{Field, Part, Spec, State};
