//! The console: what is logged goes to a serial port, to the screen, to an emulator's debug port and to a ring in memory.
//!
//! `init` is the first thing that `main` calls; the screen joins later by `add_screen`, when its memory is mapped, and
//! then shows what was logged before. All of it works without a heap. Lines begin with `hv: `, warnings with
//! `hv: warning: `, errors with `hv: error: `; on a screen they have colours.

pub mod framebuffer;
pub mod line;
pub mod lock;
pub mod pixel;
pub mod ring;
pub mod screen;
pub mod terminal;
pub mod uart;
pub mod vga;

#[cfg(target_os = "none")]
mod out;
#[cfg(target_os = "none")]
pub use out::{HV_LOG, Sinks, add_screen, drain, emergency, init, interrupt_on_input, pass_on, receive, sinks};

pub use screen::{ScreenError, ScreenInfo, ScreenKind};
