//! String instructions against a naive reference.

use super::ram::{CODE, Ram, flat, input};
use super::{Step, step};
use crate::base::cpu::rflags;
use crate::base::{CpuState, Gpr, GprFile, SegmentRegister, Width};
use crate::emu::Fault;
use crate::emu::execute::alu::{Binary, tests::naive};
use proptest::prelude::*;
use std::vec::Vec;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Movs,
    Cmps,
    Stos,
    Lods,
    Scas,
    Ins,
    Outs,
}

/// The opcode with a byte operand; the next one has the others.
fn opcode(kind: Kind) -> u8 {
    match kind {
        Kind::Movs => 0xa4,
        Kind::Cmps => 0xa6,
        Kind::Stos => 0xaa,
        Kind::Lods => 0xac,
        Kind::Scas => 0xae,
        Kind::Ins => 0x6c,
        Kind::Outs => 0x6e,
    }
}

#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    bits: u32,
    /// Whether the instruction has an address size prefix, and the address size with it.
    other_size: bool,
    width: Width,
    prefix: Option<u8>,
    fs: bool,
    down: bool,
    regs: [u64; 5],
    missing: Option<u64>,
    same: bool,
}

impl Case {
    fn address(&self) -> Width {
        match (self.bits, self.other_size) {
            (16, false) | (32, true) => Width::B2,
            (64, false) => Width::B8,
            _ => Width::B4,
        }
    }

    fn code(&self) -> Vec<u8> {
        let mut code = Vec::new();
        code.extend(self.prefix);
        code.extend(self.fs.then_some(0x64));
        code.extend(self.other_size.then_some(0x67));
        let default = if self.bits == 16 { Width::B2 } else { Width::B4 };
        if self.width != Width::B1 && self.width != Width::B8 && self.width != default {
            code.push(0x66);
        }
        if self.width == Width::B8 {
            code.push(0x48);
        }
        code.push(opcode(self.kind) + u8::from(self.width != Width::B1));
        code
    }
}

fn case() -> impl Strategy<Value = Case> {
    let kinds = [Kind::Movs, Kind::Cmps, Kind::Stos, Kind::Lods, Kind::Scas, Kind::Ins, Kind::Outs];
    let count = prop_oneof![0..4u64, 0..200u64, 1000..2100u64];
    (
        prop::sample::select(kinds.to_vec()),
        prop::sample::select(&[16u32, 32, 64][..]),
        any::<bool>(),
        super::alu::tests::width(),
        prop::sample::select(&[None, Some(0xf3), Some(0xf2), Some(0xf3)][..]),
        any::<(bool, bool, bool)>(),
        (any::<[u64; 5]>(), count),
        prop::option::of(0..17u64),
    )
        .prop_map(|(kind, bits, other_size, width, prefix, (fs, down, same), (mut regs, count), missing)| {
            let io = matches!(kind, Kind::Ins | Kind::Outs);
            let width = if width == Width::B8 && (bits != 64 || io) { Width::B4 } else { width };
            let mut case = Case { kind, bits, other_size, width, prefix, fs, down, regs, missing, same };
            // Below the address size anything; above it, somewhere in the low 64 KiB with room on both sides.
            let address = case.address();
            for (r, near) in [(1, count), (3, 0x4500 + regs[3] % 0x6000), (4, 0x4500 + regs[4] % 0x6000)] {
                let low = if address == Width::B2 && r != 1 { regs[r] & 0xffff } else { near };
                regs[r] = regs[r] & !address.mask() | low;
            }
            case.regs = regs;
            case
        })
}

const REGS: [Gpr; 5] = [Gpr::Rax, Gpr::Rcx, Gpr::Rdx, Gpr::Rsi, Gpr::Rdi];
const FS_BASE: u64 = 0x100;

/// The whole instruction, with numbers in plain variables.
struct Reference {
    ram: Ram,
    regs: [u64; 5],
    flags: u64,
    fault: Option<Fault>,
}

