use super::*;
use crate::base::{CpuState, SegmentRegister};
use crate::emu::execute::ram::{CODE, Ram, SIZE, flat};
use iced_x86::Mnemonic;

#[test]
fn decodes_in_the_mode_of_the_cpu() {
    force_tables();
    // 16 and 32 bits: DEC EAX / DEC AX, 64 bits: MOV RAX, imm32.
    for (bits, expected) in [(16, (Mnemonic::Dec, 1)), (32, (Mnemonic::Dec, 1)), (64, (Mnemonic::Mov, 7))] {
        let mut ram = Ram::new();
        let cpu = flat(bits, &mut ram, &[]);
        ram.put(CODE, &[0x48, 0xc7, 0xc0, 1, 0, 0, 0]);
        let i = decode(&cpu, &mut ram).unwrap();
        assert_eq!((i.mnemonic(), i.len()), expected);
        assert_eq!(length(&cpu, &mut ram), Ok(expected.1 as u64));
    }
}

#[test]
fn the_second_page_matters_only_if_it_is_needed() {
    let mut ram = Ram::new();
    let mut cpu = flat(64, &mut ram, &[0xf1]);
    cpu.rip = CODE + 0xffe;
    ram.put(cpu.rip, &[0x0f, 0xa2, 0xcc]);
    let fetched = fetch(&cpu, &mut ram).unwrap();
    assert_eq!((fetched.bytes(), fetched.then), (&[0x0f, 0xa2][..], Some(Fault::page(0, CODE + 0x1000))));
    assert_eq!(decode(&cpu, &mut ram).unwrap().mnemonic(), Mnemonic::Cpuid);
    cpu.rip += 1;
    ram.put(cpu.rip, &[0x0f]);
    assert_eq!(decode(&cpu, &mut ram), Err(Fault::page(0, CODE + 0x1000)));
    cpu.rip += 1;
    assert_eq!(fetch(&cpu, &mut ram), Err(Fault::page(0, CODE + 0x1000)));
}

#[test]
fn two_pages_make_one_instruction() {
    let mut ram = Ram::new();
    let mut cpu = flat(32, &mut ram, &[]);
    cpu.rip = CODE + 0xffd;
    ram.put(cpu.rip, &[0xb8, 1, 2, 3, 4]);
    let i = decode(&cpu, &mut ram).unwrap();
    assert_eq!((i.len(), i.immediate32()), (5, 0x0403_0201));
}

#[test]
fn the_limit_of_cs_ends_the_code() {
    let mut ram = Ram::new();
    let mut cpu = CpuState::real_mode(0x1000, 0xfffe);
    ram.put(0x1_fffe, &[0x0f, 0xa2, 0x90]);
    assert_eq!(fetch(&cpu, &mut ram).map(|f| (f.len, f.then)), Ok((2, Some(Fault::gp(0)))));
    assert_eq!(decode(&cpu, &mut ram).unwrap().mnemonic(), Mnemonic::Cpuid);
    cpu.rip = 0xffff;
    ram.put(0x1_ffff, &[0x0f]);
    assert_eq!(decode(&cpu, &mut ram), Err(Fault::gp(0)));
    // A limit in the middle of a page.
    let short = CpuState { rip: 0x100, ..CpuState::real_mode(0x1000, 0) };
    let mut short = CpuState { segments: [SegmentRegister { limit: 0x102, ..short.segments[1] }; 6], ..short };
    assert_eq!(fetch(&short, &mut ram).map(|f| (f.len, f.then)), Ok((3, Some(Fault::gp(0)))));
    ram.put(0x1_0100, &[0xb8, 1, 2]);
    assert_eq!(length(&short, &mut ram), Ok(3));
    short.segments[1].limit = 0x101;
    assert_eq!(length(&short, &mut ram), Err(Fault::gp(0)));
    cpu.rip = 0x1_0000;
    assert_eq!(fetch(&cpu, &mut ram), Err(Fault::gp(0)));
    cpu.segments[1] = SegmentRegister { limit: u32::MAX, ..cpu.segments[1] };
    assert!(fetch(&cpu, &mut ram).is_ok_and(|f| f.len == MAX));
}

#[test]
fn no_ram_reads_as_ff() {
    let mut ram = Ram::new();
    let mut cpu = CpuState::real_mode(0xffff, 0x10);
    cpu.segments[1].base = SIZE as u64;
    let fetched = fetch(&cpu, &mut ram).unwrap();
    assert_eq!((fetched.bytes, fetched.len), ([0xff; MAX], MAX));
    assert_eq!(decode(&cpu, &mut ram), Err(Fault::UD));
}

#[test]
fn invalid_and_too_long() {
    let mut ram = Ram::new();
    let cpu = flat(64, &mut ram, &[]);
    ram.put(CODE, &[0x0f, 0x0b]);
    assert_eq!(decode(&cpu, &mut ram).unwrap().mnemonic(), Mnemonic::Ud2);
    ram.put(CODE, &[0x06]);
    assert_eq!(decode(&cpu, &mut ram), Err(Fault::UD));
    ram.put(CODE, &[0x66; 14]);
    ram.put(CODE + 14, &[0x90]);
    assert_eq!(length(&cpu, &mut ram), Ok(15));
    ram.put(CODE, &[0x66; 15]);
    assert_eq!(decode(&cpu, &mut ram), Err(Fault::gp(0)));
    // Invalid in its 15th byte.
    ram.put(CODE + 13, &[0xff, 0xff]);
    assert_eq!(decode(&cpu, &mut ram), Err(Fault::UD));
    // 16 bytes, of which the last are an immediate.
    ram.put(CODE + 12, &[0xb8, 1, 2, 3]);
    assert_eq!(length(&cpu, &mut ram), Ok(15));
    ram.put(CODE, &[0x3e; 12]);
    assert_eq!(decode(&cpu, &mut ram), Err(Fault::gp(0)));
    // LOCK on what cannot be locked.
    ram.put(CODE, &[0xf0, 0x8b, 0x00]);
    assert_eq!(decode(&cpu, &mut ram), Err(Fault::UD));
}

#[test]
fn rip_wraps_at_32_bits_outside_64_bit_mode() {
    let mut ram = Ram::new();
    for (bits, expected) in [(16, 1), (32, 1), (64, 0x1_0000_0001)] {
        let cpu = CpuState { rip: 0xffff_ffff, ..flat(bits, &mut ram, &[]) };
        assert_eq!(next_rip(&cpu, 2), expected);
    }
    assert_eq!(next_rip(&CpuState::real_mode(0, 0xffff), 2), 0x1_0001);
}
