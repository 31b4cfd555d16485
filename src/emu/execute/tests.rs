use super::alu::tests::{BINARY, naive, number, width};
use super::ram::{CODE, Ram, flat};
use super::*;
use crate::base::{Gpr, SegmentRegister, Width};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// A data address whose operand crosses into the next page.
const EDGE: u64 = 0x2ffd;

struct Run {
    cpu: CpuState,
    gprs: GprFile,
    ram: Ram,
}

impl Run {
    fn new(bits: u32, code: &[u8], missing: &[u64]) -> Self {
        let mut ram = Ram::new();
        let cpu = flat(bits, &mut ram, missing);
        ram.put(CODE, code);
        let mut gprs = GprFile::default();
        for (n, r) in Gpr::ALL.iter().enumerate() {
            gprs.set(*r, 0x1111_1111_1111_1111 * n as u64);
        }
        Self { cpu, gprs, ram }
    }

    fn set(mut self, r: Gpr, value: u64) -> Self {
        self.gprs.set(r, value);
        self
    }

    fn mem(mut self, at: u64, value: u64) -> Self {
        self.ram.put(at, &value.to_le_bytes());
        self
    }

    fn step(&mut self) -> Result<Step, Fault> {
        step(&mut self.cpu, &mut self.gprs, &mut self.ram)
    }

    fn done(mut self) -> Self {
        assert_eq!(self.step(), Ok(Step::Done));
        self
    }
}

/// Prefixes for an operand of this width in 64-bit code.
fn prefixes(width: Width) -> Vec<u8> {
    match width {
        Width::B2 => vec![0x66],
        Width::B8 => vec![0x48],
        Width::B1 | Width::B4 => vec![],
    }
}