fn reference(case: &Case, ram: &Ram, flags: u64) -> Reference {
    let mut s = Reference { ram: ram.clone(), regs: case.regs, flags, fault: None };
    let (mask, n) = (case.address().mask(), case.width.bytes());
    let set = |old: u64, low: u64| match case.address() {
        Width::B2 => old & !0xffff | low & 0xffff,
        _ => low & mask,
    };
    let check = |at: u64, code: u32| {
        (at..at + n)
            .find(|b| Some(b >> 12) == case.missing)
            .map(|b| Fault::page(code, if b == at { at } else { b & !0xfff }))
    };
    loop {
        if case.prefix.is_some() && s.regs[1] & mask == 0 {
            return s;
        }
        let from = (s.regs[3] & mask) + if case.fs { FS_BASE } else { 0 };
        let to = s.regs[4] & mask;
        let uses_si = !matches!(case.kind, Kind::Stos | Kind::Scas | Kind::Ins);
        let uses_di = !matches!(case.kind, Kind::Lods | Kind::Outs);
        let code = if matches!(case.kind, Kind::Cmps | Kind::Scas) { 0 } else { 2 };
        let fault = if uses_si { check(from, 0) } else { None };
        s.fault = fault.or_else(|| if uses_di { check(to, code) } else { None });
        if s.fault.is_some() {
            s.flags = flags;
            return s;
        }
        let (a, b) = (s.ram.get(from, case.width), s.ram.get(to, case.width));
        let store = |ram: &mut Ram, v: u64| ram.put(to, &v.to_le_bytes()[..n as usize]);
        match case.kind {
            Kind::Movs => store(&mut s.ram, a),
            Kind::Stos => store(&mut s.ram, s.regs[0]),
            Kind::Lods => s.regs[0] = if n == 4 { a } else { s.regs[0] & !case.width.mask() | a },
            Kind::Cmps => s.flags = naive(Binary::Cmp, case.width, a, b, s.flags).1,
            Kind::Scas => s.flags = naive(Binary::Cmp, case.width, s.regs[0], b, s.flags).1,
            Kind::Ins => {
                s.ram.reads += 1;
                let read = input(s.ram.reads);
                store(&mut s.ram, read.into());
            }
            Kind::Outs => s.ram.out.push((s.regs[2] as u16, case.width, a as u32)),
        }
        let by = if case.down { n.wrapping_neg() } else { n };
        if uses_si {
            s.regs[3] = set(s.regs[3], s.regs[3].wrapping_add(by));
        }
        if uses_di {
            s.regs[4] = set(s.regs[4], s.regs[4].wrapping_add(by));
        }
        let Some(prefix) = case.prefix else { return s };
        s.regs[1] = set(s.regs[1], s.regs[1].wrapping_sub(1));
        let equal = s.flags & 0x40 != 0;
        if matches!(case.kind, Kind::Cmps | Kind::Scas) && equal != (prefix == 0xf3) {
            return s;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn agree_with_the_reference(case in case(), flags: u64) {
        let mut ram = Ram::new();
        let mut cpu = flat(case.bits, &mut ram, case.missing.as_slice());
        cpu.segments[4].base = FS_BASE;
        cpu.rflags = flags & 0x8d5 | rflags::FIXED | rflags::RF | if case.down { rflags::DF } else { 0 };
        let code = case.code();
        ram.put(CODE, &code);
        // Long runs of equal bytes, so that REPE and REPNE stop somewhere.
        for at in 0..0x1_2000 {
            ram.bytes[at] = if case.same { 7 } else { (at / 700) as u8 };
        }
        let mut gprs = GprFile::default();
        for (r, value) in REGS.iter().zip(case.regs) {
            gprs.set(*r, value);
        }
        if case.same && case.kind == Kind::Scas {
            gprs.set(Gpr::Rax, 0x0707_0707_0707_0707);
        }
        let case = Case { regs: REGS.map(|r| gprs.get(r)), ..case };
        let before = cpu;
        let expected = reference(&case, &ram, cpu.rflags);
        let mut calls = 0;
        let result = loop {
            calls += 1;
            match step(&mut cpu, &mut gprs, &mut ram) {
                Ok(Step::Continue) => prop_assert_eq!(cpu, before),
                result => break result,
            }
            prop_assert!(calls < 5);
        };
        match expected.fault {
            Some(fault) => {
                prop_assert_eq!(result, Err(fault));
                prop_assert_eq!(cpu, before);
            }
            None => {
                prop_assert_eq!(result, Ok(Step::Done));
                prop_assert_eq!(cpu.rip, CODE + code.len() as u64);
                prop_assert_eq!(cpu.rflags, expected.flags & !rflags::RF);
            }
        }
        prop_assert_eq!(REGS.map(|r| gprs.get(r)), expected.regs);
        prop_assert!(ram.bytes == expected.ram.bytes, "memory");
        prop_assert_eq!(ram.reads, expected.ram.reads);
        prop_assert!(ram.out == expected.ram.out, "ports");
    }
}

#[test]
fn a_budget_is_1024_iterations() {
    let mut ram = Ram::new();
    let mut cpu = flat(32, &mut ram, &[]);
    ram.put(CODE, &[0xf3, 0xaa]);
    let mut gprs = GprFile::default();
    gprs.set(Gpr::Rcx, 1025);
    assert_eq!(step(&mut cpu, &mut gprs, &mut ram), Ok(Step::Continue));
    assert_eq!((gprs.get(Gpr::Rcx), gprs.get(Gpr::Rdi), cpu.rip), (1, 1024, CODE));
    assert_eq!(step(&mut cpu, &mut gprs, &mut ram), Ok(Step::Done));
    assert_eq!((gprs.get(Gpr::Rcx), gprs.get(Gpr::Rdi), cpu.rip), (0, 1025, CODE + 2));
    cpu.rip = CODE;
    gprs.set(Gpr::Rcx, 1024);
    assert_eq!(step(&mut cpu, &mut gprs, &mut ram), Ok(Step::Done));
}

#[test]
fn the_end_of_the_vm_stops_a_repetition() {
    let mut ram = Ram::new();
    let mut cpu = flat(32, &mut ram, &[]);
    ram.put(CODE, &[0xf3, 0x6e]);
    ram.end_after = 3;
    let mut gprs = GprFile::default();
    gprs.set(Gpr::Rcx, 10);
    assert_eq!(step(&mut cpu, &mut gprs, &mut ram), Ok(Step::Continue));
    assert_eq!((gprs.get(Gpr::Rcx), gprs.get(Gpr::Rsi), ram.out.len()), (7, 3, 3));
}

#[test]
fn a_page_fault_loses_no_byte_of_a_port() {
    let mut ram = Ram::new();
    let mut cpu = flat(64, &mut ram, &[3]);
    ram.put(CODE, &[0xf3, 0x6c]);
    let mut gprs = GprFile::default();
    gprs.set(Gpr::Rcx, 10);
    gprs.set(Gpr::Rdi, 0x2ffe);
    assert_eq!(step(&mut cpu, &mut gprs, &mut ram), Err(Fault::page(2, 0x3000)));
    assert_eq!((gprs.get(Gpr::Rcx), gprs.get(Gpr::Rdi), ram.reads, cpu.rip), (8, 0x3000, 2, CODE));
}

#[test]
fn in_real_mode_si_wraps_between_elements_but_not_within_one() {
    let mut ram = Ram::new();
    let mut cpu = CpuState::real_mode(0x1000, 0);
    ram.put(0x1_0000, &[0xf3, 0xac]);
    let mut gprs = GprFile::default();
    gprs.set(Gpr::Rcx, 2);
    gprs.set(Gpr::Rsi, 0xabcd_ffff);
    assert_eq!(step(&mut cpu, &mut gprs, &mut ram), Ok(Step::Done));
    assert_eq!((gprs.get(Gpr::Rsi), gprs.get(Gpr::Rax)), (0xabcd_0001, 0xf3));
    ram.put(0x1_0000, &[0xad]);
    (cpu.rip, cpu.segments[3]) = (0, SegmentRegister::real(0x2000, 0x93));
    gprs.set(Gpr::Rsi, 0xffff);
    assert_eq!(step(&mut cpu, &mut gprs, &mut ram), Err(Fault::gp(0)));
}
