//! One interrupt controller: Intel's 8259A by its data sheet.
//!
//! A request is there while its line is active, by edge from the line's rise until it is acknowledged: a line that
//! falls before leaves no request behind, and who acknowledges then gets the default IR7 (8259A "Edge and Level
//! Triggered Modes"). The MCS-80/85 mode of ICW4 gives the same vectors, as the CPU at the other end takes no CALL instructions.

/// The master's input that has the slave.
pub(super) const CASCADE: u8 = 2;
/// What is acknowledged where nothing is requested.
const DEFAULT: u8 = 7;

/// Command words (8259A "Initialization Command Words", "Operation Command Words"); bits of the byte written.
mod word {
    pub const ICW1: u8 = 1 << 4;
    pub const ICW1_ICW4_FOLLOWS: u8 = 1 << 0;
    pub const ICW1_SINGLE: u8 = 1 << 1;
    pub const ICW1_LEVEL: u8 = 1 << 3;
    pub const ICW2_BASE: u8 = 0xf8;
    pub const ICW4_AUTO_EOI: u8 = 1 << 1;
    pub const ICW4_SPECIAL_FULLY_NESTED: u8 = 1 << 4;
    pub const OCW3: u8 = 1 << 3;
    pub const OCW3_READ_ISR: u8 = 1 << 0;
    pub const OCW3_READ: u8 = 1 << 1;
    pub const OCW3_POLL: u8 = 1 << 2;
    pub const OCW3_SPECIAL_MASK: u8 = 1 << 5;
    pub const OCW3_SET_SPECIAL_MASK: u8 = 1 << 6;
    pub const POLL_REQUEST: u8 = 1 << 7;
}

/// What the next write to the odd port is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Icw2,
    Icw3,
    Icw4,
    /// OCW1: initialization is over.
    Mask,
}

/// One 8259A. The bits of its registers are its inputs IR0 to IR7.
#[derive(Clone, Debug)]
pub(super) struct Pic {
    /// The SP/EN pin.
    is_master: bool,
    lines: u8,
    /// The edge sense: the line was low since the last acknowledge.
    armed: u8,
    /// ELCR: the inputs that are by level.
    pub(super) level: u8,
    /// ICW1 made all inputs by level.
    all_level: bool,
    in_service: u8,
    mask: u8,
    next: Next,
    single: bool,
    icw4_follows: bool,
    base: u8,
    icw3: u8,
    icw4: u8,
    /// The input with the lowest priority; the next one has the highest.
    lowest: u8,
    rotate_on_auto_eoi: bool,
    special_mask: bool,
    read_in_service: bool,
    /// The next read is an acknowledge.
    pub(super) poll: bool,
}

const fn bit(ir: u8) -> u8 {
    1 << (ir & 7)
}

impl Pic {
    /// Before its initialization all is masked; what else the real one does then is undefined.
    pub(super) const fn new(is_master: bool) -> Self {
        Self {
            is_master,
            lines: 0,
            armed: 0xff,
            level: 0,
            all_level: false,
            in_service: 0,
            mask: 0xff,
            next: Next::Mask,
            single: false,
            icw4_follows: false,
            base: 0,
            icw3: if is_master { bit(CASCADE) } else { CASCADE },
            icw4: 0,
            lowest: 7,
            rotate_on_auto_eoi: false,
            special_mask: false,
            read_in_service: false,
            poll: false,
        }
    }

    pub(super) const fn set_line(&mut self, ir: u8, asserted: bool) {
        if asserted {
            self.lines |= bit(ir);
        } else {
            self.lines &= !bit(ir);
            self.armed |= bit(ir);
        }
    }

    /// Whether input `input` (0 to 7) is masked.
    pub const fn is_masked(&self, input: u8) -> bool {
        self.mask >> (input & 7) & 1 != 0
    }

    /// The interrupt request register. The mask does not change it.
    const fn requests(&self) -> u8 {
        let level = if self.all_level { 0xff } else { self.level };
        self.lines & (self.armed | level)
    }

    /// How far behind the highest priority the first of `inputs` is; 8 where there is none.
    const fn first(&self, inputs: u8) -> u8 {
        inputs.rotate_right(self.lowest as u32 + 1).trailing_zeros() as u8
    }

    /// The input that is `rank` behind the highest priority.
    const fn input(&self, rank: u8) -> u8 {
        self.lowest.wrapping_add(rank).wrapping_add(1) & 7
    }

    /// The in-service bits that hold requests back and that a non-specific EOI finds: in special mask mode not those
    /// whose input is masked (8259A "Special Mask Mode").
    const fn nesting(&self) -> u8 {
        if self.special_mask { self.in_service & !self.mask } else { self.in_service }
    }