fn wide(width: Width) -> u8 {
    u8::from(width != Width::B1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn arithmetic(n in 0..9usize, width in width(), form in 0..4u8, a in number(), b in number(), flags: u64, at in 0x2ff0..0x3010u64) {
        let (op, base) = BINARY.get(n).map_or((Binary::Test, 0x84), |op| (*op, n as u8 * 8));
        let mut code = prefixes(width);
        let form = if op == Binary::Test { form & 2 } else { form };
        let imm = if width == Width::B8 { b as i32 as u64 } else { b };
        // [RBX] with CX or an immediate.
        let b = match form {
            0 | 1 => {
                code.extend([base + 2 * form + wide(width), 0x0b]);
                b
            }
            2 => {
                let modrm = if op == Binary::Test { 0x03 } else { base | 3 };
                code.extend([if op == Binary::Test { 0xf6 } else { 0x80 } + wide(width), modrm]);
                code.extend(&imm.to_le_bytes()[..(width as usize).min(4)]);
                imm
            }
            _ => {
                let imm = if width == Width::B1 { b } else { b as i8 as u64 };
                code.extend([if width == Width::B1 { 0x80 } else { 0x83 }, base | 3, imm as u8]);
                imm
            }
        };
        let mut run = Run::new(64, &code, &[]).set(Gpr::Rbx, at).set(Gpr::Rcx, b).mem(at, a);
        run.cpu.rflags = flags & 0x8d5 | rflags::FIXED;
        let before = run.cpu.rflags;
        let run = run.done();
        let reg = form == 1;
        let (x, y) = if reg { (b, a) } else { (a, b) };
        let (r, after) = naive(op, width, x, y, before);
        prop_assert_eq!(run.cpu.rflags, after);
        prop_assert_eq!(run.cpu.rip, CODE + code.len() as u64);
        let memory = if op.writes() && !reg { width_store(width, a, r) } else { a };
        prop_assert_eq!(run.ram.get(at, Width::B8), memory);
        prop_assert_eq!(run.gprs.get(Gpr::Rcx), if op.writes() && reg { width.merge(b, r) } else { b });
    }

    #[test]
    fn one_operand(n in 2..4u8, group in 0..2u8, width in width(), a in number(), flags: u64) {
        // F6 /2 NOT, F6 /3 NEG, FE /0 INC, FE /1 DEC.
        let (op, opcode, digit) = match (group, n) {
            (0, 2) => (Unary::Not, 0xf6, 2),
            (0, _) => (Unary::Neg, 0xf6, 3),
            (_, 2) => (Unary::Inc, 0xfe, 0),
            _ => (Unary::Dec, 0xfe, 1),
        };
        let mut code = vec![0xf0];
        code.extend(prefixes(width));
        code.extend([opcode + wide(width), digit << 3 | 3]);
        let mut run = Run::new(64, &code, &[]).set(Gpr::Rbx, EDGE).mem(EDGE, a);
        run.cpu.rflags = flags & 0x8d5 | rflags::FIXED;
        let (r, after) = op.apply(width, a, run.cpu.rflags);
        let run = run.done();
        prop_assert_eq!((run.ram.get(EDGE, Width::B8), run.cpu.rflags), (width_store(width, a, r), after));
    }

    #[test]
    fn exchanges(width in width(), kind in 0..3u8, a in number(), b in number(), acc in prop_oneof![Just(None), number().prop_map(Some)]) {
        let acc = acc.unwrap_or(a);
        let opcode = match kind {
            0 => vec![0x86 + wide(width)],
            1 => vec![0x0f, 0xc0 + wide(width)],
            _ => vec![0x0f, 0xb0 + wide(width)],
        };
        let mut code = vec![0xf0];
        code.extend(prefixes(width));
        code.extend(opcode);
        code.push(0x0b);
        let run = Run::new(64, &code, &[]).set(Gpr::Rbx, EDGE).set(Gpr::Rcx, b).set(Gpr::Rax, acc).mem(EDGE, a).done();
        let flags = |op, x, y| naive(op, width, x, y, rflags::FIXED).1;
        let m = width.mask();
        let (memory, rcx, rax, rflags) = match kind {
            0 => (b, width.merge(b, a), acc, rflags::FIXED),
            1 => (a.wrapping_add(b), width.merge(b, a), acc, flags(Binary::Add, a, b)),
            _ if a & m == acc & m => (b, b, acc, flags(Binary::Cmp, acc, a)),
            _ => (a, b, width.merge(acc, a), flags(Binary::Cmp, acc, a)),
        };
        prop_assert_eq!(run.ram.get(EDGE, Width::B8), width_store(width, a, memory));
        prop_assert_eq!((run.gprs.get(Gpr::Rcx), run.gprs.get(Gpr::Rax), run.cpu.rflags), (rcx, rax, rflags));
    }

    #[test]
    fn bit_strings(width in prop::sample::select(&[Width::B2, Width::B4, Width::B8][..]), kind in 0..4u8, bit in -4000..4000i64, imm: bool, fill: u8) {
        let mut code = prefixes(width);
        let at = 0x3000u64;
        let bit = if imm { bit & 0xff } else { bit };
        if imm {
            code.extend([0x0f, 0xba, (4 + kind) << 3 | 3, bit as u8]);
        } else {
            code.extend([0x0f, 0xa3 + 8 * kind, 0x0b]);
        }
        let mut run = Run::new(64, &code, &[]).set(Gpr::Rbx, at).set(Gpr::Rcx, bit as u64);
        run.ram.bytes[0x2000..0x4000].fill(fill);
        let run = run.done();
        let bit = if imm { bit % (8 * width.bytes() as i64) } else { bit };
        let byte = (at as i64 + bit.div_euclid(8)) as usize;
        let mask = 1u8 << bit.rem_euclid(8);
        let expected = match kind {
            0 => fill,
            1 => fill | mask,
            2 => fill & !mask,
            _ => fill ^ mask,
        };
        for n in 0x2000..0x4000 {
            prop_assert_eq!(run.ram.bytes[n], if n == byte { expected } else { fill });
        }
        prop_assert_eq!(run.cpu.rflags & rflags::CF != 0, fill & mask != 0);
    }

    #[test]
    fn nothing_panics_and_work_is_bounded(bytes in prop::collection::vec(any::<u8>(), 0..512), code in prop::collection::vec(any::<u8>(), 4)) {
        fuzz(&bytes);
        let mut open = open_state(&bytes);
        open.extend(code);
        fuzz(&open);
    }
}

/// What memory holds after a write of `width`.
fn width_store(width: Width, old: u64, new: u64) -> u64 {
    old & !width.mask() | new & width.mask()
}

/// A fuzz input in which the CPU is in a state from which most instructions get as far as memory.
fn open_state(bytes: &[u8]) -> Vec<u8> {
    let pick = bytes.first().copied().unwrap_or(0);
    let long = u64::from(pick >> 3 & pick & 1);
    let mut input: Vec<u64> = vec![0, u64::from(pick & 4) << 8 | 2, u64::from(pick & 1), 0, 0, long << 10, 0];
    for n in 0..6u64 {
        let attrib = if n == 1 { 0x9b | u64::from(pick & 2) << 9 | long << 9 } else { 0x93 };
        input.extend([0, attrib << 16]);
    }
    for r in 0..16usize {
        input.push(bytes.get(1 + r).copied().unwrap_or(0).into());
    }
    input.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// Every one- and two-byte opcode, with and without prefixes, in every mode.
#[test]
fn every_opcode_is_survived() {
    let (mut done, mut other) = (0, 0);
    for pick in 0..16u8 {
        for prefix in [0x90u8, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x0f] {
            for op in 0..=255u8 {
                for modrm in [0x00, 0x05, 0x06, 0x40, 0x84, 0xc0, 0x38] {
                    let mut input = open_state(&[pick, 1, 2, 3, 4, 5, 6, 7]);
                    input.extend([prefix, op, modrm, 0x24, 1, 2, 3, 4, 5, 6, 7, 8]);
                    fuzz(&input);
                }
            }
        }
    }
    for (op, expected) in [(0x88, Step::Done), (0x90, Step::NotEmulated), (0xff, Step::Done)] {
        let mut run = Run::new(64, &[op, 0x03], &[]).set(Gpr::Rbx, 0x1000);
        if run.step() == Ok(expected) { done += 1 } else { other += 1 }
    }
    assert_eq!((done, other), (3, 0));
}

#[test]
fn moves_of_all_widths_and_kinds() {
    let load = |code: &[u8]| {
        let run = Run::new(64, code, &[]).set(Gpr::Rbx, EDGE).set(Gpr::Rcx, u64::MAX).mem(EDGE, 0x8182_8384_8586_8788);
        run.done().gprs.get(Gpr::Rcx)
    };
    assert_eq!(load(&[0x8a, 0x0b]), 0xffff_ffff_ffff_ff88);
    assert_eq!(load(&[0x8a, 0x2b]), 0xffff_ffff_ffff_88ff);
    assert_eq!(load(&[0x66, 0x8b, 0x0b]), 0xffff_ffff_ffff_8788);
    assert_eq!(load(&[0x8b, 0x0b]), 0x8586_8788);
    assert_eq!(load(&[0x48, 0x8b, 0x0b]), 0x8182_8384_8586_8788);
    assert_eq!(load(&[0x0f, 0xb6, 0x0b]), 0x88);
    assert_eq!(load(&[0x66, 0x0f, 0xb6, 0x0b]), 0xffff_ffff_ffff_0088);
    assert_eq!(load(&[0x0f, 0xb7, 0x0b]), 0x8788);
    assert_eq!(load(&[0x0f, 0xbe, 0x0b]), 0xffff_ff88);
    assert_eq!(load(&[0x48, 0x0f, 0xbe, 0x0b]), 0xffff_ffff_ffff_ff88);
    assert_eq!(load(&[0x48, 0x0f, 0xbf, 0x0b]), 0xffff_ffff_ffff_8788);
    assert_eq!(load(&[0x48, 0x63, 0x0b]), 0xffff_ffff_8586_8788);

    let store = |code: &[u8]| {
        let run = Run::new(64, code, &[]).set(Gpr::Rbx, EDGE).set(Gpr::Rcx, 0x1122_3344_5566_7788);
        run.done().ram.get(EDGE, Width::B8)
    };
    assert_eq!(store(&[0x88, 0x0b]), 0x88);
    assert_eq!(store(&[0x88, 0x2b]), 0x77);
    assert_eq!(store(&[0x66, 0x89, 0x0b]), 0x7788);
    assert_eq!(store(&[0x89, 0x0b]), 0x5566_7788);
    assert_eq!(store(&[0x48, 0x89, 0x0b]), 0x1122_3344_5566_7788);
    assert_eq!(store(&[0x48, 0x0f, 0xc3, 0x0b]), 0x1122_3344_5566_7788);
    assert_eq!(store(&[0x48, 0xc7, 0x03, 0xfe, 0xff, 0xff, 0xff]), 0xffff_ffff_ffff_fffe);
    assert_eq!(store(&[0xc6, 0x03, 0x5a]), 0x5a);
}

#[test]
fn moffs() {
    let code = [0x48, 0xa1, 0xfd, 0x2f, 0, 0, 0, 0, 0, 0];
    assert_eq!(Run::new(64, &code, &[]).mem(EDGE, 0x1234).done().gprs.get(Gpr::Rax), 0x1234);
    let run = Run::new(16, &[0xa3, 0xfd, 0x2f], &[]).set(Gpr::Rax, 0xabcd_1234).done();
    assert_eq!(run.ram.get(EDGE, Width::B4), 0x1234);
    let run = Run::new(32, &[0xa2, 0xfd, 0x2f, 0, 0], &[]).set(Gpr::Rax, 0xabcd_1234).done();
    assert_eq!(run.ram.get(EDGE, Width::B4), 0x34);
}

#[test]
fn addresses() {
    // MOV AL, [...]: the byte at n is a hash of n, so that the address shows.
    let at = |bits: u32, code: &[u8], regs: &[(Gpr, u64)]| {
        let mut run = Run::new(bits, code, &[]);
        for r in Gpr::ALL {
            run.gprs.set(r, 0);
        }
        for (r, v) in regs {
            run.gprs.set(*r, *v);
        }
        run.cpu.segments[4].base = 0x7000;
        run.cpu.segments[2].base = 0x1_0000;
        for n in 0..0x4_0000u64 {
            run.ram.bytes[n as usize] = 0;
        }
        let mut found = Vec::new();
        for bit in 0..18 {
            for n in 0..0x4_0000usize {
                run.ram.bytes[n] = (n >> bit & 1) as u8;
            }
            let mut again = Run { cpu: run.cpu, gprs: run.gprs, ram: run.ram.clone() };
            assert_eq!(again.step(), Ok(Step::Done));
            found.push(again.gprs.get(Gpr::Rax) as u8 as u64);
        }
        found.iter().rev().fold(0, |n, bit| n << 1 | bit)
    };
    use Gpr::{R12, R13, Rbp, Rbx, Rdi, Rsi, Rsp};
    // 16 bits: [BX+SI+0x10] wraps, [BP+DI] is in SS, FS: overrides, 67 makes it [EBX+ESI*4].
    assert_eq!(at(16, &[0x8a, 0x40, 0x10], &[(Rbx, 0x5_f000), (Rsi, 0x1100)]), 0x110);
    assert_eq!(at(16, &[0x8a, 0x03], &[(Rbp, 0x100), (Rdi, 0x23)]), 0x1_0123);
    assert_eq!(at(16, &[0x64, 0x8a, 0x04], &[(Rsi, 0x23)]), 0x7023);
    assert_eq!(at(16, &[0x67, 0x8a, 0x04, 0xb3], &[(Rbx, 0x100), (Rsi, 0x8000)]), 0x2_0100);
    assert_eq!(at(16, &[0x8a, 0x06, 0x34, 0x12], &[]), 0x1234);
    // 32 bits: wraps at 4 GiB; [ESP] is in SS; a displacement of 8 bits is signed.
    assert_eq!(at(32, &[0x8a, 0x84, 0x73, 0, 1, 0, 0], &[(Rbx, 0xffff_ff00), (Rsi, 0x4000)]), 0x8000);
    assert_eq!(at(32, &[0x8a, 0x04, 0x24], &[(Rsp, 0x10)]), 0x1_0010);
    assert_eq!(at(32, &[0x8a, 0x43, 0xff], &[(Rbx, 0x100)]), 0xff);
    assert_eq!(at(32, &[0x67, 0x8a, 0x07], &[(Rbx, 0xffff_0100)]), 0x100);
    // 64 bits: RIP-relative, [disp32], R12 and R13 as bases, 67 cuts to 32 bits, SS has no base.
    let back = (0x1234i64 - (CODE as i64 + 6)) as i32;
    assert_eq!(at(64, &[&[0x8a, 0x05][..], &back.to_le_bytes()].concat(), &[]), 0x1234);
    assert_eq!(at(64, &[&[0x67, 0x8a, 0x05][..], &(back - 1).to_le_bytes()].concat(), &[]), 0x1234);
    assert_eq!(at(64, &[0x8a, 0x04, 0x25, 0x34, 0x12, 0, 0], &[]), 0x1234);
    assert_eq!(at(64, &[0x41, 0x8a, 0x04, 0x24], &[(R12, 0x321)]), 0x321);
    assert_eq!(at(64, &[0x41, 0x8a, 0x45, 0x80], &[(R13, 0x321)]), 0x2a1);
    assert_eq!(at(64, &[0x67, 0x8a, 0x03], &[(Rbx, 0xffff_ffff_0000_0123)]), 0x123);
    assert_eq!(at(64, &[0x8a, 0x04, 0x24], &[(Rsp, 0x10)]), 0x10);
    assert_eq!(at(64, &[0x64, 0x8a, 0x03], &[(Rbx, 0x10)]), 0x7010);
}

#[test]
fn push_and_pop() {
    let stack = 0x5000;
    for (bits, code, width) in [
        (16, &[0xff, 0x37][..], Width::B2),
        (16, &[0x66, 0xff, 0x37][..], Width::B4),
        (32, &[0xff, 0x33][..], Width::B4),
        (32, &[0x66, 0xff, 0x33][..], Width::B2),
        (64, &[0xff, 0x33][..], Width::B8),
        (64, &[0x66, 0xff, 0x33][..], Width::B2),
    ] {
        let value = 0x8182_8384_8586_8788;
        let run = Run::new(bits, code, &[]).set(Gpr::Rbx, EDGE).set(Gpr::Rsp, stack).mem(EDGE, value).done();
        assert_eq!(run.gprs.get(Gpr::Rsp), stack - width.bytes());
        assert_eq!(run.ram.get(stack - width.bytes(), Width::B8), value & width.mask());
        let mut pop = code.to_vec();
        let last = pop.len() - 2;
        (pop[last], pop[last + 1]) = (0x8f, pop[last + 1] & 7);
        let run = Run::new(bits, &pop, &[]).set(Gpr::Rbx, EDGE).set(Gpr::Rsp, stack).mem(stack, value).done();
        assert_eq!(run.gprs.get(Gpr::Rsp), stack + width.bytes());
        assert_eq!(run.ram.get(EDGE, Width::B8), value & width.mask());
    }
    // Registers and immediates: the operand in memory is the stack.
    let stack_at = |bits, code: &[u8]| Run::new(bits, code, &[]).set(Gpr::Rsp, stack).mem(stack, 0x8182_8384_8586_8788);
    for (bits, code, width, pushed) in [
        (16, &[0x53][..], Width::B2, 0x1a1b_1c1d_1e1f_2021u64),
        (16, &[0x66, 0x53], Width::B4, 0x1a1b_1c1d_1e1f_2021),
        (32, &[0x53], Width::B4, 0x1a1b_1c1d_1e1f_2021),
        (64, &[0x53], Width::B8, 0x1a1b_1c1d_1e1f_2021),
        (64, &[0x66, 0x53], Width::B2, 0x1a1b_1c1d_1e1f_2021),
        (16, &[0x6a, 0x85], Width::B2, 0xff85),
        (32, &[0x6a, 0x85], Width::B4, 0xffff_ff85),
        (64, &[0x6a, 0x85], Width::B8, 0xffff_ffff_ffff_ff85),
        (16, &[0x68, 0x34, 0x92], Width::B2, 0x9234),
        (32, &[0x68, 0x34, 0x12, 0, 0x80], Width::B4, 0x8000_1234),
        (64, &[0x68, 0x34, 0x12, 0, 0x80], Width::B8, 0xffff_ffff_8000_1234),
    ] {
        let run = stack_at(bits, code).set(Gpr::Rbx, pushed).mem(stack - 8, 0).done();
        assert_eq!(run.gprs.get(Gpr::Rsp), stack - width.bytes());
        assert_eq!(run.ram.get(stack - width.bytes(), width), pushed & width.mask());
        assert_eq!(run.ram.get(stack, Width::B8), 0x8182_8384_8586_8788);
    }
    for (bits, code, width) in [
        (16, &[0x5b][..], Width::B2),
        (16, &[0x66, 0x5b], Width::B4),
        (32, &[0x5b], Width::B4),
        (64, &[0x5b], Width::B8),
        (64, &[0x66, 0x5b], Width::B2),
    ] {
        let run = stack_at(bits, code).set(Gpr::Rbx, u64::MAX).done();
        assert_eq!(run.gprs.get(Gpr::Rsp), stack + width.bytes());
        assert_eq!(run.gprs.get(Gpr::Rbx), width.merge(u64::MAX, 0x8182_8384_8586_8788));
    }
    // PUSH RSP stores what it was, POP RSP loads what was there; segment registers are not for us.
    assert_eq!(stack_at(64, &[0x54]).done().ram.get(stack - 8, Width::B8), stack);
    assert_eq!(stack_at(64, &[0x5c]).done().gprs.get(Gpr::Rsp), 0x8182_8384_8586_8788);
    // Relative to RSP: PUSH [RSP] reads before RSP moves, POP [RSP] writes after.
    let run = Run::new(64, &[0xff, 0x34, 0x24], &[]).set(Gpr::Rsp, stack).mem(stack, 7).done();
    assert_eq!(run.ram.get(stack - 8, Width::B8), 7);
    let run = Run::new(64, &[0x8f, 0x04, 0x24], &[]).set(Gpr::Rsp, stack).mem(stack, 7).done();
    assert_eq!((run.ram.get(stack + 8, Width::B8), run.gprs.get(Gpr::Rsp)), (7, stack + 8));
    // A 16-bit stack keeps the upper half and wraps.
    let mut run = Run::new(16, &[0xff, 0x37], &[]).set(Gpr::Rbx, EDGE).set(Gpr::Rsp, 0xabcd_0000).mem(EDGE, 0x4321);
    run.cpu.segments[2] = SegmentRegister { limit: 0xffff, attrib: 0x93, base: 0, selector: 8 };
    let run = run.done();
    assert_eq!((run.gprs.get(Gpr::Rsp), run.ram.get(0xfffe, Width::B2)), (0xabcd_fffe, 0x4321));
}

#[test]
fn an_operand_across_pages_is_whole_or_nothing() {
    for code in [
        &[0x48, 0x89, 0x0b][..],
        &[0x48, 0x01, 0x0b],
        &[0x48, 0x87, 0x0b],
        &[0x48, 0x0f, 0xb1, 0x0b],
        &[0x48, 0xab],
        &[0x8f, 0x03],
    ] {
        let mut run = Run::new(64, code, &[3]).set(Gpr::Rbx, EDGE).set(Gpr::Rdi, EDGE).set(Gpr::Rsp, 0x5000);
        let (cpu, gprs, bytes) = (run.cpu, run.gprs, run.ram.bytes.clone());
        assert_eq!(run.step(), Err(Fault::page(2, 0x3000)));
        assert_eq!((run.cpu, run.gprs), (cpu, gprs));
        assert!(run.ram.bytes == bytes);
    }
}

#[test]
fn linear_addresses_wrap_at_4_gib_outside_64_bit_mode() {
    let mut run = Run::new(32, &[0x8b, 0x0b], &[]).set(Gpr::Rbx, 0xfffe);
    run.cpu.cr0 &= !crate::base::cpu::cr0::PG;
    run.cpu.segments[3].base = 0xffff_0000;
    run.ram.put(0, &[0x12, 0x34]);
    assert_eq!(run.done().gprs.get(Gpr::Rcx), 0x3412_ffff);
}

#[test]
fn what_is_not_emulated_changes_nothing() {
    for code in [
        &[0x89, 0xc8][..],         // MOV EAX, ECX
        &[0x0f, 0xc7, 0x0b],       // CMPXCHG8B
        &[0x48, 0x0f, 0xc7, 0x0b], // CMPXCHG16B
        &[0xf2, 0x0f, 0x10, 0x03], // MOVSD XMM0, [RBX]
        &[0x0f, 0x6f, 0x03],       // MOVQ MM0, [RBX]
        &[0x8d, 0x03],             // LEA
        &[0xff, 0x23],             // JMP [RBX]
        &[0xd0, 0x23],             // SHL
        &[0xf6, 0x23],             // MUL
        &[0x0f, 0xa2],             // CPUID
        &[0xec],                   // IN AL, DX
        &[0x9c],                   // PUSHFQ
        &[0x0f, 0xa0],             // PUSH FS
    ] {
        let mut run = Run::new(64, code, &[]).set(Gpr::Rbx, EDGE);
        let (cpu, gprs, bytes) = (run.cpu, run.gprs, run.ram.bytes.clone());
        assert_eq!(run.step(), Ok(Step::NotEmulated), "{code:x?}");
        assert_eq!((run.cpu, run.gprs), (cpu, gprs));
        assert!(run.ram.bytes == bytes);
    }
}

/// A device sees the write cycle of a CMPXCHG that failed.
#[test]
fn cmpxchg_always_writes() {
    for accumulator in [1, 2] {
        let run =
            Run::new(64, &[0x0f, 0xb1, 0x0b], &[]).set(Gpr::Rbx, 0x1000).set(Gpr::Rax, accumulator).mem(0x1000, 1);
        assert_eq!(run.done().ram.writes, 1);
    }
}

#[test]
fn user_code_has_user_rights() {
    let mut run = Run::new(64, &[0x88, 0x0b], &[]).set(Gpr::Rbx, 0x1000);
    run.cpu.cpl = 3;
    // The last table's entry for page 1, present and writable for the supervisor only.
    run.ram.put(super::ram::TABLES + 0x3008, &0x1063u64.to_le_bytes());
    assert_eq!(run.step(), Err(Fault::page(7, 0x1000)));
    run.cpu.cpl = 0;
    assert_eq!(run.step(), Ok(Step::Done));
}
