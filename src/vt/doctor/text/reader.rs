//! Reading a dump out of a text.

use super::begin::{Begin, begins};
use super::guess::{looks_like_a_value, number, resembles};
use super::prefix::{before, ends, find, owner, strip};
use super::{CAPABILITIES, Dump, Dumped, END, ENTRY, Line, OTHER, Report, Trouble, What};
use crate::vt::doctor::state::Field;
use crate::vt::svm::case::SvmCase;
use crate::vt::trace::is_of_guest;
use crate::vt::vmx::case::VmxCase;

/// The lines of a text with their numbers, without what ends them.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|c| *c == b'\n').map(<[u8]>::trim_ascii_end).zip(1..).map(|(line, number)| (number, line))
}

/// The first complete dump.
pub fn read(text: &[u8]) -> Result<Report, Trouble> {
    let (mut from, mut incomplete) = (1, 0);
    loop {
        let first =
            lines(text).skip(from - 1).find_map(|(number, line)| begins(line).map(|(vendor, _)| (number, vendor)));
        let Some((start, vendor)) = first else { return Err(Trouble::NoDump) };
        let done = match vendor {
            Begin::Vmx => Reader::<VmxCase>::new(start).read(text, Dump::Vmx),
            Begin::Svm => Reader::<SvmCase>::new(start).read(text, Dump::Svm),
        };
        match done? {
            Ok(report) => return Ok(Report { incomplete, ..report }),
            Err(next) => {
                incomplete += 1;
                from = next;
            }
        }
    }
}

/// Where the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Section(usize),
    Capabilities,
    Entry,
    Other,
    End,
}

/// How a line was understood.
enum Seen {
    /// It is a dump's.
    Line,
    /// It is not.
    Foreign,
}

struct Reader<'a, P: Dumped> {
    case: P,
    start: usize,
    /// What the hypervisor puts before the lines of this dump, if it is one of the hypervisor's console.
    owner: Option<&'a [u8]>,
    has_header: bool,
    last_line: usize,
    /// Foreign lines up to `last_line`, and since.
    foreign: (usize, usize),
    prefix: &'a [u8],
    place: Place,
    /// The index of the line that was read last.
    order: Option<usize>,
    area: u8,
    /// Whether [`Dumped::LAST`] was there.
    complete: bool,
    /// One bit for each of [`Dumped::CPU`], and of [`Dumped::ENTRY`].
    facts: [u64; 2],
    /// One bit for each field of the section for the others.
    others: [u64; 4],
    has_cpu: bool,
}

impl<'a, P: Dumped> Reader<'a, P> {
    fn new(start: usize) -> Self {
        Self {
            case: P::blank(),
            start,
            owner: None,
            has_header: false,
            last_line: start,
            foreign: (0, 0),
            prefix: &[],
            place: Place::Header,
            order: None,
            area: 0,
            complete: false,
            facts: [0; 2],
            others: [0; 4],
            has_cpu: false,
        }
    }

    /// Reads from `start` on. If this dump is not complete and another one begins after it, the number of that one's
    /// first line is returned.
    fn read(mut self, text: &'a [u8], wrap: fn(P) -> Dump) -> Result<Result<Report, usize>, Trouble> {
        // Where a dump of another core begins, whose lines may be among this one's.
        let mut others = None;
        let mut more = false;
        for (number, line) in lines(text).skip(self.start - 1) {
            if number == self.start {
                self.owner = owner(line);
            } else if self.owner.is_some() && owner(line) != self.owner || is_of_guest(line) {
                others = others.or(begins(line).map(|_| number));
                self.foreign.1 += usize::from(!line.is_empty() && self.place != Place::End);
                continue;
            }
            if let Some((_, header)) = begins(line) {
                // A dump that has a header has this title once: another one is damage, if it does not follow a whole dump.
                let own_title = !header && (self.place == Place::Header || self.has_header && !self.whole());
                self.has_header |= header && number == self.start;
                if number != self.start && !own_title {
                    if !self.whole() {
                        return Ok(Err(others.unwrap_or(number)));
                    }
                    more = true;
                    break;
                }
            }
            if self.place == Place::End {
                continue;
            }
            match self.line(line).map_err(|what| Trouble::Line(number, what))? {
                Seen::Line => {
                    self.last_line = number;
                    self.foreign = (self.foreign.0 + self.foreign.1, 0);
                }
                Seen::Foreign if line.is_empty() => {}
                Seen::Foreign => self.foreign.1 += 1,
            }
        }
        if !self.whole() {
            return others.map(Err).ok_or(Trouble::Line(self.last_line, What::Ends(self.missing())));
        }
        more |= others.is_some();
        let (dump, lines) = (wrap(self.case), (self.start, self.last_line));
        Ok(Ok(Report { dump, lines, foreign: self.foreign.0, incomplete: 0, more, has_cpu: self.has_cpu }))
    }