    /// The input whose request the INT output is for (8259A "Fully Nested Mode").
    pub(super) const fn request(&self) -> Option<u8> {
        let request = self.first(self.requests() & !self.mask);
        let served = self.first(self.nesting());
        let ir = self.input(request);
        let passes = request < served || (request == served && self.nests_itself(ir));
        if request < 8 && passes && matches!(self.next, Next::Mask) { Some(ir) } else { None }
    }

    /// Whether a request of `ir`'s slave passes one that is served (8259A "The Special Fully Nested Mode").
    const fn nests_itself(&self, ir: u8) -> bool {
        self.icw4 & word::ICW4_SPECIAL_FULLY_NESTED != 0 && self.has_slave_at(ir)
    }

    /// Whether, as a master, it leaves the vector of `ir` to a slave.
    pub(super) const fn has_slave_at(&self, ir: u8) -> bool {
        self.is_master && !self.single && self.icw3 & bit(ir) != 0
    }

    /// Whether, as a slave, it is the one that the master's `ir` addresses.
    pub(super) const fn is_slave_at(&self, ir: u8) -> bool {
        self.single || self.icw3 & 7 == ir
    }

    /// The interrupt acknowledge: the request becomes in service.
    pub(super) const fn acknowledge(&mut self) -> Option<u8> {
        let Some(ir) = self.request() else { return None };
        self.armed &= !bit(ir);
        if self.icw4 & word::ICW4_AUTO_EOI == 0 {
            self.in_service |= bit(ir);
        } else if self.rotate_on_auto_eoi {
            self.lowest = ir;
        }
        Some(ir)
    }

    pub(super) const fn vector(&self, ir: Option<u8>) -> u8 {
        self.base
            | match ir {
                Some(ir) => ir & 7,
                None => DEFAULT,
            }
    }

    /// A read after the poll command is an acknowledge, at either port.
    pub(super) const fn read(&mut self, odd: bool) -> u8 {
        if self.poll {
            self.poll = false;
            return match self.acknowledge() {
                Some(ir) => word::POLL_REQUEST | ir,
                None => 0,
            };
        }
        match (odd, self.read_in_service) {
            (true, _) => self.mask,
            (false, true) => self.in_service,
            (false, false) => self.requests(),
        }
    }

    pub(super) const fn write(&mut self, odd: bool, value: u8) {
        if odd {
            self.write_odd(value);
        } else if value & word::ICW1 != 0 {
            self.initialize(value);
        } else if value & word::OCW3 != 0 {
            self.write_ocw3(value);
        } else {
            self.write_ocw2(value);
        }
    }

    /// ICW1 (8259A "Initialization Command Words 1 and 2", the list of what it does). What is in service, which the
    /// list leaves out, is cleared too.
    const fn initialize(&mut self, value: u8) {
        let (lines, level, base) = (self.lines, self.level, self.base);
        *self = Self { lines, armed: !lines, level, base, mask: 0, icw3: 7, ..Self::new(self.is_master) };
        self.next = Next::Icw2;
        self.all_level = value & word::ICW1_LEVEL != 0;
        self.single = value & word::ICW1_SINGLE != 0;
        self.icw4_follows = value & word::ICW1_ICW4_FOLLOWS != 0;
    }

    const fn write_odd(&mut self, value: u8) {
        let after_icw3 = if self.icw4_follows { Next::Icw4 } else { Next::Mask };
        match self.next {
            Next::Icw2 => {
                self.base = value & word::ICW2_BASE;
                self.next = if self.single { after_icw3 } else { Next::Icw3 };
            }
            Next::Icw3 => {
                self.icw3 = value;
                self.next = after_icw3;
            }
            Next::Icw4 => {
                self.icw4 = value;
                self.next = Next::Mask;
            }
            Next::Mask => self.mask = value,
        }
    }

    /// OCW2: the ends of interrupts, and rotation.
    const fn write_ocw2(&mut self, value: u8) {
        let ir = value & 7;
        match value >> 5 {
            0b000 => self.rotate_on_auto_eoi = false,
            0b100 => self.rotate_on_auto_eoi = true,
            0b001 | 0b101 => {
                let rank = self.first(self.nesting());
                if rank < 8 {
                    let ir = self.input(rank);
                    self.in_service &= !bit(ir);
                    if value >> 5 == 0b101 {
                        self.lowest = ir;
                    }
                }
            }
            0b011 => self.in_service &= !bit(ir),
            0b111 => {
                self.in_service &= !bit(ir);
                self.lowest = ir;
            }
            0b110 => self.lowest = ir,
            _ => {}
        }
    }

    const fn write_ocw3(&mut self, value: u8) {
        if value & word::OCW3_SET_SPECIAL_MASK != 0 {
            self.special_mask = value & word::OCW3_SPECIAL_MASK != 0;
        }
        if value & word::OCW3_READ != 0 {
            self.read_in_service = value & word::OCW3_READ_ISR != 0;
        }
        self.poll = value & word::OCW3_POLL != 0;
    }
}
