//! The end of the hypervisor by its own mistake: what a panic or a fault on the host shows, once, on every console.

use core::fmt::{self, Write};

use crate::hw::symbols::Symbols;

/// The names of exceptions, by vector (SDM 3A "Exception and Interrupt Reference").
const EXCEPTIONS: [&str; 22] = [
    "divide error (#DE)",
    "debug exception (#DB)",
    "NMI",
    "breakpoint (#BP)",
    "overflow (#OF)",
    "BOUND range exceeded (#BR)",
    "invalid opcode (#UD)",
    "device not available (#NM)",
    "double fault (#DF)",
    "coprocessor segment overrun",
    "invalid TSS (#TS)",
    "segment not present (#NP)",
    "stack-segment fault (#SS)",
    "general protection (#GP)",
    "page fault (#PF)",
    "reserved exception 15",
    "x87 floating-point error (#MF)",
    "alignment check (#AC)",
    "machine check (#MC)",
    "SIMD floating-point exception (#XM)",
    "virtualization exception (#VE)",
    "control protection (#CP)",
];

/// An exception, said in words.
#[derive(Clone, Copy, Debug)]
pub struct Cause {
    /// The vector.
    pub vector: u64,
    /// The error code; 0 for exceptions without one.
    pub error_code: u64,
    /// CR2: what a page fault was about.
    pub cr2: u64,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vector, error_code: code, cr2 } = *self;
        match EXCEPTIONS.get(vector as usize) {
            Some(name) => f.write_str(name)?,
            None => return write!(f, "unexpected interrupt {vector:#x}"),
        }
        match vector {
            14 => page_fault(f, code, cr2),
            10..=13 if code != 0 => selector(f, code),
            21 => write!(f, ", error code {code:#x}"),
            _ => Ok(()),
        }
    }
}

/// SDM 3A "Page-Fault Exceptions", "Page-Fault Error Code".
fn page_fault(f: &mut fmt::Formatter<'_>, code: u64, cr2: u64) -> fmt::Result {
    let bit = |n: u32| code >> n & 1 != 0;
    let access = if bit(4) {
        "fetch from"
    } else if bit(1) {
        "write to"
    } else {
        "read of"
    };
    let why = if !bit(0) {
        "not mapped"
    } else if bit(3) {
        "reserved bit set in its page tables"
    } else {
        "not allowed there"
    };
    write!(f, ": {access} {cr2:#x}, {why}")?;
    for (n, what) in [(2, "from user mode"), (5, "protection key"), (6, "shadow stack"), (15, "SGX")] {
        if bit(n) {
            write!(f, ", {what}")?;
        }
    }
    write!(f, " [error code {code:#x}]")
}

/// SDM 3A "Error Code".
fn selector(f: &mut fmt::Formatter<'_>, code: u64) -> fmt::Result {
    let (index, table) = match code >> 1 & 3 {
        0 => (code & 0xfff8, "the GDT"),
        2 => (code & 0xfff8, "the LDT"),
        _ => (code >> 3 & 0x1fff, "the IDT"),
    };
    let external = if code & 1 != 0 { ", by an event from outside" } else { "" };
    write!(f, ": {index:#x} in {table}{external} [error code {code:#x}]")
}

/// What is known of the code that failed.
#[derive(Clone, Copy, Default, Debug)]
pub struct Registers {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
    pub general: [u64; 16],
    /// The instruction that failed.
    pub rip: u64,
    /// The flags.
    pub rflags: u64,
    /// The code segment's selector.
    pub cs: u64,
    /// The stack segment's selector.
    pub ss: u64,
}

impl Registers {
    /// Where RSP is in `general`.
    pub const RSP: usize = 4;
    /// Where RBP is in `general`.
    pub const RBP: usize = 5;

