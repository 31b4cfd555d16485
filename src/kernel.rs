//! What happens between the loader and the last line.

use crate::{fleet, machine, preflight};
use core::fmt::Display;
use hv::hw::boot::Handover;
use hv::hw::end::{self, Ending};
use hv::hw::options::{self, SelfTest};
use hv::hw::percpu;
use hv::hw::{console, cr, irq, rtc, selftest, time};
use hv::mem::image::Image;

/// On the boot core, in the higher half, on the boot page tables, with interrupts off.
pub fn main(handover: Handover) -> ! {
    percpu::init_boot_core();
    irq::silence_legacy();
    console::init();
    let info = match machine::boot_info(handover) {
        Ok(info) => info,
        Err(error) => fail(error),
    };
    let (options, mistake) = options::parse(info.command_line().unwrap_or(""));
    log::set_max_level(options.log);
    end::set_mode(options.end);

    let image = Image::new(handover.load_delta);
    let has = cr::protect();
    if let Err(error) = machine::memory(&info, &image, &has) {
        machine::early_screen(&info);
        fail(error);
    }
    machine::screen(&info);
    machine::symbols(&info);
    if let Some(mistake) = mistake {
        fail(mistake);
    }

    let platform = machine::platform(&info);
    machine::local_apic();
    let clock = time::init(platform.pm_timer);
    rtc::init();
    log::debug!("image at {:#x}, {} bytes of RAM", image.frames().start, hv::mem::frames::ram_bytes());
    log::debug!("TSC {} Hz, local APIC timer {} Hz, {clock}", time::tsc_hz(), time::lapic_hz());
    match options.selftest {
        Some(SelfTest::Panic) => panic!("asked for by selftest=panic"),
        Some(SelfTest::Fault) => selftest::fault(),
        Some(SelfTest::Stack) => selftest::stack_overflow(),
        None => {}
    }

    let capable = match preflight::report(&info, platform.cores.len().max(1), options.flush) {
        Ok(capable) => capable,
        Err(refusal) => fail(refusal),
    };
    let modules = machine::modules(&info);
    let usable = options.cores.map_or(u32::MAX, |n| n.get()).min(platform.cores.len().max(1) as u32);
    match fleet::plan(&options, capable, handover.tsc, &modules, usable) {
        Ok(true) => {}
        Ok(false) => last_line(Ending::Pass, "shown what was asked for"),
        Err(unknown) => fail(unknown),
    }
    let cores = machine::start_cores(&platform, options.cores, fleet::run_core);
    fleet::run_core(percpu::this());
    match fleet::finish(cores) {
        Ok(summary) => last_line(Ending::Pass, summary),
        Err(summary) => last_line(Ending::Fail, summary),
    }
}

/// Ends in a sentence that says what is wrong and what to do.
fn fail(why: impl Display) -> ! {
    last_line(Ending::Fail, why)
}

/// The last line, which no log level hides.
fn last_line(ending: Ending, what: impl Display) -> ! {
    log::set_max_level(log::max_level().max(log::LevelFilter::Info));
    match ending {
        Ending::Pass => log::info!("pass: {what}"),
        Ending::Fail => log::info!("fail: {what}"),
    }
    end::end(ending)
}
