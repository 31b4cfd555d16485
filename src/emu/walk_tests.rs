use super::*;
use crate::emu::execute::ram::{Ram, SIZE};
use proptest::prelude::*;
use std::vec::Vec;

/// A naive walk, written from the manual's tables: one recursion per level. Gives the page's address and the entries
/// to mark, or the error code.
struct Naive<'a> {
    cpu: &'a CpuState,
    ram: &'a Ram,
    at: u64,
    access: Access,
    user: bool,
}

#[derive(Clone)]
struct Seen {
    place: u64,
    entry: u64,
    is_pdpte: bool,
}

impl Naive<'_> {
    fn flag(&self, register: u64, bit: u32) -> bool {
        register >> bit & 1 == 1
    }

    fn code(&self, p: bool, rsvd: bool) -> u32 {
        let id = self.access == Access::Fetch
            && (self.flag(self.cpu.cr4, 20) || (self.flag(self.cpu.cr4, 5) && self.flag(self.cpu.efer, 11)));
        u32::from(p)
            + 2 * u32::from(self.access == Access::Write)
            + 4 * u32::from(self.user)
            + 8 * u32::from(rsvd)
            + 16 * u32::from(id)
    }

    fn run(&self) -> Result<(u64, Vec<Seen>), u32> {
        let long = self.flag(self.cpu.efer, 10);
        let pae = long || self.flag(self.cpu.cr4, 5);
        let level = match (long, self.flag(self.cpu.cr4, 12), pae) {
            (true, true, _) => 5,
            (true, false, _) => 4,
            (false, _, true) => 3,
            _ => 2,
        };
        let mut root = self.cpu.cr3 & 0x000f_ffff_ffff_f000;
        if !long {
            root = self.cpu.cr3 & if pae { 0xffff_ffe0 } else { 0xffff_f000 };
        }
        self.level(root, level, pae, long, Vec::new())
    }

    fn level(
        &self,
        table: u64,
        level: u32,
        pae: bool,
        long: bool,
        mut seen: Vec<Seen>,
    ) -> Result<(u64, Vec<Seen>), u32> {
        let width = if pae { 9 } else { 10 };
        let shift = 12 + (level - 1) * width;
        let index = (self.at >> shift) % (1 << width);
        let place = table + index * if pae { 8 } else { 4 };
        let entry = self.ram.get(place, if pae { crate::base::Width::B8 } else { crate::base::Width::B4 });
        if !self.flag(entry, 0) {
            return Err(self.code(false, false));
        }
        let is_pdpte = pae && !long && level == 3;
        let ps = self.flag(entry, 7);
        let page = level == 1
            || ps
                && match level {
                    2 => pae || self.flag(self.cpu.cr4, 4),
                    3 => long,
                    _ => false,
                };
        let mut bad = false;
        if pae {
            bad |= self.flag(entry, 63) && (is_pdpte || !self.flag(self.cpu.efer, 11));
            bad |= !long && (52..63).any(|b| self.flag(entry, b));
            bad |= is_pdpte && [1, 2, 7, 8].iter().any(|b| self.flag(entry, *b));
            bad |= level > 3 && ps;
            bad |= page && level > 1 && (13..shift).any(|b| self.flag(entry, b));
        } else {
            bad |= page && level == 2 && self.flag(entry, 21);
        }
        if bad {
            return Err(self.code(true, true));
        }
        seen.push(Seen { place, entry, is_pdpte });
        if !page {
            return self.level(entry & 0x000f_ffff_ffff_f000, level - 1, pae, long, seen);
        }
        if !self.allowed(&seen, pae) {
            return Err(self.code(true, false));
        }
        let mut start = (entry & 0x000f_ffff_ffff_ffff) >> shift << shift;
        if !pae && level == 2 {
            start += (entry >> 13 & 0xff) << 32;
        }
        Ok((start + self.at % (1 << shift), seen))
    }

    fn allowed(&self, seen: &[Seen], pae: bool) -> bool {
        let with_rights: Vec<_> = seen.iter().filter(|s| !s.is_pdpte).collect();
        let user_page = with_rights.iter().all(|s| self.flag(s.entry, 2));
        let writable = with_rights.iter().all(|s| self.flag(s.entry, 1));
        let no_execute = pae && with_rights.iter().any(|s| self.flag(s.entry, 63));
        if self.user && !user_page {
            return false;
        }
        if self.access == Access::Fetch {
            let smep = !self.user && user_page && self.flag(self.cpu.cr4, 20);
            return !no_execute && !smep;
        }
        let ac = self.flag(self.cpu.rflags, 18) && self.cpu.cpl != 3;
        if !self.user && user_page && self.flag(self.cpu.cr4, 21) && !ac {
            return false;
        }
        self.access == Access::Read || writable || !self.user && !self.flag(self.cpu.cr0, 16)
    }
}