    /// Whether nothing is missing at its end. A dump with sections of ours ends with a line of ours.
    fn whole(&self) -> bool {
        match self.place {
            Place::Header | Place::Capabilities | Place::Entry | Place::Other => false,
            Place::Section(_) => self.complete,
            Place::End => true,
        }
    }

    /// What is missing at its end.
    fn missing(&self) -> &'static str {
        match self.place {
            Place::Header => P::SECTIONS.first().copied().unwrap_or_default(),
            Place::Section(n) => P::SECTIONS.get(n + 1).copied().unwrap_or(P::LAST),
            _ => END,
        }
    }

    fn line(&mut self, line: &'a [u8]) -> Result<Seen, What> {
        if let Some(next) = self.title(line) {
            return self.enter(next).map(|()| Seen::Line);
        }
        if self.place == Place::Header {
            // The header itself, and what others say before the first title.
            return Ok(if begins(line).is_some() { Seen::Line } else { Seen::Foreign });
        }
        let Some(text) = strip(line, self.prefix) else { return Ok(self.continuation(line)) };
        match self.place {
            Place::Section(section) => self.in_section(section, text),
            _ => self.named(text),
        }
    }

    /// The section whose title this line is. What is before the title is before each line that follows.
    fn title(&mut self, line: &'a [u8]) -> Option<Place> {
        let ours =
            [(CAPABILITIES, Place::Capabilities), (ENTRY, Place::Entry), (OTHER, Place::Other), (END, Place::End)];
        let linux = P::SECTIONS.iter().enumerate().map(|(n, title)| (*title, Place::Section(n)));
        let (prefix, place) =
            linux.chain(ours).find_map(|(title, place)| before(line, title).map(|prefix| (prefix, place)))?;
        self.prefix = prefix;
        Some(place)
    }

    fn enter(&mut self, next: Place) -> Result<(), What> {
        let sections = P::SECTIONS.len();
        let rank = |place| match place {
            Place::Header => 0,
            Place::Section(n) => 1 + n,
            Place::Capabilities => sections + 1,
            Place::Entry => sections + 2,
            Place::Other => sections + 3,
            Place::End => sections + 4,
        };
        match rank(next).checked_sub(rank(self.place)) {
            Some(1) => {}
            Some(0) => return Err(What::Twice),
            None => return Err(What::Order),
            Some(_) => return Err(What::Ends(self.missing())),
        }
        if self.place == Place::Capabilities {
            let lacks = P::CPU.iter().zip(0..).find(|(_, bit)| self.facts[0] >> bit & 1 == 0);
            if let Some((fact, _)) = lacks {
                return Err(What::Ends(fact.name));
            }
            self.has_cpu = true;
        }
        self.place = next;
        Ok(())
    }

    fn in_section(&mut self, section: usize, text: &[u8]) -> Result<Seen, What> {
        if let Some(result) = self.case.special(text, &mut self.area) {
            return result.map(|()| Seen::Line);
        }
        let mut wrong = None;
        for (i, line) in P::LINES.iter().enumerate().filter(|(_, line)| line.section == section) {
            // In its own place a damaged line is told by what comes after its beginning.
            let mut tried = self.case.state().clone();
            match line.read(text, &mut tried) {
                None => {}
                Some(Err(what)) => wrong = wrong.or(Some((i, what))),
                Some(Ok(())) => {
                    if line.when.is_some() {
                        match self.order {
                            Some(last) if last == i => return Err(What::Twice),
                            Some(last) if last > i => return Err(What::Order),
                            _ => self.order = Some(i),
                        }
                    }
                    *self.case.state_mut() = tried;
                    self.area = 0;
                    self.complete |= line.key().starts_with(P::LAST);
                    return Ok(Seen::Line);
                }
            }
        }
        // What follows a complete dump is not its own, except for the last lines.
        let expected = |i: usize| !self.complete || self.order.is_none_or(|last| i > last);
        match wrong {
            Some((i, what)) if expected(i) => return Err(what),
            Some(_) => return Ok(Seen::Foreign),
            None => {}
        }
        let mut elsewhere = self.case.state().clone();
        if P::LINES.iter().any(|line| line.read(text, &mut elsewhere).is_some_and(|result| result.is_ok())) {
            return Err(What::Order);
        }
        for (_, line) in P::LINES.iter().enumerate().filter(|(i, line)| line.section == section && expected(*i)) {
            if resembles(text, line.key()) {
                return Err(What::Expected(line.key()));
            }
        }
        if !self.complete && looks_like_a_value(text) { Err(What::Unknown) } else { Ok(Seen::Foreign) }
    }

    /// A line without what is before the others: Linux continues some lines so. Anything else is foreign.
    fn continuation(&mut self, line: &[u8]) -> Seen {
        if find(line, "hv: ").is_some() {
            return Seen::Foreign;
        }
        if let Place::Section(section) = self.place {
            let all = P::LINES.iter().enumerate().filter(|(_, line)| line.section == section && line.when.is_some());
            let next = self.order.map_or(0, |last| last + 1);
            let continued = |line: &Line<_, _>| P::CONTINUED.iter().any(|text| line.key().starts_with(text));
            for (i, known) in all.filter(|(i, line)| *i >= next && continued(line)) {
                let mut tried = self.case.state().clone();
                if ends(line).any(|end| known.read(end, &mut tried).is_some_and(|result| result.is_ok())) {
                    *self.case.state_mut() = tried;
                    self.order = Some(i);
                    self.complete |= known.key().starts_with(P::LAST);
                    return Seen::Line;
                }
            }
        }
        Seen::Foreign
    }

    /// A line `name = 0x...` of our own sections.
    fn named(&mut self, text: &[u8]) -> Result<Seen, What> {
        if text.is_empty() {
            return Ok(Seen::Foreign);
        }
        let Some(at) = find(text, " = ") else {
            // Nothing in these sections is without it but what others say, and names that are cut off.
            let cut =
                |name: &str| text == name.as_bytes() || name.len() > text.len() && name.as_bytes().starts_with(text);
            let known = self.names().any(cut) || text.ends_with(b" =");
            return if known { Err(What::Expected(" = ")) } else { Ok(Seen::Foreign) };
        };
        let (name, value) = (text.get(..at).unwrap_or_default(), text.get(at + 3..).unwrap_or_default());
        let is = |known: &str| known.as_bytes() == name;
        if self.place == Place::Other {
            let Some(field) = <P::Field as Field>::ALL.iter().find(|f| is(f.name())) else { return foreign_or(text) };
            once(self.others.get_mut(field.index() / 64), field.index() % 64)?;
            if value == b"absent" {
                self.case.state_mut().remove(*field);
            } else {
                let value = number(value, field.spec().width, field.name())?;
                self.case.state_mut().set(*field, value);
            }
            return Ok(Seen::Line);
        }
        let (facts, which) = if self.place == Place::Capabilities { (P::CPU, 0) } else { (P::ENTRY, 1) };
        let Some((bit, fact)) = facts.iter().enumerate().find(|(_, fact)| is(fact.name)) else {
            return foreign_or(text);
        };
        once(self.facts.get_mut(which), bit)?;
        let value = number(value, fact.bits, fact.name)?;
        (fact.set)(&mut self.case, value);
        Ok(Seen::Line)
    }

    /// The names that may stand in the section of ours that is being read.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let (fields, facts): (&[P::Field], _) = match self.place {
            Place::Other => (<P::Field as Field>::ALL, &[][..]),
            Place::Entry => (&[], P::ENTRY),
            _ => (&[], P::CPU),
        };
        fields.iter().map(|f| f.name()).chain(facts.iter().map(|fact| fact.name))
    }
}

/// Marks a bit that must not be marked already.
fn once(word: Option<&mut u64>, bit: usize) -> Result<(), What> {
    if let Some(word) = word {
        if *word >> bit & 1 != 0 {
            return Err(What::Twice);
        }
        *word |= 1 << bit;
    }
    Ok(())
}

/// An equals sign with a name that is not known: another driver's line, or a damaged one of ours.
fn foreign_or(text: &[u8]) -> Result<Seen, What> {
    if looks_like_a_value(text) { Err(What::UnknownName) } else { Ok(Seen::Foreign) }
}
