//! Machines without a UART, whose screen is all that there is: it is read back from a picture of it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::Case;
use crate::machine::{self, Running};

const LIMIT: Duration = Duration::from_secs(60);

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("screen::no-uart-ends-as-it-should", ends),
        Case::new("screen::no-uart-under-bios", || shows("bios")),
        Case::new("screen::no-uart-under-uefi", || shows("uefi")),
    ]
}

fn variables(list: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    [("PLATFORM", "qemu"), ("CPU", "EPYC,+svm"), ("GUEST", "hello")]
        .iter()
        .chain(list)
        .map(|&(name, value)| (name, value.to_string()))
        .collect()
}

fn ends() -> Result<(), String> {
    let boot = machine::boot(&variables(&[("QEMU_ARGS", "-serial none")]), LIMIT).map_err(|error| error.to_string())?;
    if boot.status == Some(0) { Ok(()) } else { Err(format!("scripts/run gave {:?}", boot.status)) }
}

/// What matters can be read on the screen of a machine that has nothing else.
fn shows(firmware: &str) -> Result<(), String> {
    let files = env::temp_dir().join(format!("hv-screen-{}-{firmware}", std::process::id()));
    fs::create_dir_all(&files).map_err(|error| error.to_string())?;
    let result = watch(firmware, &files);
    let _ = fs::remove_dir_all(&files);
    let text = result.map_err(|error| format!("the machine under {firmware}: {error}"))?;
    for wanted in ["hv: guest hello: core 0: ok: hlt at", "hv: pass:"] {
        if !text.contains(wanted) {
            return Err(format!("not on the screen: `{wanted}`; the screen:\n{text}"));
        }
    }
    Ok(())
}

/// Boots, and gives the last text of the screen: when the last line is there or when time is up.
fn watch(firmware: &str, files: &Path) -> io::Result<String> {
    let socket = files.join("qmp");
    let picture = files.join("screen.ppm");
    let qemu = format!("-serial none -qmp unix:{},server=on,wait=off", socket.display());
    let variables = variables(&[("FIRMWARE", firmware), ("END", "halt"), ("QEMU_ARGS", &qemu)]);
    let _running = Running::start(&variables, LIMIT)?;
    let end = Instant::now() + LIMIT;
    let mut monitor = loop {
        match Monitor::connect(&socket) {
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(100)),
            Ok(monitor) => break monitor,
        }
    };
    loop {
        thread::sleep(Duration::from_millis(300));
        let text = read(&fs::read(monitor.screen(&picture)?)?).unwrap_or_default();
        if Instant::now() >= end
            || text.lines().any(|line| line.starts_with("hv: pass:") || line.starts_with("hv: fail:"))
        {
            return Ok(text);
        }
    }
}

/// QEMU's machine protocol.
struct Monitor {
    replies: BufReader<UnixStream>,
}

impl Monitor {
    fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut this = Self { replies: BufReader::new(stream) };
        this.replies.read_line(&mut String::new())?;
        this.execute(r#"{"execute": "qmp_capabilities"}"#)?;
        Ok(this)
    }

    fn execute(&mut self, command: &str) -> io::Result<()> {
        writeln!(self.replies.get_mut(), "{command}")?;
        loop {
            let mut reply = String::new();
            if self.replies.read_line(&mut reply)? == 0 {
                return Err(io::Error::other("QEMU has ended"));
            }
            if reply.contains("\"error\"") {
                return Err(io::Error::other(reply));
            }
            // Else it is an event, which nobody asked for.
            if reply.contains("\"return\"") {
                return Ok(());
            }
        }
    }

    /// Takes a picture of the screen.
    fn screen(&mut self, file: &Path) -> io::Result<PathBuf> {
        self.execute(&format!(r#"{{"execute": "screendump", "arguments": {{"filename": "{}"}}}}"#, file.display()))?;
        Ok(file.to_path_buf())
    }
}

/// Reads the text in a picture (binary PPM): characters in cells of the console's font, on black. What is none of them
/// reads as `?`.
fn read(picture: &[u8]) -> Option<String> {
    let mut words = picture.splitn(4, |byte| byte.is_ascii_whitespace());
    let mut word = || words.next();
    let number = |word: Option<&[u8]>| std::str::from_utf8(word?).ok()?.parse::<usize>().ok();
    if word()? != b"P6" {
        return None;
    }
    let (width, height) = (number(word())?, number(word())?);
    // The fourth word is the highest value, 255, and all pixels after it.
    let pixels = word()?.strip_prefix(b"255\n")?;
    if pixels.len() < width * height * 3 {
        return None;
    }
    let lit = |x: usize, y: usize| pixels[(y * width + x) * 3..][..3].iter().any(|&value| value != 0);

    let (cell_width, cell_height) =
        (get_raster_width(FontWeight::Regular, RasterHeight::Size16), RasterHeight::Size16.val());
    let glyphs: Vec<(char, Vec<bool>)> = (' '..='~')
        .filter_map(|character| {
            let raster = get_raster(character, FontWeight::Regular, RasterHeight::Size16)?;
            // The console has 16 shades.
            Some((character, raster.pixels().iter().map(|&shade| shade >> 4 != 0).collect()))
        })
        .collect();
    let mut text = String::new();
    for row in 0..height / cell_height {
        let mut line = String::new();
        for column in 0..width / cell_width {
            let cell: Vec<bool> = (0..cell_height)
                .flat_map(|y| (0..cell_width).map(move |x| (x, y)))
                .map(|(x, y)| lit(column * cell_width + x, row * cell_height + y))
                .collect();
            line.push(glyphs.iter().find(|(_, glyph)| *glyph == cell).map_or('?', |&(character, _)| character));
        }
        text += line.trim_end();
        text.push('\n');
    }
    Some(text.trim_end().to_string())
}
