//! Exits in words: one line each, for people who want to know what a guest does, or why it does not get on.

use core::fmt;

use arrayvec::ArrayVec;

use crate::base::{Access, CpuState, Event, EventKind, Exception, Gpa, Gpr, Segment};
use crate::emu::observe::{self, Seen, Walk};
use crate::vm::board::Board;
use crate::vt::exit::{Exit, NestedFault};
use crate::vt::nested::Format;
use crate::vt::{Loaded, Vendor};

/// What there is to say of an exit. Made right after it, before anything changes.
pub struct Line<V: Vendor> {
    exit: Exit,
    state: CpuState,
    /// RAX and RCX: what the exit is about, for some.
    rax: u64,
    rcx: u64,
    rsp: u64,
    instruction: Seen,
    delivering: Option<Event>,
    guest_walk: Option<Walk>,
    nested: ArrayVec<(u32, u64), 4>,
    vendor: core::marker::PhantomData<V>,
}

impl<V: Vendor> Line<V> {
    /// Looks at the exit that the CPU has just come back with.
    pub fn of(cpu: &mut Loaded<'_, V>, board: &mut Board<V>) -> Self {
        let exit = V::exit(cpu);
        let state = V::state(cpu);
        let [rax, rcx, rsp] = [Gpr::Rax, Gpr::Rcx, Gpr::Rsp].map(|r| V::gprs(cpu).get(r));
        let (mut guest_walk, mut nested) = (None, ArrayVec::new());
        if let Exit::Nested(fault) = exit {
            let gva = V::fault_gva(cpu).filter(|_| state.paging());
            // What the CPU does on its way to a handler it does as supervisor.
            let user = state.cpl == 3 && V::cut_off(cpu).is_none();
            guest_walk = gva.map(|gva| observe::walk(&state, board, gva, fault.access, user));
            nested = board.nested_path(fault.gpa);
        }
        let refused = matches!(exit, Exit::EntryFailed { .. });
        let instruction = observe::instruction(&state, board);
        let delivering = if refused { None } else { V::cut_off(cpu) };
        Self {
            exit,
            state,
            rax,
            rcx,
            rsp,
            instruction,
            delivering,
            guest_walk,
            nested,
            vendor: core::marker::PhantomData,
        }
    }

    /// What the exit is.
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// Why it came, where something can be said that its name does not say already: one sentence.
    pub fn reason(&self) -> Reason<'_, V> {
        Reason(self)
    }
}

/// An event in words: `#GP (vector 13, error code 0x0)`.
struct Named(Event);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { kind, vector, error_code } = self.0;
        match kind {
            EventKind::Exception => write!(f, "{} (vector {vector}", Exception(vector).name())?,
            EventKind::Nmi => f.write_str("an NMI (vector 2")?,
            EventKind::Interrupt => write!(f, "an external interrupt (vector {vector}")?,
        }
        match error_code {
            Some(code) => write!(f, ", error code {code:#x})"),
            None => f.write_str(")"),
        }
    }
}

/// What the exit is about.
struct Cause<'a>(&'a Exit, u64, u64);

impl Cause<'_> {
    /// Whether the kind of the exit says it all.
    const fn is_empty(&self) -> bool {
        matches!(
            self.0,
            Exit::Hlt
                | Exit::PortString
                | Exit::ControlRegister
                | Exit::Xsetbv
                | Exit::CacheFlush
                | Exit::Icebp
                | Exit::Undefined
                | Exit::Forbidden
                | Exit::Interrupt
                | Exit::Nmi
                | Exit::MachineCheck
                | Exit::TripleFault
        )
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(exit, rax, rcx) = *self;
        match exit {
            Exit::Cpuid => write!(f, "leaf {:#x} subleaf {:#x}", rax as u32, rcx as u32),
            Exit::PortIn(p) => write!(f, "{} bytes from port {:#x}", p.width.bytes(), p.port),
            Exit::PortOut(p) => write!(f, "{:#x} in {} bytes to port {:#x}", rax as u32, p.width.bytes(), p.port),
            Exit::MsrRead | Exit::MsrWrite => write!(f, "MSR {:#x}", rcx as u32),
            Exit::Hypercall => write!(f, "function {:#x}", rax as u32),
            Exit::Nested(NestedFault { gpa, access, walk }) => {
                let by = if *walk { " by the CPU's walk of the guest's page tables" } else { "" };
                write!(f, "{} of GPA {gpa}{by}", access.name())
            }
            Exit::Exception(event) => Named(*event).fmt(f),
            Exit::EntryFailed { what, code } => write!(f, "{what} ({code:#x})"),
            Exit::Other { name, number } => write!(f, "{name} ({number:#x})"),
            _ => Ok(()),
        }
    }
}