    /// All of them, three in a line of less than 80 characters.
    pub fn write(&self, out: &mut dyn Write) -> fmt::Result {
        const NAMES: [&str; 16] = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8 ", "r9 ", "r10", "r11", "r12", "r13", "r14",
            "r15",
        ];
        writeln!(out, "  rip {:016x} cs {:04x} ss {:04x} rflags {:08x}", self.rip, self.cs, self.ss, self.rflags)?;
        for (i, (name, value)) in NAMES.iter().zip(self.general).enumerate() {
            write!(out, "{} {name} {value:016x}", if i % 3 == 0 { " " } else { "" })?;
            out.write_str(if i % 3 == 2 || i == 15 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

/// Reads the host's memory without ever faulting: the eight bytes at an address, or `None`.
pub type Peek<'a> = &'a dyn Fn(u64) -> Option<u64>;

/// How many callers are shown.
const DEPTH: usize = 32;
/// The biggest stack there is, in bytes: a frame pointer that leads further is none.
const STACK: u64 = 1 << 20;

/// Calls `visit` with the place where it failed and then with each return address, by the chain of frame pointers.
/// `code` tells addresses of code from others.
fn backtrace(registers: &Registers, peek: Peek, code: impl Fn(u64) -> bool, mut visit: impl FnMut(u64)) {
    let (rsp, mut frame) = (registers.general[Registers::RSP], registers.general[Registers::RBP]);
    if code(registers.rip) {
        visit(registers.rip);
    } else if let Some(caller) = peek(rsp).filter(|&caller| code(caller)) {
        // A call to nowhere: its return address is still the last word on the stack.
        visit(caller);
    }
    let mut below = rsp;
    for _ in 0..DEPTH {
        // Frames lie one above the other on one stack, so this comes to an end on any garbage.
        let in_stack = frame.is_multiple_of(8) && frame >= below && frame - rsp < STACK;
        let Some((next, caller)) = in_stack.then(|| Some((peek(frame)?, peek(frame.checked_add(8)?)?))).flatten()
        else {
            break;
        };
        if !code(caller) {
            break;
        }
        visit(caller);
        (below, frame) = (frame.saturating_add(16), next);
    }
}

/// Writes the backtrace, a line for each place.
pub fn write_backtrace(
    out: &mut dyn Write,
    registers: &Registers,
    symbols: Option<&Symbols>,
    peek: Peek,
    code: impl Fn(u64) -> bool,
) -> fmt::Result {
    let (mut result, mut count, mut last, mut again) = (Ok(()), 0, None, 0);
    let repeated = |out: &mut dyn Write, again: u32| {
        if again == 0 { Ok(()) } else { writeln!(out, "     and {again} times more from there") }
    };
    backtrace(registers, peek, code, |address| {
        if last.replace(address) == Some(address) {
            // A recursion: the text screen has room for 25 lines.
            again += 1;
            return;
        }
        result = result.and(repeated(out, core::mem::take(&mut again)));
        // A return address may be the first of the next function, when the call is a function's last instruction.
        let inside = if address == registers.rip { address } else { address.wrapping_sub(1) };
        let line = match symbols.and_then(|symbols| symbols.find(inside)) {
            Some(symbol) => writeln!(out, "  {count:2} {address:016x} {symbol}"),
            None => writeln!(out, "  {count:2} {address:016x}"),
        };
        result = result.and(line);
        count += 1;
    });
    result = result.and(repeated(out, again));
    if count == 0 {
        writeln!(out, "  no frame pointer to follow")?;
    } else if symbols.is_none() {
        writeln!(out, "  no symbols: `addr2line -fie build/hv.elf <address>` names these places")?;
    }
    result
}

/// Whether a fault at `cr2` looks like a stack that ran into its guard page: nothing is mapped there, and it is where
/// the stack pointer is.
pub fn is_stack_overflow(cause: &Cause, rsp: u64, peek: Peek) -> bool {
    matches!(cause.vector, 8 | 14) && cause.cr2.abs_diff(rsp) < 4096 && peek(cause.cr2 & !7).is_none()
}

#[cfg(target_os = "none")]
pub use bare::{fault, stop_if_panicking};

#[cfg(target_os = "none")]
mod bare;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, format, string::String, string::ToString, vec::Vec};

    fn cause(vector: u64, error_code: u64, cr2: u64) -> String {
        Cause { vector, error_code, cr2 }.to_string()
    }

    #[test]
    fn causes_in_words() {
        assert_eq!(cause(6, 0, 0), "invalid opcode (#UD)");
        assert_eq!(cause(14, 2, 0xdead_0000), "page fault (#PF): write to 0xdead0000, not mapped [error code 0x2]");
        assert_eq!(cause(14, 0x11, 16), "page fault (#PF): fetch from 0x10, not allowed there [error code 0x11]");
        assert_eq!(
            cause(14, 0x29, 0),
            "page fault (#PF): read of 0x0, reserved bit set in its page tables, protection key [error code 0x29]"
        );
        assert_eq!(cause(13, 0, 0), "general protection (#GP)");
        assert_eq!(cause(13, 0x28, 0), "general protection (#GP): 0x28 in the GDT [error code 0x28]");
        assert_eq!(
            cause(11, 0x103, 0),
            "segment not present (#NP): 0x20 in the IDT, by an event from outside [error code 0x103]"
        );
        assert_eq!(cause(8, 0, 0), "double fault (#DF)");
        assert_eq!(cause(0x31, 0, 0), "unexpected interrupt 0x31");
    }

    /// Code is from 0x1000 to 0x2000, the stack is what the map holds.
    fn trace(rip: u64, rsp: u64, rbp: u64, stack: &[(u64, u64)]) -> Vec<u64> {
        let stack: BTreeMap<u64, u64> = stack.iter().copied().collect();
        let mut registers = Registers { rip, ..Registers::default() };
        registers.general[Registers::RSP] = rsp;
        registers.general[Registers::RBP] = rbp;
        let mut seen = Vec::new();
        let peek = |at: u64| stack.get(&at).copied();
        backtrace(&registers, &peek, |at| (0x1000..0x2000).contains(&at), |at| seen.push(at));
        seen
    }

    #[test]
    fn follows_frame_pointers() {
        let stack = [(0x8010, 0x8040), (0x8018, 0x1111), (0x8040, 0), (0x8048, 0x1222)];
        assert_eq!(trace(0x1000, 0x8000, 0x8010, &stack), [0x1000, 0x1111, 0x1222]);
    }

    #[test]
    fn stops_at_garbage() {
        // To itself, backwards, not aligned, off the stack, to a place that is not mapped, to what is no code.
        for next in [0x8010, 0x8000, 0x8044, 0x9_0000_8000, 0x9000, 0x8050, u64::MAX, u64::MAX - 7] {
            let stack =
                [(0x8010, next), (0x8018, 0x1111), (0x8050, 0), (0x8058, 0x3000), (0x8044, 0), (0x804c, 0x1000)];
            assert_eq!(trace(0x1000, 0x8000, 0x8010, &stack), [0x1000, 0x1111], "{next:#x}");
        }
    }

    #[test]
    fn a_call_to_nowhere_shows_the_caller() {
        let stack = [(0x8000, 0x1333), (0x8010, 0), (0x8018, 0x1111)];
        assert_eq!(trace(0, 0x8000, 0x8010, &stack), [0x1333, 0x1111]);
        assert_eq!(trace(0, 0, 0, &[]), []);
    }

    #[test]
    fn a_guard_page_is_recognised() {
        let mapped = |at: u64| (at >= 0x5000).then_some(0);
        let overflow = |vector, cr2, rsp| is_stack_overflow(&Cause { vector, error_code: 2, cr2 }, rsp, &mapped);
        assert!(overflow(8, 0x4ff8, 0x5000));
        assert!(overflow(14, 0x4f00, 0x5010));
        assert!(!overflow(14, 0x4f00, 0x7010));
        assert!(!overflow(14, 0x5008, 0x5010));
        assert!(!overflow(13, 0x4ff8, 0x5000));
    }

    #[test]
    fn registers_fit_a_text_screen() {
        let mut out = String::new();
        Registers { general: [u64::MAX; 16], rip: u64::MAX, ..Registers::default() }.write(&mut out).unwrap();
        assert_eq!(out.lines().count(), 7);
        assert!(out.lines().all(|line| line.len() + "hv: ".len() <= 80), "{out}");
        for name in ["rip", "rflags", "rsp", "r8 ", "r15"] {
            assert!(out.contains(name));
        }
    }

    #[test]
    fn without_symbols_it_says_how_to_get_them() {
        let mut out = String::new();
        let registers = Registers { rip: 0x1000, ..Registers::default() };
        write_backtrace(&mut out, &registers, None, &|_| None, |at| at == 0x1000).unwrap();
        assert_eq!(
            out,
            "   0 0000000000001000\n  no symbols: `addr2line -fie build/hv.elf <address>` names these places\n"
        );
        let symbols = [&1u32.to_le_bytes()[..], &[2, 0, 1, 0], &0x1000u64.to_le_bytes(), &8u64.to_le_bytes()].concat();
        let symbols = Symbols::new(&symbols, b"\0start\0");
        out.clear();
        write_backtrace(&mut out, &registers, Some(&symbols), &|_| None, |at| at == 0x1000).unwrap();
        assert_eq!(out, format!("   0 {:016x} start+0x0\n", 0x1000));
    }

    #[test]
    fn a_recursion_takes_one_line() {
        let mut registers = Registers { rip: 0x1000, ..Registers::default() };
        (registers.general[Registers::RSP], registers.general[Registers::RBP]) = (0x8000, 0x8000);
        // Ten frames of 16 bytes: eight calls from one place, then one from another, to nothing.
        let peek = |at: u64| match (at, at % 16) {
            (0x8000..0x8080, 0) => Some(at + 16),
            (0x8000..0x8080, _) => Some(0x1100),
            (0x8080, _) => Some(0),
            (0x8088, _) => Some(0x1200),
            _ => None,
        };
        let mut out = String::new();
        write_backtrace(&mut out, &registers, None, &peek, |at| (0x1000..0x2000).contains(&at)).unwrap();
        let expected =
            "   0 0000000000001000\n   1 0000000000001100\n     and 7 times more from there\n   2 0000000000001200\n";
        assert!(out.starts_with(expected), "{out}");
    }

    proptest! {
        #[test]
        fn any_stack_comes_to_an_end(rsp: u64, rbp: u64, rip: u64, words in prop::collection::vec(any::<u64>(), 16)) {
            let mut registers = Registers { rip, ..Registers::default() };
            registers.general[Registers::RSP] = rsp;
            registers.general[Registers::RBP] = rbp;
            let mut seen = 0;
            backtrace(&registers, &|at| Some(words[(at / 8 % 16) as usize]), |_| true, |_| seen += 1);
            prop_assert!(seen <= DEPTH + 1);
        }
    }
}