/// An entry that mostly leads on: its address is in RAM, and few of its bits are reserved ones.
fn entry(random: u64, pick: u64) -> u64 {
    let address = ((random >> 20) % (SIZE as u64 >> 12)) << 12;
    let flags =
        random & 0x67 | if pick.is_multiple_of(8) { 0 } else { 1 } | if pick.is_multiple_of(3) { 0x80 } else { 0 };
    let rights = if pick & 0x30 != 0 { 6 } else { 0 };
    let large = if pick.is_multiple_of(3) && pick & 0x40 != 0 { !0x3f_f000 } else { !0 };
    let odd = if (pick >> 8).is_multiple_of(32) { 1 << ((pick >> 16) % 64) } else { 0 };
    let nx = if (pick >> 24).is_multiple_of(8) { NX } else { 0 };
    (address & large | flags | rights) ^ odd | nx
}

fn access() -> impl Strategy<Value = Access> {
    prop::sample::select(&[Access::Read, Access::Write, Access::Fetch][..])
}

/// RAM full of entries from a seed.
fn tables(mut seed: u64, bytes: usize, legacy_pdptes: bool) -> Ram {
    let mut ram = Ram::new();
    let mut next = || {
        seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let x = seed ^ seed >> 29;
        x.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ x >> 32
    };
    for at in (0..SIZE).step_by(bytes) {
        let mut e = entry(next(), next());
        if legacy_pdptes && at < 0x1000 {
            e &= !(NX | 0x1e6) | next() & next() & next() & next() & 2;
        }
        if bytes == 4 {
            e ^= next() & next() & next() & 1 << 21;
        }
        ram.put(at as u64, &e.to_le_bytes()[..bytes]);
    }
    ram
}

fn cpu(format: usize, control: u64) -> CpuState {
    let mut cpu = CpuState::real_mode(0, 0);
    let bit = |n: u32, value: u64| if control >> n & 1 == 1 { value } else { 0 };
    cpu.cr0 |= cr0::PE | cr0::PG | bit(0, cr0::WP);
    cpu.cr4 = bit(1, cr4::SMEP) | bit(2, cr4::SMAP) | bit(3, cr4::PSE);
    cpu.efer = bit(4, efer::NXE) | bit(8, efer::NXE);
    cpu.rflags |= bit(5, rflags::AC);
    cpu.cpl = if control >> 6 & 3 == 0 { 3 } else { 0 };
    match format {
        0 => {}
        1 => cpu.cr4 |= cr4::PAE,
        2 => (cpu.cr4, cpu.efer) = (cpu.cr4 | cr4::PAE, cpu.efer | efer::LMA),
        _ => (cpu.cr4, cpu.efer) = (cpu.cr4 | cr4::PAE | cr4::LA57, cpu.efer | efer::LMA),
    }
    cpu
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn agrees_with_the_naive_walk(
        format in 0..4usize,
        seed: u64,
        tries in prop::collection::vec((any::<u64>(), any::<u64>(), access(), any::<bool>(), any::<u64>()), 64),
    ) {
        let mut ram = tables(seed, if format == 0 { 4 } else { 8 }, format == 1);
        for (gva, control, access, user, cr3) in tries {
            let mut cpu = cpu(format, control);
            cpu.cr3 = if format == 1 { cr3 % 0x1000 } else { cr3 % SIZE as u64 };
            let at = if format < 2 { gva & 0xffff_ffff } else { gva };
            let naive = Naive { cpu: &cpu, ram: &ram, at, access, user };
            let expected = naive.run();
            let mut after = ram.clone();
            if let Ok((_, seen)) = &expected {
                for (i, s) in seen.iter().enumerate().filter(|(_, s)| !s.is_pdpte) {
                    let dirty = i + 1 == seen.len() && access == Access::Write;
                    if let Some(byte) = after.bytes.get_mut(s.place as usize) {
                        *byte |= 0x20 | if dirty { 0x40 } else { 0 };
                    }
                }
            }
            let found = translate(&cpu, &mut ram, Gva::new(gva), access, user);
            prop_assert_eq!(found, expected.map(|(gpa, _)| Gpa::new(gpa)).map_err(|code| Fault::page(code, at)));
            prop_assert!(ram.bytes == after.bytes, "accessed and dirty flags");
        }
    }
}

