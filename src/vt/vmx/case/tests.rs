//! What CPUID says, as the rules have it.

use super::*;

/// What is read of CPUID with these answers, all others 0.
fn read(known: &[(u32, u32, [u32; 4])]) -> VmxCpu {
    VmxCpu::read(&VmxCaps::default(), |leaf, subleaf| {
        known.iter().find(|(l, s, _)| (*l, *s) == (leaf, subleaf)).map_or([0; 4], |(.., r)| *r)
    })
}

#[test]
fn counters_are_those_of_each_leaf() {
    let counters = |version: u32| (0xa, 0, [version | 8 << 8, 0, 1 << 5, 3]);
    assert_eq!(read(&[(0, 0, [0xa, 0, 0, 0]), counters(4)]).perf_global, 0x1_0007_0000_00ff);
    assert_eq!(read(&[(0, 0, [0xa, 0, 0, 0]), counters(5)]).perf_global, 0x1_0027_0000_00ff);
    let more = [(0x23, 0, [0b10, 0, 0, 0]), (0x23, 1, [0x100, 0x40, 0, 0])];
    let all = [(0, 0, [0x23, 0, 0, 0]), counters(5), more[0], more[1]];
    assert_eq!(read(&all).perf_global, 0x1_0067_0000_01ff);
    // Leaves above the highest are not looked at.
    assert_eq!(read(&[(0, 0, [9, 0, 0, 0]), counters(5), more[0], more[1]]).perf_global, 1 << 48);
}

#[test]
fn bits_of_debugctl_depend_on_rtm_and_bus_locks() {
    let leaf7 = |b, c, d| read(&[(0, 0, [7, 0, 0, 0]), (7, 0, [0, b, c, d])]).debugctl;
    assert_eq!(leaf7(0, 0, 0), 0x7fc3);
    assert_eq!((leaf7(1 << 11, 0, 0), leaf7(0, 0, 1 << 11)), (0xffc3, 0xffc3));
    assert_eq!(leaf7(0, 1 << 24, 0), 0x7fc7);
}
