//! Command lines of modules, right and wrong.

use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::base::{Gpa, MIB};

fn specs<'a>(lines: &[&'a str]) -> Result<Vec<VmSpec<'a>>, GroupError<'a>> {
    group(lines.iter().map(|&line| (line, &b"image"[..])))
}

fn error(line: &str) -> DescriptionError<'_> {
    parse(line).expect_err("it is wrong")
}

#[test]
fn defaults() {
    let specs = specs(&["linux", "initrd", "flat", "multiboot", "linux"]).unwrap();
    let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["linux1", "flat1", "multiboot1", "linux2"]);
    let memory: Vec<_> = specs.iter().map(|spec| spec.memory / MIB).collect();
    assert_eq!(memory, [256, 1, 256, 256]);
    assert_eq!(specs[0].console, Console::Raw);
    assert!(specs[1..].iter().all(|spec| spec.console == Console::Lines));
    assert!(specs.iter().all(|s| s.expect == Expect::Any && s.core.is_none() && s.budget_ms.is_none()));
    let GuestKind::Linux { initrd, protocol, .. } = &specs[0].guest else { panic!() };
    assert_eq!((*initrd, *protocol), (Some(&b"image"[..]), None));
    let at = Gpa::new(0x7c00);
    assert_eq!(specs[1].guest, GuestKind::Flat { image: b"image", at, entry: at });
}

#[test]
fn every_key() {
    let line = "/boot/vmlinuz linux name=web_1 memory=0x10M core=3 budget=1500 console=lines expect=exit:7 protocol=32 \
                --  root=/dev/vda -- init=/bin/sh ";
    let d = parse(line).unwrap();
    assert_eq!((d.name, d.memory, d.core), (Some("web_1"), Some(16 * MIB), Some(3)));
    assert_eq!((d.budget_ms.map(NonZeroU32::get), d.console), (Some(1500), Some(Console::Lines)));
    assert_eq!((d.expect, d.protocol), (Some(Expect::Exit(7)), Some(Protocol::Bits32)));
    assert_eq!(d.command_line, "root=/dev/vda -- init=/bin/sh");
    let d = parse("flat at=0x8000 entry=0x8004 expect=triple-fault").unwrap();
    assert_eq!((d.at, d.entry, d.expect), (Some(0x8000), Some(0x8004), Some(Expect::TripleFault)));
    assert_eq!(parse("linux --").unwrap().command_line, "");
    let spec = &specs(&["flat at=0x8000"]).unwrap()[0];
    assert!(matches!(spec.guest, GuestKind::Flat { entry, .. } if entry == Gpa::new(0x8000)));
}

#[test]
fn modules_go_to_the_kernel_before_them() {
    let lines = ["multiboot name=a -- x", "module -- one", "module", "multiboot", "module -- two"];
    let specs = specs(&lines).unwrap();
    let strings = |spec: &VmSpec<'_>| match &spec.guest {
        GuestKind::Multiboot { modules, .. } => modules.iter().map(|m| m.command_line.to_string()).collect(),
        _ => Vec::new(),
    };
    assert_eq!(
        (strings(&specs[0]), strings(&specs[1])),
        (["one", ""].map(String::from).to_vec(), ["two".into()].into())
    );
    assert_eq!(specs[0].command_line, "x");
}

#[test]
fn names_are_different() {
    let specs = specs(&["linux", "flat name=linux1", "linux", "linux name=linux3", "linux"]).unwrap();
    let names: Vec<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["linux2", "linux1", "linux4", "linux3", "linux5"]);
}

#[test]
fn what_is_wrong_is_named() {
    for (line, sentence) in [
        ("", "says nothing: it must begin with linux, initrd, multiboot, module, flat"),
        ("/boot/x", "says nothing: it must begin with linux, initrd, multiboot, module, flat"),
        ("linus", "unknown kind 'linus': did you mean 'linux'? it can be linux, initrd, multiboot, module, flat"),
        ("zzzzzzzz", "unknown kind 'zzzzzzzz': it can be linux, initrd, multiboot, module, flat"),
        (
            "flat protocol=64",
            "unknown key 'protocol': 'flat' takes name, memory, core, budget, tsc, console, expect, at, entry",
        ),
        ("initrd memory=1M", "unknown key 'memory': 'initrd' takes none"),
        (
            "linux cores=1",
            "unknown key 'cores': did you mean 'core'? 'linux' takes name, memory, core, budget, tsc, console, \
                           expect, protocol",
        ),
        ("linux console", "key 'console' needs a value: console=raw|lines"),
        ("linux console=line", "key 'console' can't be 'line': did you mean 'lines'? console=raw|lines"),
        ("linux core=1 core=2", "key 'core' is there twice"),
        ("flat -- x", "'flat' has no command line: leave out '--' and what follows"),
    ] {
        assert_eq!(error(line).to_string(), sentence, "{line}");
    }
}

#[test]
fn values_that_are_refused() {
    for value in [
        "memory=0",
        "memory=4K",
        "memory=1048575",
        "memory=1048577",
        "memory=1025G",
        "memory=0xffffffffffffffffK",
        "memory=+1M",
        "memory=-1M",
        "memory=M",
        "memory=0x",
        "memory=1m",
        "memory=1MB",
        "core=-1",
        "core=4294967296",
        "budget=0",
        "budget=4294967296",
        "expect=exit:",
        "expect=exit:4294967296",
        "expect=exit",
        "console=RAW",
        "protocol=16",
        "name=a.b",
        "name=é",
        "name=abcdefghijklmnopqrstuvwxy",
    ] {
        let line = std::format!("linux {value}");
        let (key, value) = value.split_once('=').unwrap();
        match error(&line) {
            DescriptionError::Value { key: k, value: v, .. } => assert_eq!((k, v), (key, value)),
            other => panic!("{line}: {other}"),
        }
    }
    assert!(matches!(error("flat entry=1048576"), DescriptionError::Value { .. }));
    assert!(matches!(error("flat at=18446744073709551616"), DescriptionError::Value { .. }));
}

#[test]
fn groups_that_are_refused() {
    for (lines, module, sentence) in [
        (&["initrd"][..], 1, "module 1: 'initrd' without 'linux' before it: put it behind its kernel"),
        (&["linux", "flat", "initrd"], 3, "module 3: 'initrd' without 'linux' before it: put it behind its kernel"),
        (&["linux", "module"], 2, "module 2: 'module' without 'multiboot' before it: put it behind its kernel"),
        (&["linux", "initrd", "initrd"], 3, "module 3: a second 'initrd' for one kernel: join the two files"),
        (&["flat name=a", "linux name=a"], 2, "module 2: name 'a' is already that of module 1: take another"),
    ] {
        let error = specs(lines).unwrap_err();
        assert_eq!((error.module, error.to_string().as_str()), (module, sentence));
    }
    assert_eq!(specs(&[]), Ok(Vec::new()));
}