/// The property above is only worth something if it sees every outcome.
#[test]
fn random_tables_reach_pages_and_every_kind_of_fault() {
    for format in 0..4 {
        let mut ram = tables(format as u64 + 1, if format == 0 { 4 } else { 8 }, format == 1);
        let (mut pages, mut missing, mut denied, mut reserved) = (0, 0, 0, 0);
        for n in 0..4000u64 {
            let x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut cpu = cpu(format, x >> 40);
            cpu.cr3 = if format == 1 { x % 0x1000 } else { x % SIZE as u64 };
            let access = [Access::Read, Access::Write, Access::Fetch][n as usize % 3];
            match translate(&cpu, &mut ram, Gva::new(x.rotate_left(17)), access, n % 2 == 0) {
                Ok(_) => pages += 1,
                Err(f) => match f.event.error_code.unwrap_or(0) & 9 {
                    0 => missing += 1,
                    1 => denied += 1,
                    _ => reserved += 1,
                },
            }
        }
        let counts = [pages, missing, denied, reserved];
        assert!(counts.iter().all(|n| *n >= 40), "format {format}: {counts:?}");
    }
}

/// Each bit of an entry of each level in each format, for a page of each size.
#[test]
fn every_bit_of_every_entry() {
    for (format, levels) in [(0, 2), (1, 3), (2, 4), (3, 5)] {
        let bytes = if format == 0 { 4 } else { 8 };
        for (leaf, level) in (1..=levels).flat_map(|leaf| (leaf..=levels).map(move |level| (leaf, level))) {
            for (bit, control) in (0..8 * bytes).flat_map(|bit| [(bit, 0), (bit, 8), (bit, 0x10), (bit, 0x18)]) {
                // The table of level n is in page n; linear address 0 uses the first entry of each.
                let mut ram = Ram::new();
                for n in 1..=levels {
                    let pdpte = format == 1 && n == 3;
                    let rights = if pdpte { 1 } else { 7 };
                    let next = if n == leaf { rights | if n > 1 { 0x80 } else { 0 } } else { (n - 1) << 12 | rights };
                    let entry = next ^ if n == level { 1 << bit } else { 0 };
                    ram.put(n << 12, &entry.to_le_bytes()[..bytes]);
                }
                let cpu = CpuState { cr3: levels << 12, ..cpu(format, control) };
                let naive = Naive { cpu: &cpu, ram: &ram, at: 0, access: Access::Read, user: true };
                let expected = naive.run().map(|(gpa, _)| Gpa::new(gpa)).map_err(|code| Fault::page(code, 0));
                let found = translate(&cpu, &mut ram, Gva::new(0), Access::Read, true);
                assert_eq!(found, expected, "format {format}, leaf {leaf}, level {level}, bit {bit}");
            }
        }
    }
}

#[test]
fn without_paging_addresses_are_physical() {
    let mut ram = Ram::new();
    let cpu = CpuState::real_mode(0, 0);
    let at = Gva::new(0x1_0000_1234);
    assert_eq!(translate(&cpu, &mut ram, at, Access::Write, true), Ok(Gpa::new(0x1234)));
}

#[test]
fn pse_36_reaches_above_4_gib() {
    let mut ram = Ram::new();
    ram.put(0x1000, &(0x0040_0087u32 | 0xab << 13).to_le_bytes());
    let mut cpu = cpu(0, 8);
    cpu.cr3 = 0x1000;
    let found = translate(&cpu, &mut ram, Gva::new(0x12_3456), Access::Write, false);
    assert_eq!(found, Ok(Gpa::new(0xab_0052_3456)));
    assert_eq!(ram.bytes[0x1000], 0xe7);
}

#[test]
fn smap_is_overridden_by_ac_for_explicit_accesses_only() {
    let mut ram = Ram::new();
    ram.put(0x1000, &0x87u32.to_le_bytes());
    let mut cpu = cpu(0, 8 | 4);
    cpu.cr3 = 0x1000;
    let mut read = |cpu: &CpuState| translate(cpu, &mut ram, Gva::new(0), Access::Read, false);
    assert_eq!(read(&CpuState { cpl: 0, ..cpu }), Err(Fault::page(1, 0)));
    cpu.rflags |= rflags::AC;
    assert!(read(&CpuState { cpl: 0, ..cpu }).is_ok());
    assert_eq!(read(&CpuState { cpl: 3, ..cpu }), Err(Fault::page(1, 0)));
}
