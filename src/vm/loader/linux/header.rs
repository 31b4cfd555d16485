//! The setup header in a bzImage.

use crate::vm::loader::{LoadError, u16_at, u32_at, u64_at};

/// Where the setup header begins, in the image as in the zero page.
pub const START: usize = 0x1f1;
/// Where the zero page's next field begins: a later header is cut there.
const LIMIT: usize = 0x290;
/// The end of the last field of version 2.10, init_size.
const END_2_10: usize = 0x264;

const SYSSIZE: usize = 0x1f4;
const BOOT_FLAG: usize = 0x1fe;
const MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
pub const TYPE_OF_LOADER: usize = 0x210;
pub const LOADFLAGS: usize = 0x211;
pub const CODE32_START: usize = 0x214;
pub const RAMDISK_IMAGE: usize = 0x218;
pub const RAMDISK_SIZE: usize = 0x21c;
pub const CMD_LINE_PTR: usize = 0x228;
const INITRD_ADDR_MAX: usize = 0x22c;
const KERNEL_ALIGNMENT: usize = 0x230;
const RELOCATABLE_KERNEL: usize = 0x234;
const XLOADFLAGS: usize = 0x236;
const CMDLINE_SIZE: usize = 0x238;
/// pref_address.
pub const PREF_ADDRESS: u64 = 0x258;
const INIT_SIZE: usize = 0x260;

/// loadflags: the kernel is loaded at 1 MiB or above.
const LOADED_HIGH: u8 = 1 << 0;
/// xloadflags: there is a 64-bit entry.
const XLF_KERNEL_64: u16 = 1 << 0;

/// What it says, named as in the protocol.
pub struct Header<'a> {
    /// The header itself, from [`START`].
    pub bytes: &'a [u8],
    /// 0 before version 2.12.
    pub xloadflags: u16,
    pub initrd_addr_max: u32,
    /// A power of two if the kernel is relocatable.
    pub kernel_alignment: u32,
    pub relocatable: bool,
    /// Without the zero at the end.
    pub cmdline_size: u32,
    pub pref_address: u64,
    pub init_size: u32,
    /// Bytes of the boot sector and the real-mode code.
    setup: usize,
    /// Of the protected-mode code, in 16 bytes.
    syssize: u32,
}

impl<'a> Header<'a> {
    /// Reads and checks it.
    pub fn read(image: &'a [u8]) -> Result<Self, LoadError> {
        let short = |offset: usize| LoadError::Short {
            what: "the Linux setup header",
            offset: offset as u64,
            needs: END_2_10 as u64,
            has: image.len() as u64,
        };
        let byte = |offset| image.get(offset).copied().ok_or(short(offset));
        let word = |offset| u16_at(image, offset).ok_or(short(offset));
        let long = |offset| u32_at(image, offset).ok_or(short(offset));

        let boot_flag = word(BOOT_FLAG)?;
        if boot_flag != 0xaa55 {
            return Err(LoadError::NoBootFlag { found: boot_flag });
        }
        let magic = long(MAGIC)?;
        if magic.to_le_bytes() != *b"HdrS" {
            return Err(LoadError::NoSetupHeader { found: magic });
        }
        let version = word(VERSION)?;
        if version < 0x020a {
            return Err(LoadError::OldProtocol { version });
        }
        // The jump over the header tells its end.
        let end = MAGIC + usize::from(byte(0x201)?);
        if end < END_2_10 {
            return Err(LoadError::ShortHeader { end: end as u64 });
        }
        let end = end.min(LIMIT);
        let bytes = image.get(START..end).ok_or(short(image.len()))?;
        let loadflags = byte(LOADFLAGS)?;
        if loadflags & LOADED_HIGH == 0 {
            return Err(LoadError::LoadedLow { loadflags });
        }
        let relocatable = byte(RELOCATABLE_KERNEL)? != 0;
        let kernel_alignment = long(KERNEL_ALIGNMENT)?;
        if relocatable && !kernel_alignment.is_power_of_two() {
            return Err(LoadError::Alignment { alignment: kernel_alignment });
        }
        let sectors = match byte(START)? {
            0 => 4,
            sectors => usize::from(sectors),
        };
        Ok(Self {
            bytes,
            xloadflags: if version < 0x020c { 0 } else { word(XLOADFLAGS)? },
            initrd_addr_max: long(INITRD_ADDR_MAX)?,
            kernel_alignment,
            relocatable,
            cmdline_size: long(CMDLINE_SIZE)?,
            pref_address: u64_at(image, PREF_ADDRESS as usize).ok_or(short(PREF_ADDRESS as usize))?,
            init_size: long(INIT_SIZE)?,
            setup: (sectors + 1) * 512,
            syssize: long(SYSSIZE)?,
        })
    }

    /// Whether the kernel has a 64-bit entry.
    pub const fn kernel_64(&self) -> bool {
        self.xloadflags & XLF_KERNEL_64 != 0
    }

    /// The protected-mode code: at least as long as the header says, and longer than `entry`. What follows, such as a
    /// signature, is loaded with it.
    pub fn payload(&self, image: &'a [u8], entry: u64) -> Result<&'a [u8], LoadError> {
        let payload = image.get(self.setup..).unwrap_or_default();
        let (needs, has) = ((u64::from(self.syssize) * 16).max(entry + 1), payload.len() as u64);
        if has < needs {
            let what = "the kernel's protected-mode code";
            return Err(LoadError::Short { what, offset: self.setup as u64, needs, has });
        }
        Ok(payload)
    }
}