impl<V: Vendor> fmt::Display for Line<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cs = self.state.segment(Segment::Cs).selector;
        let kind = crate::vt::exit::ExitKind::NAMES.get(self.exit.kind() as usize).copied().unwrap_or("?");
        let cause = Cause(&self.exit, self.rax, self.rcx);
        if let Exit::EntryFailed { .. } = self.exit {
            return write!(f, "{kind}: {cause}");
        }
        write!(f, "{kind} at {cs:04x}:{:x}", self.state.rip)?;
        if !cause.is_empty() {
            write!(f, ": {cause}")?;
        }
        if let Some(event) = self.delivering {
            write!(f, " while delivering {}", Named(event))?;
        }
        write!(f, " | {}", self.instruction)?;
        if let Some(walk) = &self.guest_walk {
            write!(f, " | guest: {walk}")?;
        }
        if !self.nested.is_empty() {
            write!(f, " | {}: {}", V::Table::NAME, Path::<V>(&self.nested, core::marker::PhantomData))?;
        }
        Ok(())
    }
}

/// A walk of the nested table: `level 4 rwx, level 3 rwx, level 2 not present`.
struct Path<'a, V>(&'a [(u32, u64)], core::marker::PhantomData<V>);

impl<V: Vendor> fmt::Display for Path<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (level, entry)) in self.0.iter().enumerate() {
            write!(f, "{}level {level} ", if i == 0 { "" } else { ", " })?;
            if V::Table::is_present(*entry) {
                write!(f, "{}", Rights::<V>::of(*entry))?
            } else {
                f.write_str("not present")?
            }
        }
        match self.0.last() {
            Some((_, entry)) if V::Table::is_present(*entry) => write!(f, " -> HPA {}", V::Table::address(*entry)),
            _ => Ok(()),
        }
    }
}

/// `rw-`.
struct Rights<V>([bool; 3], core::marker::PhantomData<V>);

impl<V: Vendor> Rights<V> {
    fn of(entry: u64) -> Self {
        Self(V::Table::rights(entry), core::marker::PhantomData)
    }

    const fn allow(&self, access: Access) -> bool {
        let [read, write, execute] = self.0;
        match access {
            Access::Read => read,
            Access::Write => write,
            Access::Fetch => execute,
        }
    }
}

impl<V> fmt::Display for Rights<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [read, write, execute] = self.0;
        let mark = |has, name| if has { name } else { "-" };
        write!(f, "{}{}{}", mark(read, "r"), mark(write, "w"), mark(execute, "x"))
    }
}

/// Why an exit came, as a sentence.
pub struct Reason<'a, V: Vendor>(&'a Line<V>);

impl<V: Vendor> fmt::Display for Reason<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0;
        let Exit::Nested(fault) = line.exit else {
            return match line.exit {
                Exit::Exception(event) => {
                    write!(f, "the instruction raises {} each time, and the guest comes back to it", Named(event))
                }
                Exit::Interrupt => {
                    f.write_str("only the host's own interrupts end its run: it waits, or computes, without an exit")
                }
                _ => {
                    write!(f, "{} comes again and again at the same instruction", Cause(&line.exit, line.rax, line.rcx))
                }
            };
        };
        if let Some(event) = line.delivering {
            write!(f, "the CPU is delivering {}: ", Named(event))?;
            match (fault.access, push(&line.state, line.rsp, fault.gpa)) {
                (Access::Write, Some(wraps)) => {
                    write!(f, "its push onto the stack goes to GPA {}", fault.gpa)?;
                    if wraps {
                        let bits = if line.state.segment(Segment::Ss).big() { 32 } else { 16 };
                        write!(f, ", because RSP is {:#x} and SS a {bits}-bit segment: ", line.rsp)?;
                        write!(f, "only the low {bits} bits count, and they wrap")?;
                    }
                    f.write_str("; ")?;
                }
                (Access::Write, None) => write!(f, "it writes to GPA {}; ", fault.gpa)?,
                _ => write!(f, "it reads a table or the handler's code at GPA {}; ", fault.gpa)?,
            }
        }
        match line.nested.last() {
            Some((level, entry)) if !V::Table::is_present(*entry) => {
                write!(f, "{} has no page there: the entry of level {level} is {entry:#x}", V::Table::NAME)
            }
            _ => match line.nested.iter().find(|(_, entry)| !Rights::<V>::of(*entry).allow(fault.access)) {
                Some((level, entry)) => {
                    let rights = Rights::<V>::of(*entry);
                    let needs = match fault.access {
                        Access::Read => "to read",
                        Access::Write => "to write",
                        Access::Fetch => "to execute",
                    };
                    write!(f, "{} does not give the right {needs}: ", V::Table::NAME)?;
                    write!(f, "the entry of level {level} is {entry:#x}, that is {rights}")
                }
                None => write!(
                    f,
                    "{} allows this access: a translation that was cached before must be flushed",
                    V::Table::NAME
                ),
            },
        }
    }
}

/// Whether `gpa` is where a push goes with the guest's paging off; with that, whether SP wraps below 0 on its way.
fn push(state: &CpuState, rsp: u64, gpa: Gpa) -> Option<bool> {
    /// More than an interrupt frame.
    const FRAME: u64 = 64;
    let ss = state.segment(Segment::Ss);
    let mask = if ss.big() { 0xffff_ffff } else { 0xffff };
    let (top, at) = (rsp & mask, gpa.raw().wrapping_sub(ss.base));
    let below = top.wrapping_sub(at) & mask;
    (!state.paging() && at <= mask && (1..=FRAME).contains(&below)).then_some(top < below)
}
