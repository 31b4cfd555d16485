//! Modules that are wrong: each is refused with a sentence that says what is wrong with it, and where.

use std::{env, fs};

use crate::{Case, Machine};

struct Wrong {
    name: &'static str,
    /// The modules: a file of [`files`] and its description.
    modules: &'static [(&'static str, &'static str)],
    says: &'static [&'static str],
}

const WRONG: &[Wrong] = &[
    Wrong {
        name: "kind",
        modules: &[("whole", "linus name=a")],
        says: &["hv: fail: module 1: unknown kind 'linus': did you mean 'linux'? it can be linux, initrd, "],
    },
    Wrong {
        name: "key",
        modules: &[("whole", "linux memry=64M")],
        says: &["hv: fail: module 1: unknown key 'memry': did you mean 'memory'? 'linux' takes name, memory, "],
    },
    Wrong {
        name: "value",
        modules: &[("whole", "linux console=rwa")],
        says: &["hv: fail: module 1: key 'console' can't be 'rwa': did you mean 'raw'? console="],
    },
    Wrong {
        name: "second-of-a-name",
        modules: &[("whole", "linux name=a"), ("garbage", "flat name=a")],
        says: &["hv: fail: module 2: name 'a' is already that of module 1: take another"],
    },
    Wrong {
        name: "initrd-alone",
        modules: &[("garbage", "initrd")],
        says: &["hv: fail: module 1: 'initrd' without 'linux' before it"],
    },
    Wrong {
        name: "no-such-core",
        modules: &[("garbage", "flat name=a core=3")],
        says: &["hv: fail: VM a wants core 3, and hv has cores 0 to 0: change `core=` in its description"],
    },
    Wrong {
        name: "truncated-linux",
        modules: &[("truncated", "linux name=a")],
        says: &[
            "hv: error: VM a: core 0: does not start: the image ends in the kernel's protected-mode code: ",
            " bytes needed, ",
            " there, at byte 0x",
            "hv: fail: ",
        ],
    },
    Wrong {
        name: "linux-that-is-none",
        modules: &[("garbage", "linux name=a")],
        says: &[
            "hv: error: VM a: core 0: does not start: no boot flag 0xaa55 but 0xa5a5, at byte 0x1fe of the image",
            "hv: fail: ",
        ],
    },
    Wrong {
        name: "multiboot-that-is-none",
        modules: &[("garbage", "multiboot name=a")],
        says: &["hv: error: VM a: core 0: does not start: no Multiboot header in the first 8 KiB", "hv: fail: "],
    },
    Wrong {
        name: "too-much-memory",
        modules: &[("whole", "linux name=a memory=4G")],
        says: &[
            "hv: error: VM a: core 0: does not start: not enough free memory: give it less with `memory=`",
            "hv: fail: ",
        ],
    },
];

pub fn cases() -> impl Iterator<Item = Case> {
    WRONG.iter().map(|wrong| Case::new(format!("modules::{}", wrong.name), || refused(wrong)))
}

fn refused(wrong: &Wrong) -> Result<(), String> {
    let folder = env::temp_dir().join(format!("hv-modules-{}-{}", std::process::id(), wrong.name));
    files(wrong, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let lines = wrong.modules.iter().map(|(file, text)| format!("{} {text}\n", folder.join(file).display()));
    let variables = [("PLATFORM", "qemu"), ("CPU", "EPYC,+svm"), ("MODULES", &*lines.collect::<String>())];
    let machine = Machine::new(format!("modules::{}", wrong.name), 1, 120, &variables);
    let boot = machine.boot();
    let _ = fs::remove_dir_all(&folder);
    let boot = boot?;
    if let Some(text) = wrong.says.iter().find(|text| !boot.console.contains(**text)) {
        return Err(machine.failure(format!("not on the console: `{text}`")));
    }
    if boot.status == Some(1) { Ok(()) } else { Err(machine.failure("it ended otherwise than it should")) }
}

/// The files that a test needs: a kernel as it is, its first 100,000 bytes, and bytes that are no kernel.
fn files(wrong: &Wrong, folder: &std::path::Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let kernel = || fs::read("build/linux/vmlinuz");
    for (file, _) in wrong.modules {
        let bytes = match *file {
            "whole" => kernel()?,
            "truncated" => kernel()?.into_iter().take(100_000).collect(),
            _ => vec![0xa5; 20_000],
        };
        fs::write(folder.join(file), bytes)?;
    }
    Ok(())
}
